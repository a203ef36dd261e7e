#!/usr/bin/env bats
# Refs over static HTTP, and refs that go back.
# shellcheck disable=SC2030,SC2031,SC2154
load helpers

# two_versions, and a branch dev with a commit of its own.
publish () {
	two_versions
	printf 'dev\n' >src/dev
	datamount branch "$REPO" dev >/dev/null
	DEV=$(datamount commit -q src "$REPO@dev" -m 'on dev')
	ID=$(sed -n 's/^id //p' "$REPO/datamount")
	SEEN=$XDG_STATE_HOME/datamount/seen-refs/$ID
}

# What a folder answers is what URL answers.
answers_alike () {
	local words
	for words in 'log %' 'log %@dev' 'log %@tags/v1' "log %@${V2:0:10}" \
		'tag -l %' 'branch %' 'branch -l %' "ls %@${V1:0:8}" \
		"cat %@${DEV:0:9}:dev" 'show %@heads/dev' 'show %@v2'; do
		# shellcheck disable=SC2086
		datamount ${words//%/$REPO} >want
		# shellcheck disable=SC2086
		datamount ${words//%/$URL/} | diff want -
	done
	[ "$(datamount log "$URL/@dev" | cut -d' ' -f1)" = \
		"$(printf '%s\n' "$DEV" "$V2" "$V1")" ]
	[ "$(datamount branch "$URL/")" = \
		"$(printf 'dev %s\nmain %s' "$DEV" "$V2")" ]
	[ "$(datamount tag -l "$URL/")" = \
		"$(printf 'v1 %s\nv2 %s' "$V1" "$V2")" ]
}

@test "log, tag -l, branch and short ids work over nginx" {
	need nginx
	publish
	nginx_start "$REPO"
	answers_alike
}

@test "log, tag -l, branch and short ids work over Python's http.server" {
	publish
	python_start "$REPO"
	answers_alike
}

@test "lists of refs that are not there, or damaged, are told apart" {
	publish
	httpd_start "$REPO"
	rm "$REPO/refs/all"
	[ -z "$(datamount tag -l "$URL/")" ]
	httpd_rule '/refs/all * html'
	fails 1 'refs/all' datamount tag -l "$URL/"
	httpd_rule '/refs/all * status=403'
	fails 1 'refs/all.*403' datamount branch "$URL/"
	mkdir empty
	httpd_start empty
	fails 1 'no datamount repository there' datamount tag -l "$URL/"
}

@test "tags and branches are not made over HTTP" {
	publish
	httpd_start "$REPO"
	fails 1 'is a URL: write to the folder' datamount tag "$URL/" v3
	fails 1 'is a URL: write to the folder' datamount branch "$URL/" new
}

# The repository as it was when main was at sequence 1, under $T/old; it now is
# at 3.
with_old_copy () {
	REPO=$T/repo
	datamount init "$REPO" >/dev/null
	small_data src 1
	V1=$(datamount commit -q src "$REPO" -m one)
	cp -a "$REPO" old
	for n in 2 3; do
		echo "$n" >src/a.csv
		V2=$(datamount commit -q src "$REPO" -m "$n")
	done
	ID=$(sed -n 's/^id //p' "$REPO/datamount")
	SEEN=$XDG_STATE_HOME/datamount/seen-refs/$ID
}

@test "a ref that goes back is refused by every command, until it is allowed" {
	with_old_copy
	httpd_start "$T"
	URL=$URL/repo
	datamount ls "$URL/" >/dev/null
	printf '%s\n' 'datamount seen refs 1' "heads/main $V2 3" | diff - "$SEEN"
	[ "$(stat -c %a "$SEEN")" = 600 ]
	[ "$(stat -c %a "${SEEN%/*}")" = 700 ]
	mv repo new && mv old repo
	why='shows an older main than this machine has seen: sequence 1 after 3;'
	why="$why a stale mirror or a rollback; --allow-rollback accepts it"
	for words in ls log show 'export % out' 'verify' 'mount --no-git % data'
	do
		case $words in *%*) ;; *) words="$words %" ;; esac
		# shellcheck disable=SC2086
		fails 1 "$why" datamount ${words//%/$URL/}
	done
	[ ! -e out ] && [ ! -e data ] && [ ! -e data.source ]
	# what is named by its id cannot go back
	datamount ls "$URL/@$V1" >/dev/null
	grep -q "$V2 3" "$SEEN"
	datamount ls --allow-rollback "$URL/" >/dev/null
	grep -q "$V1 1" "$SEEN"
	datamount ls "$URL/" >/dev/null
}

@test "a ref of the same sequence and another commit is refused" {
	with_old_copy
	datamount ls "$REPO" >/dev/null
	mv repo new && mv old repo
	for n in 4 5; do
		echo "$n" >src/a.csv
		datamount commit -q src "$REPO" -m "$n"
	done
	fails 1 'another main than this machine has seen, with the same seq' \
		datamount ls "$REPO"
	# one more, and it is newer
	echo 6 >src/a.csv
	datamount commit -q src "$REPO" -m 6
	datamount ls "$REPO" >/dev/null
}

@test "a ref that is deleted and made anew goes on counting" {
	with_old_copy
	datamount tag "$REPO" v1 >/dev/null
	datamount ls "$REPO@v1" >/dev/null
	datamount ls "$REPO" >/dev/null
	for n in 5 7; do
		datamount branch "$REPO" other --force >/dev/null
		datamount branch "$REPO" -d main
		datamount tag "$REPO" -d v1
		echo "made anew $n" >src/a.csv
		ID=$(datamount commit -q src "$REPO" -m "$n")
		datamount tag "$REPO" v1 >/dev/null
		echo "more $n" >src/a.csv
		datamount commit -q src "$REPO" -m "$n"
		grep -q "^sequence $n\$" "$REPO/refs/heads/main"
		datamount ls "$REPO" >/dev/null
		datamount ls "$REPO@v1" >/dev/null
	done
	grep -q "^sequence 3\$" "$REPO/refs/tags/v1"
	# a copy whose main went further, and is gone, takes no lower number
	datamount clone -q "$REPO" copy
	for n in 8 9; do
		echo "$n" >src/a.csv
		datamount commit -q src copy -m "$n" >/dev/null
	done
	datamount branch copy -d main
	datamount push -q "$REPO" copy
	grep -q '^sequence 10$' copy/refs/heads/main
	# nobody knows any more what was: the reader is told
	datamount branch "$REPO" -d main
	echo rubbish >"$REPO/refs/gone"
	datamount commit -q src "$REPO" -m again
	fails 1 'older main than this machine has seen: sequence 1 after 7' \
		datamount ls "$REPO"
}

@test "another repository at the same place is another story" {
	with_old_copy
	datamount ls "$REPO" >/dev/null
	rm -r repo
	datamount init repo >/dev/null
	datamount commit -q src repo -m one
	datamount ls "$REPO" >/dev/null
	[ "$(find "${SEEN%/*}" -type f | wc -l)" = 2 ]
}

@test "a damaged list of refs seen is begun anew, with a warning" {
	with_old_copy
	datamount ls "$REPO" >/dev/null
	echo rubbish >"$SEEN"
	mv repo new && mv old repo
	run --separate-stderr datamount ls "$REPO"
	[ "$status" -eq 0 ]
	[[ $stderr == *"$SEEN"*'begun anew'* ]]
	run --separate-stderr datamount ls "$REPO"
	[ -z "$stderr" ]
	grep -q "^heads/main $V1 1$" "$SEEN"
}

@test "no place for state keeps nobody from reading" {
	need_root
	with_old_copy
	env -u HOME -u XDG_STATE_HOME datamount ls "$REPO" >/dev/null
	echo file >"$T/file"
	XDG_STATE_HOME=$T/file run --separate-stderr datamount ls "$REPO"
	[ "$status" -eq 0 ]
	[[ $stderr == *'not remembered'* ]]
}

@test "a pin's sequence counts, on a machine that has seen nothing" {
	need_fuse
	with_old_copy
	datamount --no-git "$REPO" data
	datamount umount data
	rm -r "$XDG_STATE_HOME"
	mv repo new && mv old repo
	fails 1 'older main than data.source pins: sequence 1 after 3' \
		datamount --no-git "$REPO" data
	rm -r "$XDG_STATE_HOME"
	fails 1 'older main than data.source pins: sequence 1 after 3' \
		datamount update data
	datamount -q update --allow-rollback data
	grep -q "^commit = $V1" data.source
}

@test "a name is free when those below it are deleted" {
	mkdir d
	echo 1 >d/f
	datamount init repo >/dev/null
	datamount commit -q d repo -m 1 >/dev/null
	datamount clone -q repo copy
	for name in a/b/c a/b a; do
		datamount branch repo "$name"
		fails 1 'cannot be beside' datamount branch repo "$name/x"
		datamount push -q repo copy "$name"
		datamount branch repo -d "$name"
		datamount branch copy -d "$name"
	done
	echo 2 >d/f
	datamount tag repo t/u
	datamount tag repo -d t/u
	datamount commit -q d repo@a -m 2
	datamount tag repo t
}

@test "a push that a name is in the way of moves no ref" {
	mkdir d
	echo 1 >d/f
	datamount init repo >/dev/null
	datamount commit -q d repo -m 1 >/dev/null
	datamount clone -q repo copy
	datamount branch copy z/z
	was=$(cat copy/refs/heads/main)
	echo 2 >d/f
	datamount commit -q d repo -m 2 >/dev/null
	datamount branch repo z
	fails 1 'refs/heads/z cannot be beside what is below it:' \
		datamount push repo copy
	[ "$(cat copy/refs/heads/main)" = "$was" ]
}

@test "a list of refs that names a deleted one is no hindrance to a copy" {
	mkdir d
	echo 1 >d/f
	datamount init repo >/dev/null
	datamount commit -q d repo -m 1 >/dev/null
	datamount branch repo x
	datamount clone -q repo copy
	rm repo/refs/heads/x
	datamount push -q repo copy
	datamount clone -q repo other
	[ -e other/refs/heads/main ]
	[ ! -e other/refs/heads/x ]
	rm repo/refs/heads/main
	fails 1 'no branch or tag' datamount clone -q repo third
}
