#!/usr/bin/env bats
# What is published is what datamount-repository(5) says: a reader written from
# that page alone decodes it, and checks every id, sum, order and cut.

load helpers

setup () {
	dm_setup
	need zstd
	REPO=$T/repo
	datamount init "$REPO" >/dev/null
}

reader () {
	python3 "$LIB/reader.py" "$@"
}

publish () {
	datamount commit -q "$1" "$REPO" -m "${2:-a version}"
}

@test "every version of a small dataset is as the page says" {
	two_versions "$T/two"
	datamount branch "$T/two@v1" side >/dev/null
	reader verify "$T/two" v1
	reader verify "$T/two" main
	reader verify "$T/two" "$V2"
	reader export "$T/two" v2 "$T/out"
	diff -r "$T/out" "$T/src"
}

@test "an empty directory is a version" {
	mkdir "$T/src"
	publish "$T/src"
	run reader verify "$REPO" main
	[ "$output" = "ok: 0 entries, 0 files, 0 bytes in 1 packs" ]
}

@test "odd names, links and modes come out of the second reader" {
	mkdir -p "$T/src/sub/none"
	cd "$T/src"
	printf a >$'new\nline'
	printf b >$'tab\t'
	printf c >$'not\xffutf8'
	printf d >"$(printf 'n%.0s' {1..255})"
	: >empty
	ln -s ../empty sub/link
	printf '#!/bin/sh\n' >run
	chmod 755 run
	cd "$T"
	publish "$T/src"
	reader export "$REPO" main "$T/out"
	diff -r --no-dereference "$T/out" "$T/src"
	[ "$(readlink "$T/out/sub/link")" = ../empty ]
	[ -x "$T/out/run" ]
	[ ! -x "$T/out/empty" ]
}

@test "20,000 files in one directory are pages that end where names say" {
	mkdir "$T/src"
	(cd "$T/src" && seq -f 'line %.0f' 20000 | split -l 1 -a 4 - f)
	publish "$T/src"
	reader verify "$REPO" main
	printf 'new\n' >"$T/src/fmiddle"
	rm "$T/src/faaaa"
	publish "$T/src"
	reader export "$REPO" main "$T/out"
	diff -r "$T/out" "$T/src"
}

@test "a large file is cut where the page says, also after an insertion" {
	local new
	mkdir "$T/src"
	openssl enc -aes-128-ctr -nosalt -pass pass:dm -pbkdf2 </dev/zero \
		2>/dev/null | head -c 9000000 >"$T/src/noise"
	head -c 5000000 /dev/zero >"$T/src/zeros"
	head -c 1048576 "$T/src/noise" >"$T/src/small"
	head -c 1048577 "$T/src/noise" >"$T/src/large"
	publish "$T/src"
	reader verify "$REPO" main
	new=$(du -sb "$REPO" | cut -f1)
	{ printf x && cat "$T/src/noise"; } >"$T/noise"
	mv "$T/noise" "$T/src/noise"
	publish "$T/src"
	reader export "$REPO" main "$T/out"
	diff -r "$T/out" "$T/src"
	# most chunks were there
	new=$(($(du -sb "$REPO" | cut -f1) - new))
	[ "$new" -lt 3000000 ]
}

@test "names and targets of more than 2 MiB are several pages" {
	mkdir "$T/src"
	python3 - "$T/src" <<-'END'
		import os, sys
		os.chdir(sys.argv[1])
		for i in range(600):
		    os.symlink('t' * 4000, 'link%04d' % i)
	END
	publish "$T/src"
	reader verify "$REPO" main
}

@test "a byte that changed anywhere is noticed by the second reader" {
	local file off
	mkdir -p "$T/src/sub"
	printf 'some words\n' >"$T/src/file"
	printf 'other words\n' >"$T/src/sub/file"
	publish "$T/src"
	for file in "$REPO"/packs/*/* "$REPO"/commits/*/* "$REPO"/refs/heads/*; do
		cp "$file" "$T/good"
		chmod u+w "$file"
		for off in 1 20 50; do
			printf '\377' | dd of="$file" bs=1 seek="$off" \
				conv=notrunc status=none
			run reader verify "$REPO" main
			[ "$status" -eq 1 ]
			[[ $output == bad:* ]]
			cp "$T/good" "$file"
		done
	done
	reader verify "$REPO" main
}
