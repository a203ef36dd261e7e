#!/usr/bin/env bats
# Mirrors: the same repository at several places.
# shellcheck disable=SC2030,SC2031,SC2154
load helpers

# A repository at $T/repo, and a copy of it at $T/copy, served as ONE and TWO
# (ONE_CTL, ONE_PID, TWO_CTL).
publish () {
	small_data src v1
	head -c 9000000 /dev/urandom >src/large
	datamount init repo
	ID=$(datamount commit src repo@main -m 'a version' --quiet)
	cp -r repo copy
	httpd_start repo
	ONE=$URL/ ONE_CTL=$CTL ONE_PID=$HTTPD_PID
	httpd_start copy
	TWO=$URL/ TWO_CTL=$CTL
}

one () {
	CTL=$ONE_CTL "$@"
}

two () {
	CTL=$TWO_CTL "$@"
}

# repositories EXPRESSION WANT: of what status says of each place of ./data.
# A worker that is busy has told its counts a moment later.
repositories () {
	eventually repositories_now "$@"
}

repositories_now () {
	local now
	now=$(datamount status --json data |
		json - "[$1 for r in d[0]['repositories']]")
	[ "$now" = "$2" ]
}

@test "--mirror is recorded, preserved by update, and read from the pin" {
	need_fuse
	publish
	datamount --no-git --mirror "$TWO" --mirror copy "$ONE@main" data
	printf 'repository = %s\n' "$ONE" "$TWO" "$T/copy" >want
	grep '^repository = ' data.source | diff want -
	repositories 'r["url"]' "['$ONE', '$TWO', '$T/copy']"
	echo new >src/new
	datamount commit src repo@main -m 'another' --quiet
	datamount update data
	grep '^repository = ' data.source | diff want -
	repositories 'r["url"]' "['$ONE', '$TWO', '$T/copy']"
	diff -r src data
	datamount umount data
	datamount ./data
	repositories 'r["url"]' "['$ONE', '$TWO', '$T/copy']"
	# the copies do not have the new version: that is nobody's fault
	repositories 'r["bad"]' '[0, 0, 0]'
}

@test "--mirror adds to a pin that is there, and changes nothing else in it" {
	need_fuse
	publish
	datamount --no-git "$ONE@main" data
	datamount umount data
	sed "s|^repository = .*|&\nrepository = $TWO|" data.source >want
	datamount --no-git --mirror "$TWO" ./data
	diff want data.source
	datamount umount data
	datamount --no-git --mirror "$TWO" "$ONE@$ID" data
	diff want data.source
}

@test "a mirror takes over when the origin dies in the middle of a read" {
	need_fuse
	publish
	one httpd_rule '/packs/* 3- truncate=100000'
	datamount --no-git --mirror "$TWO" "$ONE@main" data
	diff -r src data
	repositories 'r["failures"] > 0' '[True, False]'
	repositories 'r["bytes"] > 8000000' '[False, True]'
}

@test "a mirror takes over when the origin falls silent" {
	need_fuse
	publish
	datamount --no-git --mirror "$TWO" "$ONE@main" data
	# Also to the probe, which asks for a small file.
	one httpd_rule '/packs/* * stall=70000'
	one httpd_rule '/datamount * stall=0'
	diff -r src data
	repositories 'r["down_since"] is None' '[False, True]'
	run datamount status data
	[[ $output =~ mirror\ +$TWO:\ [0-9.]+\ MB\ in\ [0-9]+\ requests,\ 0\ failed,\ 0\ bad ]]
	[[ $output =~ from\ +$ONE:.*,\ 0\ bad,\ down\ since\ 20[0-9T:-]+Z ]]
}

@test "an origin that comes back is read from again" {
	need_fuse
	publish
	datamount --no-git --mirror "$TWO" "$ONE@main" data
	one httpd_rule '* * drop'
	head -c 1000000 data/large | cmp -n 1000000 - src/large
	repositories 'r["down_since"] is None' '[False, True]'
	one httpd_ctl clear
	one httpd_ctl forget
	read_and_see () {
		datamount cache clear >/dev/null
		echo 3 >/proc/sys/vm/drop_caches
		cmp data/large src/large
		[ "$(one httpd_count '/packs/*')" -gt 0 ]
	}
	need_root
	eventually read_and_see
	repositories 'r["down_since"] is None' '[True, True]'
}

@test "wrong bytes of the origin are never seen while a mirror has them right" {
	need_fuse
	publish
	one httpd_rule '/packs/* * flip=1000'
	one httpd_rule '/commits/* * flip=70'
	datamount --no-git --mirror "$TWO" "$ONE@main" data
	diff -r src data
	repositories 'r["bad"] > 0' '[True, False]'
}

@test "another repository as a mirror does no harm" {
	need_fuse
	publish
	mkdir other-src
	echo x >other-src/x
	datamount init other
	datamount commit other-src other@main -m x --quiet
	datamount --no-git --mirror "$T/other" --mirror "$TWO" "$ONE@main" data
	one httpd_rule '/packs/* * status=500'
	diff -r src data
	repositories 'r["bad"]' '[0, 0, 0]'
}

@test "what is pinned mounts and reads while the origin is down" {
	need_fuse
	publish
	datamount --no-git --mirror "$TWO" "$ONE@main" data
	datamount umount data
	remove_cache
	kill "$ONE_PID"
	eventually gone "$ONE_PID"
	run --separate-stderr datamount ./data
	[ "$status" -eq 0 ]
	[[ $stderr == *'from a mirror, for the repository cannot be asked'* ]]
	diff -r src data
}

@test "names are asked of the origin alone" {
	need_fuse
	publish
	one httpd_rule '/refs/* * status=500'
	fails 1 'refs/heads/main' \
		datamount --timeout 1 --no-git --mirror "$TWO" "$ONE@main" data
	[ "$(two httpd_count '/refs/*')" = 0 ]
	[ ! -e data.source ]
}

@test "mirrors that make no sense are refused" {
	publish
	fails 2 'no @REF' datamount --mirror "$TWO@main" "$ONE@main" data
	fails 1 'neither|ftp' datamount --mirror ftp://h/ "$ONE@main" data
	fails 1 'room for 8' datamount --mirror /1 --mirror /2 --mirror /3 \
		--mirror /4 --mirror /5 --mirror /6 --mirror /7 --mirror /8 \
		"$ONE@main" data
	[ ! -e data.source ] && [ ! -e data ]
}

@test "a configured mirror serves the commands that look, but not verify" {
	publish
	mkdir -p "$XDG_CONFIG_HOME/datamount"
	printf '[repository "pets"]\nurl = %s\nmirror = %s\n' "$ONE" "$TWO" \
		>"$XDG_CONFIG_HOME/datamount/config"
	chmod 600 "$XDG_CONFIG_HOME/datamount/config"
	one httpd_rule '/packs/* * flip=1000'
	datamount cat pets@main:large | cmp - src/large
	run datamount verify pets@main
	[ "$status" -eq 3 ]
}
