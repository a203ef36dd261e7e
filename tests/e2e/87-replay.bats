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

@test "a pin, and its end, last however unsynced writes are lost" {
	local seed=${SEED:-$((RANDOM + 1))}
	echo "seed $seed"
	[ "$(python3 -B "$LIB/replay.py" 16 "$seed" pin unpin 3>&- 4>&-)" = 16 ]
}

# Who looks for losses must see them.
@test "a publish whose syncs count for nothing is seen to lose" {
	run env DM_UNSYNCED=1 python3 -B "$LIB/replay.py" 3 1 publish 3>&- 4>&-
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *'is version'*'not one of'* ]]
}

# strace hears of two ends in any order: what one thread made, another uses.
@test "a call whose end is told of late is entered where it took effect" {
	mkdir top
	python3 -B - "$LIB" >out <<'PY'
import os
import sys
sys.path.insert(0, sys.argv[1])
import write_log

TOP = os.path.realpath('top')


def hexed(text):
    return ''.join(f'\\x{b:02x}' for b in os.fsencode(text))


def quoted(text):
    return f'"{hexed(text)}"'


HERE = f'AT_FDCWD<{hexed(TOP)}>'
OLD, NEW = hexed(TOP + '/d/old'), hexed(TOP + '/d/new')
CREATED = f'O_RDWR|O_CREAT, 0600) = 3<{OLD}>'
log = write_log.Log('top', 'out.txt', __import__('pathlib').Path('copy'))
log.trace = 'trace'
with open('trace', 'w') as f:
    f.write(f"""1 mkdirat({HERE}, {quoted('d')}, 0700 <unfinished ...>
2 mkdirat({HERE}, {quoted('d')}, 0700) = -1 EEXIST (File exists)
2 openat({HERE}, {quoted('d/old')}, {CREATED}
2 pwrite64(3<{OLD}>, "\\x41\\x42", 2, 0) = 2
1 <... mkdirat resumed>) = 0
2 renameat({HERE}, {quoted('d/old')}, {HERE}, {quoted('d/new')} <unfinished ...>
1 openat({HERE}, {quoted('d/new')}, O_WRONLY) = 4<{NEW}>
1 pwrite64(4<{NEW}>, "\\x43", 1, 1) = 1
2 <... renameat resumed>) = 0
2 openat({HERE}, {quoted('d')}, O_RDONLY) = 5<{hexed(TOP + '/d')}>
2 unlinkat({HERE}, {quoted('d/new')}, 0 <unfinished ...>
1 mkdirat({HERE}, {quoted('d/new')}, 0700) = 0
2 <... unlinkat resumed>) = 0
""")
log.finish()
state = log.state(len(log.entries), __import__('random').Random(1), 1, 1)
print(list(state.walk(log.root, '')))
file = log.entries[1].names[0][1]
print(state.bytes(file))
PY
	cat out
	grep -q "^\[('/d', 16384, None), ('/d/new', 16384, None)\]$" out
	grep -q "^b'AC'$" out
}
