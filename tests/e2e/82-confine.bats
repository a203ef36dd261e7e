#!/usr/bin/env bats
# What a worker can do, and that readers do not notice what it cannot.
# "run" sets stderr, eval expands later, DM_PIDS is for this test's teardown.
# shellcheck disable=SC2154,SC2016,SC2012

load helpers

setup () {
	dm_setup
	need_fuse
	two_versions
}

ALL='no-new-privs not-dumpable capabilities landlock seccomp'

# of_process PID KEY: a line of /proc/PID/status.
of_process () {
	awk -v key="$2:" '$1 == key {print $2}' "/proc/$1/status"
}

new_worker_than () {
	local now
	now=$(status_of data worker)
	[ "$now" != 0 ] && [ "$now" != "$1" ]
}

@test "a worker is confined by all that this kernel has, and status says so" {
	local worker
	httpd_start "$REPO"
	datamount "$URL/@v1" data
	[ "$(status_of data confined)" = "$ALL" ] ||
		grep -q 'not confined in full' "$(status_of data log)" ||
		skip "this kernel cannot confine in full"
	worker=$(status_of data worker)
	[ "$(of_process "$worker" NoNewPrivs)" = 1 ]
	[ "$(of_process "$worker" Seccomp)" = 2 ]
	[ "$(of_process "$worker" CapPrm)" = 0000000000000000 ]
	[ "$(of_process "$(status_of data pid)" NoNewPrivs)" = 0 ]
	cmp data/a.csv <(echo a,1)
}

@test "a repository in a folder that is replaced is read all the same" {
	cp -r "$REPO" copy
	datamount "$REPO@v2" data
	ls data/sub
	local worker
	worker=$(status_of data worker)
	rm -r "$REPO"
	mv copy "$REPO"
	diff -r src data
	[ "$(status_of data state)" = ok ]
	[ "$(json status.json "d[0]['fuse']['errors']")" = 0 ]
	new_worker_than "$worker"
}

@test "a repository whose packs are elsewhere is read" {
	mkdir elsewhere
	mv "$REPO/packs" elsewhere
	ln -s "$T/elsewhere/packs" "$REPO/packs"
	datamount "$REPO@v2" data
	diff -r src data
}

@test "a repository that comes back is read, without a new mount" {
	datamount --timeout 5 "$REPO@v2" data
	ls data
	mv "$REPO" away
	run ! cat data/sub/zeros
	mv away "$REPO"
	eventually cmp data/sub/zeros src/sub/zeros
	remove_cache
	diff -r src data
}

@test "a cache that was removed is filled again" {
	datamount "$REPO@v2" data
	local worker
	worker=$(status_of data worker)
	remove_cache
	eventually new_worker_than "$worker"
	diff -r src data
	[ "$(find "$DATAMOUNT_CACHE/blobs" -type f | wc -l)" -gt 0 ]
}

@test "a worker that is not to be confined keeps the user's rights" {
	DATAMOUNT_UNCONFINED=1 datamount "$REPO@v1" data
	[ "$(status_of data confined)" = '' ]
	[ "$(of_process "$(status_of data worker)" NoNewPrivs)" = 0 ]
	diff data/a.csv <(echo a,1)
	datamount -q update data v2
	[ "$(status_of data confined)" = '' ]
	diff -r src data
}

@test "a mount in the foreground is neither updated nor synced away" {
	datamount -q --no-git --foreground "$REPO@v1" data 2>log 3>&- 4>&- &
	local pid=$!
	ends_with_test "$pid"
	eventually is_mounted data
	eventually cmp -s data/a.csv <(echo a,1)
	fails 1 'with --foreground: end that process' datamount update data v2
	kill -0 "$pid"
	grep -q "$V1" data.source
	kill -INT "$pid"
	wait "$pid"
	datamount -q update data v2
	grep -q "$V2" data.source
}
