#!/usr/bin/env bats
# Commands and daemons that are killed at any point of what they do.  The
# trials, and what must hold after each, are in tests/lib/crash_lab.py.
# SOAK=1: every boundary, and 20,000 kills at random; or SOAK_KILLS.

load helpers

# Small files, many times: in memory, where that is to be had.
setup () {
	dm_setup
	need_fuse
	export DM_LAB=$T
	[ ! -w /dev/shm ] || DM_LAB=/dev/shm
}

# kills calls|random NAME TIMES: print and note how many there were.
kills () {
	local seed=${SEED:-$((RANDOM + 1))} times
	echo "seed $seed"
	times=$(ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 \
		python3 -B "$LIB/kills.py" "$1" "$3" "$seed" 3>&- 4>&-)
	tried "$2" "$times" "$seed"
	[ "$times" -ge "$3" ]
}

@test "SIGKILL as a system call begins that changes something: old or new, and whole" {
	local times=150
	need strace
	need_root
	[ -z "${DM_FEW-}" ] || times=20
	[ -z "${SOAK-}" ] || times=0 # all
	kills calls kills-at-calls "$times"
}

@test "SIGKILL at a random moment: old or new, and whole" {
	local times=50
	[ -z "${DM_FEW-}" ] || times=10
	[ -z "${SOAK-}" ] || times=${SOAK_KILLS:-$(soaked 20000)}
	kills random kills-random "$times"
}
