#!/usr/bin/env bats
# The fault matrix: what may go wrong with an origin, the disk, processes, the
# kernel and other users of the cache, and all that must hold then.  The cases
# are in tests/lib/fault_cases.py, the checker in fault_trial.py.
# SOAK=1: every case with every origin, cold, half warm and warm; but not in
# a small part of the soak.

load helpers

@test "whatever goes wrong: right bytes or an error in time, and nothing stays" {
	local seed=${SEED:-$((RANDOM + 1))} how=once times
	need_root
	need_fuse
	[ -z "${SOAK-}" ] || [ "${SOAK_PART:-1}" -gt 6 ] || how=all
	export DM_LAB=$T
	[ ! -w /dev/shm ] || DM_LAB=/dev/shm
	echo "seed $seed"
	times=$(python3 -B "$LIB/faults.py" "$DM_BIN" "$how" "$seed" 3>&- 4>&-)
	tried fault-cases "$times" "$seed"
}
