#!/usr/bin/env bats
# What others put in our way: secrets to spill, pins, caches and sockets that
# lie.  Each is refused in one line, or does no harm.
# run sets variables; what is in single quotes is not to expand.
# shellcheck disable=SC2154,SC2016
load helpers

publish () {
	small_data src v1
	head -c 300000 /dev/urandom >src/large
	datamount init repo
	datamount commit src repo@main -m 'a version' --quiet
}

# Nobody has CANARY on his tongue: in files below $T but those that the test
# made, in what the commands said, and in what others may see of processes.
silent () {
	local pid found=0
	! grep -rla CANARY "$T" --exclude-dir=data --exclude-dir=planted \
		--exclude='httpd.*' || found=1
	for pid; do
		! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -a CANARY || found=1
	done
	[ "$found" -eq 0 ]
}

@test "secrets from everywhere get into no output, file or command line" {
	local pids
	need_fuse
	publish
	mkdir planted
	printf 'default login me password CANARY\n' >home/.netrc
	chmod 600 home/.netrc
	mv home/.netrc planted/
	ln -s ../planted/.netrc home/.netrc
	httpd_start repo
	export AWS_SECRET_ACCESS_KEY=CANARY-1 AWS_SESSION_TOKEN=CANARY-2
	export GITHUB_TOKEN=CANARY-3 NETRC=$T/planted/.netrc
	export DATAMOUNT_TOKEN=CANARY-4 BEARER_TOKEN=CANARY-5
	git init -q proj
	cd proj
	{
		datamount "$URL/@main" data
		datamount status
		datamount status --json
		datamount doctor data || true
		diff -r ../src data
		datamount stats data || true
		datamount sync || true
		pids="$(status_of data pid) $(status_of data worker)"
		datamount ls "http://me:CANARY@127.0.0.1:1/@main" || true
		datamount ls "http://CANARY@127.0.0.1:1/@main" || true
		datamount ls "$URL/nothing?sig=CANARY@main" || true
		# none of these writes to a URL
		for at in "$URL/x?sig=CANARY" "http://me:CANARY@127.0.0.1:1/x" \
			"http://CANARY@127.0.0.1:1/x?sig=a@CANARY/" \
			"http://127.0.0.1:1?sig=CANARY@main"; do
			datamount commit ../src "$at" -m x || true
			datamount init "$at" || true
			datamount tag "$at" x || true
			datamount branch "$at" x || true
			datamount branch "$at" -d x || true
			datamount gc "$at" || true
			datamount push "$T/repo" "$at" || true
			datamount clone "$T/repo" "$at" || true
		done
		httpd_rule '* * status=403'
		datamount ls --cache "$T/new" "$URL/x/?sig=CANARY&t=1@main" ||
			true
	} >../all.log 2>&1
	# shellcheck disable=SC2086 # two of them
	silent $pids
	run grep -ac 'authorization=[^-]' ../httpd.log
	[ "$output" = 0 ]
	datamount umount data
}

# Every test looks for the secrets that were planted for it (helpers.bash).
@test "a secret that is told is found, wherever it is told" {
	dm_silent
	mkdir -p a/b
	printf 'x\0%s\0y' "$DM_SECRET" >a/b/cache
	run ! dm_silent
	rm a/b/cache
	printf 'Authorization: Basic %s' \
		"$(printf 'bird:%s' "$DM_SECRET" | base64)" >log
	run ! dm_silent
	rm log
	run echo "$DM_SECRET"
	run ! dm_silent
	run echo no
	dm_silent
}

@test "a query of a pinned URL is no part of logs and statuses" {
	need_fuse
	publish
	httpd_start repo
	datamount -q "$URL/@main" data
	datamount umount data
	sed -i "s,^\(repository = .*\)$,\1?sig=CANARY," data.source
	mkdir planted
	mv data.source planted/
	run datamount --source planted/data.source data
	printf '%s\n' "$output" | tee all.log
	datamount status >>all.log 2>&1
	datamount status --json >>all.log 2>&1
	cat all.log
	silent
}

@test "a pin that runs a program or leaves the project is refused" {
	local url
	publish
	need_fuse
	datamount -q "$T/repo@main" data
	datamount umount data
	cp data.source good
	for url in 'ext::sh -c "touch pwned"' '--upload-pack=touch pwned' \
		'-oProxyCommand=touch pwned' '$(touch pwned)' \
		'`touch pwned`' 'a;touch pwned' '|touch pwned' \
		'../../../etc' 'ssh://-oProxyCommand=touch/x' \
		'git://h/x' 'unix:///run/x' 'javascript://h/'; do
		grep -v '^repository = ' good | sed '/^version/q' >data.source
		printf 'repository = %s\n' "$url" >>data.source
		sed '1,/^repository = /d' good >>data.source
		fails 1 '^datamount: ' datamount ./data
		[ ! -e pwned ]
		[ -z "$(dm_mounts)" ]
	done
}

@test "a cache of links, fifos and directories gives no wrong byte" {
	local file n=0
	publish
	datamount export --quiet repo@main out
	printf 'mine\n' >mine
	find "$DATAMOUNT_CACHE" -type f | sort >files
	while read -r file; do
		rm -f "$file"
		case $((n++ % 3)) in
		0) ln -s "$T/mine" "$file" ;;
		1) mkfifo "$file" ;;
		2) mkdir "$file" ;;
		esac
		rm -rf out
		# It may refuse to use such a cache, but it must not wait or lie.
		run timeout 60 datamount export --quiet repo@main out
		[ "$status" -le 1 ]
		[ "$status" -eq 1 ] || diff -r src out
		[ "$(cat mine)" = mine ]
	done <files
	[ "$n" -gt 2 ]
	rm -rf out "$DATAMOUNT_CACHE"
	datamount export --quiet repo@main out
	diff -r src out
}

@test "bad objects that their ids vouch for: EIO, a line in the log, and no more" {
	local what name path n=0
	need_fuse
	mkdir repo
	"$DM_BIN/hostile" repo >lies
	httpd_start repo
	datamount -q "$URL/@main" data
	[ "$(cat data/good)" = good ]
	while read -r what name; do
		path=$name
		[ "$what" = file ] || path=$name/x
		run dd if="data/$path" of=got bs=1M
		if [[ $name == *where* && $status -eq 0 ]]; then
			cmp got data/large || [ "$(cat got)" = x ]
		elif [[ $output != *'Input/output error'* ]]; then
			echo "$name: $output"
			false
		fi
		[ "$(cat data/good)" = good ]
		n=$((n + 1))
	done <lies
	[ "$n" -ge 40 ]
	# Lines of the log are so many in a while; each file tells its own.
	python3 - <<-'END'
		import os
		for line in open('lies'):
		    name = line.split()[1]
		    # of the last one, the chunks that are right were read later
		    if 'where' not in name and name != 'list-chunk-id':
		        path = f'data/{name}'
		        if name == 'id-of-nothing': # its page is fine
		            path += '/x'
		        why = os.getxattr(path, 'user.datamount.error')
		        assert f'/{name}'.encode() in why, (name, why)
	END
	status_of data log >log.name
	[ "$(grep -c 'warn fuse: [a-z]* of /' "$(cat log.name)")" -ge 20 ]
	[ -z "$(grep -o 'warn fuse: .*' "$(cat log.name)" | sort | uniq -d)" ]
	[ "$(find data -mindepth 1 -maxdepth 1 -printf .)" = \
		"$(printf '%*s' $((n + 2)) '' | tr ' ' .)" ]
	run ! grep -aP '[^\t\n\x20-\x7e]' "$(cat log.name)"
	[ "$(status_of data restarts)" = 0 ]
	datamount umount data
}

# sql FILE TEXT: a database at FILE, and what is done in it.
sql () {
	python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript(sys.argv[2])
db.close()' "$1" "$2"
}

@test "a hostile index under a mount is put aside, and every byte is right" {
	local index=$DATAMOUNT_CACHE/index-v1.sqlite text
	need_fuse
	publish
	httpd_start repo
	datamount -q "$URL/@main" data
	for text in \
		'CREATE TABLE blob (key, used); CREATE TRIGGER t AFTER INSERT
		 ON blob BEGIN DELETE FROM blob; END;' \
		'CREATE VIEW blob AS WITH RECURSIVE c(key, used) AS (SELECT
		 zeroblob(32), 1 UNION ALL SELECT key, used + 1 FROM c)
		 SELECT * FROM c;' \
		'CREATE TABLE bookmarks (url TEXT);'; do
		eventually [ -e "$index" ]
		rm -rf "$index.bad" new
		sql new "$text"
		mv new "$index"
		diff -r src data
		eventually [ -e "$index.bad" ]
		datamount cache clear
		diff -r src data
	done
	datamount umount data
}

@test "a hostile memory of what was published makes no commit that lacks bytes" {
	local index text n=0
	publish
	index=$(echo "$DATAMOUNT_CACHE"/publish/index-v2-*.sqlite)
	for text in \
		'UPDATE object SET ordinal = ordinal + 1;' \
		"INSERT INTO object VALUES (x'$(printf 'new 5' | sha256sum |
			cut -c 1-64)', 1, 1, 0);" \
		'CREATE TRIGGER t AFTER INSERT ON object BEGIN DELETE FROM
		 object; END;' 'DROP TABLE pack;'; do
		sql "$index" "$text"
		n=$((n + 2))
		printf 'new %d' $((n + 1)) >src/new
		cp src/large "src/large$n"
		datamount commit src repo@main -m "$n" --rehash --quiet
		datamount verify repo@main
	done
}

@test "a control socket that is spammed answers the next who asks" {
	local socket
	need_fuse
	publish
	datamount -q "$T/repo@main" data
	socket=$(find "$XDG_RUNTIME_DIR" -name '*.sock' | head -n 1)
	[ -S "$socket" ]
	python3 - "$socket" <<-'END'
		import socket, sys
		lines = [b'', b'\n', b'\0', b'x' * 100000, b'status' * 10000,
		    b'stop\0\n', b'../../x\n', b'\xff' * 4096 + b'\n',
		    b'status\nstatus\nstop\n' * 1000]
		for line in lines * 5:
		    s = socket.socket(socket.AF_UNIX)
		    s.settimeout(30)
		    try:
		        s.connect(sys.argv[1])
		        s.sendall(line)
		        s.shutdown(socket.SHUT_WR)
		        while s.recv(65536):
		            pass
		    except OSError:
		        pass
		    s.close()
	END
	[ "$(status_of data pid)" -gt 0 ]
	diff -r src data
	datamount umount data
}

@test "a runtime directory that others own or can write is not used" {
	need_fuse
	publish
	mkdir -p "$T/run/datamount"
	chmod 777 "$T/run/datamount"
	run --separate-stderr datamount -q "$T/repo@main" data
	[ "$status" -eq 1 ]
	[[ $stderr == 'datamount: '* ]]
	[ -z "$(dm_mounts)" ]
	rmdir "$T/run/datamount"
	mkdir elsewhere
	ln -s "$T/elsewhere" "$T/run/datamount"
	run --separate-stderr datamount -q "$T/repo@main" data
	[ -z "$(ls elsewhere)" ]
}
