#!/usr/bin/env bats
# Reading all of a version: verify and export.

# shellcheck disable=SC2154 # run sets stderr
load helpers

published () {
	small_data data 1
	printf 'marked bytes\n' >data/a.csv
	mkdir data/bin
	printf '#!/bin/sh\n' >data/bin/run
	chmod 755 data/bin/run
	ln -s ../a.csv data/bin/link
	touch data/$'odd\n\xff'
	head -c 5000000 /dev/urandom >data/large
	datamount init repo >/dev/null
	id=$(datamount commit data repo -m one -q --date 2020-02-02T02:02:02Z)
}

# The file that holds the bytes of $1, somewhere in it.
pack_with () {
	grep -laF "$1" repo/packs/*/*
}

@test "verify of a sound repository reads every byte and exits 0" {
	published
	run --separate-stderr datamount verify repo@main
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[[ $stderr =~ read\ 7\ files,\ 4\ directories.*5.3\ MB\;\ 0\ damaged ]]
	nginx_start repo
	datamount verify -q "$URL/@main"
	python_start repo
	datamount verify -q "$URL/@main"
}

@test "verify exits 3 and names each damaged file, and no other" {
	published
	offset=$(grep -abo -m1 'marked bytes' "$(pack_with 'marked bytes')" | cut -d: -f1)
	printf X | dd of="$(pack_with 'marked bytes')" bs=1 seek="$offset" \
		conv=notrunc status=none
	run --separate-stderr datamount verify repo@main
	[ "$status" -eq 3 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == 'a.csv: '* ]]
	[[ $stderr == *'1 damaged'* ]]
	[ "$(datamount verify -q -z repo@main | tr '\0' '\n')" = a.csv ]
}

@test "verify sees damage in the middle of a large file" {
	published
	pack=$(find repo/packs -type f -size +4000k)
	printf 'WRONG' | dd of="$pack" bs=1 seek=2500000 conv=notrunc \
		status=none
	run --separate-stderr datamount verify repo@main
	[ "$status" -eq 3 ]
	[[ $output == 'large: '* ]]
}

@test "verify sees what the local cache would hide" {
	published
	datamount cat repo@:a.csv >/dev/null
	rm "$(pack_with 'marked bytes')"
	run datamount verify -q repo@main
	[ "$status" -eq 3 ]
	[[ $output == *'a.csv: '* ]]
}

@test "verify names a directory that cannot be read, and goes on" {
	published
	mkdir -p data/other
	printf 'second\n' >data/other/file
	datamount commit data repo -m two -q >/dev/null
	# The packs of the second commit are gone: what the first had is read.
	find repo/packs -type f -newer "repo/commits/${id:0:2}/$id" -delete
	run datamount verify -q repo@main
	[ "$status" -eq 3 ]
	[[ $output == '/: '* ]]
}

@test "verify ends at once when it is stopped, and leaves nothing behind" {
	local status=0
	published
	mkdir tmp
	export TMPDIR=$T/tmp
	datamount verify -q repo@main
	[ -z "$(ls tmp)" ]
	httpd_start repo '/packs/* * barrier=gate'
	datamount verify -q "$URL/@main" 3>&- 4>&- &
	pid=$!
	ends_with_test "$pid"
	httpd_ctl wait '/packs/* 1'
	kill -TERM "$pid"
	wait "$pid" || status=$?
	[ "$status" = 143 ] # of the signal, not of a timeout
	[ -z "$(ls tmp)" ]
}

@test "only a repository is repaired" {
	mkdir copy
	fails 1 'repair-from' datamount verify --repair-from repo copy
}

@test "export makes a copy that diff -r cannot tell from the original" {
	published
	datamount export -q repo@main one
	diff -r --no-dereference data one
	nginx_start repo
	datamount export -q "$URL/@main" two
	diff -r --no-dereference data two
	rm -r "$DATAMOUNT_CACHE"
	python_start repo
	datamount export -q "$URL/@main" three
	diff -r --no-dereference data three
}

@test "export keeps executable bits, links, and dates all by the commit" {
	published
	(umask 022 && datamount export -q repo@main out)
	[ "$(stat -c %a out/bin/run)" = 755 ]
	[ "$(stat -c %a out/a.csv)" = 644 ]
	[ "$(readlink out/bin/link)" = ../a.csv ]
	[ -z "$(find out ! -newermt '2020-02-02 02:02:01' -o \
		-newermt '2020-02-02 02:02:03')" ]
}

@test "export of a path copies that directory" {
	published
	datamount export -q repo@main:sub out
	diff -r data/sub out
	fails 1 "'a.csv' is not a directory" datamount export repo@:a.csv out
	fails 1 "no 'none/x'" datamount export repo@:none/x out
}

@test "export again completes a copy, and fetches only what is missing" {
	published
	datamount export -q repo@main out
	rm out/large out/bin/link
	rm -r out/sub
	inode=$(stat -c %i out/a.csv)
	run datamount export repo@main out
	[ "$status" -eq 0 ]
	[[ $output == *'(4 were there)'* ]]
	diff -r --no-dereference data out
	[ "$(stat -c %i out/a.csv)" = "$inode" ]
}

@test "export that was killed is completed by the next one" {
	published
	httpd_start repo
	# The large file never comes whole.
	pack=$(find repo/packs -type f -size +4000k)
	httpd_rule "/${pack#repo/} * stall=100000"
	datamount export -q "$URL/@main" out &
	pid=$!
	eventually test -e out/a.csv
	kill -KILL "$pid"
	wait "$pid" || true
	[ ! -e out/large ]
	httpd_ctl clear
	datamount export -q "$URL/@main" out
	diff -r --no-dereference data out
	[ -z "$(find out -name '.datamount*')" ]
}

@test "verify and export get through an origin that fails now and then" {
	published
	httpd_start repo
	httpd_rule '/packs/* 1-2 drop'
	httpd_rule '/packs/* 4 status=503'
	httpd_rule '/packs/* 6 truncate=100'
	datamount export -q "$URL/@main" out
	diff -r --no-dereference data out
	httpd_ctl clear
	httpd_rule '/packs/* 2 reset=1000'
	httpd_rule '/packs/* 3 flip=50'
	datamount verify -q "$URL/@main"
}

@test "export never replaces another file without --force" {
	published
	mkdir out
	printf 'mine' >out/a.csv
	fails 1 'a.csv: something else of that name is there; --force' \
		datamount export -q repo@main out
	[ "$(cat out/a.csv)" = mine ]
	datamount export -q --force repo@main out
	diff -r --no-dereference data out
}

@test "export follows no link out of its directory" {
	published
	mkdir out elsewhere
	ln -s ../elsewhere out/sub
	fails 1 'sub|directory' datamount export -q repo@main out
	[ -z "$(ls elsewhere)" ]
}

@test "export of a symlink that leaves is refused unless asked for" {
	published
	ln -s /etc/passwd data/out
	datamount commit data repo -m x -q --symlinks=keep >/dev/null
	fails 1 'out: .*leaves the dataset; --symlinks=all' \
		datamount export -q repo@main one
	datamount export -q --symlinks=all repo@main two
	[ "$(readlink two/out)" = /etc/passwd ]
}

@test "export of damage stops, names the file, and leaves none of it" {
	published
	offset=$(grep -abo -m1 'marked bytes' "$(pack_with 'marked bytes')" | cut -d: -f1)
	printf X | dd of="$(pack_with 'marked bytes')" bs=1 seek="$offset" \
		conv=notrunc status=none
	fails 1 'a.csv: ' datamount export -q repo@main out
	[ ! -e out/a.csv ]
	[ -z "$(find out -name '.datamount*')" ]
}

@test "verify DIR names all that is not as its .source file pins it" {
	published
	printf 'second\n' >data/sub/second
	printf '%s = %s\n' version 1 repository "$T/repo" repository-id \
		"$(sed -n 's/^id //p' repo/datamount)" commit "$id" >out.source
	datamount export -q "repo@$id" out
	datamount verify -q out
	printf 'MARKED bytes\n' >out/a.csv
	chmod -x out/bin/run
	ln -sfn elsewhere out/bin/link
	rm out/none
	touch out/sub/extra
	: >out/sub/b.txt
	run datamount verify -q out
	[ "$status" -eq 3 ]
	[ "$output" = 'a.csv: other bytes
bin/link: another target
bin/run: another executable bit
none: missing
sub/b.txt: another size
sub/extra: not in the version' ]
	mkdir plain
	fails 1 'plain is no repository, and no .*plain.source' \
		datamount verify plain
}
