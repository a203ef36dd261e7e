#!/usr/bin/env bats
# What programs see of a mount: attributes, directories, reads, refusals.
# "run" sets stderr; the names that ls lists are tame.
# shellcheck disable=SC2154,SC2012

load helpers

setup () {
	dm_setup
	need_fuse
	small_data "$T/src" one
	printf '#!/bin/sh\n' >src/run.sh
	chmod 755 src/run.sh
	ln -s a.csv src/link
	ln -s ../a.csv src/sub/up
	datamount init -q "$T/repo" 2>/dev/null
}

show () {
	datamount commit -q "$@" "$T/src" "$T/repo@main" -m data >"$T/commit"
	datamount -q "$T/repo@main" data
}

# Exit 0 if the command fails with this errno's text.
errno () {
	run --separate-stderr "${@:2}"
	echo "$output $stderr" >&2
	[ "$status" -ne 0 ]
	[[ "$output$stderr" == *"$1"* ]]
}

@test "every way to change something is refused with EROFS" {
	show
	: >spare
	python3 - <<-'END'
		import errno, os
		R = 'data/a.csv'
		calls = {
		    'open w': lambda: os.open(R, os.O_WRONLY),
		    'open rw': lambda: os.open(R, os.O_RDWR),
		    'truncate': lambda: os.truncate(R, 0),
		    'create': lambda: os.open('data/new', os.O_CREAT | os.O_WRONLY),
		    'mkdir': lambda: os.mkdir('data/new'),
		    'rmdir': lambda: os.rmdir('data/sub/empty'),
		    'unlink': lambda: os.unlink(R),
		    'rename': lambda: os.rename(R, 'data/b'),
		    'link': lambda: os.link(R, 'data/b'),
		    'symlink': lambda: os.symlink('x', 'data/b'),
		    'mknod': lambda: os.mkfifo('data/b'),
		    'chmod': lambda: os.chmod(R, 0o600),
		    'chown': lambda: os.chown(R, 1, 1),
		    'utime': lambda: os.utime(R, (0, 0)),
		    'setxattr': lambda: os.setxattr(R, 'user.x', b'y'),
		    'removexattr': lambda: os.removexattr(R, 'user.datamount.digest'),
		}
		for name, call in calls.items():
		    try:
		        call()
		    except OSError as e:
		        assert e.errno == errno.EROFS, (name, e)
		    else:
		        raise AssertionError(name)
	END
	diff -r --no-dereference src data
}

@test "a mount that root made writable refuses too" {
	need_root
	show
	mount -i -o remount,rw data
	errno 'Read-only file system' bash -c 'echo x >>data/a.csv'
	errno 'Read-only file system' touch data/new
	errno 'Read-only file system' rm data/a.csv
	errno 'Read-only file system' mkdir data/d
	errno 'Read-only file system' chmod 600 data/a.csv
	cmp data/a.csv src/a.csv
}

@test "the mount options keep others and devices out" {
	show
	run awk -v d="$T/data" '$2 == d {print "," $4 ","; print $1, $3}' \
		/proc/self/mounts
	for o in ro nosuid nodev noexec default_permissions; do
		[[ ${lines[0]} == *",$o,"* ]]
	done
	[ "${lines[1]}" = 'datamount fuse.datamount' ]
}

@test "attributes are the commit's, the user's and the tree's" {
	show --date 2020-02-02T02:02:02Z
	[ "$(stat -c %A data/a.csv)" = -r--r--r-- ]
	[ "$(stat -c %A data/run.sh)" = -r-xr-xr-x ]
	[ "$(stat -c %A data/sub)" = dr-xr-xr-x ]
	[ "$(stat -c %A data/link)" = lrwxrwxrwx ]
	[ "$(stat -c %u:%g data/a.csv)" = "$(id -u):$(id -g)" ]
	for f in data data/a.csv data/link data/sub; do
		[ "$(date -u -d "@$(stat -c %Y "$f")" +%FT%TZ)" = 2020-02-02T02:02:02Z ]
		[ "$(stat -c %Y "$f")" = "$(stat -c %Z "$f")" ]
	done
	[ "$(stat -c %h:%b data/none)" = 1:0 ]
	[ "$(stat -c %s:%b data/sub/zeros)" = 300000:586 ]
	[ "$(readlink data/link)" = a.csv ]
	[ "$(readlink data/sub/up)" = ../a.csv ]
}

@test "inode numbers are positions, the same in every mount" {
	show
	(cd data && find . -printf '%i %p\n' | sort -n) >one
	[ "$(head -1 one)" = '1 .' ]
	[ "$(cut -d' ' -f1 one | tr '\n' ' ')" = "$(seq -s' ' "$(wc -l <one)") " ]
	datamount umount data
	datamount -q data
	(cd data && find . -printf '%i %p\n' | sort -n) | cmp - one
}

@test "statfs tells the version's totals" {
	show
	run stat -f -c '%b %s %f %a %c %d %l' data
	# 300000 bytes and a few, in blocks; entries: 9 below the root.
	[ "$output" = '74 4096 0 0 10 0 255' ]
}

@test "extended attributes name digest, chunks, commit, source and repository" {
	head -c 5000000 /dev/urandom >src/big
	show
	x () { getfattr --only-values -n "user.datamount.$1" "$2" 2>/dev/null; }
	for f in a.csv none big sub/zeros; do
		[ "$(x digest data/$f)" = "$(sha256sum <src/$f | cut -c1-64)" ]
	done
	[ "$(x chunks data/none)" = 0 ]
	[ "$(x chunks data/a.csv)" = 1 ]
	[ "$(x chunks data/big)" -gt 2 ]
	cat data/big >/dev/null
	[ "$(x cached data/big)" = 5000000 ]
	[ "$(x commit data)" = "$(cat commit)" ]
	[ "$(x source data)" = "$T/data.source" ]
	[ "$(x repo data)" = "$T/repo" ]
	errno 'No such attribute' getfattr -n user.datamount.commit data/sub
	errno 'No such attribute' getfattr -n user.datamount.digest data/sub
	errno 'No such attribute' getfattr -n user.nonsense data/a.csv
	errno 'not supported' getfattr -n security.nonsense data/a.csv
	# A buffer that is too small, or only asks for the size.
	python3 - <<-'END'
		import ctypes, errno, os
		c = ctypes.CDLL(None, use_errno=True)
		n = b'user.datamount.digest'
		assert c.getxattr(b'data/a.csv', n, None, 0) == 64
		b = ctypes.create_string_buffer(10)
		assert c.getxattr(b'data/a.csv', n, b, 10) == -1
		assert ctypes.get_errno() == errno.ERANGE
	END
}

@test "a directory of 20,000 entries lists whole, and again from any place" {
	mkdir src/many
	(cd src/many && seq -f 'file-%06.0f' 20000 | xargs touch)
	show
	ls -f data/many | sort >one
	(ls -f src/many) | sort | cmp - one
	cat >seek.c <<-'END'
		#include <dirent.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		enum { N = 20002 };
		static char names[N][32];
		static long at[N];
		int main(int argc, char **argv)
		{
			DIR *d = opendir(argv[argc - 1]);
			struct dirent *e;
			int n = 0;
			for (;; n++) {
				long where = telldir(d);
				if ((e = readdir(d)) == NULL)
					break;
				at[n] = where;
				snprintf(names[n], sizeof(names[n]), "%s", e->d_name);
			}
			if (n != N)
				return 1;
			srand(1);
			for (int i = 0; i < 3000; i++) {
				int k = rand() % N;
				seekdir(d, at[k]);
				e = readdir(d);
				if (e == NULL || strcmp(e->d_name, names[k]) != 0)
					return 2;
			}
			rewinddir(d);
			for (n = 0; readdir(d) != NULL; n++)
				continue;
			return n == N ? 0 : 3;
		}
	END
	cc -o seek seek.c
	./seek data/many
	echo 2 >/proc/sys/vm/drop_caches 2>/dev/null || true
	./seek data/many
}

@test "each entry is listed once with the type and number that stat tells" {
	show
	python3 - <<-'END'
		import os
		for d, _, _ in os.walk('data'):
		    seen = set()
		    for e in os.scandir(d):
		        assert e.name not in seen
		        seen.add(e.name)
		        st = os.lstat(e.path)
		        assert e.inode() == st.st_ino, e.path
		        assert e.is_dir(follow_symlinks=False) == os.path.isdir(e.path) or e.is_symlink()
		    assert seen == set(os.listdir(d.replace('data', 'src', 1)))
	END
}

@test "reads at any place, by any call, give the published bytes" {
	head -c 6000000 /dev/urandom >src/big
	show
	python3 - <<-'END'
		import mmap, os, random
		want = open('src/big', 'rb').read()
		fd = os.open('data/big', os.O_RDONLY)
		rnd = random.Random(1)
		for _ in range(300):
		    off = rnd.randrange(0, len(want) + 5000)
		    n = rnd.choice((1, 100, 4096, 65536, 2000000))
		    assert os.pread(fd, n, off) == want[off:off + n]
		with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as m:
		    assert m[:] == want
		out = os.open('copy', os.O_CREAT | os.O_RDWR)
		off = 0
		while off < len(want):
		    off += os.sendfile(out, fd, off, len(want) - off)
		assert os.pread(out, len(want), 0) == want
		assert os.lseek(fd, 0, os.SEEK_HOLE) == len(want)
		assert os.lseek(fd, 100, os.SEEK_DATA) == 100
		direct = os.open('data/big', os.O_RDONLY | os.O_DIRECT)
		buf = mmap.mmap(-1, 1 << 20)
		for off in (0, 4096, 1 << 20, 5 << 20):
		    n = os.preadv(direct, [buf], off)
		    assert buf[:n] == want[off:off + n] and n > 0
	END
	cmp data/big src/big
}

@test "names of any bytes are found, and others are not" {
	long=$(printf 'x%.0s' {1..255})
	odd=(src/$'new\nline' src/$'tab\t' src/$'\xff\xfe' "src/ space" src/-dash "src/$long")
	for f in "${odd[@]}"; do
		printf '%s' "$f" >"$f"
	done
	show
	diff -r --no-dereference src data
	for f in data/nothing data/a.csv.not data/sub/nothing data/.git; do
		[ ! -e "$f" ]
		[ ! -e "$f" ]
	done
	errno 'File name too long' stat "data/${long}x"
	errno 'Not a directory' stat data/a.csv/x
}

@test "a symlink that leaves the mount answers EACCES, and --symlinks=all shows it" {
	ln -s /etc/passwd src/out
	show --symlinks=keep
	errno 'Permission denied' readlink -v data/out
	[ "$(readlink data/link)" = a.csv ]
	datamount umount data
	datamount -q --symlinks=all data
	[ "$(readlink data/out)" = /etc/passwd ]
}

# Read all, and again: is the daemon asked only the first time?
asked_once () {
	ls -lR data >/dev/null
	cat data/a.csv data/sub/zeros >/dev/null
	datamount status data --json >one
	ls -lR data >/dev/null
	find data -type f | wc -l >/dev/null
	cat data/a.csv data/sub/zeros >/dev/null
	readlink data/link >/dev/null
	[ ! -e data/missing ] || return 1
	datamount status data --json >two
	[ ! -e data/missing ] || return 1
	datamount status data --json >three
	for c in read getattr readdir readdirplus; do
		[ "$(json one "d[0]['fuse']['$c']")" = \
			"$(json two "d[0]['fuse']['$c']")" ] || return 1
	done
	[ "$(json two "d[0]['fuse']['lookup']")" = \
		"$(json three "d[0]['fuse']['lookup']")" ]
}

# Meanwhile others may drop the kernel's caches, as tests of mounts do.
@test "what was read once is not asked for again" {
	show
	eventually asked_once
}
