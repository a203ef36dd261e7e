#!/usr/bin/env bats
# prefetch: bytes come before they are read.

# shellcheck disable=SC2154 # run sets stderr
load helpers

# 4,000 small files in four directories and a large one, behind a server;
# data.source pins them, and nothing is mounted or cached.
publish () {
	local d
	for d in a b c d; do
		mkdir -p "src/$d"
		(cd "src/$d" && head -c 3000000 /dev/urandom |
			split -b 3000 -a 3 -d - f)
	done
	head -c 9000000 /dev/urandom >src/large
	ln -s large src/link
	: >src/empty
	datamount init repo
	datamount commit src repo -m 'a version' --quiet
	httpd_start repo
	datamount "$URL/" data
	datamount umount data
	datamount cache clear
	httpd_ctl forget
}

requests () {
	httpd_count '*'
}

@test "prefetch brings everything in few requests, and once" {
	need_fuse
	publish
	run --separate-stderr datamount prefetch data
	echo "$stderr"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[[ $stderr == *'4002 files, 21.0 MB, are in the cache'* ]]
	n=$(requests)
	echo "$n requests"
	[ "$n" -lt 40 ]
	run --separate-stderr datamount prefetch data
	[[ $stderr == *'4002 files, 21.0 MB, are in the cache: 0 B fetched'* ]]
	[ "$(requests)" = "$n" ]
	# with the origin gone, all can be read
	httpd_rule '* * drop'
	datamount data
	diff -r src data
	# and of a mount
	datamount prefetch data a
}

@test "prefetch brings what is asked for, and names what it cannot" {
	need_fuse
	publish
	run --separate-stderr datamount prefetch data/ a/ data/b/f001 ./large \
		"$PWD/data/empty" link
	echo "$stderr"
	[ "$status" -eq 0 ]
	[[ $stderr == *'1003 files, 12.0 MB, are in the cache'* ]]
	(cd src && find c -type f -print0) >list
	run --separate-stderr datamount prefetch data --list - -0 <list
	[[ $stderr == *'1000 files, 3.0 MB'* ]]
	printf 'a/f001\nno/such\n' >list
	run --separate-stderr datamount prefetch data --list list
	[ "$status" -eq 1 ]
	[[ $stderr == *'datamount: no/such: no such file in this version'* ]]
	[[ $stderr == *'1 files, 3.0 kB'* ]]
	fails 1 'is no mount, and there is no .*/none.source' \
		datamount prefetch none
	fails 2 'paths or --list, not both' datamount prefetch data a --list x
}

@test "prefetch goes on behind a damaged pack, and says so" {
	need_fuse
	publish
	big=$(find repo/packs -type f -size +8000k | head -1)
	[ -n "$big" ]
	printf XXXX | dd of="$big" bs=1 seek=100 conv=notrunc status=none
	run --separate-stderr datamount prefetch data
	echo "$stderr"
	[ "$status" -eq 1 ]
	[[ $stderr == *'not all was brought: 1 of the paths and files failed'* ]]
}
