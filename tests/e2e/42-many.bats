#!/usr/bin/env bats
# Subdirectories, many mounts in one project, and mounts that are in the way.

# shellcheck disable=SC2154,SC2016 # run sets them; patterns hold backquotes
load helpers

setup () {
	dm_setup
	need_fuse
	two_versions
	git init -q proj
	cd proj || return 1
}

# What the mount shows, by the file that differs: 1 or 2.
shown () {
	sed 's/a,//' "${1:-data}/a.csv"
}

# ---- subdirectories ----

# A third version in which the directory in/deep differs, with links.
publish_deep () {
	mkdir -p "$T/src/in/deep/er"
	echo "$1" >"$T/src/in/deep/f"
	echo below >"$T/src/in/deep/er/g"
	ln -sfn f "$T/src/in/deep/stays"
	ln -sfn ../../f "$T/src/in/deep/er/leaves"
	ln -sfn ../f "$T/src/in/deep/er/up"
	datamount commit -q "$T/src" "$REPO" -m deep
}

@test "a subdirectory is mounted, pinned, updated and synced as one" {
	first=$(publish_deep one)
	datamount -q "$REPO@:in/deep" data
	diff "$T/src/in/deep/f" data/f
	[ "$(readlink data/stays)" = f ]
	grep -q '^path = /in/deep$' data.source
	[ "$(status_of data path)" = in/deep ]
	[ "$(status_of data commit)" = "$first" ]
	datamount status --check data
	git commit -qm one
	second=$(publish_deep two)
	datamount -q update data
	[ "$(cat data/f)" = two ]
	grep -q '^path = /in/deep$' data.source
	grep -q "^commit = $second$" data.source
	git stash -q
	datamount sync 2>said
	grep -q "${second:0:12} -> ${first:0:12}" said
	[ "$(cat data/f)" = one ]
	datamount status --check data
}

@test "a changed path in a pin is what sync mounts" {
	publish_deep one >/dev/null
	datamount -q "$REPO@:in" data
	sed -i 's,^path = .*,path = /in/deep,' data.source
	run -1 datamount status --check data
	datamount -q sync
	[ "$(cat data/f)" = one ]
	datamount status --check data
}

@test "links count from the mounted subdirectory" {
	publish_deep one >/dev/null
	datamount -q --symlinks=all "$REPO@:in/deep" all
	[ "$(readlink all/er/leaves)" = ../../f ]
	datamount -q "$REPO@:in/deep" data
	[ "$(readlink data/er/up)" = ../f ]
	[ "$(cat data/er/up)" = one ]
	run -1 readlink data/er/leaves
	datamount -q "$REPO@:in" wider
	[ "$(readlink wider/deep/er/leaves)" = ../../f ]
}

@test "totals and attributes of a mounted subdirectory are its own" {
	publish_deep one >/dev/null
	datamount -q "$REPO@:in/deep" data
	[ "$(stat -f -c %c data)" -eq 7 ]
	[ "$(stat -c %i data)" = 1 ]
	need getfattr
	[ "$(getfattr --only-values -n user.datamount.commit data)" = \
		"$(status_of data commit)" ]
	[ "$(getfattr --only-values -n user.datamount.digest data/f)" = \
		"$(sha256sum <data/f | cut -d' ' -f1)" ]
	! getfattr -n user.datamount.commit data/er || false
}

@test "a path that is missing, a file or no path at all is refused" {
	publish_deep one >/dev/null
	fails 1 "no 'no/such' in this version" datamount "$REPO@:no/such" data
	fails 1 "'in/deep/f' is not a directory" \
		datamount "$REPO@:in/deep/f" data
	fails 1 'path' datamount "$REPO@:in/../in" data
	[ ! -e data ] && [ ! -e data.source ]
}

@test "look, diff and export take the path of a subdirectory" {
	publish_deep one >/dev/null
	datamount ls "$REPO@:in/deep" | grep -q stays
	datamount export -q "$REPO@:in" "$T/out"
	[ "$(cat "$T/out/deep/f")" = one ]
	datamount -q "$REPO@:in/deep" data
	run -1 readlink data/er/leaves
	datamount verify -q data
}

# ---- mount points ----

@test "a mount point in a mount is refused, also under another name" {
	datamount -q "$REPO@v1" data
	fails 1 'lies in the version that is mounted at .*/proj/data: choose' \
		datamount "$REPO@v2" data/sub
	fails 1 'lies in the version' datamount "$REPO@v2" data/new
	ln -s data/sub link
	fails 1 'lies in the version' datamount "$REPO@v2" link
	fails 1 'a version is mounted there: `datamount umount`' \
		datamount --no-source "$REPO@v2" data
	[ "$(dm_mounts | wc -l)" -eq 1 ]
	[ "$(git ls-files | tr '\n' ' ')" = '.gitignore data.source ' ]
}

@test "a directory above a mount, and a work tree, are no mount points" {
	mkdir up
	datamount -q "$REPO@v1" up/data
	fails 1 'up is not empty' datamount --no-source "$REPO@v2" up
	fails 1 'proj is a Git work tree: mount on a directory in it' \
		datamount "$REPO@v2" .
	[ ! -e ../proj.source ]
}

@test "a mount point whose name is no UTF-8 is updated and synced" {
	dir=$(printf 'd\377ta')
	datamount -q "$REPO@v1" "$dir"
	datamount -q update "$dir" v2
	[ "$(shown "$dir")" = 2 ]
	sed -i "s/^commit = .*/commit = $V1/" "$dir.source"
	run -1 datamount status --check "$dir"
	datamount -q sync
	[ "$(shown "$dir")" = 1 ]
	datamount status --check "$dir"
	datamount status --json >"$T/status.json"
	json "$T/status.json" "bytes.fromhex([x for x in d if 'dir_hex' in x][0]['dir_hex'])" | grep -q 'd\\xffta'
}

@test "mounts are found with and without XDG_RUNTIME_DIR" {
	need_root
	env -u XDG_RUNTIME_DIR datamount -q "$REPO@v1" data
	[ "$(status_of data state)" = ok ]
	env -u XDG_RUNTIME_DIR datamount umount data
}

@test "the notify descriptor gets its newline and is closed" {
	mkfifo word
	datamount -q --foreground --notify-fd 7 "$REPO@v1" data 7>word \
		3>&- 4>&- 2>log &
	ends_with_test $!
	# cat ends when nobody has the other end open any more.
	[ "$(timeout 20 cat word | od -An -c | tr -d ' ')" = '\n' ]
	[ "$(shown)" = 1 ]
	is_mounted data
	datamount umount data
}

@test "a failed read is logged and told by its path" {
	chmod -R u+w "$REPO/packs"
	datamount -q "$REPO@v1" data
	ls data/sub >/dev/null
	find "$REPO/packs" -type f -exec truncate -s 0 {} +
	run cat data/a.csv
	[ "$status" -ne 0 ] || skip "the bytes were cached"
	[[ $(datamount status data) == *'read of /a.csv: '* ]]
	grep -q 'read of /a.csv (inode ' "$(status_of data log)"
}

@test "umount names those who use a mount in each way there is" {
	datamount -q "$REPO@v1" data
	(cd data && exec sleep 100) 3>&- 4>&- &
	cwd=$!
	ends_with_test "$cwd"
	python3 -c 'import mmap, time
f = open("data/a.csv", "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
f.close()
open("mapped", "w").close()
time.sleep(100)' 3>&- 4>&- &
	map=$!
	ends_with_test "$map"
	eventually test -e mapped
	eventually eval '[ "$(cat "/proc/$cwd/comm")" = sleep ]'
	fails 1 "in use by .*sleep \($cwd\)" datamount umount data
	kill "$cwd"
	eventually gone "$cwd"
	fails 1 "in use by python3[^ ]* \($map\): .*--lazy" datamount umount data
	datamount umount --lazy data
	run ! is_mounted data
	datamount -q data
	[ "$(shown)" = 1 ]
}


@test "a process that may not be looked at is told as one of others" {
	need_root
	need unshare
	mkdir u
	cp "$DM_BIN/datamount" u/
	chmod -R a+rX "$REPO" "$T/proj"
	cat >u/hide <<-'END'
		import ctypes, os, time
		ctypes.CDLL(None).prctl(4, 0)  # PR_SET_DUMPABLE
		os.chdir("data")
		open("../ready", "w").close()
		time.sleep(100)
	END
	cat >u/script <<-'END'
		cd "$T/proj/u" || exit
		export HOME=$PWD
		unset XDG_RUNTIME_DIR XDG_STATE_HOME XDG_CACHE_HOME
		export DATAMOUNT_CACHE=$PWD/cache
		./datamount -q --no-source --no-git "$R" data || exit
		python3 hide &
		while [ ! -e ready ]; do sleep 0.05; done
		./datamount umount data
		./datamount umount --lazy data
		kill $!
	END
	chown -R 65534 u
	httpd_start "$REPO"
	R=$URL/@main run as_nobody sh u/script
	echo "$output"
	[[ $output == *'data is in use by processes of others: '*lazy* ]]
	[ "$(grep -c datamount: <<<"$output")" -eq 1 ]
}

# ---- many ----

# A project that pins v1 at a, in/b and in/c, unmounted and committed.
three_pins () {
	mkdir -p in
	for d in a in/b in/c; do
		datamount -q "$REPO@v1" "$d"
		datamount umount "$d"
	done
	git commit -qm three
	git tag three
}

@test "mount --all mounts what Git tracks, and leaves alone what is right" {
	three_pins
	datamount -q in/b.source elsewhere
	run --separate-stderr datamount mount --all
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[[ $stderr == *'2 mounted, 1 were already, 0 failed'* ]]
	[ "$(shown a)$(shown in/c)$(shown elsewhere)" = 111 ]
	! is_mounted in/b || false
	(cd in && datamount mount --all) 2>said
	grep -q '0 mounted, 3 were already, 0 failed' said
	datamount status --check a
}

@test "a clone is mounted by one command, and unmounted by one" {
	three_pins
	git clone -q . ../clone
	cd ../clone
	datamount -q mount --all
	for d in a in/b in/c; do [ "$(shown $d)" = 1 ]; done
	[ -z "$(git status --porcelain)" ]
	datamount -q "$REPO@v2" "$T/beside"
	datamount umount --all 2>said
	grep -q '3 unmounted, 0 failed' said
	is_mounted "$T/beside"
	[ "$(dm_mounts)" = "$T/beside" ]
	datamount -q umount --all
}

@test "mount --all names each failure, and mounts the rest" {
	three_pins
	sed -i "s/^commit = .*/commit = ${V1//[0-9]/0}/" a.source
	touch in/c/full
	run --separate-stderr datamount -q mount --all
	[ "$status" -eq 1 ]
	echo "$stderr"
	[ "$(grep -c . <<<"$stderr")" -eq 2 ]
	grep -q '^datamount: a\.source: ' <<<"$stderr"
	grep -q '^datamount: in/c\.source: .*in/c is not empty' <<<"$stderr"
	[ "$(shown in/b)" = 1 ]
	[ "$(dm_mounts | wc -l)" -eq 1 ]
}

@test "mount --all says when a mount is not what its pin says" {
	three_pins
	datamount -q mount --all
	sed -i "s/^commit = .*/commit = $V2/" a.source
	fails 1 "a\.source: .*/a shows ${V1:0:12}:/, but its pin is ${V2:0:12}.*sync" \
		datamount -q mount --all
	[ "$(shown a)" = 1 ]
}

@test "mount --all skips files of others, missing ones and links" {
	three_pins
	echo 'deb http://example.org stable main' >apt.source
	: >empty.source
	ln -s a.source link.source
	git add -f apt.source empty.source link.source
	rm in/c.source
	datamount mount --all 2>said
	cat said
	[ "$(grep -c 'skipped .*\.source: not a file of datamount' said)" -eq 3 ]
	grep -q 'skipped in/c\.source: Git tracks it, but it is not there' said
	[ "$(dm_mounts | wc -l)" -eq 2 ]
}

@test "mount --all names a file with a conflict by its line" {
	three_pins
	git checkout -qb other
	datamount -q update a v2
	git commit -qam two
	git checkout -q -b third three
	sed -i 's/^ref = .*/ref = other/' a.source
	git commit -qam third
	run git merge -q other
	[ "$status" -ne 0 ]
	fails 1 '^datamount: a\.source: .*line [0-9]+: a merge left a conflict' \
		datamount -q mount --all
	[ "$(dm_mounts | wc -l)" -eq 2 ]
}

@test "mount --all takes names with newlines, and no operand" {
	dir=$'new\nline'
	datamount -q "$REPO@v1" "$dir"
	datamount umount "$dir"
	datamount -q mount --all
	[ "$(shown "$dir")" = 1 ]
	datamount -q umount --all
	[ ! -e "$dir/a.csv" ]
	fails 2 'all or data' datamount mount --all data
	fails 2 'all or --source' datamount mount --all --source x
	fails 2 'too few operands' datamount mount
	fails 2 'too few operands' datamount umount
	cd ..
	fails 1 'in no Git work tree' datamount mount --all
}

@test "mount --all ignores a mount point that Git does not ignore yet" {
	three_pins
	git rm -q --cached .gitignore in/.gitignore
	rm .gitignore in/.gitignore
	git commit -qm bare
	datamount mount --all 2>said
	[ "$(cat .gitignore)" = /a/ ]
	[ "$(sort in/.gitignore | tr '\n' ' ')" = '/b/ /c/ ' ]
	[ "$(git ls-files --others --exclude-standard)" = said ]
}

@test "more mounts than are made at once follow checkout in one sync" {
	datamount -q "$REPO@v1" m1
	for d in 2 3 4 5 6 7 8 9 10 11 12; do cp m1.source "m$d.source"; done
	git add ./*.source
	git commit -qm v1
	git tag one
	datamount -q mount --all
	[ "$(dm_mounts | wc -l)" -eq 12 ]
	sed -i "s/^commit = .*/commit = $V2/; s/^ref = .*/ref = v2/" m*.source
	git commit -qam v2
	datamount sync 2>said
	grep -q '12 of 12 mounts moved to their pins, 0 showed them, 0 failed' said
	[ "$(cat m*/a.csv | sort | uniq -c | tr -s ' ')" = ' 12 a,2' ]
	[ -z "$(datamount sync 2>&1)" ]
	git checkout -q one
	tail -f m3/a.csv >/dev/null 3>&- 4>&- &
	ends_with_test $!
	eventually eval '[ /proc/$!/fd/3 -ef m3/a.csv ]'
	run --separate-stderr datamount sync
	[ "$status" -eq 1 ]
	[[ $stderr == *'11 of 12 mounts moved to their pins, 0 showed them, 1 failed'* ]]
	[[ $stderr == *"m3: "*"tail ($!)"* ]]
	run --separate-stderr datamount umount --all
	[ "$status" -eq 1 ]
	[[ $stderr == *'11 unmounted, 1 failed'* ]]
	datamount -q umount --all --lazy
	[ -z "$(dm_mounts)" ]
}

@test "umount --all cleans up after dead daemons" {
	three_pins
	datamount -q mount --all
	dead_daemon a
	eventually fails_to_list a
	datamount umount --all 2>said
	cat said
	grep -q '3 unmounted, 0 failed' said
	[ -z "$(dm_mounts)" ]
}

fails_to_list () {
	! ls "$1" >/dev/null 2>&1
}

@test "a daemon that does not answer is passed over aloud" {
	three_pins
	datamount -q mount --all
	supervisor=$(status_of a pid)
	kill -STOP "$supervisor"
	run --separate-stderr datamount status
	kill -CONT "$supervisor"
	[[ $stderr == *'one mount is passed over, its daemon does not answer'* ]]
	[[ $output != *"$PWD/a "* ]]
	[[ $output == *"$PWD/in/b"* ]]
}

@test "a mount that does not answer holds up nobody who does not ask for it" {
	local worker
	datamount -q --no-source "$REPO@v1" data
	worker=$(status_of data worker)
	mkdir "$T/other"
	kill -STOP "$worker"
	# As for another user, who finds no daemon's socket.
	XDG_RUNTIME_DIR=$T/other run timeout 60 datamount status
	kill -CONT "$worker"
	[ "$status" -eq 0 ]
}

@test "a pin elsewhere is known to status, update and sync" {
	mkdir pins
	datamount -q --source pins/d.source "$REPO@v1" data
	git commit -qm one
	datamount umount data
	fails 2 'where\? `datamount pins/d.source DIR`' datamount pins/d.source
	datamount -q pins/d.source data
	[ "$(status_of data source)" = "$PWD/pins/d.source" ]
	datamount -q update data v2
	datamount status --check data
	git checkout -q pins/d.source
	run -1 datamount status --check data
	datamount -q sync
	[ "$(shown)" = 1 ]
	datamount umount data
	datamount -q update --source pins/d.source data v2
	grep -q "$V2" pins/d.source
	[ ! -e data.source ]
}
