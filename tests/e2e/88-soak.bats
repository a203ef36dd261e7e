#!/usr/bin/env bats
# A mount that goes on and on: nothing grows, nothing gets slower.
# With SOAK=1 for eight hours, or SOAK_SECONDS.
# "run" sets variables.
# shellcheck disable=SC2154

load helpers

setup () {
	dm_setup
	need_fuse
	mkdir -p src/sub/deep
	for i in {1..40}; do
		head -c $((i * 9000)) /dev/urandom >"src/sub/file$i"
		echo "$i" >"src/sub/deep/small$i"
		ln -s "small$i" "src/sub/deep/link$i"
	done
	head -c 6000000 /dev/urandom >src/large
	datamount init -q repo
	datamount commit -q src repo@main -m data
}

# judged KEY: of the last line.
judged () {
	json last.json "d['$1']"
}

@test "a mount under readers for a while: memory, descriptors, threads stay" {
	local seconds=12 window=2
	[ -z "${SOAK-}" ] || { seconds=${SOAK_SECONDS:-$(soaked 28800)}; }
	[ "$seconds" -lt 600 ] || window=60
	httpd_start repo
	datamount "$URL/@main" data --timeout 0
	python3 "$LIB/soak.py" src data "$(status_of data pid)" "$seconds" \
		"$window" >soak.jsonl 3>&- 4>&-
	tail -n 1 soak.jsonl | tee last.json
	[ "$(judged fds)" -le 0 ]
	[ "$(judged threads)" -le 0 ]
	# A sanitizer keeps what was freed.
	if [ -z "${DM_FEW-}" ]; then
		# less than 1 MiB an hour, and what a short run cannot tell
		[ "$(judged growth_kib)" -le $((8192 + seconds * 1024 / 3600)) ]
	fi
	# What else the machine does counts for as much, in a short run.
	if [ "$seconds" -ge 600 ]; then
		json last.json "d['slower'] < 20" | grep -qx true
	fi
	[ "$(status_of data restarts)" = 0 ]
	[ "$(json status.json "d[0]['fuse']['errors']")" = 0 ]
	cp soak.jsonl "${DM_RESULTS:-$T/results}.soak"
	tried soak-seconds "$seconds" 0 "$(printf '%s KiB grown, p99.9 %s ms' \
		"$(judged growth_kib)" "$(judged p999_ms)")"
}
