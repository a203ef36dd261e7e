#!/usr/bin/env bats
# Workers and supervisors that are killed.
# "run" sets stderr, eval expands later, DM_PIDS is for this test's teardown.
# shellcheck disable=SC2154,SC2016,SC2012

load helpers

setup () {
	dm_setup
	need_fuse
	mkdir src
	for i in {1..30}; do
		head -c $((i * i * 3000)) /dev/urandom >"src/file$i"
	done
	datamount init -q "$T/repo" 2>/dev/null
	datamount commit -q "$T/src" "$T/repo@main" -m data >"$T/commit"
}

state_is () {
	[ "$(status_of data state)" = "$1" ]
}

# Kill the worker of data $1 times under eight readers.
kill_under_readers () {
	local pids=() supervisor
	supervisor=$(status_of data pid)
	for seed in {1..8}; do
		python3 "$LIB/reread.py" src data enough "$seed" >"reads$seed" &
		pids+=($!)
	done
	python3 "$LIB/killer.py" "$supervisor" "$1" KILL 1 data
	: >enough
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	[ "$(status_of data pid)" = "$supervisor" ]
	[ "$(status_of data restarts)" -eq "$1" ]
	[ "$(json status.json "d[0]['fuse']['errors']")" = 0 ]
	[ "$(json status.json "d[0]['fuse']['poisoned']")" = 0 ]
	cat reads*
	tried worker-kills "$1" 1
}

# With SOAK=1, 5,000 of them, or SOAK_KILLS.
@test "100 SIGKILLs of the worker, under sixteen readers and in its start: no error" {
	local kills=100 pids=() supervisor seed pid slowest
	[ -z "${SOAK-}" ] || kills=${SOAK_KILLS:-$(soaked 5000)}
	mkdir src/sub
	for seed in {1..40}; do
		echo "$seed" >"src/sub/small$seed"
		ln -s "small$seed" "src/sub/link$seed"
	done
	datamount commit -q "$T/src" "$T/repo@main" -m more
	httpd_start repo
	datamount "$URL/@main" data --timeout 0
	supervisor=$(status_of data pid)
	: >progress
	for seed in {1..16}; do
		python3 "$LIB/storm.py" src data enough "$seed" progress \
			>"reads$seed" 3>&- 4>&- &
		pids+=($!)
	done
	python3 "$LIB/reaper.py" "$supervisor" "$kills" "${SEED:-1}" progress \
		"$DATAMOUNT_CACHE"
	: >enough
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	eventually state_is ok
	[ "$(status_of data pid)" = "$supervisor" ]
	[ "$(status_of data restarts)" -eq "$kills" ]
	[ "$(json status.json "d[0]['fuse']['errors']")" = 0 ]
	[ "$(json status.json "d[0]['fuse']['poisoned']")" = 0 ]
	# A few kills may all come while nobody is served.
	[ "$kills" -lt 100 ] ||
		[ "$(json status.json "d[0]['fuse']['replayed'] > 0")" = true ]
	for seed in lookup readdirplus read getxattr; do
		[ "$(json status.json "d[0]['fuse']['$seed'] >= $kills")" = true ]
	done
	slowest=$(json status.json "d[0]['slowest_restart_ms']")
	tried worker-kills "$kills" "${SEED:-1}"
	cat reads*
	echo "# $kills kills: the slowest restart took $slowest ms" >&3
	# On a machine that has nothing else to do, it is a second.
	[ "$slowest" -lt "$([ -z "${SOAK-}" ] && echo 20000 || echo 1000)" ]
}

@test "workers killed while bytes are fetched: no error, no wrong byte" {
	httpd_start repo
	httpd_rule '/packs/* * delay=20'
	datamount "$URL/@main" data
	kill_under_readers 20
}

@test "a request that waits when the worker is killed is answered by the next" {
	httpd_start repo
	datamount "$URL/@main" data --timeout 60
	httpd_rule '/packs/* * barrier=gate'
	dd if=data/file20 of=copy iflag=direct bs=1M 2>log 3>&- 4>&- &
	local pid=$! worker
	DM_PIDS="$DM_PIDS $pid"
	worker=$(status_of data worker)
	eventually eval \
		'[ "$(status_of data cache | grep -c "waiting.: 1,")" = 1 ]'
	kill -KILL "$worker"
	eventually eval '[ "$(status_of data worker)" != "$worker" ]'
	httpd_ctl release gate
	wait "$pid"
	cmp copy src/file20
}

# Reading file "bad" is what kills: its bytes are in a pack of their own.
@test "a request that three workers died of is given up, and the rest goes on" {
	need strace
	need_root
	local supervisor worker bad pid
	ls repo/packs/*/* >before
	head -c 200000 /dev/urandom >src/bad
	datamount commit -q "$T/src" "$T/repo@main" -m bad
	datamount "$T/repo@main" data
	diff -r src data
	supervisor=$(status_of data pid)
	worker=$(status_of data worker)
	bad=$(find repo/packs -type f -size +190k | grep -vFf before)
	bad=$DATAMOUNT_CACHE/blobs/$(basename "$(dirname "$bad")")/$(basename "$bad")
	[ -f "$bad" ]
	traced -f -p "$supervisor" -p "$worker" -P "$bad" \
		-e trace=pread64 -e inject=pread64:signal=ABRT -o trace \
		2>strace.log 3>&- 4>&- &
	local tracer=$!
	for pid in "$supervisor" "$worker"; do
		eventually grep -qs "Process $pid attached" strace.log
	done
	run dd if=data/bad iflag=direct bs=1M of=/dev/null
	[ "$status" -ne 0 ]
	[[ $output == *'Input/output error'* ]]
	eventually state_is ok
	[ "$(status_of data restarts)" -eq 3 ]
	[ "$(json status.json "d[0]['fuse']['poisoned']")" = 1 ]
	cmp src/file7 data/file7
	pkill -INT -P "$tracer"
	wait "$tracer" || true
	# It was no fault of the bytes.
	cmp src/bad data/bad
}

@test "five workers that die of themselves: EIO, the reason, and a way back" {
	datamount "$T/repo@main" data
	local supervisor
	supervisor=$(status_of data pid)
	python3 "$LIB/killer.py" "$supervisor" 5 ABRT 1
	# Within ten seconds, for which a slow machine may need more of them.
	eventually eval 'state_is failing || {
		python3 "$LIB/killer.py" "$supervisor" 1 ABRT 1
		false
	}'
	run datamount status data --check
	[ "$status" -eq 1 ]
	[[ $output == *ABRT* ]]
	stat data >/dev/null
	run cat data/file1
	[ "$status" -ne 0 ]
	[[ $output == *'Input/output error'* ]]
	grep -q 'workers died' "$(status_of data log)"
	# A minute later the supervisor does this itself.
	kill -KILL "$(status_of data worker)"
	eventually state_is ok
	diff -r src data
}

# So little memory that no worker can so much as map its buffers.
@test "readers are told when no worker comes up, and read on once one does" {
	[[ $DM_BIN == */release* ]] || skip 'sanitizers die without memory'
	need prlimit
	datamount "$T/repo@main" data
	local supervisor
	supervisor=$(status_of data pid)
	cmp src/file1 data/file1
	prlimit --pid "$supervisor" --as=1000000:
	kill -KILL "$(status_of data worker)"
	run cat data/file2
	[ "$status" -ne 0 ]
	[[ $output == *'Input/output error'* ]]
	grep -q 'no worker comes up' "$(status_of data log)"
	run datamount status data --check
	[ "$status" -eq 1 ]
	prlimit --pid "$supervisor" --as=unlimited:
	eventually state_is ok
	diff -r src data
}

@test "a supervisor that is killed leaves no mount and no process" {
	datamount "$T/repo@main" data
	local supervisor worker
	supervisor=$(status_of data pid)
	worker=$(status_of data worker)
	exec 7<data/file1
	kill -KILL "$supervisor"
	eventually eval '! is_mounted data'
	exec 7<&-
	eventually eval '! [ -e "/proc/$worker/cwd" ]'
	datamount status --json >status.json
	[ "$(json status.json "[m['dir'] for m in d if m['dir'].startswith('$T')]")" = '[]' ]
	[ -z "$(ls run/datamount)" ]
	datamount data
	diff -r src data
}

@test "a supervisor killed while it mounts leaves nothing half" {
	local pid i kills=6
	[ -z "${SOAK-}" ] || kills=$(soaked 100)
	for ((i = 0; i < kills; i++)); do
		datamount -q --foreground "$T/repo@main" data 2>log 3>&- 4>&- &
		pid=$!
		ends_with_test "$pid"
		sleep "0.0$((RANDOM % 10))"
		kill -KILL "$pid"
		wait "$pid" || true
		eventually eval '! is_mounted data'
	done
	tried supervisor-kills "$kills"
	datamount -q data || datamount -q "$T/repo@main" data
	diff -r src data
}

@test "a warden that is killed is replaced" {
	datamount "$T/repo@main" data
	local warden
	warden=$(status_of data warden)
	kill -KILL "$warden"
	eventually eval '[ "$(status_of data warden)" != "$warden" ]'
	kill -KILL "$(status_of data pid)"
	eventually eval '! is_mounted data'
}

# So many came from the origin, status says; of a worker that is busy it says
# what it was told before.
told_bytes () {
	status_of data origin
	[ "$(json status.json "d[0]['origin']['bytes'] >= $1")" = true ]
	[ "$(json status.json "d[0]['repositories'][0]['bytes'] >= $1")" = true ]
}

@test "a warden that cannot be replaced at once is replaced later" {
	need strace
	datamount "$T/repo@main" data
	local warden tracer
	warden=$(status_of data warden)
	traced -p "$(status_of data pid)" -e trace=clone \
		-e inject=clone:error=EAGAIN:when=1 -o /dev/null \
		2>strace.log 3>&- 4>&- &
	tracer=$!
	eventually grep -qs attached strace.log
	kill -KILL "$warden"
	eventually eval '[ "$(status_of data warden)" != "$warden" ]'
	[ "$(grep -c 'the warden was killed' "$(status_of data log)")" -eq 1 ]
	pkill -INT -P "$tracer"
	wait "$tracer" || true
	datamount umount data
}

@test "what was counted stays when the worker is killed" {
	httpd_start repo
	datamount "$URL/@main" data
	diff -r src data
	local bytes
	eventually told_bytes 20000000
	bytes=$(json status.json "d[0]['origin']['bytes']")
	kill -KILL "$(status_of data worker)"
	eventually state_is ok
	diff -r src data
	eventually told_bytes "$bytes"
}

@test "restarted workers leave no descriptor and no memory behind" {
	datamount "$T/repo@main" data
	local supervisor before
	supervisor=$(status_of data pid)
	before=$(ls "/proc/$supervisor/fd" | wc -l)
	python3 "$LIB/killer.py" "$supervisor" 10 KILL 1
	eventually state_is ok
	[ "$(ls "/proc/$supervisor/fd" | wc -l)" -eq "$before" ]
	diff -r src data
}
