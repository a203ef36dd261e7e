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

@test "50 SIGKILLs of the worker under eight readers: no error, no wrong byte" {
	datamount "$T/repo@main" data
	kill_under_readers 50
	[ "$(json status.json "d[0]['fuse']['replayed'] > 0")" = true ]
	# No request hung for longer than it takes to start a worker or two.
	[ "$(cut -d' ' -f2 reads* | sort -n | tail -1)" -lt 3000 ]
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

@test "five workers that die of themselves: EIO, the reason, and a way back" {
	datamount "$T/repo@main" data
	local supervisor
	supervisor=$(status_of data pid)
	python3 "$LIB/killer.py" "$supervisor" 5 ABRT 1
	eventually state_is failing
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
