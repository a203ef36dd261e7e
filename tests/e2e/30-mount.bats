#!/usr/bin/env bats
# Mounting, looking after mounts, unmounting.
# "run" sets stderr, eval expands later, DM_PIDS is for this test's teardown.
# shellcheck disable=SC2154,SC2094,SC2016,SC2030,SC2031

load helpers

setup () {
	dm_setup
	need_fuse
	small_data "$T/src" one
	datamount init -q "$T/repo" 2>/dev/null
	datamount commit -q "$T/src" "$T/repo@main" -m one >"$T/one"
}

cached_count () {
	datamount status data --json >"$T/status.json"
	json "$T/status.json" "d[0]['cache']['$1']"
}

# Exit 0 if the command fails with this errno's text.
errno () {
	run --separate-stderr "${@:2}"
	echo "$output $stderr" >&2
	[ "$status" -ne 0 ]
	[[ "$output$stderr" == *"$1"* ]]
}

@test "a mount shows the published tree, and so does the next one" {
	for _ in 1 2; do
		datamount "$T/repo@main" data
		diff -r --no-dereference src data
		datamount umount data
		[ -d data ]
		[ -z "$(ls -A data)" ]
	done
}

@test "umount leaves no socket behind and says so when nothing is mounted" {
	datamount "$T/repo@main" data
	[ "$(ls run/datamount)" ]
	datamount umount data
	[ -z "$(ls run/datamount)" ]
	fails 1 'nothing of datamount is mounted' datamount umount data
	fails 1 'nothing of datamount is mounted' datamount status data
}

@test "umount goes on after a failure, and fails" {
	datamount "$T/repo@main" data
	mkdir other
	run datamount umount other data
	[ "$status" -eq 1 ]
	run ! is_mounted data
}

@test "status tells what is mounted, from where, and what was read" {
	datamount "$T/repo@main" data
	cat data/a.csv >/dev/null
	[ "$(status_of data dir)" = "$T/data" ]
	[ "$(status_of data commit)" = "$(cat one)" ]
	[ "$(status_of data repository)" = "$T/repo" ]
	[ "$(status_of data state)" = ok ]
	[ "$(status_of data source)" = "$T/data.source" ]
	[ -f "$(status_of data log)" ]
	[ "$(json status.json "d[0]['fuse']['read']")" = 1 ]
	[ "$(json status.json "d[0]['fuse']['bytes_read']")" = 6 ]
	eventually eval '[ "$(status_of data origin)" ] &&
		[ "$(json status.json "d[0][\"origin\"][\"requests\"] > 0")" = true ]'
	# root's mounts are for everybody, and say so
	[ "$(json status.json "d[0]['allow_other']")" = \
		"$([ "$(id -u)" -eq 0 ] && echo true || echo false)" ]
	run datamount status data
	[[ $output == *"$(cat one)"* ]]
	[[ $output == *"$T/repo"* ]]
}

@test "status --check fails when the pin is not what is mounted" {
	datamount "$T/repo@main" data
	datamount status data --check
	echo more >src/more
	datamount commit -q src "$T/repo@main" -m two >two
	sed -i "s/$(cat one)/$(cat two)/" data.source
	run datamount status data --check
	[ "$status" -eq 1 ]
	[[ $output == *"pinned   $(head -c 12 two), mounted $(head -c 12 one)"* ]]
	[[ $output == *"datamount sync $T/data"* ]]
	[ "$(status_of data as_pinned)" = false ]
}

@test "status lists every mount in order" {
	datamount "$T/repo@main" b
	datamount "$T/repo@main" a
	datamount status --json >status.json
	[ "$(json status.json "[m['dir'] for m in d if m['dir'].startswith('$T')]")" = "['$T/a', '$T/b']" ]
}

@test "umount of a mount in use fails and names the process" {
	datamount "$T/repo@main" data
	exec 7<data/a.csv
	fails 1 "data is in use by [a-z.]+ \(([0-9]+)\)" datamount umount data
	exec 7<&-
	datamount umount data
}

@test "umount of a mount that a process stands in names that process" {
	datamount "$T/repo@main" data
	(cd data/sub && exec sleep 60 3>&- 4>&-) &
	DM_PIDS="$DM_PIDS $!"
	local pid=$!
	eventually eval '[ "$(cat /proc/$pid/comm)" = sleep ]'
	fails 1 "sleep \($pid\)" datamount umount data
	kill "$pid"
	wait "$pid" || true
	datamount umount data
}

@test "umount --lazy frees the mount point; who has a file open keeps it" {
	datamount "$T/repo@main" data
	exec 7<data/sub/zeros
	datamount umount --lazy data
	run ! is_mounted data
	datamount "$T/repo@main" data
	cmp - src/sub/zeros <&7
	exec 7<&-
	cmp data/sub/zeros src/sub/zeros
	datamount umount data
}

@test "the mount point of a dead daemon is replaced" {
	datamount "$T/repo@main" data
	dead_daemon data
	eventually errno 'Transport endpoint' ls data
	fails 1 'is dead' datamount status data
	run datamount status --check
	[ "$status" -eq 1 ]
	[[ $output == *"$T/data"*dead* ]]
	datamount data
	cmp data/a.csv src/a.csv
	[ "$(grep -c " $T/data " /proc/self/mounts)" = 1 ]
}

@test "a dead daemon's mount can be unmounted" {
	datamount "$T/repo@main" data
	dead_daemon data
	eventually errno 'Transport endpoint' ls data
	datamount umount data
	run ! is_mounted data
}

@test "a mount point in use by a version, a file, or files is refused" {
	datamount "$T/repo@main" data
	fails 1 'a version is mounted there' datamount data
	mkdir full
	: >full/file
	fails 1 'not empty' datamount "$T/repo@main" full
	fails 1 'not a directory' datamount "$T/repo@main" full/file
}

@test "a missing mount point is made" {
	datamount "$T/repo@main" new
	cmp new/a.csv src/a.csv
}

@test "a mount point's name may have any byte" {
	d=$'we ird\n\\ \xff'
	mkdir "$d"
	datamount "$T/repo@main" "$d/data"
	cmp "$d/data/a.csv" src/a.csv
	datamount umount "$d/data"
	[ -z "$(ls -A "$d/data")" ]
}

@test "a subdirectory can be mounted by itself" {
	datamount "$T/repo@main:sub" data
	diff -r src/sub data
	[ "$(stat -c %i data)" = 1 ]
}

@test "the daemon holds nothing of its caller's open" {
	# cat ends when the last writer of its input has closed it.
	datamount "$T/repo@main" data 2>&1 | cat >/dev/null
	cmp data/a.csv src/a.csv
}

@test "in the foreground, SIGINT unmounts and the command succeeds" {
	mkdir data
	datamount --foreground "$T/repo@main" data 2>log 3>&- 4>&- &
	local pid=$!
	DM_PIDS="$DM_PIDS $pid"
	eventually is_mounted data
	eventually cmp data/a.csv src/a.csv
	kill -INT "$pid"
	wait "$pid"
	run ! is_mounted data
}

@test "SIGTERM unmounts at once" {
	datamount "$T/repo@main" data
	kill -TERM "$(status_of data pid)"
	eventually eval '! is_mounted data'
}

@test "SIGTERM to the worker alone does nothing" {
	datamount "$T/repo@main" data
	local worker
	worker=$(status_of data worker)
	kill -TERM "$worker"
	cmp data/a.csv src/a.csv
	[ "$(status_of data worker)" = "$worker" ]
	[ "$(status_of data restarts)" = 0 ]
}

@test "a mount that was unmounted from outside ends its daemon" {
	need_root
	datamount "$T/repo@main" data
	umount data
	eventually eval '[ -z "$(ls run/datamount)" ]'
}

# Kill the process that waits in a read of data/sub/zeros; it is gone long
# before the origin's timeout of 60 s.
killed_while_waiting () {
	local pid begin
	"$@" >/dev/null 2>&1 3>&- 4>&- &
	pid=$!
	eventually eval '[ "$(cached_count waiting)" -ge 1 ]'
	begin=$(date +%s%N)
	kill -KILL "$pid"
	wait "$pid" || true
	[ $(($(date +%s%N) - begin)) -lt 20000000000 ]
	# And others are not held up.
	timeout 20 ls -l data >/dev/null
}

@test "a killed reader is gone at once while the origin is silent" {
	httpd_start repo
	datamount "$URL/@main" data --timeout 60
	httpd_rule '/packs/* * stall=0'
	killed_while_waiting cat data/sub/zeros
	[ "$(status_of data last_error)" = None ]
}

@test "a killed reader's request is dropped, and is no error" {
	httpd_start repo
	datamount "$URL/@main" data --timeout 60
	httpd_rule '/packs/* * stall=0'
	# Past the page cache the reader waits for its own request.
	killed_while_waiting dd if=data/sub/zeros iflag=direct bs=64k
	# It is counted once it has ended.
	eventually eval '[ "$(cached_count waiting)" = 0 ] &&
		[ "$(json status.json "d[0][\"fuse\"][\"interrupted\"]")" = 1 ]'
	[ "$(json status.json "d[0]['fuse']['errors']")" = 0 ]
}

@test "what is cached stays readable when the origin is gone" {
	httpd_start repo
	datamount "$URL/@main" data
	cat data/a.csv >/dev/null
	datamount umount data
	kill "$HTTPD_PID"
	wait "$HTTPD_PID" || true
	datamount data
	cmp data/a.csv src/a.csv
	ls -lR data >/dev/null
}

@test "an origin that does not answer is ETIMEDOUT, and the file tells why" {
	head -c 3000000 /dev/urandom >src/big
	datamount commit -q src "$T/repo@main" -m big >two
	httpd_start repo
	datamount "$URL/@main" data --timeout 2
	httpd_rule '/packs/* * stall=0'
	errno 'timed out' timeout 20 cat data/big
	run getfattr --only-values -n user.datamount.error data/big
	[[ $output == *read* ]]
	[ "$(status_of data last_error)" ]
	[ "$(json status.json "'read' in d[0]['last_error']['text']")" = true ]
	httpd_ctl clear
	# For a moment more the same place is not waited for.
	eventually cmp data/big src/big
	errno 'No such attribute' getfattr -n user.datamount.error data/big
}

@test "an ordinary user mounts, reads and unmounts through fusermount3" {
	need_root
	need unshare
	need fusermount3
	mkdir u
	chmod -R a+rX repo "$T/home"
	chown 65534:65534 u
	# The build may lie where only root can go.
	install -m 755 "$DM_BIN/datamount" u/datamount
	cat >u/script <<-'END'
		set -e
		PATH=$T/u:$PATH
		export HOME=$T/u XDG_RUNTIME_DIR=$T/u/r
		export XDG_STATE_HOME=$T/u/state DATAMOUNT_CACHE=$T/u/cache
		mkdir -m 700 "$XDG_RUNTIME_DIR"
		cd "$T/u"
		datamount --no-git "$R" data
		diff -r --no-dereference "$T/src" data
		test "$(stat -c %u:%g data/a.csv)" = 65534:65534
		datamount status data --check
		exec 7<data/a.csv
		! datamount umount data
		exec 7<&-
		datamount umount data
		test -z "$(ls -A data)"
		datamount data
		d=$(datamount status data --json)
		kill -KILL "$(echo "$d" | sed -n 's/.*"pid": \([0-9]*\).*/\1/p' | tail -n 1)"
		i=0
		while grep -q " $T/u/data " /proc/self/mounts; do
			i=$((i + 1)); test $i -lt 1200; sleep 0.05
		done
	END
	httpd_start repo
	R=$URL/@main run as_nobody bash u/script
	echo "$output" >&2
	[ "$status" -eq 0 ]
}

@test "the control socket answers nonsense with an error" {
	datamount "$T/repo@main" data
	python3 - run/datamount/*.sock <<-'END'
		import os, socket, stat, sys
		assert stat.S_IMODE(os.stat(sys.argv[1]).st_mode) == 0o600
		for text in (b'\n', b'nonsense\n', b'x' * 5000, b'\0\xff\n', b''):
		    s = socket.socket(socket.AF_UNIX)
		    os.chdir(os.path.dirname(sys.argv[1]) or '.')
		    s.connect(os.path.basename(sys.argv[1]))
		    s.settimeout(5)
		    try:
		        s.sendall(text)
		        s.shutdown(socket.SHUT_WR)
		        got = s.recv(4096)
		    except (ConnectionResetError, BrokenPipeError):
		        continue
		    assert got.startswith(b'error ') or text.startswith(b'x'), got
		    os.chdir(os.environ['T'])
	END
	[ "$(status_of data state)" = ok ]
}

@test "without /dev/fuse one line says what to do, and nothing is left" {
	need_root
	mkdir dev
	run unshare -m bash -c '
		mount -t tmpfs none dev && mknod -m 666 dev/null c 1 3 &&
		mount --bind dev /dev && exec datamount "$T/repo@main" data'
	[ "$status" -eq 1 ]
	[[ $output == "datamount: /dev/fuse is not there: "*fuse3* ]]
	[ ! -e data ]
	[ ! -e data.source ]
}

@test "without fusermount3 an ordinary user is told what to install" {
	need_root
	need fusermount3
	mkdir u
	chmod -R a+rX repo "$T/home"
	install -m 755 "$DM_BIN/datamount" u/datamount
	chown -R 65534:65534 u repo
	run unshare -m bash -c '
		mkdir devs && mount -t tmpfs none devs &&
		mknod -m 666 devs/fuse c 10 229 &&
		mount --bind devs/fuse /dev/fuse &&
		mount --bind /dev/null \
			"$(realpath "$(command -v fusermount3)")" &&
		export HOME=$T/u XDG_RUNTIME_DIR=$T/u/run &&
		export XDG_STATE_HOME=$T/u/state &&
		export DATAMOUNT_CACHE=$T/u/cache && cd u &&
		exec setpriv --reuid 65534 --regid 65534 --clear-groups \
			./datamount "$T/repo@main" data'
	[ "$status" -eq 1 ]
	[[ $output == "datamount: "*fusermount3*fuse3* ]]
	[ ! -e u/data ]
	[ ! -e u/data.source ]
}

@test "a build that cannot pass files through says so, and does without" {
	grep -q 'libfuse that cannot' "$(command -v datamount)" ||
		skip "built with a libfuse that can"
	fails 1 '--io=passthrough: .* libfuse 3.17 ' \
		datamount --io passthrough "$T/repo@main" data
	[ ! -e data ]
	[ ! -e data.source ]
	fails 2 "--io is auto, daemon or passthrough, not fast" \
		datamount --io fast "$T/repo@main" data
	datamount --io auto "$T/repo@main" data
	diff -r --no-dereference src data
	datamount status data | grep -q '^  io  *daemon: '
	datamount status data --json |
		json - "d[0]['io']['asked'] + d[0]['io']['mode']" | grep -x autodaemon
}
