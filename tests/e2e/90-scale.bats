#!/usr/bin/env bats
# What must not grow with the number of files.

# shellcheck disable=SC2012 # names without surprises
load helpers

# 100,000 names of 1,000 files' contents: in one directory ($1 one) or 1,000.
make_files () {
	python3 - "$1" <<'END'
import os
import sys
os.mkdir("inodes")
for i in range(1000):
    with open(f"inodes/{i}", "w", encoding="ascii") as f:
        f.write(f"content {i}\n")
one = sys.argv[1] == "one"
for d in range(1000):
    parent = "src" if one else f"src/d{d:03}"
    os.makedirs(parent, exist_ok=True)
    for i in range(100):
        os.link(f"inodes/{(d * 7 + i) % 1000}", f"{parent}/f{d * 100 + i:06}")
END
}

# All bytes that the server sent.
sent () {
	curl -sSf "$CTL/bytes?*"
}

requests () {
	httpd_count '*'
}

# The most memory that a process of the mount took, in KiB.
most_memory () {
	local f
	for f in /proc/[0-9]*/cmdline; do
		tr '\0' '\n' <"$f" 2>/dev/null | grep -qxF "$T/data" || continue
		awk '/^VmHWM/ {print $2}' "${f%/cmdline}/status"
	done | sort -n | tail -1
}

# at_most KIB MOST: of memory.  A sanitizer keeps what was freed.
at_most () {
	[ -n "${DM_FEW-}" ] || [ "$1" -le "$2" ]
}

# Publish src, serve it, mount it: few requests and bytes, and little memory.
publish_and_mount () {
	datamount init repo
	datamount commit src repo -m 'many files' -q
	httpd_start repo
	datamount "$URL/" "$T/data"
	ls -d data/. >/dev/null
	echo "mount: $(requests) requests, $(sent) bytes"
	[ "$(requests)" -le 7 ]
	[ "$(sent)" -le 200000 ]
}

# Files $1 to $2 in src, of contents of their own.
more_files () {
	python3 - "$1" "$2" <<'END'
import os
import sys
os.makedirs("src", exist_ok=True)
for i in range(int(sys.argv[1]), int(sys.argv[2])):
    with open(f"src/f{i:06}", "w", encoding="ascii") as f:
        f.write(f"content {i}\n")
END
}

# Publish src; then mount it from an empty cache and walk it.  Leaves counts
# in publisher and daemon (KiB), asked, got (bytes).
measure () {
	python3 - "$1" <<'END' >most
import resource
import subprocess
import sys
subprocess.run(["datamount", "commit", "src", "repo", "-q", "-m", sys.argv[1]],
               stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
END
	read -r publisher <most
	[ -n "${URL:-}" ] || httpd_start repo
	datamount cache clear
	rm -f data.source
	httpd_ctl forget
	datamount "$URL/" "$T/data"
	[ "$(find data -type f | wc -l)" = "$1" ]
	asked=$(requests)
	got=$(sent)
	daemon=$(most_memory)
	datamount umount data
	echo "$1: publisher $publisher KiB, $asked requests, $got bytes," \
		"daemon $daemon KiB"
}

@test "what a walk costs a file is the same for 5 times as many" {
	need_fuse
	datamount init repo
	more_files 0 8000
	measure 8000
	local publisher_few=$publisher asked_few=$asked daemon_few=$daemon
	# an id is 32 bytes that nothing compresses
	[ "$got" -le $((8000 * 42 + 100000)) ]
	more_files 8000 40000
	measure 40000
	[ "$got" -le $((40000 * 42 + 100000)) ]
	[ "$asked" -le $((asked_few + 4)) ]
	at_most "$publisher" $((publisher_few + 24576))
	at_most "$daemon" $((daemon_few + 16384))
}

@test "100,000 files in one directory cost a mount and a walk little" {
	need_fuse
	make_files one
	publish_and_mount
	for i in 000000 012345 099999; do
		cmp "src/f$i" "data/f$i"
	done
	[ ! -e data/f100000 ]
	httpd_ctl forget
	[ "$(find data -type f | wc -l)" = 100000 ]
	echo "find: $(requests) requests, $(sent) bytes"
	[ "$(requests)" -le 20 ]
	diff <(ls -f src | sort) <(ls -f data | sort)
	echo "daemon: $(most_memory) KiB"
	at_most "$(most_memory)" 40959
}

@test "100,000 files in 1,000 directories, and an update of one of them" {
	need_fuse
	make_files many
	publish_and_mount
	httpd_ctl forget
	[ "$(find data -type f | wc -l)" = 100000 ]
	echo "find: $(requests) requests, $(sent) bytes"
	[ "$(requests)" -le 20 ]
	echo new >src/d500/new
	datamount commit src repo -m 'one more' -q
	httpd_ctl forget
	datamount update data
	[ "$(cat data/d500/new)" = new ]
	echo "update: $(requests) requests, $(sent) bytes"
	[ "$(requests)" -le 16 ]
	[ "$(sent)" -le 400000 ]
}

@test "a file of 10 GiB that is a hole is published without reading it" {
	need_fuse
	mkdir src
	truncate -s 10G src/file
	printf data | dd of=src/file bs=1 seek=7777777777 conv=notrunc \
		status=none
	datamount init repo
	traced -f -e trace=read,pread64 -o trace \
		datamount commit src repo -m sparse -q
	read=$(awk '$NF > 0 {n += $NF} END {print n + 0}' trace)
	echo "$read bytes were read"
	[ "$read" -lt 20000000 ]
	datamount repo data
	[ "$(stat -c %s data/file)" = $((10 << 30)) ]
	[ "$(tail -c +7777777778 data/file | head -c 4)" = data ]
	cmp -n 100000 -i 7777700000 src/file data/file
}
