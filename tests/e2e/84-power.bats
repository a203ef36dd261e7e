#!/usr/bin/env bats
# Power cuts: an ext4 file system that is shut down under what writes there.
# SOAK=1: 10,000 of them, or SOAK_CUTS.

load helpers

@test "what was acknowledged before a power cut is there, the rest not or whole" {
	local seed=${SEED:-$((RANDOM + 1))} times=20 lab=$T status=0
	need_root
	need_fuse
	[ ! -w /dev/shm ] || lab=/dev/shm
	[ -z "${DM_FEW-}" ] || times=4
	[ -z "${SOAK-}" ] || times=${SOAK_CUTS:-$(soaked 10000)}
	echo "seed $seed"
	DM_LAB=$lab python3 -B "$LIB/power.py" "$times" "$seed" \
		2>log 3>&- 4>&- || status=$?
	cat log
	if [ "$status" = 4 ] && [ "${DM_REQUIRE_FUSE:-0}" != 1 ]; then
		skip "no file system to cut: $(tail -n 1 log)"
	fi
	[ "$status" = 0 ]
	tried power-cuts "$times" "$seed"
}
