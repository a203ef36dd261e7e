#!/usr/bin/env bats
# Looking into versions without a mount: ls, cat, show, log, diff.

# shellcheck disable=SC2154 # run sets stderr
load helpers

# A repository with two commits, v1 and main, in ./repo; their ids in $one and
# $two.
two_versions () {
	small_data data 1
	ln -s a.csv data/link
	datamount init repo >/dev/null
	one=$(datamount commit data repo -m 'the first' -q)
	datamount tag repo v1 >/dev/null
	small_data data 2
	rm data/none
	mkdir data/more
	printf 'new\n' >data/more/new.txt
	two=$(datamount commit data repo -m 'the second' -q)
}

@test "ls lists names in order, from a folder, nginx and http.server" {
	two_versions
	datamount ls repo@v1 >folder
	printf '%s\n' a.csv link none sub | cmp - folder
	nginx_start repo
	datamount ls "$URL/@v1" | cmp folder -
	python_start repo
	datamount ls "$URL/@v1" | cmp folder -
}

@test "ls of a path lists that directory, or shows that file" {
	two_versions
	[ "$(datamount ls repo@v1:sub)" = $'b.txt\nempty\nzeros' ]
	[ "$(datamount ls repo@:a.csv)" = a.csv ]
	fails 1 "no 'nowhere' in this version" datamount ls repo@:nowhere
}

@test "ls -l shows kind, size and, of a small file, its sha256sum" {
	two_versions
	chmod +x data/a.csv
	datamount commit data repo -m x -q >/dev/null
	sum=$(sha256sum <data/a.csv)
	datamount ls -l repo | grep -Eq "^exec +4 ${sum%% *} a.csv$"
	datamount ls -l repo | grep -Eq '^symlink +5 - +link$'
	datamount ls -l repo | grep -Eq '^dir +300002 [0-9a-f]{64} sub$'
}

@test "ls -R lists everything that find lists" {
	two_versions
	datamount ls -R -z repo | sort -z >listed
	(cd data && find . -mindepth 1 -printf '%P\0' | sort -z) | cmp - listed
}

@test "ls quotes odd names as git does, and -z prints them as they are" {
	mkdir data
	touch data/plain data/$'new\nline' data/$'tab\there' data/'quo"te' \
		data/$'raw\xff' data/é
	datamount init repo >/dev/null
	datamount commit data repo -m odd -q >/dev/null
	datamount ls repo >out
	grep -Fxq 'plain' out
	grep -Fxq '"new\nline"' out
	grep -Fxq '"tab\there"' out
	grep -Fxq '"quo\"te"' out
	grep -Fxq '"raw\377"' out
	grep -Fxq 'é' out
	[ "$(wc -l <out)" -eq 6 ]
	datamount ls -z repo | sort -z >raw
	(cd data && printf '%s\0' * | sort -z) | cmp - raw
}

@test "ls --json has every name, those that are not UTF-8 in hex" {
	mkdir data
	printf 123 >data/$'raw\xff'
	printf 12 >data/é
	datamount init repo >/dev/null
	datamount commit data repo -m odd -q >/dev/null
	datamount ls --json repo >out
	[ "$(json out '[e["size"] for e in d if e.get("path") == "é"][0]')" = 2 ]
	[ "$(json out '[bytes.fromhex(e["path_hex"])
		for e in d if "path_hex" in e] == [b"raw\xff"]')" = true ]
}

@test "cat prints exactly the file's bytes, also large ones over HTTP" {
	two_versions
	head -c 5000000 /dev/urandom >data/large
	datamount commit data repo -m large -q >/dev/null
	datamount cat repo@:large | cmp - data/large
	datamount cat repo@v1:a.csv | grep -qx a,1
	datamount cat repo@v1:none | cmp - /dev/null
	nginx_start repo
	rm -r "$DATAMOUNT_CACHE"
	datamount cat "$URL/@:large" | cmp - data/large
	python_start repo
	rm -r "$DATAMOUNT_CACHE"
	datamount cat "$URL/@:large" | cmp - data/large
}

@test "cat into a pipe that closes says nothing" {
	two_versions
	head -c 5000000 /dev/zero >data/large
	datamount commit data repo -m large -q >/dev/null
	datamount cat repo@:large 2>err | head -c 10 >/dev/null
	[ ! -s err ]
}

@test "cat of a directory, a link, or nothing says what it is" {
	two_versions
	fails 1 "'sub' is a directory; .datamount ls. lists it" \
		datamount cat repo@:sub
	fails 1 "'link' is a symlink" datamount cat repo@:link
	fails 1 "no 'nothing' in this version" datamount cat repo@:nothing
}

@test "show prints id, parents, totals and message of any name of a commit" {
	two_versions
	datamount show repo >main
	grep -qx "commit   $two" main
	grep -qx "parent   $one" main
	grep -qx 'ref      heads/main' main
	grep -qx 'files    4' main
	grep -qx '    the second' main
	datamount show "repo@$two" | grep -v '^ref ' | cmp - <(grep -v '^ref ' main)
	datamount show "repo@${two:0:12}" | grep -qx "commit   $two"
	datamount show --json repo@v1 >json
	[ "$(json json 'd["commit"]')" = "$one" ]
	[ "$(json json 'd["parents"] == []')" = true ]
	[ "$(json json 'd["message"]')" = 'the first' ]
	[ "$(json json 'd["ref"]')" = tags/v1 ]
}

@test "log lists the commits behind a ref, newest first" {
	two_versions
	datamount log repo >lines
	[ "$(cut -d' ' -f1 lines)" = "$two"$'\n'"$one" ]
	grep -q "^$one .*Z .*the first$" lines
	[ "$(datamount log repo@v1 | wc -l)" -eq 1 ]
	[ "$(datamount log -n 1 repo | wc -l)" -eq 1 ]
	datamount log --json repo >json
	[ "$(json json '[c["subject"] for c in d]')" = \
		"['the second', 'the first']" ]
}

@test "diff names what was added, deleted and modified, and totals it" {
	two_versions
	run --separate-stderr datamount diff repo@v1 repo@main
	[ "$status" -eq 0 ]
	[ "$output" = 'M a.csv  4 -> 4
A more/new.txt  4
D none  0' ]
	[[ $stderr == '1 added, 1 deleted, 1 modified;'* ]]
	run --separate-stderr datamount diff repo@v1 main -q
	[ "${#lines[@]}" -eq 3 ]
	[ -z "$stderr" ]
	datamount diff --json repo@v1 main 2>/dev/null >json
	[ "$(json json '[(c["change"], c["path"]) for c in d]')" = \
		"[('M', 'a.csv'), ('A', 'more/new.txt'), ('D', 'none')]" ]
	[ "$(datamount diff --stat repo@v1 main | wc -l)" -eq 1 ]
}

@test "diff sees kinds, modes, link targets and empty directories change" {
	mkdir -p a/dir a/gone
	printf x >a/mode
	printf x >a/dir/f
	ln -s mode a/link
	cp -a a b
	chmod +x b/mode
	ln -sfn link b/link
	rm -r b/dir b/gone
	printf y >b/dir
	datamount init repo >/dev/null
	datamount commit a repo -m a -q >/dev/null
	datamount tag repo a >/dev/null
	datamount commit b repo -m b -q >/dev/null
	[ "$(datamount diff repo@a main -q)" = 'D dir/f  1
A dir  1
D gone/  0
M link  4 -> 4
M mode  1 -> 1' ]
}

@test "diff of equal versions is empty, and reads nothing below their roots" {
	two_versions
	nginx_start repo
	run --separate-stderr datamount diff "$URL/@$one" "$URL/@v1"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	nginx_settle
	run ! grep -q /packs/ "$LOG"
}

@test "diff v1 v2 takes the repository from the only .source file here" {
	two_versions
	fails 1 'exactly one .source file' datamount diff v1 main
	printf '%s = %s\n' version 1 repository "$T/repo" repository-id \
		"$(sed -n 's/^id //p' repo/datamount)" commit "$one" >data.source
	datamount diff v1 main -q | grep -qx 'A more/new.txt  4'
	cp data.source other.source
	fails 1 'exactly one .source file' datamount diff v1 main
}

@test "what was looked at once needs no origin again" {
	two_versions
	nginx_start repo
	datamount cat "$URL/@$two:sub/zeros" | cmp - data/sub/zeros
	nginx_stop
	datamount cat "$URL/@$two:sub/zeros" | cmp - data/sub/zeros
	datamount ls "$URL/@$two:sub" | grep -qx b.txt
}

@test "a branch of a served repository costs three requests, then the tree" {
	two_versions
	nginx_start repo
	datamount ls "$URL/@main" >/dev/null
	nginx_settle
	grep -v /packs/ "$LOG" | cut -d' ' -f2 >requests
	printf '%s\n' /datamount /refs/heads/main \
		"/commits/${two:0:2}/$two" | cmp - requests
	[ "$(grep -c /packs/ "$LOG")" -le 3 ]
}

# ---- bad input ----

@test "a place without a repository says so" {
	mkdir nothing
	fails 1 'nothing: no datamount repository there' datamount ls nothing
	fails 1 'nowhere: no datamount repository there' datamount ls nowhere
	nginx_start nothing
	fails 1 "$URL: no datamount repository there" datamount ls "$URL"
}

@test "a web page is no repository" {
	mkdir site
	printf '<!DOCTYPE html>\n<html><body>Hello</body></html>\n' \
		>site/datamount
	nginx_start site
	fails 1 'not a datamount repository \(the server answered something' \
		datamount ls "$URL"
	fails 1 'not a datamount repository' datamount ls site
}

@test "an unknown ref lists what branches and tags there are" {
	two_versions
	fails 1 "no branch or tag 'nope'; there is branch main, tag v1" \
		datamount ls repo@nope
	datamount init empty >/dev/null
	fails 1 "nothing was published there yet" datamount ls empty
	fails 1 "neither a branch or tag name nor a commit id" \
		datamount ls 'repo@no pe'
}

@test "a short id that is ambiguous or unknown says so" {
	two_versions
	fails 1 'no commit begins with 01234567' datamount ls repo@01234567
	other=${one:0:8}$(printf '0%.0s' {1..56})
	cp "repo/commits/${one:0:2}/$one" "repo/commits/${one:0:2}/$other"
	fails 1 "2 commits begin with ${one:0:8} .*give more digits" \
		datamount ls "repo@${one:0:8}"
	fails 1 "no commit $(printf '7%.0s' {1..64})" \
		datamount ls "repo@$(printf '7%.0s' {1..64})"
}

@test "a closed port is said at once to be one" {
	port=$(free_port)
	fails 1 "127.0.0.1:$port" datamount ls --timeout 2 \
		"http://127.0.0.1:$port/r"
}

@test "a repository of a later version says what made it" {
	two_versions
	sed -i 's/^datamount repository 1/datamount repository 2/' repo/datamount
	fails 1 'repo: .*newer datamount' datamount ls repo
}

@test "a truncated pack is an error that names the file" {
	two_versions
	for p in repo/packs/*/*; do
		truncate -s -20 "$p"
	done
	fails 1 'sub/zeros|tree|pack' datamount cat repo@:sub/zeros
}

@test "names that make no sense are refused before anything is asked" {
	fails 1 'no repository in' datamount ls @main
	fails 1 "cannot have a user in it" datamount ls http://u@127.0.0.1/r
	fails 1 "cannot have '..' in it" datamount ls repo@main:a/../b
	fails 1 'control bytes' datamount ls $'repo\nx'
	fails 2 'too few operands' datamount ls
}
