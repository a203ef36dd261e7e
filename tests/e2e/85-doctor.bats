#!/usr/bin/env bats
# datamount doctor: it sees what is wrong, and says how to mend it.

# shellcheck disable=SC2154 # run sets them
# shellcheck disable=SC2016 # another shell expands them
load helpers

setup () {
	dm_setup
	need_fuse
	mkdir -m 700 "$DATAMOUNT_CACHE"
}

# doctor STATUS PATTERN ARGUMENT...: it exits with STATUS and prints a line that
# matches.  Every line has the form that the page promises.
doctor () {
	local want=$1 pattern=$2
	shift 2
	run --separate-stderr datamount doctor "$@"
	see "$want" "$pattern"
}

see () {
	echo "status $status, expected $1; out: $output; err: $stderr" >&2
	[ "$status" -eq "$1" ]
	[ -z "$stderr" ]
	if grep -vE '^(ok  |warn|fail) [a-z0-9_-]+: ' <<<"$output"; then
		return 1
	fi
	grep -qE "^$2" <<<"$output"
	[ "$1" -eq "$(grep -c '^fail' <<<"$output" | sed 's/^[1-9].*/1/')" ]
}

# The same as an ordinary user, in mounts of their own, after COMMAND as root.
doctor_user () {
	local want=$1 pattern=$2 command=$3
	shift 3
	need_root
	need unshare
	mkdir -p u
	chown 65534:65534 u
	chmod a+x home
	run --separate-stderr env COMMAND="$command" unshare -m bash -c '
		set -e
		mkdir -p devs && mount -t tmpfs none devs
		mknod -m 666 devs/fuse c $((0x$(stat -c %t /dev/fuse))) \
			$((0x$(stat -c %T /dev/fuse)))
		mount --bind devs/fuse /dev/fuse
		eval "$COMMAND"
		export HOME=$T/u XDG_CONFIG_HOME=$T/u XDG_RUNTIME_DIR=$T/u
		export XDG_STATE_HOME=$T/u DATAMOUNT_CACHE=$T/u/cache
		export TMPDIR=$T/u
		cd "$T/u"
		exec $PRIVS setpriv --reuid 65534 --regid 65534 \
			--clear-groups datamount doctor "$@"' doctor "$@"
	see "$want" "$pattern"
}

# The same as root.
doctor_root () {
	local want=$1 pattern=$2 command=$3
	shift 3
	need_root
	need unshare
	run --separate-stderr env COMMAND="$command" unshare -m bash -c '
		set -e
		eval "$COMMAND"
		exec $PRIVS datamount doctor "$@"' doctor "$@"
	see "$want" "$pattern"
}

@test "where all is well no line says otherwise" {
	need git
	two_versions
	nginx_start "$REPO"
	doctor 0 'ok   origin: ' "$URL/"
	# What the machine is like is not for this test to say.
	[ "$(grep -vcE '^ok|^warn (max_user_|cache-disk|disk|inodes)' \
		<<<"$output")" -eq 0 ]
	for what in config fuse fusermount3 mount cache disk git tls ranges \
		repository clock; do
		grep -q " $what: " <<<"$output"
	done
	[ -z "$(dm_mounts)" ]
	[ -z "$(find "$DATAMOUNT_CACHE" -name 'doctor*')" ]
}

@test "--json says the same" {
	datamount doctor >text
	datamount doctor --json >json
	[ "$(json json 'len(d["checks"])')" -eq "$(wc -l <text)" ]
	[ "$(json json '[c["verdict"] for c in d["checks"]
		if c["what"] == "git"][0]')" = "$(awk '$2 == "git:" {print $1}' text)" ]
	[ "$(json json 'd["failed"]')" -eq 0 ]
	run datamount doctor --json "$T/none"
	[ "$status" -eq 1 ]
	[ "$(json - 'd["failed"]' <<<"$output")" -eq 1 ]
	[ "$(json - '[c for c in d["checks"] if c["verdict"] == "fail"][0]["what"]' \
		<<<"$output")" = repository ]
}

@test "two operands, and options that make no sense, exit 2" {
	fails 2 'one operand too many' datamount doctor a b
	fails 2 'timeout' datamount doctor --timeout soon
}

# ---- FUSE

@test "a missing /dev/fuse fails" {
	doctor_root 1 'fail fuse: /dev/fuse: No such file.*\(fix: modprobe fuse' '
		mkdir dev && mount -t tmpfs none dev
		mknod -m 666 dev/null c 1 3
		mount --bind dev /dev'
}

@test "a /dev/fuse that may not be opened fails" {
	doctor_root 1 'fail fuse: /dev/fuse: Permission denied \(fix: ' '
		mount --bind /dev/fuse /dev/fuse
		mount -o remount,bind,nodev /dev/fuse'
}

@test "a root that may not mount fails" {
	need setpriv
	PRIVS='setpriv --bounding-set -sys_admin --inh-caps -sys_admin' \
		doctor_root 1 'fail mount: a trial: .*\(fix: in a container' ''
}

@test "an ordinary user with a setuid fusermount3 can mount" {
	need fusermount3
	doctor_user 0 'ok   fusermount3: .* is setuid root' ''
	grep -qE '^ok   mount: a trial mount works; .* FUSE 7\.' <<<"$output"
}

@test "a missing fusermount3 fails for ordinary users only" {
	hide='mount --bind /dev/null "$(realpath "$(command -v fusermount3)")"'
	doctor_user 1 'fail fusermount3: neither .*\(fix: apt-get install fuse3' \
		"$hide"
	[[ $output != *' mount: '* ]]
	doctor_root 0 'ok   fusermount3: root mounts without it' "$hide"
}

@test "a fusermount3 that is not setuid fails" {
	need fusermount3
	doctor_user 1 'fail fusermount3: .* is not setuid root .*chmod u\+s' '
		f=$(realpath "$(command -v fusermount3)")
		cp "$f" plain && chmod 755 plain && mount --bind plain "$f"'
}

@test "a fusermount3 on a file system without setuid fails" {
	need fusermount3
	doctor_user 1 'fail fusermount3: .* mounted nosuid \(fix: ' '
		f=$(realpath "$(command -v fusermount3)")
		mount --bind "$f" "$f" && mount -o remount,bind,nosuid "$f"'
}

@test "a process that may gain no privileges fails" {
	need fusermount3
	PRIVS='setpriv --no-new-privs' doctor_user 1 \
		'fail fusermount3: .*no_new_privs.*NoNewPrivileges=no' ''
}

@test "user_allow_other is missed where it is wanted" {
	conf='printf "# user_allow_other\nuser_allow_other_not\n" >conf
		touch /etc/fuse.conf; mount --bind conf /etc/fuse.conf'
	doctor_user 0 'ok   allow-other: not allowed.*not wanted' "$conf"
	doctor_user 1 'fail allow-other: wanted.*\(fix: as root: echo user_al' \
		"$conf" --allow-other
	mkdir -p u/datamount
	printf '[mount]\nallow-other = yes\n' >u/datamount/config
	doctor_user 1 'fail allow-other: wanted' "$conf"
	doctor_user 0 'ok   allow-other: user_allow_other is set' \
		"$conf; echo ' user_allow_other ' >>conf"
}

@test "what confines a mount is said" {
	doctor 0 '(ok   confinement: .*seccomp|warn confinement: this kernel lacks )'
}

@test "limits of reading ahead are compared for ordinary users" {
	p=/sys/module/fuse/parameters
	[ -e $p/max_user_bgreq ] || skip "no $p/max_user_bgreq"
	doctor_user 0 'warn max_user_bgreq: 1023: .*fix: as root: echo 1024 > ' "
		echo 1023 >n && mount --bind n $p/max_user_bgreq
		echo 768 >m && mount --bind m $p/max_user_congthresh"
	grep -q '^ok   max_user_congthresh: 768' <<<"$output"
	doctor_user 0 'warn max_user_congthresh: 767: .*echo 768 > ' "
		echo 1024 >n && mount --bind n $p/max_user_bgreq
		echo 767 >m && mount --bind m $p/max_user_congthresh"
	grep -q '^ok   max_user_bgreq: 1024' <<<"$output"
	doctor_user 0 'warn max_user_bgreq: .* cannot be read \(fix: mount sysfs' \
		"mount -t tmpfs none /sys"
	doctor_root 0 'ok   max_user_bgreq: does not bind root' ''
}

# ---- the cache

@test "a cache directory that is not there yet is not made" {
	doctor 0 'ok   cache: .*/new/cache does not exist yet' \
		--cache "$T/new/cache"
	[ ! -e new ]
}

@test "a cache directory that cannot be made fails" {
	doctor_user 1 'fail cache: .*Permission denied \(fix: choose another' '' \
		--cache "$T/home/new"
}

@test "a cache directory of another user, or open to all, fails" {
	need_root
	mkdir -m 700 theirs
	chown 12345 theirs
	doctor 1 'fail cache: .*theirs belongs to another user' \
		--cache "$T/theirs"
	mkdir open
	chmod 777 open
	doctor 1 'fail cache: .*open can be written by others; chmod' \
		--cache "$T/open"
	touch file
	doctor 1 'fail cache: .*file is not a directory' --cache "$T/file"
}

@test "a cache directory that cannot be written fails" {
	doctor_root 1 'fail cache: .*Read-only file system.*fix: make room' '
		mkdir -p -m 700 ro && mount -t tmpfs -o mode=700,ro none ro' \
		--cache "$T/ro"
}

@test "a full disk and too few inodes are warned of" {
	doctor_root 0 'warn disk: .* free for the cache, less than 1.1 GB .*fix' '
		mkdir tiny
		mount -t tmpfs -o mode=700,size=4m,nr_inodes=100 none tiny' \
		--cache "$T/tiny"
	grep -qE '^warn inodes: [0-9]+ free for the cache, less than .*fix' \
		<<<"$output"
	doctor_root 1 'fail cache: .*No space left' '
		mount -t tmpfs -o mode=700,nr_inodes=1 none tiny' \
		--cache "$T/tiny"
}

@test "a cache on FUSE is warned of" {
	two_versions
	datamount --no-git "$REPO@v1" data
	doctor 1 'warn cache-disk: .* is on FUSE.*fix: choose a local disk' \
		--cache "$T/data/sub"
}

# ---- git, clock, configuration

@test "a missing git is warned of" {
	run --separate-stderr env PATH="$DM_BIN" datamount doctor
	see 0 'warn git: not there.*fix: apt-get install git'
}

@test "a clock before the date of the program is behind" {
	cp "$(command -v datamount)" later
	touch -d '20 years' later
	run --separate-stderr ./later doctor
	see 0 'warn clock: 73[0-9]* days behind the date of this program.*fix: set'
}

@test "a clock that differs from the server's is seen" {
	two_versions
	httpd_start "$REPO" \
		'/* * header=Date:Sat,_01_Jan_2000_00:00:00_GMT'
	doctor 0 'warn clock: .* days ahead of the clock of the server' "$URL/"
	httpd_ctl clear
	httpd_rule '/* * header=Date:Sun,_01_Jan_2090_00:00:00_GMT'
	doctor 0 'warn clock: .* days behind the clock of the server' "$URL/"
	httpd_ctl clear
	httpd_rule "/* * header=Date:$(date -ud '-1 hour' \
		'+%a,_%d_%b_%Y_%H:%M:%S_GMT')"
	doctor 0 'warn clock: 60 min ahead of' "$URL/"
}

@test "the age of an answer from a cache is not the server's clock" {
	two_versions
	cat >server <<-'END'
		import email.utils, http.server, time
		class Old(http.server.SimpleHTTPRequestHandler):
		    def date_time_string(self, timestamp=None):
		        return email.utils.formatdate(time.time() - 7200, usegmt=True)
		    def end_headers(self):
		        self.send_header('Age', '7200')
		        super().end_headers()
		s = http.server.HTTPServer(('127.0.0.1', 0), Old)
		print(s.server_port, flush=True)
		s.serve_forever()
	END
	mkfifo port
	(cd "$REPO" && exec python3 "$T/server" >"$T/port" 2>/dev/null 3>&- 4>&-) &
	ends_with_test $!
	port=$(head -n 1 port)
	doctor 0 'ok   clock: agrees with the clock of the server' \
		"http://127.0.0.1:$port/"
}

@test "a version that is dated in the future shows a clock behind" {
	mkdir src
	touch src/a
	datamount init repo >/dev/null
	datamount commit -q --date "$(date -ud '3 days' +%s)" src repo -m x
	doctor 0 'warn clock: [23] days behind the date of the newest version' repo
}

@test "a configuration that cannot be read fails, and the rest is checked" {
	printf '[nonsense]\n' >"$DATAMOUNT_CONFIG_SYSTEM"
	doctor 1 'fail config: .*datamount.conf: line 1: .*fix: correct'
	grep -q '^ok   fuse: ' <<<"$output"
	grep -q '^ok   cache: ' <<<"$output"
}

@test "the configured cache and short names are what is checked" {
	two_versions
	unset DATAMOUNT_CACHE
	printf '%s\n' '[repository "pets"]' "url = $REPO" \
		"cache-dir = $T/own" >"$DATAMOUNT_CONFIG_SYSTEM"
	doctor 0 'ok   cache: .*/own does not exist' pets
	grep -q "^ok   repository: tags/v1 is ${V1:0:12}" \
		<<<"$(datamount doctor pets@v1)"
}

# ---- an origin

@test "a closed port fails" {
	doctor 1 'fail origin: .*refused.*fix: is the server up' \
		--timeout 1 "http://127.0.0.1:$(free_port)/pets"
}

@test "a server that answers with a page is no repository" {
	two_versions
	httpd_start "$REPO" '/* * html'
	doctor 1 'fail repository: .*not a datamount repository.*fix: name' \
		"$URL/"
	mkdir empty
	doctor 1 'fail repository: .*/empty: no datamount repository.*fix' empty
}

@test "a server that refuses fails" {
	two_versions
	httpd_start "$REPO" '/* * status=403'
	doctor 1 'fail origin: .*403' "$URL/"
}

@test "a server without ranges is warned of" {
	two_versions
	python_start "$REPO"
	doctor 0 'warn ranges: .*whole files only.*fix: .*nginx' "$URL/"
	grep -q "^ok   repository: heads/main is ${V2:0:12}" <<<"$output"
}

@test "a certificate is trusted or not" {
	two_versions
	openssl req -x509 -newkey ed25519 -nodes -keyout key -out cert \
		-days 2 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost 2>/dev/null
	port=$(free_port)
	(cd "$REPO" && exec openssl s_server -quiet -accept "$port" -WWW \
		-cert "$T/cert" -key "$T/key" >/dev/null 2>&1 3>&- 4>&-) &
	ends_with_test $!
	eventually openssl s_client -connect "127.0.0.1:$port" </dev/null \
		>/dev/null 2>&1
	doctor 1 'fail origin: .*certificate.*fix: .*SSL_CERT_FILE' \
		--timeout 30 "https://localhost:$port/"
	export SSL_CERT_FILE=$T/cert
	run datamount doctor --timeout 30 "https://localhost:$port/"
	grep -q "^ok   tls: the server's certificate is trusted" <<<"$output"
}

@test "a repository without a version, or without its commit, is said" {
	datamount init repo >/dev/null
	doctor 0 'warn repository: ' repo
	two_versions "$T/other"
	doctor 1 "fail repository: .*no branch or tag 'v9'" "$REPO@v9"
	chmod -R u+w other
	rm "other/commits/${V2:0:2}/$V2"
	doctor 1 'fail repository: .*commits/.* is missing.*fix' other
	echo x >"other/commits/${V2:0:2}/$V2"
	doctor 1 'fail repository: .*does not match its id.*fix' other
}

@test "a repository folder of another user fails" {
	need_root
	two_versions
	chown 12345 "$REPO"
	doctor 1 'fail origin: .*belongs to user 12345' "$REPO"
}

@test "mirrors are the same repository, up to date and up, or not" {
	two_versions
	cp -a "$REPO" same
	cp -a "$REPO" old
	chmod -R u+w old
	rm "old/commits/${V2:0:2}/$V2"
	datamount init other >/dev/null
	printf '%s\n' '[repository "pets"]' "url = $REPO" "mirror = $T/same" \
		"mirror = $T/old" "mirror = http://127.0.0.1:$(free_port)/x" \
		>"$DATAMOUNT_CONFIG_SYSTEM"
	doctor 0 'ok   mirror: .*/same answers' --timeout 1 pets
	grep -q '^warn mirror: .*/old: .*missing.*fix: bring the copy' \
		<<<"$output"
	grep -q '^warn mirror: .*refused.*fix: is the server' <<<"$output"
	sed -i "s|$T/same|$T/other|" "$DATAMOUNT_CONFIG_SYSTEM"
	doctor 1 'fail mirror: .*/other is another repository.*fix' \
		--timeout 1 pets@v1
}

@test "the mirrors of a pin are checked, mounted and not" {
	two_versions
	cp -a "$REPO" same
	printf '%s\n' '[repository "pets"]' "url = $REPO" "mirror = $T/same" \
		>"$DATAMOUNT_CONFIG_SYSTEM"
	datamount --no-git pets@v1 data
	rm "$DATAMOUNT_CONFIG_SYSTEM"
	doctor 0 'ok   mirror: .*/same answers' data
	datamount umount data
	doctor 0 'ok   mirror: .*/same answers' data
	rm -rf same
	doctor 0 'warn mirror: .*/same: no datamount repository' data
}

# ---- a mount

@test "a mount that is well is said, with its origin" {
	two_versions
	httpd_start "$REPO"
	datamount --no-git "$URL/@v1" data
	doctor 0 "ok   mount-state: $T/data shows ${V1:0:12}" data
	grep -q '^ok   pin: .*data.source pins the same' <<<"$output"
	grep -q "^ok   origin: $URL" <<<"$output"
	datamount umount data
	doctor 0 'ok   mount-state: nothing is mounted at' data
	grep -q '^ok   pin: ' <<<"$output"
	grep -q "^ok   repository: what is pinned is ${V1:0:12}" <<<"$output"
}

@test "a mount that is not what its pin says is warned of" {
	two_versions
	datamount --no-git "$REPO@v1" data
	sed -i "s/$V1/$V2/" data.source
	doctor 0 "warn pin: .*data.source pins ${V2:0:12} .fix: datamount sync" \
		data
	rm data.source
	doctor 0 'warn pin: .*data.source is gone' data
	echo x >data.source
	doctor 1 'fail pin: .*data.source: line 1' data
	datamount umount data
	doctor 1 'fail pin: .*data.source: line 1' data
}

@test "a mount without a pin is fine" {
	two_versions
	datamount --no-source "$REPO@v1" data
	doctor 0 'ok   pin: .* is mounted without one' data
}

@test "failed reads of a mount are warned of" {
	two_versions
	httpd_start "$REPO"
	datamount --no-git "$URL/@v1" data
	httpd_rule '/packs/* * status=404'
	run ! cat data/sub/zeros
	doctor 0 'warn mount-state: .*requests? failed, the last: ' data
}

@test "a dead daemon fails" {
	two_versions
	datamount --no-git "$REPO@v1" data
	pid=$(datamount status --json data | json - 'd[0]["pid"]')
	dead_daemon data
	eventually gone "$pid"
	doctor 1 'fail mount-state: the daemon of the mount.*fix: datamount umount' \
		data
}
