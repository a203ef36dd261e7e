#!/usr/bin/env bats
# One cache, many processes: who fetches, who waits, who makes room.
# A variable that one test sets is for that test.
# shellcheck disable=SC2030,SC2031

load helpers

# A version whose files lie in three packs.
one_version () {
	mkdir -p "$T/src/small" "$T/src/large"
	for i in $(seq 1000); do
		head -c 10240 /dev/urandom >"$T/src/small/$i"
	done
	for i in 1 2 3 4; do
		head -c 8000000 /dev/urandom >"$T/src/large/$i"
	done
	datamount init -q "$T/repo" 2>/dev/null
	datamount commit -q "$T/src" "$T/repo@main" -m one >/dev/null
}

# A version whose files lie in many packs, of 1.6 MB each.
grown_version () {
	local n
	datamount init -q "$T/repo" 2>/dev/null
	for n in $(seq 30); do
		mkdir -p "$T/src/$n"
		head -c 1200000 /dev/urandom >"$T/src/$n/large"
		for i in $(seq 10); do
			head -c 40000 /dev/urandom >"$T/src/$n/$i"
		done
		datamount commit -q "$T/src" "$T/repo@main" -m "$n" >/dev/null
	done
}

mount_all () {
	for i in $(seq "$1"); do
		datamount --no-source "$URL/@main" "data$i"
	done
}

umount_all () {
	for i in $(seq "$1"); do
		datamount umount "data$i"
	done
}

used_bytes () {
	datamount cache status --json | json - "d['bytes']"
}

at_most () {
	[ "$(used_bytes)" -le "$1" ]
}

# The bytes that nginx sent of the packs.
sent_bytes () {
	nginx_settle
	awk '$2 ~ /^\/packs/ {s += $5} END {print s + 0}' "$LOG"
}

# Read all through the mounts from number $1 to 8, at once, in MS.
read_from () {
	local i pids=() begin
	begin=$(date +%s%N)
	for i in $(seq "$1" 8); do
		diff -r --no-dereference src "data$i" >"diff$i" 2>&1 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	MS=$((($(date +%s%N) - begin) / 1000000))
	[ -z "$(cat diff?)" ]
}

# COMMAND has all packs sent once, into an empty cache: at most 1.05 of their
# bytes.  It sets SENT and MS.  Who does not get on for 3 s with what it is to fetch is
# passed over, and others fetch that again: so it is meant, and so it may go on
# a machine that stalls.  Hence what took that long is done once more.
sent_once () {
	local packs
	packs=$(find repo/packs -type f -printf '%s\n' |
		awk '{s += $1} END {print s}')
	for _ in 1 2; do
		remove_cache
		"$@"
		echo "sent $SENT of $packs in $MS ms"
		[ $((SENT * 100 / packs)) -gt 105 ] || return 0
		[ "$MS" -ge 3000 ] || return 1
	done
	return 1
}

# The process that serves a mount.
worker_of () {
	datamount status --json "$1" | json - "d[0]['worker']"
}

eight_read () {
	: >"$LOG"
	mount_all 8
	read_from 1
	SENT=$(sent_bytes)
	umount_all 8
}

@test "eight mounts of the same cold files fetch each byte once" {
	need_fuse
	one_version
	nginx_start repo
	sent_once eight_read
	datamount fsck
}

# A process that was stopped keeps its locks; what it was to fetch is fetched
# by one other, once.
seven_pass_over () {
	local worker
	httpd_ctl clear
	mount_all 8
	worker=$(worker_of data1)
	httpd_rule '/packs/* * barrier=all'
	httpd_ctl forget
	cat data1/small/5 >/dev/null 3>&- &
	ends_with_test $!
	httpd_ctl wait '/packs/* 1'
	kill -STOP "$worker"
	httpd_ctl release all
	read_from 2
	kill -CONT "$worker"
	diff -r --no-dereference src data1
	SENT=$(curl -sSf "$CTL/bytes?/packs/*")
	umount_all 8
}

@test "seven mounts pass over one that was stopped with its locks" {
	need_fuse
	one_version
	httpd_start repo
	sent_once seven_pass_over
}

@test "four mounts keep their quota while their cache is vandalised" {
	need_fuse
	local pids=() seconds=15 limit=5000000
	[ -z "${SOAK-}" ] || seconds=60
	grown_version
	nginx_start repo
	for i in 1 2 3 4; do
		datamount --no-source --cache-size "$limit" "$URL/@main" "data$i"
		python3 "$LIB/reread.py" src "data$i" over "$RANDOM" \
			>"reads$i" 2>"said$i" 3>&- &
		pids+=($!)
	done
	run python3 "$LIB/vandal.py" "$DATAMOUNT_CACHE" "$seconds" "$limit"
	echo "$output" >&2
	: >over
	wait "${pids[@]}"
	cat said? reads? >&2
	[ -z "$(cat said?)" ]
	[ "$status" -eq 0 ]
	umount_all 4
	grep -q 'evicted [0-9]* blobs' "$XDG_STATE_HOME"/datamount/log/*
}

@test "a limit that is set while mounts run is kept to at once" {
	need_fuse
	grown_version
	datamount --no-source repo@main data
	diff -r src data
	[ "$(used_bytes)" -gt 20000000 ]
	datamount cache limit 8M
	[ "$(datamount cache limit)" = '8.4 MB' ]
	eventually at_most 8388608
	diff -r src data
	at_most 8388608
	datamount cache status | grep -q '^limit      8.4 MB'
	datamount cache limit none
	datamount cache limit | grep -q '^none'
	fails 2 'not much' datamount cache limit much
	datamount umount data
}

# No process of this test's home is a daemon.
no_daemons () {
	local pid
	for pid in $(pgrep -x datamount); do
		! grep -qsazxF "HOME=$HOME" "/proc/$pid/environ" || return 1
	done
}

# SOAK=1: 20,000 faults, or SOAK_FAULTS.
@test "eight mounts under kills, a full disk, fsck and a broken index at once: no error" {
	need_fuse
	need_root
	local pids=() faults=150 limit=5000000 seed=${SEED:-$((RANDOM + 1))}
	[ -z "${DM_FEW-}" ] || faults=50
	[ -z "${SOAK-}" ] || faults=${SOAK_FAULTS:-$(soaked 20000)}
	echo "seed $seed" >&2
	grown_version
	nginx_start repo
	mkdir disk
	mount -t tmpfs -o size=16m,nr_inodes=1000 none disk
	export DATAMOUNT_CACHE=$T/disk/cache
	for i in $(seq 8); do
		datamount --no-source --cache-size "$limit" "$URL/@main" "data$i"
	done
	for i in $(seq 7); do
		: >"progress$i"
		python3 "$LIB/storm.py" src "data$i" over "$((seed + i))" \
			"progress$i" >"reads$i" 2>"said$i" 3>&- 4>&- &
		pids+=($!)
	done
	python3 "$LIB/vandal.py" "$DATAMOUNT_CACHE" over "$limit" \
		>vandal 2>&1 3>&- 4>&- &
	ends_with_test $!
	local vandal=$!
	run python3 -B "$LIB/havoc.py" "$faults" "$seed" src "$URL/@main" 8 \
		disk "$limit"
	: >over
	echo "$output" >&2
	wait "${pids[@]}" || true
	wait "$vandal" || { cat vandal >&2; false; }
	cat said? reads? vandal >&2
	[ -z "$(cat said?)" ]
	[ "$(cat reads? | wc -l)" -eq 7 ]
	[ "$status" -eq 0 ]
	tried shared-faults "$faults" "$seed"
	# Nobody is stuck, and nothing is left to mend but what was spoiled.
	diff -r src data1
	diff -r src data8
	eventually at_most "$limit"
	datamount fsck -q || [ $? = 3 ]
	datamount fsck -q
	umount_all 8
	eventually no_daemons
	umount disk
}

# What a pin file names stays, though it be the coldest.
@test "blobs of a pinned version are not evicted" {
	need_fuse
	local key
	grown_version
	datamount cat repo@main:/1/large >/dev/null
	key=$(find "$DATAMOUNT_CACHE/blobs" -size +1000k -printf '%f\n')
	mkdir -m 700 "$DATAMOUNT_CACHE/pins"
	printf '%s\n' "$key" >"$DATAMOUNT_CACHE/pins/$(printf '%064d' 1)"
	touch -d 2020-01-01 "$DATAMOUNT_CACHE"/blobs/*/"$key"*
	datamount --no-source --cache-size 8M repo@main data
	diff -r src data
	at_most 8388608
	[ -e "$DATAMOUNT_CACHE/blobs/${key:0:2}/$key" ]
	[ "$(datamount cache status --json | json - "d['pinned'] > 1000000")" = true ]
	datamount umount data
}
