# What all end-to-end tests share.  Put `load helpers` on top of a .bats file;
# each test then starts in an empty directory of its own, $T, with a home, a
# cache and a Git identity of its own, `datamount` in the PATH, and whatever it
# mounts or starts is gone when it ends.
# shellcheck shell=bash
# Variables of a helper are for the test that calls it.
# shellcheck disable=SC2034,SC2154,SC2030,SC2031

bats_require_minimum_version 1.5.0

: "${DATAMOUNT:=$BATS_TEST_DIRNAME/../../build/release/datamount}"
LIB=$BATS_TEST_DIRNAME/../lib

setup () {
	dm_setup
}

teardown () {
	dm_teardown
}

dm_setup () {
	T=$(mktemp -d "${TMPDIR:-/tmp}/dm-e2e.XXXXXX")
	T=$(realpath "$T")
	chmod 755 "$T"
	mkdir -m 700 "$T/home" "$T/run"
	export T HOME=$T/home
	export XDG_CACHE_HOME=$HOME/.cache XDG_CONFIG_HOME=$HOME/.config
	export XDG_STATE_HOME=$HOME/.state XDG_RUNTIME_DIR=$T/run
	export DATAMOUNT_CACHE=$HOME/cache
	export DATAMOUNT_CONFIG_SYSTEM=$T/datamount.conf
	export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=$HOME/.gitconfig
	export GIT_TERMINAL_PROMPT=0 LC_ALL=C TZ=UTC
	unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_PREFIX
	unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
	export no_proxy='*'
	printf '%s\n' '[user]' 'name = Test' 'email = test@example.org' \
		'[init]' 'defaultBranch = main' '[protocol "file"]' \
		'allow = always' '[advice]' 'detachedHead = false' \
		>"$GIT_CONFIG_GLOBAL"
	dm_plant
	DM_BIN=$(dirname "$(realpath "$DATAMOUNT")")
	PATH=$DM_BIN:$PATH:/usr/sbin:/sbin
	DM_PIDS=
	cd "$T" || return 1
}

# A secret where programs keep theirs.  Nothing here is for datamount: it must
# get into nothing that it writes, and dm_teardown looks.
DM_SECRET=kanarie-5f2c9
dm_plant () {
	local name
	mkdir -p "$HOME/.aws"
	printf 'machine 127.0.0.1 login bird password %s\ndefault %s %s\n' \
		"$DM_SECRET" 'login bird password' "$DM_SECRET" >"$HOME/.netrc"
	printf '[default]\naws_secret_access_key = %s\n' "$DM_SECRET" \
		>"$HOME/.aws/credentials"
	printf 'http://bird:%s@127.0.0.1\n' "$DM_SECRET" \
		>"$HOME/.git-credentials"
	printf '[http]\n\textraHeader = Authorization: Bearer %s\n' \
		"$DM_SECRET" >>"$GIT_CONFIG_GLOBAL"
	printf -- '-H "Authorization: Bearer %s"\n' "$DM_SECRET" \
		>"$HOME/.datamountrc"
	chmod 600 "$HOME"/.netrc "$HOME"/.aws/credentials \
		"$HOME"/.git-credentials "$HOME"/.datamountrc
	for name in AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN GITHUB_TOKEN \
		HF_TOKEN DATAMOUNT_TOKEN DATAMOUNT_PASSWORD NETRC_PASSWORD \
		PROXY_PASSWORD; do
		export "$name=$DM_SECRET"
	done
}

# Whether nobody has told it: not what the last commands said, what this test
# printed, or any file below $T but those above.  Of large files, none is of a
# program that talks.
dm_silent () {
	local basic told
	basic=$(printf 'bird:%s' "$DM_SECRET" | base64)
	told=$(
		printf '%s\n' "${output-}" "${stderr-}" |
			grep -aF -e "$DM_SECRET" -e "$basic" || true
		[ ! -f "${BATS_OUT-}" ] ||
			grep -aF -e "$DM_SECRET" -e "$basic" "$BATS_OUT" || true
		find "$T" -xdev -path "$T/home/.netrc" -o -path "$T/home/.aws" \
			-prune -o -path "$T/home/.git-credentials" -o \
			-path "$T/home/.gitconfig" -o \
			-path "$T/home/.datamountrc" -o \
			-type f -size -16384k -print0 2>/dev/null |
			xargs -0r grep -lasF -e "$DM_SECRET" -e "$basic" || true
	)
	[ -z "$told" ] && return 0
	printf 'a secret was told: %s\n' "$told" | sed "s/$DM_SECRET/***/g" >&2
	return 1
}

# strace; leaks cannot be looked for in what is traced.
traced () {
	ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 strace "$@"
}

# soaked TIMES: how often a long run does what it does so often, or a part of
# one (SOAK_PART: a 1000th is 1000).
soaked () {
	echo $((($1 + ${SOAK_PART:-1} - 1) / ${SOAK_PART:-1}))
}

# tried NAME TIMES [SEED [NOTE]]: for the report; NAME is a line of
# tests/floors, NOTE is text for that line.
tried () {
	[ -z "${DM_RESULTS-}" ] || printf \
		'{"name": "%s", "tried": %d, "found": 0, "seed": %d, "note": "%s"}\n' \
		"$1" "$2" "${3:-0}" "${4-}" >>"$DM_RESULTS"
}

# Kill this process when the test ends.
ends_with_test () {
	DM_PIDS="$DM_PIDS $1"
}

# The mount points below $T, deepest first.
dm_mounts () {
	awk -v t="$T/" 'index($5 "/", t) == 1 {print $5}' /proc/self/mountinfo |
		sort -r | while read -r m; do printf '%b\n' "$m"; done
}

dm_teardown () {
	local m pid silent=0
	cd / || return 1
	# Also what a test that failed left in the background: bats would wait.
	for pid in $DM_PIDS $(jobs -p) $(cat "$T/holders" 2>/dev/null); do
		kill "$pid" 2>/dev/null || true
	done
	[ ! -e "$T/nginx/pid" ] || kill "$(cat "$T/nginx/pid")" || true
	dm_mounts | while read -r m; do
		timeout 10 datamount umount "$m" >/dev/null 2>&1 ||
			umount -l "$m" 2>/dev/null ||
			fusermount3 -uz "$m" || true
	done
	dm_silent || silent=1
	# A daemon's log explains a test that failed.
	if [ -z "$BATS_TEST_COMPLETED" ]; then
		find "$XDG_STATE_HOME" -name '*.log' -exec tail -n 30 {} + \
			2>/dev/null || true
	fi
	chmod -R u+rwX "$T" 2>/dev/null || true
	rm -rf "$T"
	return "$silent"
}

# Skip where FUSE is missing; DM_REQUIRE_FUSE=1 makes that a failure.
need_fuse () {
	[ -r /dev/fuse ] && [ -w /dev/fuse ] && return 0
	[ "${DM_REQUIRE_FUSE:-0}" = 1 ] || skip "no usable /dev/fuse"
	echo "no usable /dev/fuse" >&2
	return 1
}

need_root () {
	[ "$(id -u)" = 0 ] || skip "only root can do this"
}

need () {
	command -v "$1" >/dev/null || skip "no $1"
}

# Run a command as an ordinary user, in a mount namespace of its own, where
# everybody may use /dev/fuse: the machine's own is also for other tests.
as_nobody () {
	# shellcheck disable=SC2016 # the inner shell expands them
	unshare -m bash -c '
		set -e
		mkdir -p "$T/dev-fuse" && mount -t tmpfs none "$T/dev-fuse"
		mknod -m 666 "$T/dev-fuse/fuse" c \
			$((0x$(stat -c %t /dev/fuse))) \
			$((0x$(stat -c %T /dev/fuse)))
		mount --bind "$T/dev-fuse/fuse" /dev/fuse
		exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	' as_nobody "$@"
}

# fails STATUS PATTERN COMMAND...: it exits with STATUS, prints no result, and
# one line "datamount: ..." on standard error that matches the extended regular
# expression.
fails () {
	local want=$1 pattern=$2
	shift 2
	run --separate-stderr "$@"
	echo "status $status, expected $want; out: $output; err: $stderr" >&2
	[ "$status" -eq "$want" ]
	[ -z "$output" ]
	[ "$(printf '%s\n' "$stderr" | wc -l)" -eq 1 ]
	[[ $stderr == 'datamount: '* ]]
	[[ $stderr =~ $pattern ]]
}

# Repeat COMMAND... until it succeeds, for at most 30 s.
eventually () {
	local end=$((SECONDS + 30))
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# A mount may put a file there meanwhile.
remove_cache () {
	eventually rm -rf "$DATAMOUNT_CACHE"
}

# status_of DIR KEY: what status says of a mount.
status_of () {
	datamount status "$1" --json >"$T/status.json"
	json "$T/status.json" "d[0]['$2']"
}

# All three are killed: the mount at $1 stays, and nobody answers it.
dead_daemon () {
	local supervisor worker warden
	supervisor=$(status_of "$1" pid)
	worker=$(status_of "$1" worker)
	warden=$(status_of "$1" warden)
	kill -STOP "$supervisor" # or it would start others
	kill -KILL "$warden" "$worker" "$supervisor"
}

# Print a port where nobody listens, and that is this test's until it ends: it
# is bound, so that the kernel gives it to nobody else, and a server that
# reuses addresses can listen on it, now and after it was stopped.
free_port () {
	python3 -c 'import os, signal, socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 0))
pid = os.fork()
if pid == 0:
    os.dup2(s.fileno(), 0)
    os.closerange(1, 1024)
    signal.alarm(3600)  # should nobody end it
    signal.pause()
print(pid, file=open(sys.argv[1], "a"))
print(s.getsockname()[1])' "$T/holders"
}

# Serve a folder with nginx: sets URL, and LOG, one line "METHOD PATH STATUS
# RANGE BYTES" per request.  nginx_stop ends it; called again it comes back on
# the same port.
nginx_start () {
	local try
	mkdir -p "$T/nginx"
	for try in 1 2 3; do
		NGINX_PORT=${NGINX_PORT:-$(free_port)}
		cat >"$T/nginx/conf" <<-END
			pid $T/nginx/pid;
			$([ "$(id -u)" != 0 ] || echo 'user root;')
			worker_processes 1;
			error_log $T/nginx/error.log;
			events { worker_connections 512; }
			http {
				access_log off;
				log_format dm '\$request_method \$uri \$status \$http_range \$body_bytes_sent';
				client_body_temp_path $T/nginx/tmp;
				proxy_temp_path $T/nginx/tmp;
				fastcgi_temp_path $T/nginx/tmp;
				uwsgi_temp_path $T/nginx/tmp;
				scgi_temp_path $T/nginx/tmp;
				server {
					listen 127.0.0.1:$NGINX_PORT;
					root "$(realpath "$1")";
					access_log $T/nginx/access.log dm;
					location = /.settled {
						access_log off;
						return 204;
					}
				}
			}
		END
		# It returns when it listens.
		if nginx -p "$T/nginx" -e "$T/nginx/error.log" \
			-c "$T/nginx/conf" 3>&- 4>&-; then
			URL=http://127.0.0.1:$NGINX_PORT
			LOG=$T/nginx/access.log
			return 0
		fi
		NGINX_PORT=
	done
	return 1
}

# What was answered before is in LOG: a request is logged once its last byte
# was sent, and so after its client may have gone on.
nginx_settle () {
	curl -sSf "http://127.0.0.1:$NGINX_PORT/.settled"
}

nginx_stop () {
	local pid
	pid=$(cat "$T/nginx/pid")
	kill -QUIT "$pid"
	eventually gone "$pid"
}

# Serve a folder with Python's http.server, which knows no ranges: sets URL.
python_start () {
	local fifo=$T/python.fifo line
	mkfifo "$fifo"
	python3 -u -m http.server --bind 127.0.0.1 --directory "$1" 0 \
		>"$fifo" 2>"$T/python.log" 3>&- 4>&- &
	DM_PIDS="$DM_PIDS $!"
	PYTHON_PID=$!
	read -r line <"$fifo"
	rm "$fifo"
	line=${line#* port }
	URL=http://127.0.0.1:${line%% *}
}

# Serve a folder with tests/lib/httpd: sets URL, and CTL, the address of its
# control.  What follows the folder are rules (httpd.h).
httpd_start () {
	local root=$1 rules=()
	shift
	for rule; do rules+=(--rule "$rule"); done
	rm -f "$T/httpd.port"
	mkfifo "$T/httpd.port"
	"$DM_BIN/httpd" --log "$T/httpd.log" "${rules[@]}" "$root" \
		>"$T/httpd.port" 3>&- 4>&- &
	HTTPD_PID=$!
	DM_PIDS="$DM_PIDS $!"
	read -r port <"$T/httpd.port"
	URL=http://127.0.0.1:$port
	CTL=$URL/.ctl
}

# httpd_rule RULE, httpd_ctl COMMAND [ARGUMENT]
httpd_rule () {
	curl -sSf -d "$1" "$CTL/rule"
}

httpd_ctl () {
	curl -sSf -d "${2-}" "$CTL/$1"
}

# How many requests matched the pattern.
httpd_count () {
	curl -sSf "$CTL/count?${1-*}"
}

gone () {
	! kill -0 "$1" 2>/dev/null
}

is_mounted () {
	[[ $'\n'$(dm_mounts)$'\n' == *$'\n'$(realpath -m "$1")$'\n'* ]]
}

# json FILE-OR-- EXPRESSION: evaluate a Python expression over d.
json () {
	python3 -c 'import json, sys
d = json.load(sys.stdin if sys.argv[1] == "-" else open(sys.argv[1]))
r = eval(sys.argv[2])
print(r if not isinstance(r, bool) else str(r).lower())' "$1" "$2"
}

# A small dataset at $1 with version mark $2.
small_data () {
	mkdir -p "$1/sub/empty"
	printf 'a,%s\n' "$2" >"$1/a.csv"
	printf 'b\n' >"$1/sub/b.txt"
	: >"$1/none"
	head -c 300000 /dev/zero | tr '\0' 'z' >"$1/sub/zeros"
}

# A repository at $1 (default $T/repo) with two versions of small_data, tagged
# v1 and v2; V1 and V2 are their ids.
two_versions () {
	REPO=${1:-$T/repo}
	datamount init "$REPO" >/dev/null
	small_data "$T/src" 1
	V1=$(datamount commit -q "$T/src" "$REPO" -m one)
	datamount tag "$REPO" v1 >/dev/null
	printf 'a,2\n' >"$T/src/a.csv"
	printf 'more\n' >"$T/src/more"
	V2=$(datamount commit -q "$T/src" "$REPO" -m two)
	datamount tag "$REPO" v2 >/dev/null
}
