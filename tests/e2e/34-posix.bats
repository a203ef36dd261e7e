#!/usr/bin/env bats
# A mount answers system calls as any read-only file system does: they are
# asked of both, by root and by another user.
# "run" sets stderr.
# shellcheck disable=SC2154

load helpers

setup () {
	dm_setup
	need_fuse
	mkdir -p src/sub src/empty
	head -c 10000 /dev/urandom >src/file
	printf '#!/bin/sh\n' >src/exec
	echo inner >src/sub/inner
	chmod 555 src/exec
	chmod 444 src/file src/sub/inner
	ln -s file src/link
	ln -s nothing src/dangling
	ln -s loop src/loop
	mkdir -m 777 scratch
	datamount init -q repo 2>/dev/null
	datamount commit -q src repo -m data >id
	datamount -q repo data
}

# A tmpfs that is mounted as the mount is.
reference () {
	need_root
	mkdir reference
	mount -t tmpfs -o nosuid,nodev,noexec,mode=755 none reference
	cp -a src/. reference
	chmod 555 reference/sub reference/empty reference
	mount -o remount,ro,nosuid,nodev,noexec reference
}

# posix_agree WHAT [COMMAND...]: both answer the same.
posix_agree () {
	local what=$1
	shift
	rm -f scratch/*
	"$@" "$DM_BIN/posix" "$what" data scratch >ours
	rm -f scratch/*
	"$@" "$DM_BIN/posix" "$what" reference scratch >theirs
	# Before Linux 6.6 no tmpfs has it.
	if grep -q '^O_DIRECT: EINVAL' theirs; then
		sed -i '/^O_DIRECT/d' ours theirs
	fi
	diff theirs ours
}

@test "no system call changes anything, and each says why" {
	"$DM_BIN/posix" changes data scratch >out
	cat out
	# The others are wrong for another reason.
	[ "$(grep -c ': EROFS$' out)" -ge 65 ]
	run ! grep -v ': E[A-Z]*$' out
	datamount umount data
	datamount -q data
	diff -r --no-dereference src data
}

@test "calls that would change something fail as on any read-only file system" {
	reference
	posix_agree changes
	diff -r --no-dereference src data
}

@test "calls that change nothing answer as on any read-only file system" {
	reference
	posix_agree answers
}

@test "another user is answered as on any read-only file system" {
	reference
	need setpriv
	posix_agree changes setpriv --reuid 65534 --regid 65534 --clear-groups
	posix_agree answers setpriv --reuid 65534 --regid 65534 --clear-groups
	diff -r --no-dereference src data
}

@test "the test sees it when an answer differs" {
	need_root
	mkdir reference
	mount -t tmpfs -o nosuid,nodev,noexec none reference
	cp -a src/. reference
	run posix_agree changes
	[ "$status" -ne 0 ]
	[[ $output == *'< truncate: OK'* ]]
	[[ $output == *'> truncate: EROFS'* ]]
}
