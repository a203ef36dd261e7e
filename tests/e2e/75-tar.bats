#!/usr/bin/env bats
# commit -: a tar stream becomes a version.

# shellcheck disable=SC2154 # run sets stderr
load helpers

# A directory with everything that a version can hold.
make_dir () {
	local i long
	long=$(printf 'n%.0s' $(seq 200))
	mkdir -p d/sub/deep d/empty "d/$long"
	echo a >d/a
	echo b >d/sub/b
	chmod +x d/sub/b
	: >d/none
	ln d/a d/sub/hard
	ln -s ../a d/sub/link
	head -c 3000000 /dev/urandom >d/big
	ln d/big d/sub/big
	truncate -s 20M d/sparse
	head -c 3000 /dev/urandom |
		dd of=d/sparse bs=1 seek=7000000 conv=notrunc status=none
	truncate -s 500K d/small-sparse
	echo x >>d/small-sparse
	echo x >"d/$(printf 'caf\303\251')"
	echo y >"d/$(printf 'lat\351')"
	echo z >"d/$(printf 'new\nline')"
	echo l >"d/$long/$(printf 'm%.0s' $(seq 250))"
	# more than one page of names
	for i in $(seq 1 4200); do
		echo "$i" >"d/sub/deep/$i"
	done
}

tree_of () {
	sed -n 's/^tree //p' "r/commits/${1:0:2}/$1"
}

@test "a tar stream has the tree of the directory that it was made of" {
	make_dir
	datamount init r
	want=$(tree_of "$(datamount commit d r@dir -m dir -q)")
	[ -n "$want" ]
	for how in --format=pax --format=gnu --format=oldgnu '-S --format=gnu' \
		'-S --format=pax' -z --zstd -j -J; do
		# shellcheck disable=SC2086
		id=$(tar -C d $how -cf - . |
			datamount commit - r@new -m "$how" -q)
		echo "$how"
		[ "$(tree_of "$id")" = "$want" ]
		datamount branch -d r new 2>/dev/null || true
	done
	# in no order, directories behind what is in them, or not at all
	(cd d && find . -mindepth 1 -print0) | shuf -z |
		tar -C d --no-recursion --null -T - -cf shuffled.tar
	(cd d && find . -mindepth 1 \( ! -type d -o -empty \) -print0) |
		tar -C d --no-recursion --null -T - -cf files.tar
	for t in shuffled files; do
		id=$(datamount commit - "r@$t" -m "$t" -q <$t.tar)
		[ "$(tree_of "$id")" = "$want" ]
	done
	datamount verify r@shuffled
}

@test "old formats of tar, sparse members of all kinds, and Python's tar" {
	need python3
	mkdir -p d/sub/empty
	echo a >d/a
	echo b >d/sub/b
	chmod +x d/sub/b
	: >d/none
	ln d/a d/sub/hard
	ln -s ../a d/sub/link
	head -c 3000000 /dev/urandom >d/big
	# holes at the beginning, in the middle and at the end; nothing but one
	truncate -s 9M d/holes
	for at in 1000000 4000000 4300000; do
		head -c 5000 /dev/urandom |
			dd of=d/holes bs=1 seek=$at conv=notrunc status=none
	done
	truncate -s 3M d/hole
	truncate -s 70000 d/small-hole
	# the name fits in ustar only because it has two parts for it
	mkdir -p "d/$(printf 'p%.0s' $(seq 90))"
	echo p >"d/$(printf 'p%.0s' $(seq 90))/$(printf 'q%.0s' $(seq 60))"
	datamount init r >/dev/null
	want=$(tree_of "$(datamount commit d r@dir -m dir -q)")
	# same HOW FILE: the archive has that tree
	same () {
		echo "$1" >&2
		[ "$(tree_of "$(datamount commit - r@new -m "$1" -q <"$2")")" = \
			"$want" ]
		datamount branch r -d new
	}
	for how in --format=ustar '-S --format=gnu' '-S --format=oldgnu' \
		'-S --sparse-version=0.0' '-S --sparse-version=0.1' \
		'-S --sparse-version=1.0' \
		'--format=pax --pax-option=globexthdr.name=g,comment=c' \
		'--format=gnu --blocking-factor=1' '-b 128'; do
		# shellcheck disable=SC2086
		tar -C d $how -cf t.tar .
		same "$how" t.tar
	done
	for how in USTAR GNU PAX; do
		python3 -c 'import sys, tarfile
how = getattr(tarfile, sys.argv[1] + "_FORMAT")
with tarfile.open("t.tar", "w", format=how) as t:
    t.add("d", ".")' $how
		same "$how" t.tar
	done
	# the oldest one has neither long names nor a mark for directories
	rm -r d/p*
	want=$(tree_of "$(datamount commit d r@short -m short -q)")
	tar -C d --format=v7 -cf t.tar .
	same v7 t.tar
}

@test "the last member of a name wins, and hard links keep what was" {
	mkdir d e
	echo old >d/x
	tar -C d -cf t.tar x
	rm d/x
	ln -s nowhere d/x
	echo of-old >d/y
	tar -C d -rf t.tar x y
	rm d/x
	echo new-and-longer >d/x
	chmod +x d/x
	ln d/x d/link
	tar -C d -rf t.tar x link
	rm d/x
	echo newest >d/x
	tar -C d -rf t.tar x
	datamount init r
	id=$(datamount commit - r -m tar <t.tar)
	tar -C e -xf t.tar
	[ "$(cat e/link)" = new-and-longer ]
	[ "$(tree_of "$id")" = "$(tree_of "$(datamount commit e r@dir -m dir)")" ]
	run --separate-stderr datamount commit - r -m again <t.tar
	[ "$output" = "$id" ]
	[[ $stderr == *'the archive is unchanged: main stays at this version'* ]]
}

@test "a tar stream may be filtered, by it and by options" {
	mkdir -p d/tmp/x d/keep
	echo '*.o' >d/.datamountignore
	touch d/a.o d/a.c d/tmp/x/f d/keep/b.o
	mkfifo d/pipe
	datamount init r
	want=$(tree_of "$(datamount commit d r@dir -m dir --exclude /tmp)")
	run --separate-stderr datamount commit - r -m tar --exclude /tmp \
		< <(tar -C d -cf - .)
	[ "$status" -eq 0 ]
	[ "$(tree_of "$output")" = "$want" ]
	[[ $stderr == *'pipe is a pipe or device: left out'* ]]
}

@test "what a version cannot hold is refused by name, and nothing is stored" {
	mkdir -p d/sub/.git d/deep
	echo a >d/sub/a
	touch d/sub/.git/x
	datamount init r
	commit_of () {
		(cd d && tar -P -cf ../t.tar "$@")
		datamount commit - r -m x <t.tar
	}
	fails 1 '/d/sub/a is an absolute path' commit_of "$PWD/d/sub/a"
	fails 1 "../d/sub/a has '\.\.' in its path" commit_of ../d/sub/a
	fails 1 "sub/\.git is Git's own" commit_of sub
	ln -s /etc/passwd d/out
	fails 1 'out is a symlink that leaves the directory' commit_of out
	ln -s sub d/dir
	fails 1 'dir/a lies below what the archive has as a file or symlink' \
		commit_of dir dir/a
	rm -r d/sub/.git
	tar -C d -cf t.tar sub
	mv d/sub d/was
	touch d/sub
	tar -C d -rf t.tar sub
	fails 1 'sub is a directory, and later' \
		datamount commit - r -m x <t.tar
	[ -z "$(find r/packs r/refs/heads -type f)" ]
}

@test "a stream that is cut short, or no archive, makes no version" {
	mkdir d
	head -c 300000 /dev/urandom >d/a
	echo b >d/b
	tar -C d -cf t.tar a b
	datamount init r
	head -c 100000 t.tar >short.tar
	fails 1 'cannot be read: Truncated' datamount commit - r -m x <short.tar
	# between two members, and behind the last one
	head -c $((512 * 587)) t.tar >short.tar
	fails 1 'without its end mark: was it cut short' \
		datamount commit - r -m x <short.tar
	head -c $((512 * 589)) t.tar | gzip >short.tar
	fails 1 'without its end mark: was it cut short' \
		datamount commit - r -m x <short.tar
	fails 1 'cannot be read' datamount commit - r -m x </dev/null
	echo junk >junk
	fails 1 'cannot be read' datamount commit - r -m x <junk
	fails 2 'give the message with -m' datamount commit - r -F - <t.tar
	[ -z "$(find r/refs/heads -type f)" ]
}

@test "without libarchive only archives cannot be read" {
	mkdir d lib
	echo a >d/a
	tar -C d -cf t.tar a
	echo 'no library' >lib/libarchive.so.13
	datamount init r
	export LD_LIBRARY_PATH=$PWD/lib
	fails 1 'archives cannot be read: .*: install libarchive' \
		datamount commit - r -m x <t.tar
	datamount commit d r -m x
	unset LD_LIBRARY_PATH
	datamount commit - r -m x <t.tar
}

@test "a stream that has nothing to say holds up no other publisher" {
	mkdir d e
	for i in $(seq 600); do echo "$i" >"d/$i"; done
	echo e >e/e
	datamount init r >/dev/null
	tar -C d -cf d.tar .
	mkfifo go
	{
		head -c 500000 d.tar
		read -r _ <go
		tail -c +500001 d.tar
	} | datamount commit -q - r -m stream >id 3>&- 4>&- &
	datamount commit -q e r@other -m e
	echo go >go
	wait $!
	right=$(datamount commit -q d r@dir -m dir)
	[ "$(tree_of "$(cat id)")" = "$(tree_of "$right")" ]
}
