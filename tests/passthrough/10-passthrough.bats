#!/usr/bin/env bats
# Files that the kernel reads by itself: for a program that was built with a
# libfuse that can, run as root.  See make check-passthrough.
# "run" sets stderr, bash -c expands later, DM_PIDS is for the teardown.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031

load ../e2e/helpers

setup () {
	dm_setup
	need_fuse
	mkdir "$T/src"
	head -c 9000000 /dev/urandom >"$T/src/large"
	head -c 5000000 /dev/urandom >"$T/src/other"
	printf 'small\n' >"$T/src/small"
	: >"$T/src/none"
	datamount init -q "$T/repo" 2>/dev/null
	datamount commit -q "$T/src" "$T/repo@main" -m one >"$T/one"
}

passed () {
	datamount status data --json >"$T/status.json"
	json "$T/status.json" "d[0]['fuse']['passed']"
}

count_of () {
	datamount status data --json >"$T/status.json"
	json "$T/status.json" "d[0]['fuse']['$1']"
}

io_of () {
	datamount status data --json >"$T/status.json"
	json "$T/status.json" "d[0]['io']['$1']"
}

# Closes are told later than they are done.
all_closed () {
	[ "$(count_of open)" = "$(count_of release)" ]
}

# Have the file hashed, and closed: the next open passes it through.
warm () {
	cmp "data/$1" "src/$1"
	eventually all_closed
}

# The blob of the cache that is this file.
blob_of () {
	find "$DATAMOUNT_CACHE/blobs" -name '??????????*' -size "$(
		stat -c %s "$1")c"
}

@test "a file that was read is passed through when it is opened again" {
	datamount --io passthrough "$T/repo@main" data
	warm large
	[ "$(passed)" = 0 ]
	reads=$(count_of read)
	cmp data/large src/large
	[ "$(passed)" = 1 ]
	[ "$(count_of read)" = "$reads" ]
	diff -r data src
}

@test "a mount after the first hashes once more before it passes through" {
	datamount --io passthrough "$T/repo@main" data
	warm large
	datamount umount data
	datamount --io passthrough data
	warm large
	[ "$(passed)" = 0 ]
	cmp data/large src/large
	[ "$(passed)" = 1 ]
}

@test "opening does not wait for bytes that are not here" {
	httpd_start "$T/repo"
	datamount --io passthrough --timeout 300 "$URL/@main" data
	ls -l data/large
	kill -STOP "$HTTPD_PID"
	timeout 20 sh -c 'exec 5<data/large'
	kill -CONT "$HTTPD_PID"
	warm large
	cmp data/large src/large
	[ "$(passed)" = 1 ]
}

@test "while a file is open the ordinary way, all read it that way" {
	datamount --io passthrough "$T/repo@main" data
	exec 5<data/large
	cmp data/large src/large
	cmp data/large src/large
	[ "$(passed)" = 0 ]
	cmp - src/large <&5
	exec 5<&-
	eventually all_closed
	cmp data/large src/large
	[ "$(passed)" = 1 ]
}

@test "every way of reading gives the right bytes" {
	datamount --io passthrough "$T/repo@main" data
	warm large
	for _ in 1 2; do
		python3 - data/large src/large <<-'END'
			import mmap, os, sys
			with open(sys.argv[2], "rb") as f:
			    want = f.read()
			fd = os.open(sys.argv[1], os.O_RDONLY)
			with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as m:
			    assert m[:] == want
			assert os.pread(fd, 5000, 123456) == want[123456:128456]
			assert os.pread(fd, 100, len(want) - 10) == want[-10:]
			assert os.pread(fd, 100, len(want)) == b""
			r, w = os.pipe()
			n = os.sendfile(w, fd, 777, 60000)
			assert os.read(r, n) == want[777:777 + n]
			n = os.splice(fd, w, 60000, offset_src=4242)
			assert os.read(r, n) == want[4242:4242 + n]
			os.close(fd)
			fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
			with mmap.mmap(-1, 1 << 16) as m:
			    assert os.preadv(fd, [m], 1 << 20) == 1 << 16
			    assert m[:] == want[1 << 20:(1 << 20) + (1 << 16)]
		END
		eventually all_closed
	done
	[ "$(passed)" -ge 2 ]
	run ! sh -c 'echo x >>data/large'
	[ "$(stat -c '%s %a' data/large)" = '9000000 444' ]
}

@test "a new worker knows what is passed through" {
	datamount --io passthrough "$T/repo@main" data
	warm large
	exec 5<data/large 6<data/other
	for _ in 1 2 3; do
		kill -KILL "$(status_of data worker)"
		cmp data/large src/large
		cmp data/other src/other
	done
	cmp - src/large <&5
	cmp - src/other <&6
	[ "$(passed)" = 4 ]
	exec 5<&- 6<&-
	eventually all_closed
	warm large
	[ "$(passed)" = 4 ]
	cmp data/large src/large
	[ "$(passed)" = 5 ]
}

# Opens, reads and closes; tells of each failure.
reader () {
	while [ -e "$T/go" ]; do
		cmp -s "data/$1" "src/$1" || echo "$1" >>"$T/wrong"
	done
}

@test "workers may be killed while files are opened and closed" {
	datamount --io passthrough "$T/repo@main" data
	warm large
	supervisor=$(status_of data pid)
	: >"$T/go"
	for f in large large other other small; do
		reader "$f" 3>&- &
		DM_PIDS="$DM_PIDS $!"
	done
	python3 "$LIB/killer.py" "$supervisor" 20 KILL 1
	eventually eval '[ "$(status_of data state)" = ok ]'
	rm "$T/go"
	wait
	[ ! -e "$T/wrong" ]
	# Nothing is taken for open that is not: all can be passed through.
	for f in large other; do
		# The last worker hashes nothing that the kernel still has.
		dd if="data/$f" iflag=nocache count=0 2>/dev/null
		warm "$f"
		before=$(passed)
		cmp "data/$f" "src/$f"
		[ "$(passed)" = $((before + 1)) ]
	done
}


@test "a cached file that was changed is not passed through but mended" {
	datamount --io passthrough "$T/repo@main" data
	warm large
	cmp data/large src/large
	eventually all_closed
	before=$(passed)
	printf wrong | dd of="$(blob_of src/large)" bs=1 seek=1000000 \
		conv=notrunc status=none
	warm large
	[ "$(passed)" = "$before" ]
	cmp data/large src/large
	[ "$(passed)" = $((before + 1)) ]
}

@test "who opens a file that was changed while others have it gets no byte" {
	datamount --io passthrough "$T/repo@main" data
	warm large
	exec 5<data/large
	printf wrong | dd of="$(blob_of src/large)" bs=1 seek=1000000 \
		conv=notrunc status=none
	run cat data/large
	[ "$status" -eq 1 ]
	[[ $output == *'Input/output error'* ]]
	datamount status data | grep -q 'was changed while it is open'
	exec 5<&-
	eventually all_closed
	warm large
	cmp data/large src/large
}

@test "a file whose cached bytes were written again is still opened" {
	datamount --io passthrough "$T/repo@main" data
	warm large
	exec 5<data/large
	head -c 1000000 src/large | dd of="$(blob_of src/large)" conv=notrunc \
		status=none
	cmp data/large src/large
	[ "$(passed)" = 2 ]
	exec 5<&-
}

@test "what is evicted while it is passed through can be read to its end" {
	datamount --io passthrough "$T/repo@main" data
	warm large
	exec 5<data/large
	datamount cache clear 2>/dev/null
	[ -z "$(blob_of src/large)" ]
	cmp data/large src/large
	kill -KILL "$(status_of data worker)"
	cmp data/large src/large
	cmp - src/large <&5
	exec 5<&-
	eventually all_closed
	warm large
	cmp data/large src/large
}

@test "a file that is several packs is read the ordinary way" {
	{ head -c 4000000 src/large; printf new; tail -c +4000001 src/large; } \
		>src/changed
	mv src/changed src/large
	datamount commit -q src "$T/repo@main" -m two >/dev/null
	datamount --io passthrough "$T/repo@main" data
	for _ in 1 2; do
		warm large
	done
	[ "$(passed)" = 0 ]
	diff -r data src
}

@test "by itself, mount passes large files through, and small ones not" {
	datamount "$T/repo@main" data
	[ "$(io_of asked) $(io_of mode)" = 'auto daemon' ]
	[[ $(io_of why) == '4 files of '*' in the mean'* ]]
	datamount umount data
	rm data.source src/none src/small
	datamount commit -q src "$T/repo@main" -m large >/dev/null
	datamount "$T/repo@main" data
	[ "$(io_of asked) $(io_of mode)" = 'auto passthrough' ]
	datamount status data | grep -q 'io  *passthrough: 2 files of '
	warm large
	cmp data/large src/large
	[ "$(passed)" = 1 ]
}

@test "update and sync keep what was asked for" {
	datamount --io passthrough "$T/repo@main" data
	printf 'more\n' >src/more
	datamount commit -q src "$T/repo@main" -m more >/dev/null
	datamount update data
	[ "$(io_of asked) $(io_of mode)" = 'passthrough passthrough' ]
	cmp data/more src/more
}

@test "with --io=daemon nothing is passed through" {
	datamount --io daemon "$T/repo@main" data
	for _ in 1 2 3; do cmp data/large src/large; done
	[ "$(io_of mode) $(count_of open)" = 'daemon 0' ]
}

@test "who is not root is told what passing through takes" {
	need_root
	need fusermount3
	mkdir -m 700 u u/run
	chmod -R a+rX repo "$T/home"
	install -m 755 "$DM_BIN/datamount" u/datamount
	chown -R 65534:65534 u repo
	run unshare -m bash -c '
		mkdir devs && mount -t tmpfs none devs &&
		mknod -m 666 devs/fuse c 10 229 &&
		mount --bind devs/fuse /dev/fuse &&
		export HOME=$T/u XDG_RUNTIME_DIR=$T/u/run &&
		export XDG_STATE_HOME=$T/u/state &&
		export DATAMOUNT_CACHE=$T/u/cache && cd u &&
		exec setpriv --reuid 65534 --regid 65534 --clear-groups \
			./datamount --io passthrough "$T/repo@main" data'
	echo "$output" >&2
	[ "$status" -eq 1 ]
	[[ $output == "datamount: --io=passthrough: "*CAP_SYS_ADMIN* ]]
	[ ! -e u/data.source ]
	run ! is_mounted u/data
}
