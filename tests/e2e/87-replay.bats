#!/usr/bin/env bats
# Power cuts, replayed: what was written is recorded, and states that a disk
# may be left in are made of it.  The commands, and what must hold, are in
# tests/lib/crash_lab.py and replay.py; what may be lost, in write_log.py.
# SOAK=1: 20,000 states, or SOAK_REPLAYS.

load helpers

# Small files, many times: in memory, where that is to be had.
setup () {
	dm_setup
	need_fuse
	need strace
	need_root
	export DM_LAB=$T ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
	[ ! -w /dev/shm ] || DM_LAB=/dev/shm
}

@test "what was acknowledged is there however unsynced writes are lost or torn" {
	local seed=${SEED:-$((RANDOM + 1))} times=120 n
	[ -z "${DM_FEW-}" ] || times=16
	[ -z "${SOAK-}" ] || times=${SOAK_REPLAYS:-$(soaked 20000)}
	echo "seed $seed"
	n=$(python3 -B "$LIB/replay.py" "$times" "$seed" 3>&- 4>&-)
	tried write-log-replays "$n" "$seed"
	[ "$n" -ge "$times" ]
}

# Who looks for losses must see them.
@test "a publish whose syncs count for nothing is seen to lose" {
	run env DM_UNSYNCED=1 python3 -B "$LIB/replay.py" 3 1 publish 3>&- 4>&-
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *'is version'*'not one of'* ]]
}
