#!/usr/bin/env bats
# Caring for repositories: gc, repair, clone, push.
# shellcheck disable=SC2154 # run sets stderr
load helpers

# A repository with three versions: a and b on main, and c, which shares little
# with them, alone on the branch solo.
published () {
	mkdir -p data/sub
	for i in $(seq 30); do head -c 20000 /dev/urandom >"data/$i"; done
	head -c 3000000 /dev/urandom >data/large
	printf 'deep\n' >data/sub/file
	datamount init repo >/dev/null
	A=$(datamount commit -q data repo -m a)
	printf 'more\n' >data/more
	B=$(datamount commit -q data repo -m b)
	cp -r data first
	rm data/{4..30} data/large
	C=$(datamount commit -q data repo@solo -m c)
}

# The version B is gone from the refs.
forgotten () {
	published
	datamount branch repo -d main
}

packs () {
	find "${1-repo}/packs" -type f | wc -l
}

sum_of () {
	(cd "$1" && find . -type f -exec sha256sum {} + | sort)
}

right () {
	rm -rf out
	datamount export -q "$1" out
	diff -r "$2" out
}

@test "gc of what is reached marks and deletes nothing" {
	published
	before=$(packs)
	datamount gc -q repo --grace 0
	datamount gc -q repo --grace 0
	[ "$(packs)" -eq "$before" ]
	[ ! -s repo/gc/marked ]
	datamount verify -q repo@main
	datamount verify -q "repo@$A"
	datamount verify -q repo@solo
}

@test "gc marks first, and deletes what was marked long enough" {
	forgotten
	before=$(packs)
	datamount gc -q repo
	grep -q "^commit $B " repo/gc/marked
	grep -q "^pack " repo/gc/marked
	datamount gc -q repo
	[ "$(packs)" -eq "$before" ]
	datamount gc -q repo --grace 0
	[ "$(packs)" -lt "$before" ]
	[ ! -e "repo/commits/${B:0:2}/$B" ]
	[ ! -s repo/gc/marked ]
	right repo@solo data
	datamount verify -q repo@solo
	run grep -e "$A" -e "$B" repo/refs/log
	[ "$status" -eq 1 ]
}

@test "what a ref reaches again loses its mark" {
	forgotten
	datamount gc -q repo
	datamount tag "repo@$B" back >/dev/null
	datamount gc -q repo --grace 0
	[ ! -s repo/gc/marked ]
	right repo@back first
	datamount verify -q "repo@$A"
}

@test "a dry run prints what would be done, and changes nothing" {
	forgotten
	before=$(sum_of repo; ls -lR repo)
	run --separate-stderr datamount gc -n --repack repo
	[ "$status" -eq 0 ]
	[[ $output == *"mark commit $B"* ]]
	[[ $output == *"repack pack "* ]]
	[[ $stderr == *'would be'* ]]
	[ "$(sum_of repo; ls -lR repo)" = "$before" ]
}

@test "repack frees bytes, and readers find what moved" {
	forgotten
	before=$(du -sb repo/packs | cut -f1)
	datamount gc -q repo --repack
	[ -n "$(find repo/moved -type f)" ]
	right repo@solo data
	datamount gc -q repo --grace 0
	after=$(du -sb repo/packs | cut -f1)
	[ "$after" -lt $((before / 4)) ]
	right repo@solo data
	datamount verify -q repo@solo
	nginx_start repo
	datamount verify -q "$URL/@solo"
}

@test "a mounted version is read on after repack and deletion" {
	need_fuse
	forgotten
	nginx_start repo
	datamount "$URL/@solo" m
	ls m >/dev/null
	datamount gc -q repo --repack --grace 0
	datamount gc -q repo --grace 0
	diff -r data m
	datamount umount m
}

@test "what moved is found again while no origin answers" {
	need_fuse
	forgotten
	nginx_start repo
	datamount gc -q repo --repack --grace 0
	datamount gc -q repo --grace 0
	datamount "$URL/@solo" m
	diff -r data m
	datamount umount m
	[ -n "$(find "$DATAMOUNT_CACHE/blobs" -name '*.moved')" ]
	nginx_stop
	datamount m
	diff -r data m
	datamount umount m
	datamount fsck
	[ -n "$(find "$DATAMOUNT_CACHE/blobs" -name '*.moved')" ]
	# a damaged one is removed
	find "$DATAMOUNT_CACHE/blobs" -name '*.moved' -exec truncate -s -1 {} +
	run datamount fsck
	[ "$status" -eq 3 ]
	[ -z "$(find "$DATAMOUNT_CACHE/blobs" -name '*.moved')" ]
	datamount fsck
	datamount cache clear
	[ -z "$(find "$DATAMOUNT_CACHE/blobs" -type f)" ]
}

@test "packs that moved again and again are found" {
	forgotten
	datamount gc -q repo --repack
	datamount gc -q repo --grace 0
	for i in 1 2 3 4 5 6; do
		rm -f "data/$((i % 3 + 1))"
		head -c 20000 /dev/urandom >"data/new$i"
		datamount commit -q data repo@next -m "next $i" >/dev/null
		D=$(datamount commit -q data repo@"solo$i" -m "solo $i")
		datamount branch repo -d next
		datamount gc -q repo --repack --grace 0
		datamount gc -q repo --grace 0
		right "repo@$D" data
	done
	datamount verify -q "repo@$C"
}

@test "a tree whose files gc deleted is published again as a whole" {
	published
	cp -r data second
	mkdir both
	cp -r first both/one
	cp -r data both/two
	datamount commit -q both repo@both -m both >/dev/null
	datamount branch repo -d main
	datamount branch repo -d both
	datamount gc -q repo --grace 0
	datamount gc -q repo --grace 0
	datamount commit -q both repo@again -m again >/dev/null
	right repo@again both
	datamount verify -q repo@again
	datamount commit -q first repo@first -m first >/dev/null
	datamount verify -q repo@first
}

@test "a publisher takes what is marked for gone" {
	forgotten
	datamount gc -q repo
	datamount commit -q first repo@main -m again >/dev/null
	datamount gc -q repo --grace 0
	datamount gc -q repo --grace 0
	right repo@main first
	datamount verify -q repo@main
}

# late COMMAND...: it waits for the publishers' lock, with all packs written,
# while gc marks all that is there, or $MEANWHILE runs.
late () {
	python3 -c '
import fcntl, os, signal, struct, subprocess, sys, time
fd = os.open("repo/lock", os.O_RDWR | os.O_CREAT)
whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
fcntl.fcntl(fd, 37, whole)   # F_OFD_SETLK
p = subprocess.Popen(sys.argv[1:])
def waits():
    fds = f"/proc/{p.pid}/fd"
    for n in os.listdir(fds):
        try:
            if os.readlink(f"{fds}/{n}").endswith("/repo/lock"):
                return True
        except FileNotFoundError:
            pass
# It opens the lock file last.
while p.poll() is None and not waits():
    time.sleep(0.01)
meanwhile = os.environ.get("MEANWHILE")
if meanwhile:
    p.send_signal(signal.SIGSTOP)
    os.close(fd)
    subprocess.run(meanwhile, shell=True, check=True)
    p.send_signal(signal.SIGCONT)
    sys.exit(p.wait())
os.makedirs("repo/gc", exist_ok=True)
lines = sorted(f for _, _, fs in os.walk("repo/packs") for f in fs)
open("repo/gc/marked", "w").write(
    "".join(f"pack {f} 1\n" for f in lines))
os.close(fd)
sys.exit(p.wait())' "$@"
}

@test "a publisher whose packs gc takes meanwhile begins again" {
	need python3
	forgotten
	run --separate-stderr late datamount commit -q first repo@main -m late
	[ "$status" -eq 0 ]
	[[ $stderr == 'datamount: warning: gc began to work in repo meanwhile: '* ]]
	[[ $stderr == *': beginning again' ]]
	grep -q "^commit $output" repo/refs/heads/main
	datamount verify -q repo@main
	# and where gc had been at work before it
	datamount branch repo -d main
	datamount gc -q repo
	run --separate-stderr late datamount commit -q data repo@more -m late
	[ "$status" -eq 0 ]
	[[ $stderr == *'going to remove pack '*': beginning again' ]]
	datamount gc -q repo --grace 0
	right repo@more data
	datamount verify -q repo@more
}

@test "a publisher of a stream whose packs gc takes meanwhile is told" {
	need python3
	forgotten
	tar -C first -cf first.tar .
	fails 1 'gc began to work in repo meanwhile: run the command again' \
		late datamount commit -q - repo@main -m late <first.tar
	[ ! -e repo/refs/heads/main ]
	datamount gc -q repo
	datamount commit -q - repo@main -m late <first.tar >/dev/null
	datamount verify -q repo@main
}

# gc_meanwhile COMMAND...: it has written all packs and stands still while gc,
# which has no patience, works twice.
gc_meanwhile () {
	MEANWHILE='for _ in 1 2; do
		datamount gc -q repo --repack --grace 0; done' late "$@"
}

@test "gc takes a publisher's packs, and readers and publisher come through" {
	need_fuse
	need python3
	forgotten
	nginx_start repo
	datamount "$URL/@solo" m
	datamount gc -q repo # or the publisher begins again just for that
	count=$(packs)
	run --separate-stderr gc_meanwhile datamount commit -q first repo@main -m x
	[ "$status" -eq 0 ]
	[[ $stderr == *'was removed meanwhile: beginning again' ]]
	[ "$(packs)" -ne "$count" ]
	right repo@main first
	datamount verify -q repo@main
	# what the repacking moved is read by who has known the old packs
	diff -r data m
	datamount umount m
	head -c 20000 /dev/urandom >first/new
	tar -C first -cf first.tar .
	fails 1 'removed meanwhile: run the command again' \
		gc_meanwhile datamount commit -q - repo@tar -m x <first.tar
	[ ! -e repo/refs/heads/tar ]
	datamount verify -q repo@main
	datamount verify -q repo@solo
}

@test "a mark or temporary file younger than the grace is left alone" {
	forgotten
	datamount gc -q repo
	count=$(packs)
	for dir in . packs packs/00 commits/ab moved/cd refs/heads/a/b gc; do
		mkdir -p "repo/$dir"
		touch "repo/$dir/.0123.tmp"
	done
	mkdir repo/mine
	touch -d '5 days ago' repo/mine/x.tmp
	# aged HOURS OPTION...: as if all had been marked and left behind then
	aged () {
		local ago
		ago=$(date -d "$1 hours ago" +%s)
		shift
		sed -i "s/ [0-9]*\$/ $ago/" repo/gc/marked
		find repo -name .0123.tmp -exec touch -d "@$ago" {} +
		datamount gc "$@" repo
	}
	aged 23 -q
	aged 5 -q --grace 6
	[ "$(find repo -name '*.tmp' | wc -l)" -eq 8 ]
	[ "$(packs)" -eq $((count + 2)) ]
	run aged 25 -n
	[[ $output == *'delete temporary refs/heads/a/b/.0123.tmp 0'* ]]
	[[ $output == *'delete pack '* ]]
	[ "$(find repo -name '*.tmp' | wc -l)" -eq 8 ]
	run aged 25
	[[ $output == *'7 temporary files (0 B) that nobody goes on with were'* ]]
	[ "$(find repo -name '*.tmp')" = repo/mine/x.tmp ]
	[ "$(packs)" -lt "$count" ]
	datamount verify -q repo@solo
}

@test "a temporary file that a clone goes on with is left alone" {
	published
	large=$(find repo/packs -type f -size +1000k -printf '%P\n')
	mkdir -p "copy/packs/${large%/*}"
	cp repo/datamount copy/
	head -c 1000000 "repo/packs/$large" >"copy/packs/$large.tmp"
	touch -d '5 days ago' "copy/packs/$large.tmp"
	httpd_start repo "/packs/$large 1 barrier=go"
	datamount clone -q "$URL/" copy >/dev/null 3>&- 4>&- &
	clone=$!
	httpd_ctl wait "/packs/$large 1"
	datamount gc -q copy
	[ -e "copy/packs/$large.tmp" ]
	httpd_ctl release go
	wait "$clone"
	diff -r repo/packs copy/packs
}

@test "gc refuses to work where something needed is missing" {
	forgotten
	find repo/packs -type f -newer "repo/commits/${B:0:2}/$B" -delete
	before=$(packs)
	fails 1 'missing' datamount gc repo --grace 0
	[ "$(packs)" -eq "$before" ]
	[ ! -e repo/gc/marked ]
}


@test "a pack that was cut short is stored again" {
	published
	find repo/packs -type f -size +1000k -exec truncate -s 1000 {} +
	D=$(datamount commit -q first repo@again -m again)
	datamount verify -q "repo@$D"
	right "repo@$D" first
}

@test "gc that is killed anywhere costs nothing that is needed" {
	need strace
	forgotten
	cp -r repo old
	for call in linkat renameat2 rename,renameat unlinkat fsync; do
		for n in 1 2 3 5; do
			rm -rf repo
			cp -r old repo
			for _ in 1 2; do
				traced -qq -f -o /dev/null -e trace="$call" \
					-e inject="$call":signal=KILL:when="$n" \
					datamount gc -q repo --repack --grace 0 \
					2>/dev/null || true
				datamount verify -q repo@solo
			done
			datamount gc -q repo --repack --grace 0
			datamount gc -q repo --grace 0
			datamount verify -q repo@solo
			D=$(datamount commit -q first repo@main -m again)
			datamount verify -q "repo@$D"
		done
	done
}

@test "gc that is killed leaves no version without what came before it" {
	need strace
	long_history
	datamount tag --delete last repo >/dev/null
	datamount branch repo -d main
	datamount gc -q repo
	mv repo old
	for n in 2 5 9 14; do
		cp -r old repo
		traced -qq -f -o /dev/null -e trace=unlinkat \
			-e inject=unlinkat:signal=KILL:when="$n" \
			datamount gc -q repo --grace 0 2>/dev/null || true
		left=$(find repo/commits -type f -printf '%f\n')
		[ -n "$left" ]
		[ "$(wc -l <<<"$left")" -lt 15 ]
		for id in $left; do
			datamount tag "repo@$id" "t$id" >/dev/null
			datamount verify -q "repo@$id"
		done
		datamount gc -q repo
		rm -rf repo
	done
}

@test "a clone is the same repository, from a folder and from a server" {
	published
	datamount tag "repo@$A" v1 >/dev/null
	datamount clone -q repo one
	cmp repo/datamount one/datamount
	diff -r repo/packs one/packs
	diff -r repo/commits one/commits
	cmp repo/refs/all one/refs/all
	nginx_start repo
	datamount clone -q "$URL/" two
	diff -r one/packs two/packs
	cmp one/refs/all two/refs/all
	right two@main first
	right two@solo data
	datamount verify -q two@v1
	# each pack in one request, nothing is listed
	nginx_settle
	run awk '$2 ~ /^\/packs/ {print $2}' "$LOG"
	[ "${#lines[@]}" -eq "$(packs)" ]
	[ -z "$(awk '$2 ~ /\/$/ || ($2 !~ /^\/refs/ && $3 !~ /^20[06]$/)' "$LOG")" ]
}

# A repository with 15 versions of one file; the last one's tag is last.
long_history () {
	mkdir src
	datamount init repo >/dev/null
	for i in $(seq 15); do
		echo "$i" >src/file
		D=$(datamount commit -q src repo -m "version $i")
	done
	datamount tag repo last >/dev/null
}

@test "the commits of a long history are fetched many at a time" {
	long_history
	# the first four have to be asked for one by one
	httpd_start repo '/commits/* 5- barrier=go'
	datamount clone -q "$URL/" copy >/dev/null 3>&- 4>&- &
	httpd_ctl wait '/commits/* 8'
	httpd_ctl release go
	wait $!
	diff -r repo copy
	[ "$(httpd_count '/commits/*')" -eq 15 ]
	[ "$(httpd_count /refs/log)" -eq 1 ]
}

@test "what refs/log says wrongly does no harm to a clone" {
	long_history
	cp -r repo src.log
	mapfile -t lines <repo/refs/log
	for how in gone rubbish loop; do
		case $how in
		gone) rm repo/refs/log ;;
		rubbish)
			head -c 5000 /dev/urandom >repo/refs/log
			printf '%064d %064d 1 main x\n%s -' 1 2 "$D" \
				>>repo/refs/log
			;;
		loop) # each names itself, and one that does not exist
			for line in "${lines[@]}"; do
				id=${line%% *}
				echo "$id $id,${id:1}0 1 main loop"
			done >repo/refs/log
			;;
		esac
		rm -rf copy
		httpd_start repo
		datamount clone -q "$URL/" copy >/dev/null
		diff -r -x log src.log copy
	done
}

@test "a clone of one ref brings only what that needs" {
	published
	datamount clone -q repo one solo
	[ "$(packs one)" -lt "$(packs)" ]
	right one@solo data
	fails 1 'no branch or tag' datamount cat one@main:more
}

@test "a clone that was broken off goes on, and fetches nothing twice" {
	published
	httpd_start repo
	large=$(find repo/packs -type f -size +1000k -printf '%P\n')
	httpd_rule "/packs/$large * status=404"
	fails 1 . datamount clone "$URL/" copy
	[ "$(packs copy)" -gt 0 ]
	[ ! -e copy/refs/heads/main ]
	done=$(cd copy/packs && find . -type f ! -name '*.tmp' | sed 's/^\.//')
	# half of the large one is there, too
	head -c 1000000 "repo/packs/$large" >"copy/packs/$large.tmp"
	httpd_ctl reset || true
	kill "$HTTPD_PID"
	nginx_start repo
	datamount clone -q "$URL/" copy
	nginx_settle
	for pack in $done; do
		[ -z "$(awk -v p="/packs$pack" '$2 == p' "$LOG")" ]
	done
	[[ $(awk -v p="/packs/$large" '$2 == p {print $4}' "$LOG") == bytes=1000000-* ]]
	diff -r repo/packs copy/packs
	right copy@main first
}

@test "what a killed clone left can be written to by the next" {
	need strace
	published
	mkdir copy
	cp repo/datamount copy/
	for call in fchmod fsync renameat; do
		traced -qq -f -o /dev/null -e trace="$call" \
			-e inject="$call":signal=KILL \
			datamount clone -q repo copy 2>/dev/null || true
		[ -z "$(find copy/packs -name '*.tmp' ! -perm -200)" ]
	done
	datamount clone -q repo copy
	diff -r repo/packs copy/packs
	datamount clone -q repo other
	[ -z "$(find other/packs -type f -perm /222)" ]
}

@test "two pushes to one folder at the same time both succeed" {
	published
	datamount clone -q repo copy solo
	large=$(find repo/packs -type f -size +1000k -printf '%P\n')
	httpd_start repo "/packs/$large 1 barrier=go"
	datamount push -q "$URL/" copy main >/dev/null 3>&- 4>&- &
	one=$!
	httpd_ctl wait "/packs/$large 1"
	datamount push -q --timeout 3000 "$URL/" copy main >/dev/null \
		3>&- 4>&- &
	two=$!
	eventually waits_or_ends "$two"
	httpd_ctl release go
	wait "$one"
	wait "$two"
	[ "$(httpd_count "/packs/$large")" -eq 1 ]
	diff -r repo/packs copy/packs
}

# Has it a half fetched pack open, or ended?
waits_or_ends () {
	readlink "/proc/$1"/fd/* 2>/dev/null | grep -q '\.tmp$' || gone "$1"
}

@test "a push that is stopped does not keep another from the same packs" {
	published
	datamount clone -q repo copy solo
	large=$(find repo/packs -type f -size +1000k -printf '%P\n')
	httpd_start repo "/packs/$large 1 barrier=go"
	datamount push -q "$URL/" copy main >one 3>&- 4>&- &
	one=$!
	httpd_ctl wait "/packs/$large 1"
	kill -STOP "$one"
	# a tenth of it is how long that one is waited for
	datamount push -q --timeout 20 "$URL/" copy main >two
	datamount verify -q copy@main
	[ "$(httpd_count "/packs/$large")" -eq 2 ]
	[ -e "copy/packs/$large.tmp" ] # the stopped one has it still
	kill -CONT "$one"
	httpd_ctl release go
	wait "$one"
	[[ $(cat two) == "heads/main $B" ]]
	diff -r repo/packs copy/packs
}

@test "what a copy had when a push began, and gc took meanwhile, comes again" {
	mkdir d
	printf 'one\n' >d/f
	datamount init repo >/dev/null
	one=$(datamount commit -q d repo -m a)
	datamount clone -q repo copy
	printf 'two\n' >d/f
	two=$(datamount commit -q d repo -m b)
	httpd_start repo "/commits/${two:0:2}/$two 1 barrier=go"
	datamount push -q "$URL/" copy >/dev/null 3>&- 4>&- &
	push=$!
	httpd_ctl wait "/commits/${two:0:2}/$two 1"
	datamount branch copy -d main
	datamount gc -q copy --grace 0
	datamount gc -q copy --grace 0
	[ ! -e "copy/commits/${one:0:2}/$one" ]
	httpd_ctl release go
	wait "$push"
	datamount gc -q copy
	datamount verify -q "copy@$one"
	right copy@main d
}

@test "a clone whose link is slow goes on where its time was up" {
	published
	large=$(find repo/packs -type f -size +1000k -printf '%P\n')
	httpd_start repo "/packs/$large 1-2 stall=1000000"
	datamount clone -q --timeout 4 "$URL/" copy
	diff -r repo/packs copy/packs
	eventually grep -q "/packs/$large .*range=bytes=1000000-" "$T/httpd.log"
	eventually grep -q "/packs/$large .*range=bytes=2000000-" "$T/httpd.log"
}

@test "what a clone half fetched and is wrong is fetched anew" {
	published
	large=$(find repo/packs -type f -size +1000k -printf '%P\n')
	mkdir -p "copy/packs/${large%/*}"
	cp repo/datamount copy/
	head -c 1000000 /dev/zero >"copy/packs/$large.tmp"
	datamount clone -q repo copy
	diff -r repo/packs copy/packs
}

@test "push brings only what is new" {
	published
	nginx_start repo
	datamount clone -q "$URL/" copy
	printf 'newest\n' >first/newest
	D=$(datamount commit -q first repo -m d)
	nginx_settle
	before=$(wc -l <"$LOG")
	datamount push -q "$URL/" copy
	nginx_settle
	[ "$(tail -n +$((before + 1)) "$LOG" | grep -c /packs/)" -eq 2 ]
	right copy@main first
	[ "$(cat copy/refs/heads/main)" = "$(cat repo/refs/heads/main)" ]
	grep -q "^$D " copy/refs/log
	# and again there is nothing to do
	before=$(wc -l <"$LOG")
	datamount push -q "$URL/" copy
	nginx_settle
	run grep -e /packs/ -e /commits/ <(tail -n +$((before + 1)) "$LOG")
	[ "$status" -eq 1 ]
}

@test "push tells each ref that it moved, and none that it did not" {
	need strace
	published
	datamount clone -q repo copy
	datamount tag repo@main v1 >/dev/null
	run --separate-stderr traced -qq -f -o /dev/null -e trace=renameat \
		-e inject=renameat:error=EIO datamount push repo copy v1
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[ ! -e copy/refs/tags/v1 ]
	run --separate-stderr datamount push -q repo copy v1
	[ "$status" -eq 0 ]
	[ "$output" = "tags/v1 $B" ]
	[ -z "$stderr" ]
}

@test "push takes tags when told to, and names one by one" {
	published
	datamount clone -q repo copy
	datamount tag repo@main v1 >/dev/null
	datamount tag repo@solo v2 >/dev/null
	datamount push -q repo copy
	[ ! -e copy/refs/tags/v1 ]
	datamount push -q repo copy v2
	[ ! -e copy/refs/tags/v1 ]
	datamount verify -q copy@v2
	datamount push -q --tags repo copy
	datamount verify -q copy@v1
}

@test "push does not lose a version that the copy has, but by force" {
	published
	datamount clone -q repo copy
	printf 'there\n' >first/there
	datamount commit -q first copy -m there >/dev/null
	rm first/there
	printf 'here\n' >first/here
	D=$(datamount commit -q first repo -m here)
	fails 1 'does not follow' datamount push repo copy
	[ "$(head -1 repo/refs/heads/main)" != "$(head -1 copy/refs/heads/main)" ]
	datamount push -q --force repo copy
	[ "$(head -1 copy/refs/heads/main)" = "commit $D" ]
	right copy@main first
}

@test "push refuses another repository" {
	published
	datamount init other >/dev/null
	fails 1 'another repository' datamount push repo other
	for to in nowhere data; do
		fails 1 "^datamount: $to is no repository: make it with .*clone" \
			datamount push repo $to
	done
	fails 1 'is a URL: write to the folder' datamount push repo http://x/
	fails 1 'is a URL: write to the folder' datamount clone repo http://x/
	fails 1 'is a URL: write to the folder' datamount gc http://x/
	fails 2 'whole repository: name it without @' datamount gc repo@main
	fails 1 'another repository' datamount clone repo other
}

@test "wrong bytes of the source do not get into a clone" {
	published
	large=$(find repo/packs -type f -size +1000k)
	printf 'WRONG' | dd of="$large" bs=1 seek=1500000 conv=notrunc status=none
	fails 1 'does not match' datamount clone repo copy
	[ ! -e "copy/${large#repo/}" ]
	[ ! -e copy/refs/heads/main ]
}

@test "a repacked repository is cloned and pushed with what moved" {
	forgotten
	datamount gc -q repo --repack
	datamount gc -q repo --grace 0
	datamount clone -q repo copy
	right copy@solo data
	nginx_start repo
	datamount clone -q "$URL/" other
	right other@solo data
	datamount gc -q other --grace 0
	datamount gc -q other --grace 0
	datamount verify -q other@solo
}

@test "verify --repair-from mends bits, cut packs, missing packs and commits" {
	published
	datamount clone -q repo mirror
	nginx_start mirror
	mapfile -t all < <(find repo/packs -type f | sort)
	chmod u+w "${all[@]}"
	printf 'X' | dd of="${all[0]}" bs=1 seek=100 conv=notrunc status=none
	truncate -s -7 "${all[1]}"
	rm "${all[2]}"
	rm "repo/commits/${B:0:2}/$B"
	run datamount verify -q "repo@$B"
	[ "$status" -ne 0 ]
	datamount verify -q "repo@$B" --repair-from "$URL/"
	datamount verify -q repo@solo --repair-from "$URL/"
	datamount verify -q repo@main
	diff -r repo/packs mirror/packs
	right repo@main first
}

@test "verify --repair-from says what it could not mend" {
	published
	datamount clone -q repo mirror
	large=$(find repo/packs -type f -size +1000k)
	rm "$large" "mirror/${large#repo/}"
	small=$(awk '$1 == "at" {print $2}' "repo/commits/${B:0:2}/$B")
	small=repo/packs/${small:0:2}/$small
	rm "$small"
	run datamount verify -q repo@main --repair-from mirror
	[ "$status" -eq 3 ]
	[[ $output == 'large: '* ]]
	[ "${#lines[@]}" -eq 1 ]
	[ -e "$small" ]
	for from in nowhere data; do
		fails 1 'no datamount repository there' \
			datamount verify repo@main --repair-from $from
	done
	fails 1 'folder' datamount verify "http://127.0.0.1:9/@$B" \
		--repair-from mirror
}
