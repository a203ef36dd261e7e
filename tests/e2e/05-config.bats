#!/usr/bin/env bats
# Configuration: short names, defaults, and who wins.

# shellcheck disable=SC2154 # run sets them
load helpers

setup () {
	dm_setup
	CONF=$XDG_CONFIG_HOME/datamount/config
	SYS=$DATAMOUNT_CONFIG_SYSTEM
	mkdir -p "${CONF%/*}"
	unset DATAMOUNT_CACHE
}

# user LINE..., system LINE...: write a file.
user () {
	printf '%s\n' "$@" >"$CONF"
}

system () {
	printf '%s\n' "$@" >"$SYS"
}

# The line of config --list that says a key.
setting () {
	datamount config --list | grep -F "	$1 = "
}

@test "without a file every value is built in" {
	rm -rf "$XDG_CONFIG_HOME"
	[ "$(setting network.timeout)" = $'default\tnetwork.timeout = 300' ]
	[ "$(datamount config --list | cut -f 1 | sort -u)" = default ]
}

@test "config --list says which line of which file a value is from" {
	user '# mine' '[network]' 'timeout = 7'
	system '[network]' 'timeout = 8' '[cache]' 'memory = 64M'
	[ "$(setting network.timeout)" = "$CONF:3	network.timeout = 7" ]
	[ "$(setting cache.memory)" = "$SYS:4	cache.memory = 64M" ]
}

@test "the environment wins over files and is named" {
	user '[cache]' "dir = $T/theirs"
	[ "$(setting cache.dir)" = "$CONF:2	cache.dir = $T/theirs" ]
	export DATAMOUNT_CACHE=$T/mine
	[ "$(setting cache.dir)" = "\$DATAMOUNT_CACHE	cache.dir = $T/mine" ]
}

@test "config --list --json says the same" {
	user '[cache]' "dir = $T/c" '[repository "pets"]' 'url = /srv/pets'
	datamount config --list --json >out
	[ "$(json out '[(s["origin"], s["value"], s["line"], s["file"])
		for s in d if s["key"] == "repository.pets.url"]')" = \
		"[('file', '/srv/pets', 4, '$CONF')]" ]
	[ "$(json out '[s["value"] for s in d if s["key"] == "cache.dir"]')" = \
		"['$T/c']" ]
	DATAMOUNT_CACHE=$T/e datamount config --list --json >out
	[ "$(json out '[(s["origin"], s["variable"]) for s in d
		if s["key"] == "cache.dir"]')" = \
		"[('environment', 'DATAMOUNT_CACHE')]" ]
}

@test "config without --list exits 2" {
	fails 2 'give --list' datamount config
}

@test "a short name stands wherever a repository may" {
	two_versions
	user '[repository "pets"]' "url = $REPO"
	[ "$(datamount show --json pets@v1 | json - 'd["commit"]')" = "$V1" ]
	[ "$(datamount ls pets@v1:sub)" = "$(datamount ls "$REPO@v1:sub")" ]
	[ "$(datamount log -n 1 --json pets)" = \
		"$(datamount log -n 1 --json "$REPO")" ]
	[ "$(datamount diff pets@v1 v2)" = "$(datamount diff "$REPO@v1" v2)" ]
	# a short name alone is a repository at main, not a ref
	[ -z "$(datamount diff pets main)" ]
	[ "$(datamount diff pets v1)" = "$(datamount diff "$REPO" v1)" ]
	[ -z "$(datamount diff "$REPO@main" pets)" ]
	[ "$(datamount diff "$REPO@v1" pets@v2)" = \
		"$(datamount diff "$REPO@v1" v2)" ]
	[ "$(datamount tag -l pets)" = "$(datamount tag -l "$REPO")" ]
	printf 'three\n' >src/a.csv
	v3=$(datamount commit -q src pets -m three)
	datamount tag pets@main v3
	[ "$(datamount cat pets@v3:a.csv)" = three ]
	[ "$(datamount show --json "$REPO@v3" | json - 'd["commit"]')" = "$v3" ]
	datamount export -q pets@v3 out
	diff -r src out
}

@test "a short name may have the URL of a server, and a path with %40" {
	two_versions
	mv repo a@b
	httpd_start "$T"
	user '[repository "web"]' "url = $URL/a@b"
	fails 1 "line 2: no user and no ref.*%40" datamount ls web@v1
	user '[repository "folder"]' "url = $T/a%40b/"
	[ "$(datamount cat folder@v1:a.csv)" = a,1 ]
	user '[repository "web"]' "url = $URL/a%40b"
	[ "$(datamount cat web@v1:a.csv)" = a,1 ]
}

@test "a short name wins over a folder, which ./ brings back" {
	two_versions
	datamount init pets >/dev/null
	user '[repository "pets"]' "url = $REPO"
	datamount ls pets@v1
	fails 1 "v1" datamount ls ./pets@v1
}

@test "the user's section of a name hides the system's" {
	two_versions
	system '[repository "pets"]' 'url = /nowhere' 'timeout = 3' \
		'[repository "other"]' "url = $REPO"
	user '[repository "pets"]' "url = $REPO"
	datamount ls pets@v1
	datamount ls other@v1
	run datamount config --list
	[[ $output != *nowhere* ]]
	[[ $output != *pets.timeout* ]]
}

@test "a mount by short name pins the URL, and its mirrors" {
	need_fuse
	two_versions
	httpd_start "$REPO"
	user '[repository "pets"]' "url = $URL" "mirror = $T/repo/"
	datamount --no-git pets@v1 data
	cmp data/a.csv <(echo a,1)
	[ "$(grep '^repository = ' data.source)" = \
		"$(printf 'repository = %s\n' "$URL/" "$T/repo")" ]
	run ! grep -q pets data.source
	datamount umount data
	rm "$CONF"
	datamount ./data
	cmp data/a.csv <(echo a,1)
}

@test "a repository's cache, memory and timeout hold by name, URL and pin" {
	need_fuse
	two_versions
	user '[cache]' "dir = $T/general" 'memory = 32M' \
		'[repository "pets"]' "url = $REPO" "cache-dir = $T/own" \
		'memory = 16M' 'timeout = 42'
	datamount ls pets@v1
	[ -d own ] && [ ! -e general ]
	datamount --no-git "$REPO@v1" data
	check='(d[0]["cache_dir"], d[0]["memory"], d[0]["timeout_ms"])'
	want="('$T/own', $((16 << 20)), 42000)"
	[ "$(datamount status --json data | json - "$check")" = "$want" ]
	datamount umount data
	datamount --no-git ./data
	[ "$(datamount status --json data | json - "$check")" = "$want" ]
	datamount umount data
	datamount --cache "$T/line" --memory 8M --timeout 9 ./data
	[ "$(datamount status --json data | json - "$check")" = \
		"('$T/line', $((8 << 20)), 9000)" ]
	datamount umount data
	DATAMOUNT_CACHE=$T/env datamount ./data
	[ "$(datamount status --json data | json - 'd[0]["cache_dir"]')" = \
		"$T/env" ]
	[ "$(datamount cache status --json | json - 'd["directory"]')" = \
		"$T/general" ]
}

@test "commit, cache and fsck use the configured directory" {
	user '[cache]' "dir = $T/own"
	mkdir src
	echo x >src/a
	datamount init repo >/dev/null
	datamount commit -q --symlinks keep src repo -m one
	[ -e own/publish/files-v1.sqlite ]
	[ ! -e "$XDG_CACHE_HOME" ] && [ ! -e "$HOME/cache" ]
	datamount cache status | grep -q "$T/own"
	datamount fsck | grep -q "^$T/own: "
	DATAMOUNT_CACHE=$T/env datamount commit -q src repo -m two
	[ -e env/publish/files-v1.sqlite ]
}

@test "the defaults of [mount] hold, and the command line wins" {
	need_fuse
	mkdir src
	ln -s /etc/hostname src/away
	datamount init repo >/dev/null
	datamount commit -q --symlinks keep src repo -m links >/dev/null
	user '[mount]' 'symlinks = all'
	datamount --no-git "$T/repo" data
	[ "$(readlink data/away)" = /etc/hostname ]
	datamount umount data
	datamount --no-git --symlinks inside ./data
	run ! readlink data/away
}

@test "allow-other is for every mount once it is configured" {
	need_root
	need_fuse
	two_versions
	system '[mount]' 'allow-other = yes'
	datamount --no-git "$REPO@v1" data
	[ "$(datamount status --json data |
		json - 'd[0]["allow_other"]')" = true ]
}

@test "a bad line is named, and nothing is done" {
	two_versions
	user '[cache]' 'folder = /x'
	fails 1 "$CONF: line 2: no key of this section" datamount ls "$REPO@v1"
	fails 1 "line 2" datamount config --list
	fails 1 "line 2" datamount "$REPO@v1" data
	[ ! -e data ] && [ ! -e data.source ]
	datamount version
}

@test "a file that others can write is refused" {
	user '[cache]' 'dir = /x'
	chmod 620 "$CONF"
	fails 1 "$CONF can be written by others: chmod" datamount config --list
	chmod 602 "$CONF"
	fails 1 "$CONF can be written by others: chmod" datamount config --list
	chmod 644 "$CONF"
	datamount config --list
}

@test "a file of another user is refused" {
	need_root
	user '[cache]' 'dir = /x'
	chown 12345 "$CONF"
	fails 1 "$CONF belongs to user 12345" datamount config --list
	chown 0 "$CONF"
	system '[cache]' 'dir = /x'
	chown 12345 "$SYS"
	fails 1 "$SYS belongs to user 12345" datamount config --list
}

@test "a configuration that is no file is refused, and a link followed" {
	mkdir "$CONF"
	fails 1 "$CONF: not a file" datamount config --list
	rmdir "$CONF"
	mkfifo "$CONF"
	fails 1 "$CONF: not a file" datamount config --list
	rm "$CONF"
	printf '[network]\ntimeout = 5\n' >real
	ln -s "$T/real" "$CONF"
	[ "$(setting network.timeout)" = "$CONF:2	network.timeout = 5" ]
}

@test "too large a file is refused" {
	yes '# nothing' | head -c 70000 >"$CONF"
	fails 1 'larger than a configuration file' datamount config --list
}

@test "the file in ~/.config counts where XDG_CONFIG_HOME is not set" {
	user '[network]' 'timeout = 4'
	unset XDG_CONFIG_HOME
	[[ $(setting network.timeout) == "$HOME/.config/datamount/config:2"* ]]
}
