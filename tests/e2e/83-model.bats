#!/usr/bin/env bats
# Random operations on a mount, by four clients at once, are what they are on a
# plain directory, whatever is done to the origin, cache and worker meanwhile.
# "run" sets stderr, and SOAK and SEED are the environment's.
# shellcheck disable=SC2154,SC2016 # and eval expands later

load helpers

setup () {
	dm_setup
	need_fuse
	mkdir -p src/sub/deep/er src/many src/empty
	for i in {1..700}; do
		echo "$i" >"src/many/$i"
	done
	for n in 0 1 4095 4096 4097 65536 131073 1048576 1048577; do
		head -c "$n" /dev/urandom >"src/sub/size$n"
	done
	head -c 5000000 /dev/urandom >src/big
	head -c 3000001 /dev/zero | tr '\0' z >src/zeros
	seq 200000 >src/sub/deep/numbers
	printf '#!/bin/sh\n' >src/sub/deep/er/run
	chmod 755 src/sub/deep/er/run
	for i in {1..9}; do
		ln -s "../many/$i" "src/sub/link$i"
	done
	ln -s nothing src/dangling
	datamount init -q repo 2>/dev/null
	datamount commit -q src repo -m data >id
	# Which bytes a file has is no part of a seed, only where they are read.
	httpd_start repo
	# A second may be too short for a machine that does other things.
	eventually datamount -q "$URL/@main" data --timeout 1 --no-source
}

model () {
	"$DM_BIN/model" "$@"
}

# With SOAK=1, 20,000 sequences of 200 steps.  SEED repeats a run.
@test "random operations by four clients are those of a plain directory" {
	local sequences=100 steps=100
	if [ -n "${SOAK-}" ]; then
		sequences=$(soaked 20000) steps=200
	elif [[ $DM_BIN != */release* ]]; then
		sequences=30
	fi
	model --seed "${SEED:-$RANDOM}" --sequences "$sequences" \
		--steps "$steps" --supervisor "$(status_of data pid)" \
		--port "${URL##*:}" --timeout 1 src data >out || {
		cat out
		false
	}
	sed 's/^/# /' out >&3
	# All is as it was, without a new mount.
	# What timed out last is not waited for again for up to a second.
	eventually diff -r --no-dereference src data
	eventually eval '[ "$(status_of data state)" = ok ]'
}

@test "one wrong file, name or link is found, and the steps shrunk to one" {
	unset DM_RESULTS
	wrong () {
		run model --seed 7 --steps 30 wrong data
		echo "$output"
		[ "$status" -eq 1 ]
		[[ $output == *"fails alone, with 1 of its steps: $1"* ]]
		[ "$(grep -c $'^\t' <<<"$output")" -eq 1 ]
		rm -r wrong
	}
	cp -a src wrong
	tr z y <src/zeros >wrong/zeros
	wrong 'zeros'
	cp -a src wrong
	echo >wrong/many/one-more
	wrong 'many: '
	cp -a src wrong
	for i in {1..9}; do
		ln -sfn "../many/9$i" "wrong/sub/link$i"
	done
	wrong 'sub/link'
}

@test "a call that does not return is a failure, found and shrunk" {
	unset DM_RESULTS
	datamount -q "$URL/@main" slow --timeout 300 --no-source \
		--cache "$T/empty"
	httpd_rule '/packs/* * stall=0'
	run model --seed 7 --steps 1 --clients 1 --timeout 1 src slow
	echo "$output"
	httpd_ctl clear
	[ "$status" -eq 1 ]
	[[ $output == *'fails alone, with 1 of its steps: does not return'* ]]
}
