#!/usr/bin/env bats
# What the cache is told to keep, and how much it may hold.

# shellcheck disable=SC2154,SC2016 # run sets them; backquotes in messages
load helpers

# Two versions without common bytes, old and new, of 12 MB in some packs each:
# made once for all tests.
setup_file () {
	local version n i
	dm_setup
	datamount init -q repo 2>/dev/null
	for version in old new; do
		for n in 1 2 3 4 5 6; do
			mkdir -p "$version/$n"
			for i in $(seq 8); do
				head -c 250000 /dev/urandom >"$version/$n/$i"
			done
			datamount commit -q "$version" repo -m "$version $n" >/dev/null
		done
		datamount tag repo "$version" >/dev/null
	done
	cp -a repo old new "$BATS_FILE_TMPDIR"
	BATS_TEST_COMPLETED=1 dm_teardown
}

old_and_new () {
	cp -a "$BATS_FILE_TMPDIR"/* .
}

OLD_SIZE=12000000

used_bytes () {
	datamount cache status --json | json - "d['bytes']"
}

at_most () {
	[ "$(used_bytes)" -le "$1" ]
}

# Read a version through a cache that may hold 24 MB.
read_all () {
	datamount export --cache-size 24M "repo@$1" "out.$1" 2>/dev/null
	diff -r "$1" "out.$1"
	rm -r "out.$1"
}

# With the repository gone, is all of a version here?
is_here () {
	local status=0
	mv repo gone
	datamount export --cache-size 24M "repo@$1" here 2>/dev/null || status=1
	mv gone repo
	rm -rf here
	return "$status"
}

@test "a pinned version survives eviction, and goes when it is unpinned" {
	need_fuse
	old_and_new
	old=$(datamount show repo@old | sed -n 's/^commit *//p')
	run --separate-stderr datamount pin --fetch repo@old
	echo "$stderr"
	[ "$status" -eq 0 ]
	[ "$output" = "$old" ]
	[[ $stderr == *'pinned '*'/repo@old: 12.0 MB of 12.0 MB are in the cache'* ]]
	# more than there is room for, twice
	for _ in 1 2; do
		read_all new
		at_most 25165824
		is_here "$old"
	done
	[ "$(datamount cache status --json | json - "d['pinned'] >= $OLD_SIZE")" = true ]
	datamount unpin repo@old
	[ "$(datamount cache status --json | json - "d['pinned']")" -eq 0 ]
	# a command that stores nothing need not evict; a mount looks once a second
	datamount -q repo@new new.mnt --cache-size 6M
	eventually at_most 6291456
	datamount umount new.mnt
	run ! is_here "$old"
	fails 1 'repo@old is not pinned' datamount unpin repo@old
}

@test "a cache full of pins is read through" {
	local before
	old_and_new
	run --separate-stderr datamount pin --fetch repo@old --cache-size 1G
	before=$(used_bytes)
	datamount cache limit 10M
	datamount export -q repo@new out
	diff -r new out
	echo "before $before, now $(used_bytes)" >&2
	# a map of a page is made before there is room for a piece
	at_most $((before + 200000))
	[ "$(datamount cache status --json | json - "d['pinned'] >= $OLD_SIZE")" = true ]
	is_here "$output"
	# the cache says so
	run --separate-stderr datamount pin repo@old
	[[ $stderr == *'the cache may hold 1'*': not all of it will stay'* ]]
}

@test "pin fetches trees, says what is missing, and keeps what comes later" {
	old_and_new
	run --separate-stderr datamount pin repo@old --name mine
	[ "$output" = mine ]
	[[ $stderr == *'@old: 0 B of 12.0 MB are in the cache; `datamount pin --fetch`'* ]]
	at_most 1000000
	[[ $(datamount pin) == "mine  "*" blobs  $PWD/repo@old" ]]
	read_all old
	read_all new
	[ "$(datamount pin -l --json | json - "d[0]['bytes'] >= $OLD_SIZE")" = true ]
	[ "$(datamount pin --json | json - "d[0]['blobs'] == d[0]['blobs_here']")" = true ]
	datamount unpin mine
	[ -z "$(datamount pin)" ]
	[ "$(datamount pin --json)" = '[]' ]
}

@test "a directory's version can be pinned with its origin down" {
	need_fuse
	old_and_new
	mkdir part
	datamount repo@old data
	diff -r old data
	datamount umount data
	datamount "repo@old:2/" part
	mv repo gone
	fails 1 'no datamount repository' datamount pin repo@old
	id=$(datamount pin data)
	[[ $id =~ ^[0-9a-f]{64}$ ]]
	[ "$(datamount pin data.source)" = "$id" ]
	[ "$(datamount pin "repo@$id")" = "$id" ]
	run --separate-stderr datamount pin part
	[[ $stderr == *':2: 2.0 MB of 2.0 MB are in the cache'* ]]
	[[ $output == "$id."* ]]
	[ "$(datamount pin | wc -l)" -eq 2 ]
	fails 1 '2 pins begin with' datamount unpin "${id:0:12}"
	datamount unpin part
	datamount unpin "${id:0:12}"
	[ -z "$(datamount pin)" ]
	fails 1 'no pin has the name data: .*is not pinned|is not pinned' \
		datamount unpin data
}

@test "names that are no names are refused, and so is what is no version" {
	two_versions
	for name in '' . .. .hidden a/b 'a b' ../../x "$(printf '%0129d' 0)" x.tmp; do
		fails 2 'name is of letters' datamount pin --name "$name" repo@v1
	done
	[ ! -e "$DATAMOUNT_CACHE/pins" ]
	fails 1 'none is no mount, and there is no .*/none.source' \
		datamount pin none
	fails 1 "no branch or tag 'v9'" datamount pin repo@v9
	fails 1 'no pin has the name none' datamount unpin none
	fails 2 'what\?' datamount pin --fetch
	fails 2 '--list or repo' datamount pin --list repo@v1
	datamount pin --name "$(printf '%0128d' 0)" repo@v1
	datamount unpin "$(printf '%0128d' 0)"
}

# A pin that was being written when its writer died is none.
@test "a half-written pin keeps nothing" {
	old_and_new
	datamount pin -q --fetch repo@old --name x
	mv "$DATAMOUNT_CACHE/pins/x" "$DATAMOUNT_CACHE/pins/x.1234.tmp"
	[ -z "$(datamount pin)" ]
	[ "$(datamount cache status --json | json - "d['pinned']")" -eq 0 ]
}

@test "prefetch keeps to the limit, and says that not all was kept" {
	need_fuse
	old_and_new
	datamount repo@old data
	datamount umount data
	datamount prefetch data
	is_here "$(datamount show repo@old | sed -n 's/^commit *//p')"
	datamount cache clear
	run --separate-stderr datamount prefetch data --cache-size 6M
	echo "$stderr"
	[ "$status" -eq 1 ]
	[[ $stderr == *'48 files, 12.0 MB, were read: '* ]]
	[[ $stderr == *'not all was kept: '*' may hold 6'* ]]
	at_most 6291456
	# configured, and by the cache itself
	mkdir -p "$XDG_CONFIG_HOME/datamount"
	printf '[cache]\nsize = 5M\n' >"$XDG_CONFIG_HOME/datamount/config"
	fails 1 'not all was kept' datamount prefetch -q data
	at_most 5242880
	rm "$XDG_CONFIG_HOME/datamount/config"
	datamount cache limit 4M
	fails 1 'not all was kept' datamount prefetch -q data
	at_most 4194304
}

# Whatever had to go: what was prefetched is complete.
@test "prefetch makes room for all of what fits" {
	need_fuse
	old_and_new
	datamount repo@new data
	datamount umount data
	datamount prefetch -q data
	datamount cache clear
	datamount cache limit 25M
	for version in old new old; do
		datamount update data "$version" 2>/dev/null
		datamount prefetch data
		is_here "$(datamount show "repo@$version" |
			sed -n 's/^commit *//p')"
		at_most 26214400
	done
}

# fcntl(2) F_OFD_SETLK on the byte of who evicts; the lock is there when the
# line is.
hold_eviction () {
	mkfifo held
	python3 - "$DATAMOUNT_CACHE/usage" >held 3>&- <<-'END' &
		import fcntl, os, signal, struct, sys
		fd = os.open(sys.argv[1], os.O_RDWR)
		fcntl.fcntl(fd, 37, struct.pack("hhqqi", 1, 0, 4096, 1, 0))
		print("held", flush=True)
		signal.pause()
	END
	ends_with_test $!
	read -r _ <held
}

@test "an evictor that was stopped is passed over by the others" {
	need_fuse
	old_and_new
	datamount --no-source repo@old data
	diff -r old data
	hold_eviction
	datamount cache limit 6M
	eventually at_most 6291456
	diff -r old data
	at_most 6291456
	datamount umount data
}

index_has () {
	python3 - "$DATAMOUNT_CACHE/index-v1.sqlite" "$1" <<-'END'
		import sqlite3, sys
		db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
		n, = db.execute("SELECT count(*) FROM blob").fetchone()
		sys.exit(n != int(sys.argv[2]))
	END
}

@test "cache status tells the last use, not the last write" {
	need_fuse
	old_and_new
	datamount --no-source repo@old data
	diff -r old data
	eventually index_has "$(datamount cache status --json | json - "d['blobs']")"
	touch -d 2020-02-02 "$DATAMOUNT_CACHE"/blobs/*/*
	datamount cache status | grep "^coldest    last used $(date +%Y)"
	rm "$DATAMOUNT_CACHE/index-v1.sqlite"
	datamount umount data
	rm -f "$DATAMOUNT_CACHE/index-v1.sqlite"
	datamount cache status | grep '^coldest    last used 2020-02-02'
}
