#!/usr/bin/env bats
# What readers of many files will want is asked for before they do.
# shellcheck disable=SC2016 # eval expands later

load helpers

setup () {
	dm_setup
	need_fuse
	options=()
	mkdir -p "$T/src/in"
	for i in $(seq -w 0 199); do
		head -c 3000 /dev/urandom >"$T/src/in/f$i"
	done
	datamount init -q "$T/repo" 2>/dev/null
	datamount commit -q "$T/src" "$T/repo@main" -m one >/dev/null
}

# What was asked of the daemon so far.
asked () {
	datamount status data --json >"$T/status.json"
	json "$T/status.json" "d[0]['fuse']['$1']"
}

# in_order FIRST LAST: read these files one after the other.
in_order () {
	local i
	for i in $(seq -f %03g "$1" "$2"); do
		cmp "data/in/f$i" "$T/src/in/f$i"
	done
}

# Of all requests to the daemon so many were by these commands.
counts () {
	local before
	before=$(asked "$1")
	"${@:3}"
	[ $(($(asked "$1") - before)) = "$2" ]
}

# Run it in a mount of its own until it succeeds: other tests of this machine
# have the kernel drop what it knows, at any time.
undisturbed () {
	local try
	for try in 1 2 3 4 5 6; do
		datamount -q "$T/repo" data "${options[@]}"
		"$@" && try=0
		datamount umount data
		[ "$try" != 0 ] || return 0
	done
	return 1
}

read_in_a_row () {
	# One batch of 32 and another, but for the last file of each.
	in_order 0 6 && [ "$(asked scouted)" = 0 ] && in_order 7 7 &&
		eventually eval '[ "$(asked read)" -ge 70 ]' &&
		counts read 0 in_order 8 38 && counts lookup 0 in_order 8 38 &&
		# By the file that is left to him the reader is followed.
		in_order 39 39 && eventually eval '[ "$(asked read)" -ge 102 ]' &&
		counts read 0 in_order 40 70 &&
		in_order 71 199 && [ "$(asked read)" -le 200 ]
}

@test "who reads files in a row finds the next ones in the kernel" {
	undisturbed read_in_a_row
	datamount "$T/repo" data
	in_order 0 199
	[ "$(asked errors)" = 0 ]
	datamount umount data
}

look_up () {
	local name
	for name in "$@"; do
		[ -f "data/in/f$name" ] || return 1
	done
}

# Is the listing past the next of the names not looked up yet?
is_listed () {
	at=$((at + 1 + (at % 8 == 7)))
	counts lookup 0 look_up "$at"
}

look_up_a_part () {
	local at=100
	# shellcheck disable=SC2046 # many words
	look_up $(seq -f %03g 0 8 199) && [ "$(asked scouted)" = 0 ] &&
		look_up 001 002 003 004 && eventually is_listed &&
		counts lookup 0 look_up 198 199 005 && [ "$(asked read)" = 0 ]
}

@test "who looks up a part of a directory's names gets them all" {
	undisturbed look_up_a_part
}

@test "nobody is told why the scout did not get on" {
	httpd_start repo
	mkdir src/later
	head -c 30000000 /dev/urandom | split -a 3 -b 100000 - src/later/g
	datamount commit -q src "$T/repo@main" -m later >/dev/null
	datamount "$URL/@main" data --timeout 60
	set -- data/later/*
	cat "${@:1:8}" >/dev/null
	httpd_rule '/packs/* * stall=0'
	# Of what has come already one after the other, until one has to wait.
	cat "$@" >/dev/null 3>&- 4>&- &
	ends_with_test $!
	eventually eval 'asked read >/dev/null &&
		[ "$(json "$T/status.json" "len(d[0][\"waiting\"]) >= 1")" = true ]'
	eventually eval '[ "$(asked scouted)" -gt 30 ]'
	kill -KILL $!
	wait $! || true
	[ "$(status_of data last_error)" = None ]
	# What the kernel reads ahead for it is not in the way.
	timeout 20 datamount umount data
	run ! is_mounted data
}

@test "a scout that is stopped or killed is in nobody's way" {
	datamount "$T/repo" data
	local scout
	scout=$(status_of data scout)
	kill -STOP "$scout"
	in_order 0 99
	timeout 20 datamount umount data
	datamount "$T/repo" data
	scout=$(status_of data scout)
	kill -KILL "$scout"
	in_order 0 99
	eventually eval '[ "$(status_of data scout)" -gt 0 ] &&
		[ "$(status_of data scout)" != "$scout" ]'
	in_order 100 110
	eventually eval '[ "$(asked scouted)" -gt 0 ]'
	# It ends with its mount, however that ends.
	scout=$(status_of data scout)
	kill -KILL "$(status_of data pid)"
	eventually eval '! kill -0 "$scout" 2>/dev/null'
	eventually eval '! is_mounted data'
}

@test "a mount that was just read in order is taken off at once" {
	local i
	for i in 1 2 3 4 5 6 7 8; do
		datamount -q "$T/repo" data
		cat data/in/f0*
		datamount umount data
	done >/dev/null
}

@test "while a trace is recorded nobody reads ahead" {
	datamount "$T/repo" data --record-trace trace
	in_order 0 49
	[ "$(status_of data scout)" = 0 ]
	[ "$(asked read)" = 50 ]
	datamount umount data
	[ "$(grep -c in/f trace)" = 50 ]
}

# as_told FIRST LAST: read what these lines of the order say.
as_told () {
	local i
	while read -r i; do
		cmp "data/in/f$i" "$T/src/in/f$i"
	done < <(sed -n "$1,$2p" order)
}

# What a replay brings: it ends with the pack's last file.
has_come () {
	[ "$(getfattr --only-values -n user.datamount.cached \
		data/in/f199)" = 3000 ]
}

read_as_told () {
	# Of what has come, four batches of 32 are ahead of the reader; the last
	# file of each is left to him.
	eventually has_come &&
		as_told 1 32 && eventually eval '[ "$(asked read)" -ge 63 ]' &&
		as_told 33 128 && eventually eval '[ "$(asked read)" -ge 197 ]' &&
		counts read 0 as_told 129 159 && counts lookup 0 as_told 129 200 &&
		[ "$(asked read)" = 200 ]
}

@test "who reads as a trace says finds the next ones in the kernel" {
	seq -f %03g 0 199 | shuf --random-source=/dev/zero >order
	{ echo 'datamount trace 1' && sed 's|^|0 in/f|' order; } >trace
	options=(--replay-trace trace)
	undisturbed read_as_told
}

@test "a trace does not have read what its readers do not come to" {
	seq -f '0 in/f%03g' 0 199 | sed '1i datamount trace 1' >trace
	datamount "$T/repo" data --replay-trace trace
	eventually has_come
	# Elsewhere: nobody comes nearer to the trace's begin.
	local before
	in_order 150 155
	before=$(asked scouted)
	in_order 190 195
	[ "$(asked scouted)" = "$before" ]
	[ "$(asked read)" -le $((4 * 32 + 12)) ]
	# He is at line 50: the scout need not go through all before it.
	in_order 50 127
	eventually eval '[ "$(asked read)" -ge 148 ]'
	datamount umount data
}
