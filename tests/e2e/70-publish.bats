#!/usr/bin/env bats
# A directory becomes a version: init, commit, tag, branch.

load helpers

# What DIR holds is what the version says, to the byte.
same () {
	rm -rf "$T/out"
	datamount export "$1" "$T/out" --quiet
	diff -r --no-dereference "$T/out" "$2"
	rm -rf "$T/out"
}

packs () {
	find "$1/packs" -type f | wc -l
}

bytes () {
	find "$1/packs" -type f -printf '%s\n' | awk '{n += $1} END {print n + 0}'
}

@test "init makes a repository and prints its id, and only once" {
	run --separate-stderr datamount init r
	[ "$status" -eq 0 ]
	[[ $output =~ ^[0-9a-f]{32}$ ]]
	[ "$(cat r/datamount)" = "datamount repository 1
id $output" ]
	fails 1 'is a repository already' datamount init r
	mkdir full
	touch full/x
	fails 1 'full is not empty' datamount init full
	[ "$(ls full)" = x ]
	mkdir empty
	datamount init empty
	fails 1 'is a URL: write to the folder' \
		datamount init https://example.org/r
}

@test "a commit prints one id, and holds what the directory holds" {
	small_data d 1
	ln -s ../a.csv d/sub/link
	chmod +x d/sub/b.txt
	touch d/.hidden
	datamount init r
	run --separate-stderr datamount commit d r -m 'first version'
	[ "$status" -eq 0 ]
	[[ $output =~ ^[0-9a-f]{64}$ ]]
	[[ $stderr == *'committed 5 files, 300.'*' kB; stored '*' new in 2 packs' ]]
	[ "$(sha256sum <"r/commits/${output:0:2}/$output")" = "$output  -" ]
	same "r@$output" d
	[ -x d/sub/b.txt ]
	datamount verify r
}

@test "an unchanged directory makes no version, and says so" {
	small_data d 1
	datamount init r
	id=$(datamount commit d r -m one)
	find r -type f | sort >before
	run --separate-stderr datamount commit d r -m two
	[ "$status" -eq 0 ]
	[ "$output" = "$id" ]
	[[ $stderr == *'is unchanged'* ]]
	find r -type f | sort | diff before -
}

@test "the same data is stored once, a changed file alone" {
	mkdir d
	for i in 1 2 3 4; do head -c 3000000 /dev/urandom >"d/$i"; done
	for i in 5 6 7; do head -c 100000 /dev/urandom >"d/$i"; done
	cp d/1 d/copy
	cp d/5 d/copy5
	datamount init r
	datamount commit d r -m one
	n=$(bytes r)
	[ "$n" -lt 12500000 ]
	cp -r d e
	run --separate-stderr datamount commit e r@other -m 'the same'
	[[ $stderr == *'stored 0 B new in 0 packs' ]]
	[ "$(bytes r)" -eq "$n" ]
	head -c 100000 /dev/urandom >d/6
	datamount commit d r -m two
	[ "$(bytes r)" -gt $((n + 100000)) ]
	[ "$(bytes r)" -lt $((n + 110000)) ]
	same r d
	same r@other e
}

@test "a byte inserted in a large file stores only the chunk around it" {
	mkdir d
	head -c 20000000 /dev/urandom >d/large
	datamount init r
	datamount commit d r -m one
	n=$(bytes r)
	{
		head -c 9000000 d/large
		printf x
		tail -c +9000001 d/large
	} >l
	mv l d/large
	datamount commit d r -m two
	[ "$(bytes r)" -lt $((n + 6300000)) ]
	same r d
}

@test "files that were read before and did not change are not read again" {
	small_data d 1
	datamount init r
	# Older than the racy rule's two seconds.
	touch d/mark
	# shellcheck disable=SC2317 # eventually calls it
	old () { [ $(($(date +%s) - $(stat -c %Z d/mark))) -gt 3 ]; }
	eventually old
	id=$(datamount commit d r -m one)
	command -v strace >/dev/null || skip "no strace"
	run --separate-stderr traced -f -e trace=openat -o trace \
		datamount commit d r -m two
	[ "$output" = "$id" ]
	run ! grep -E '"(a.csv|b.txt|zeros)"' trace
	traced -f -e trace=openat -o trace datamount commit --rehash d r -m two
	grep -q '"zeros"' trace
}

@test "a mounted version is read, however much it looks like another one" {
	need_fuse
	mkdir d m
	for r in r s; do datamount init $r; done
	for branch in one two; do
		echo $branch >d/f
		datamount commit d r@$branch -m x --date 1700000000
		datamount mount -q r@$branch m
		datamount commit m s@$branch -m x
		datamount umount -q m
		rm -f m.source
		same "s@$branch" d
	done
}

@test "an image is read, however much it looks like another one" {
	need_root
	grep -qw squashfs /proc/filesystems || modprobe squashfs ||
		skip "this kernel cannot mount squashfs"
	mkdir d m
	datamount init r
	for branch in one two; do
		echo $branch >d/f
		mksquashfs d $branch.img -quiet -all-time 1000 -mkfs-time 1000
		mount -o loop,ro $branch.img m
		stat -c '%i %s %y %z' m/f >$branch.stat
		run datamount commit m r@$branch -m x
		umount m
		[ "$status" -eq 0 ]
		same "r@$branch" d
	done
	cmp one.stat two.stat
}

@test "what another repository had is read for one that lacks it" {
	mkdir d
	for i in $(seq 100 199); do echo "$i" >"d/f$i"; done
	# shellcheck disable=SC2317 # eventually calls it
	old () { [ $(($(date +%s) - $(stat -c %Z d/f199))) -gt 3 ]; }
	eventually old
	for r in r s t; do datamount init $r; done
	datamount commit d r -m all
	datamount commit --exclude 'f19?' d s -m 'not all'
	datamount commit --exclude f195 d t -m 'nearly all'
	# as the others go by r, this is found out late
	run --separate-stderr datamount commit d s -m all
	[ "$status" -eq 0 ]
	[[ $stderr == *'beginning again'* ]]
	same s d
	# and here it is in a pack that is still open
	cp d/f195 d/a
	run --separate-stderr datamount commit d t -m all
	[ "$status" -eq 0 ]
	[[ $stderr != *'beginning again'* ]]
	same t d
	datamount verify t
	echo new >d/f150
	datamount commit d t -m changed
	same t d
}

@test "a file rewritten in the same tick, with its time put back, is found" {
	mkdir d
	datamount init r
	for i in 1 2 3 4 5 6 7 8 9; do
		printf 'a%d' $i >d/f
		touch -d '2020-01-01' d/f
		datamount commit d r -m "a$i" -q
		printf 'b%d' $i >d/f
		touch -d '2020-01-01' d/f
		datamount commit d r -m "b$i" -q
		[ "$(datamount cat r@:f)" = "b$i" ]
	done
}

@test "a file that changes while it is read is an error that names it" {
	mkdir d
	head -c 30000000 /dev/urandom >d/growing
	datamount init r
	python3 -c 'f = open("d/growing", "ab", buffering=0)
print(flush=True)
while True: f.write(b"x")' >fifo.out &
	DM_PIDS="$DM_PIDS $!"
	writer=$!
	started () { [ -s fifo.out ]; }
	eventually started
	fails 1 'growing changed while it was read' datamount commit d r -m x
	[ ! -e r/refs/heads/main ]
	kill $writer
	wait $writer || true
	datamount commit d r -m x
	same r d
}

@test "a .datamountignore that is a pipe is refused, not waited for" {
	mkdir d
	mkfifo d/.datamountignore
	datamount init r
	fails 1 'datamountignore is no regular file' datamount commit d r -m x
	rm d/.datamountignore
	mkdir d/.datamountignore
	fails 1 'datamountignore is no regular file' datamount commit d r -m x
}

@test "a file that cannot be read is an error that names it" {
	mkdir d
	touch d/open
	echo secret >d/closed
	chmod 000 d/closed
	run=()
	if [ "$(id -u)" = 0 ]; then
		need setpriv
		run=(setpriv --reuid=65534 --regid=65534 --clear-groups)
		chown -R 65534 "$T"
	fi
	"${run[@]}" datamount init r
	fails 1 'cannot read closed: Permission denied' \
		"${run[@]}" datamount commit d r -m x
	[ ! -e r/refs/heads/main ]
}

@test "sockets and pipes are left out with a warning" {
	mkdir d
	echo x >d/file
	for i in 01 02 03 04 05 06 07 08 09 10 11; do mkfifo "d/pipe$i"; done
	python3 -c 'import socket
socket.socket(socket.AF_UNIX).bind("d/socket")'
	datamount init r
	run --separate-stderr datamount commit d r -m x
	[ "$status" -eq 0 ]
	[ "$(printf '%s\n' "$stderr" | grep -c 'left out$')" -eq 11 ]
	[[ $stderr == *'12 sockets, pipes and devices were left out'* ]]
	[ "$(datamount ls r)" = file ]
}

@test "links that leave are refused, or kept when told so" {
	mkdir -p d/sub
	ln -s ../../outside d/sub/link
	datamount init r
	fails 1 'sub/link is a symlink that leaves.*--symlinks=keep' \
		datamount commit d r -m x
	datamount commit d r -m x --exclude link
	[ "$(datamount ls r)" = sub/ ] || [ "$(datamount ls r)" = sub ]
	datamount commit --symlinks=keep d r -m y
	[ "$(datamount ls r@:sub)" = link ] ||
		[[ $(datamount ls r@:sub) == link* ]]
	ln -sf /etc/passwd d/sub/link
	fails 1 'sub/link is a symlink that leaves' datamount commit d r -m x
	ln -sf ../sub/../x d/sub/link
	fails 1 'sub/link is a symlink that leaves' datamount commit d r -m x
}

@test "what Git or a file system takes for .git is refused" {
	datamount init r
	for name in .git .GIT git~1 '.git ' .git. .git::stream; do
		mkdir -p "d/sub/$name"
		fails 1 "sub/.*--exclude" datamount commit d r -m x
		rmdir "d/sub/$name"
	done
	mkdir d/.git
	touch d/x d/.gitignore
	datamount commit d r -m x --exclude .git
	[ "$(datamount ls r | tr '\n' ' ')" = '.gitignore sub/ x ' ] ||
		datamount ls r | grep -q '^.gitignore$'
}

@test "patterns leave files out, and .datamountignore itself is kept" {
	mkdir -p d/keep d/cache/deep d/a/b
	touch d/x.tmp d/keep/x.tmp d/keep/good.tmp d/cache/deep/y d/a/b/z d/a/z
	printf '%s\n' '# what is not data' '*.tmp' '!good.tmp' '/cache/' \
		>d/.datamountignore
	datamount init r
	datamount commit d r -m x --exclude 'a/**/z' --exclude nothing
	rm -rf out
	datamount export r out -q
	[ "$(cd out && find . | sort | tr '\n' ' ')" = \
		'. ./.datamountignore ./a ./a/b ./keep ./keep/good.tmp ' ]
}

@test "a repository inside the directory is not published into itself" {
	mkdir d
	touch d/x
	datamount init d/r
	fails 1 'r is the repository itself.*--exclude' \
		datamount commit d d/r -m x
	datamount commit d d/r -m x --exclude /r
	[ "$(datamount ls d/r)" = x ]
	fails 1 'the repository itself' datamount commit d/r d/r -m x
}

@test "20,000 files in one directory, and one more, store few pages anew" {
	mkdir d
	(cd d && seq 20000 | split -l 1 -a 4 - f)
	datamount init r
	datamount commit d r -m one
	same r d
	[ "$(datamount ls r | wc -l)" -eq 20000 ]
	n=$(bytes r)
	touch d/fmmm
	datamount commit d r -m two
	# One page of some thousand entries, the index, their wheres.
	[ "$(bytes r)" -lt $((n + 600000)) ]
	same r d
}

@test "names may be any bytes, files and directories empty" {
	mkdir -p d/empty/empty
	: >d/nil
	python3 - <<-'END'
		import os
		for n in [b'a\nb', b'tab\t', b'\xff\xfe', b'x' * 255, b' ', b'-m',
		          b'*', b'\\', b'"', b'\xe2\x82\xac', b'a', b'a.', b'a0']:
		    open(b'd/' + n, 'wb').write(n)
	END
	datamount init r
	datamount commit d r -m x
	same r d
	mkdir void
	datamount commit void r@void -m empty
	[ -z "$(datamount ls r@void)" ]
}

@test "paths as deep and long as may be come back, others are refused" {
	python3 - <<-'END'
		import os
		def nest(top, name, n):
		    os.mkdir(top)
		    os.chdir(top)
		    for i in range(n):
		        os.mkdir(name)
		        os.chdir(name)
		start = os.getcwd()
		nest('deep', 'q', 127)
		os.symlink('../' * 127 + 'x', 'up')
		os.chdir(start)
		nest('deeper', 'q', 128)
		os.chdir(start)
		nest('long', 'n' * 255, 15)
		open('m' * 255, 'w')
		os.chdir(start)
		nest('longer', 'n' * 255, 15)
		os.mkdir('m')
		os.chdir('m')
		open('x' * 254, 'w')
	END
	datamount init r
	datamount commit deep r@deep -m x
	same r@deep deep
	datamount commit long r@long -m x
	datamount verify r@long
	fails 1 'q/q/q lies too deep.*--exclude' datamount commit deeper r -m x
	fails 1 'longer than 4095 bytes.*--exclude' \
		datamount commit longer r -m x
}

@test "a file of 100 MB comes back" {
	mkdir d
	head -c 100000000 /dev/urandom >d/large
	head -c 5000000 /dev/zero >d/zeros
	head -c 1048576 /dev/urandom >d/edge
	head -c 1048577 /dev/urandom >d/edge1
	datamount init r
	datamount commit d r -m x
	same r d
	[ "$(bytes r)" -lt 104000000 ]
}

@test "tags stay, branches move, and both are listed" {
	small_data d 1
	datamount init r
	one=$(datamount commit d r -m one)
	run --separate-stderr datamount tag r v1
	[ "$output" = "$one" ]
	small_data d 2
	two=$(datamount commit d r -m two)
	fails 1 'tag v1 is .* already: --force' datamount tag r v1
	datamount tag r@v1 v1
	datamount tag "r@${one:0:10}" releases/1.0
	datamount tag --force r@main v1
	[ "$(datamount tag -l r)" = "releases/1.0 $one
v1 $two" ]
	datamount branch r@releases/1.0 work
	[ "$(datamount branch r)" = "main $two
work $one" ]
	small_data d 3
	three=$(datamount commit d r@work -m three)
	[ "$(datamount log r@work | wc -l)" -eq 2 ]
	datamount branch r --delete work
	fails 1 'no branch work' datamount branch r --delete work
	fails 1 'no branch, tag or commit work' datamount tag r@work x
	fails 1 'cannot name a tag' datamount tag r ../x
	fails 1 'cannot name a tag' datamount tag r deadbeef
	datamount tag "r@$three" kept
	sort -c r/refs/all
	[ "$(cut -d' ' -f1 r/refs/all | tr '\n' ' ')" = \
		'heads/main tags/kept tags/releases/1.0 tags/v1 ' ]
}

@test "message, author and date are as given" {
	small_data d 1
	datamount init r
	fails 2 '-m MESSAGE' datamount commit d r
	printf 'subject\n\nbody\n' >message
	id=$(DATAMOUNT_AUTHOR='A <a@b>' datamount commit d r -F message \
		--date 2024-02-29T12:00:00+02:00)
	[ "$(tail -n 6 "r/commits/${id:0:2}/$id")" = 'time 1709200800
author A <a@b>

subject

body' ]
	[ "$(cut -d' ' -f2- r/refs/log)" = '- 1709200800 main subject' ]
	fails 2 'neither seconds' datamount commit d r -m x --date 2023-02-29
	fails 1 'message' datamount commit d r -m $'x\e[31m'
	fails 1 'author' datamount commit d r -m x --author $'x\ny'
	fails 1 'name a branch|name of a branch' \
		datamount commit d 'r@a b' -m x
	fails 1 'no repository' datamount commit d nowhere -m x ||
		fails 1 'nowhere: No such file' datamount commit d nowhere -m x
	fails 1 'cannot publish nowhere' datamount commit nowhere r -m x
	mkdir plain
	fails 1 'plain is no repository.*init' datamount commit d plain -m x
}

@test "equal content has equal ids, whatever the history" {
	small_data d 1
	datamount init r
	datamount init s
	datamount commit d r -m x --date 1700000000
	small_data d 2
	datamount commit d r -m x --date 1700000000
	datamount commit d s -m x --date 1700000000
	r=$(cat r/commits/*/"$(datamount branch r | cut -d' ' -f2)")
	s=$(cat s/commits/*/"$(datamount branch s | cut -d' ' -f2)")
	[ "$(grep ^tree <<<"$r")" = "$(grep ^tree <<<"$s")" ]
}

@test "of two publishers at once one wins, the other is told and can retry" {
	small_data a 1
	small_data b 2
	datamount init r
	mkfifo held release
	python3 -c 'import fcntl, struct
f = open("r/lock", "r+")
fcntl.fcntl(f, 37, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0))
open("held", "w").close()
open("release").read()' &
	cat held
	datamount commit a r -m a >a.out 2>a.err &
	one=$!
	datamount commit b r -m b >b.out 2>b.err &
	two=$!
	both_packed () { [ "$(packs r)" -eq 4 ]; }
	eventually both_packed
	: >release
	failed=0
	wait $one || failed=$((failed + $?))
	wait $two || failed=$((failed + $?))
	[ "$failed" -eq 1 ]
	if [ -s a.out ]; then won=a lost=b; else won=b lost=a; fi
	[ "$(cut -d' ' -f2 <<<"$(datamount branch r)")" = "$(cat $won.out)" ]
	grep -E 'somebody else moved main: nothing -> [0-9a-f]{12}; run the' \
		$lost.err
	datamount commit $lost r -m again
	[ "$(datamount log r | wc -l)" -eq 2 ]
	same r $lost
}

@test "killed at any moment, the ref is old or new and the next commit works" {
	mkdir d
	for i in $(seq 300); do head -c 70000 /dev/urandom >"d/$i"; done
	head -c 5000000 /dev/urandom >d/large
	datamount init r
	old=$(datamount commit d r -m old)
	for step in 1 2 3 4 5; do
		for i in $(seq 300); do
			head -c 70000 /dev/urandom >"d/$i"
		done
		head -c 5000000 /dev/urandom >d/large
		n=$(find r/packs r/commits -type f | wc -l)
		datamount commit d r -m "step $step" &
		pid=$!
		until [ "$(find r/packs r/commits -type f | wc -l)" -ge \
			$((n + step)) ] || gone $pid; do :; done
		kill -9 $pid || true
		wait $pid || true
		now=$(datamount branch r | cut -d' ' -f2)
		[ "$now" = "$old" ] || datamount show r | grep "step $step"
		datamount verify r --quiet
		old=$(datamount commit d r -m "after $step")
		same r d
	done
	[ -z "$(find r -name '*.tmp' -path '*packs*')" ]
}

@test "packs of a killed commit are used by the next one" {
	mkdir d
	for i in $(seq 400); do head -c 100000 /dev/urandom >"d/$i"; done
	datamount init r
	# dies when it gives the second pack its name
	run traced -qq -f -o /dev/null -e trace=linkat \
		-e inject=linkat:signal=KILL:when=2 datamount commit d r -m x
	[ "$status" -ne 0 ]
	[ "$(packs r)" -ge 1 ]
	[ ! -e r/refs/heads/main ]
	remove_cache
	datamount commit d r -m x
	[ "$(bytes r)" -lt 41000000 ]
	same r d
}

@test "a full disk is one line, and moves nothing" {
	need_root
	mkdir disk d
	mount -t tmpfs -o size=6m none disk
	small_data d 1
	datamount init disk/r
	one=$(datamount commit d disk/r -m one)
	head -c 10000000 /dev/urandom >d/large
	fails 1 'No space left' datamount commit -q d disk/r -m two
	[ "$(datamount branch disk/r)" = "main $one" ]
	rm d/large
	for i in $(seq 100); do head -c 100000 /dev/urandom >"d/$i"; done
	fails 1 'No space left' datamount commit -q d disk/r -m two
	[ "$(datamount branch disk/r)" = "main $one" ]
	for i in $(seq 10 100); do rm "d/$i"; done
	datamount commit d disk/r -m two
	same disk/r d
}

@test "a lost or damaged index costs only reading the packs" {
	small_data d 1
	datamount init r
	datamount commit d r -m one
	n=$(packs r)
	remove_cache
	run --separate-stderr datamount commit d r@b -m two
	[[ $stderr == *'stored 0 B new in 0 packs' ]]
	for f in "$DATAMOUNT_CACHE"/publish/*.sqlite; do
		head -c 100000 /dev/urandom >"$f"
	done
	run --separate-stderr datamount commit d r@c -m two
	[ "$status" -eq 0 ]
	[[ $stderr == *'not a database'* ]]
	[[ $stderr == *'stored 0 B new in 0 packs' ]]
	[ "$(packs r)" -eq "$n" ]
	run --separate-stderr datamount commit d r@d -m two
	[[ $stderr != *'not a database'* ]]
}

@test "packs that were removed are stored again" {
	small_data d 1
	datamount init r
	datamount commit d r -m one
	cp -r r/packs packs
	rm -rf r/packs/*
	datamount commit d r@b -m two
	diff -r packs r/packs
	datamount verify r
}

@test "refs/all and refs/log are completed after a crash" {
	small_data d 1
	datamount init r
	datamount commit d r -m one --date 1700000000
	small_data d 2
	datamount commit d r -m two --date 1700000001
	datamount tag r v2
	cp r/refs/log log
	cp r/refs/all all
	: >r/refs/all
	head -c 150 log >r/refs/log
	datamount commit d r -m nothing
	diff log r/refs/log
	diff all r/refs/all
	rm r/refs/all r/refs/log
	datamount tag r v2
	diff log r/refs/log
	diff all r/refs/all
}

@test "--quiet says nothing, and results alone go to standard output" {
	small_data d 1
	datamount init r
	run --separate-stderr datamount commit d r -m x --quiet
	[ -z "$stderr" ]
	[ "${#lines[@]}" -eq 1 ]
}
