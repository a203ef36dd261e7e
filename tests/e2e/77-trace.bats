#!/usr/bin/env bats
# --record-trace, --replay-trace: the order of reads is kept, and fetched.

# shellcheck disable=SC2154 # run sets stderr
load helpers

# 300 small files in three directories and a large one, behind a server.
publish () {
	local d
	for d in a b c; do
		mkdir -p "src/$d"
		(cd "src/$d" && head -c 300000 /dev/urandom |
			split -b 3000 -a 2 -d - f)
	done
	head -c 20000000 /dev/urandom >src/large
	: >src/empty
	printf x >'src/odd\name'
	datamount init repo
	datamount commit src repo -m 'a version' --quiet
	httpd_start repo
}

record () {
	datamount mount "$URL/" data --no-source --record-trace trace
}

not () {
	if "$@"; then
		return 1
	fi
}

forget () { # forget: unmount, and begin with nothing
	datamount umount data
	datamount cache clear
}

@test "a trace has what was read, in order, once" {
	need_fuse
	publish
	record
	cat data/b/f07 >/dev/null
	cat data/a/f01 data/b/f07 data/empty "data/odd\\name" >/dev/null
	dd if=data/large bs=4096 skip=2500 count=1 status=none >/dev/null
	ls -R data >/dev/null
	stat data/c/f09 >/dev/null
	datamount umount data
	cat trace
	printf '%s\n' 'datamount trace 1' '0 b/f07' '0 a/f01' \
		'0 odd\\name' '8388608 large' >want
	diff want trace
}

@test "a trace goes on in the next worker, and loses and doubles nothing" {
	need_fuse
	publish
	record
	cat data/a/* >/dev/null
	kill -KILL "$(status_of data worker)"
	cat data/b/* data/a/* >/dev/null
	kill -KILL "$(status_of data worker)"
	echo 3 | tee /proc/sys/vm/drop_caches >/dev/null || true
	cat data/c/* data/a/* >/dev/null
	[ "$(wc -l <trace)" -eq 301 ]
	[ "$(sort -u trace | wc -l)" -eq 301 ]
	# what was written is there, whoever else is killed
	kill -KILL "$(status_of data pid)"
	[ "$(wc -l <trace)" -eq 301 ]
}

@test "what a trace names is fetched without being read" {
	need_fuse
	publish
	record
	cat data/c/f5* data/a/f0* data/large >/dev/null
	forget
	datamount mount "$URL/" data --no-source --replay-trace trace
	for f in c/f50 c/f59 a/f00 a/f09; do
		eventually is_cached "$f" 3000
	done
	eventually is_cached large 20000000
	# and nothing else of another pack or directory
	is_cached b/f50 0
	httpd_rule '* * drop'
	cmp src/large data/large
	for f in src/c/f5* src/a/f0*; do
		cmp "$f" "data/${f#src/}"
	done
}

is_cached () { # is_cached FILE BYTES
	[ "$(getfattr --only-values -n user.datamount.cached \
		"data/$1")" = "$2" ]
}

@test "the next worker goes on with a trace" {
	need_fuse
	publish
	printf '%s\n' 'datamount trace 1' '0 a/f01' '0 b/f02' >trace
	httpd_rule '/packs/* * delay=300'
	datamount mount "$URL/" data --no-source --replay-trace trace
	kill -KILL "$(status_of data worker)"
	eventually is_cached a/f01 3000
	eventually is_cached b/f02 3000
	# and ends while it waits for an answer
	datamount umount data
	datamount cache clear
	httpd_rule '/packs/* * delay=300'
	datamount mount "$URL/" data --no-source --replay-trace trace
	datamount umount data
	not is_mounted data
}

@test "a trace serves another version, and part of one" {
	need_fuse
	publish
	record
	cat data/a/f01 data/b/f02 data/c/f03 >/dev/null
	forget
	rm -r src/b
	printf new >src/a/new
	datamount commit src repo -m 'another' --quiet
	datamount mount "$URL/" data --no-source --replay-trace trace
	eventually is_cached a/f01 3000
	eventually is_cached c/f03 3000
	datamount umount data
	datamount cache clear
	printf '%s\n' 'datamount trace 1' '0 f01' '0 a/f02' >part
	datamount mount "$URL/@main:a" data --no-source --replay-trace part
	eventually is_cached f01 3000
	is_cached f02 0
}

@test "prefetch takes a trace" {
	need_fuse
	publish
	datamount "$URL/" data
	printf '%s\n' 'datamount trace 1' '0 a/f01' '0 gone' 'x' \
		'16777216 large' >trace
	run --separate-stderr datamount prefetch data --list trace
	echo "$stderr"
	[ "$status" -eq 0 ]
	[[ $stderr == *'1 entries are not in this version and 1 lines'* ]]
	is_cached a/f01 3000
	not is_cached large 20000000
	printf '%s\n' 'datamount trace 2' >later
	run --separate-stderr datamount prefetch data --list later
	[ "$status" -eq 1 ]
	[[ $stderr == *'trace of another version of datamount'* ]]
}

@test "a trace that cannot be taken or written is an error, and no mount" {
	need_fuse
	publish
	refused () { # refused TEXT OPTION...
		local text=$1
		shift
		run --separate-stderr datamount mount "$URL/" data \
			--no-source "$@"
		echo "$stderr"
		[ "$status" -ne 0 ]
		[[ $stderr == *"$text"* ]]
		[ "$(wc -l <<<"$stderr")" -eq 1 ]
		not is_mounted data
	}
	echo precious >letter
	refused 'No such file' --replay-trace none
	refused 'no trace: its first line' --replay-trace letter
	refused 'not overwritten: ' --record-trace letter
	[ "$(cat letter)" = precious ]
	refused 'not a regular file' --replay-trace src
	mkfifo fifo
	refused 'not a regular file' --replay-trace fifo
	refused 'No such file' --record-trace no/where
	refused 'is a folder' --record-trace src/
	echo 'datamount trace 1' >trace
	refused 'cannot be recorded and replayed' --record-trace trace \
		--replay-trace ./trace
	refused 'use --io=daemon' --record-trace trace --io=passthrough
	mkdir data
	refused 'the mount will hide it' --record-trace data/trace
}

@test "an update goes on with the trace" {
	need_fuse
	publish
	datamount "$URL/" data --record-trace trace
	cat data/a/f01 >/dev/null
	printf new >src/a/new
	datamount commit src repo -m 'another' --quiet
	datamount update data
	cat data/a/new >/dev/null
	printf '%s\n' 'datamount trace 1' '0 a/f01' '0 a/new' >want
	diff want trace
}
