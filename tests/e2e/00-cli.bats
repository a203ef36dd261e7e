#!/usr/bin/env bats
# The command line: options, help, and what is said to bad input.

# shellcheck disable=SC2154 # run sets them
load helpers

@test "no argument is an error that names the help" {
	fails 2 'datamount help' datamount
}

@test "--help prints the commands on standard output" {
	datamount --help | grep -q '^  mount '
	datamount -h | grep -q '^  umount '
	datamount help | grep -q '^  commit '
}

@test "every command has --help, and help COMMAND prints the same" {
	for c in $(datamount --help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
		datamount "$c" --help >one
		datamount help "$c" >two
		grep -q "^usage: datamount $c " one
		grep -q -- '--quiet' one
		cmp one two
	done
}

@test "the manual page and --help name the same commands and options" {
	"$BATS_TEST_DIRNAME/../../scripts/check-help" datamount
}

@test "--version prints name and version" {
	[[ $(datamount --version) =~ ^datamount\ [0-9.]+$ ]]
	[ "$(datamount version)" = "$(datamount --version)" ]
}

@test "an unknown option exits 2 and names the command's help" {
	fails 2 "unknown option --nonsense.*datamount ls --help" \
		datamount ls --nonsense repo
}

@test "an option without its value exits 2" {
	fails 2 "cache needs a value" datamount ls repo --cache
}

@test "a flag with a value exits 2" {
	fails 2 "quiet takes no value" datamount version --quiet=yes
}

@test "a word that is no command and has no pin exits 2" {
	fails 2 "'comit' is no command" datamount comit
}

@test "too few and too many operands exit 2" {
	fails 2 'too few operands' datamount ls
	fails 2 'one operand too many: c' datamount mount a b c
}

@test "numbers that are none exit 2" {
	fails 2 'timeout' datamount ls --timeout soon repo
	fails 2 'memory' datamount mount --memory 5X repo d
}

@test "options may stand before the command, and behind operands" {
	datamount --quiet version --quiet
	two_versions
	[ "$(datamount ls "$REPO@v1" --cache="$T/c")" = \
		"$(datamount --cache "$T/c" ls "$REPO@v1")" ]
}

@test "results that cannot be written are a failure" {
	run --separate-stderr bash -c 'datamount help >/dev/full'
	[ "$status" -eq 1 ]
	[[ $stderr == *'standard output'* ]]
}

@test "a reader that has seen enough causes no message" {
	run --separate-stderr bash -c 'set +o pipefail
		for i in 1 2 3 4 5; do datamount help; done | head -n 1'
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
}

# Bad input to a mount: one line, the right status, and nothing half done.

nothing_done () {
	[ ! -e "$T/data" ]
	[ ! -e "$T/data.source" ]
	[ -z "$(dm_mounts)" ]
}

@test "a folder that is no repository is named" {
	mkdir empty
	fails 1 "$T/empty: no datamount repository" datamount empty data
	fails 1 "$T/none: no datamount repository" datamount none data
	nothing_done
}

@test "an unknown ref is answered with those there are" {
	two_versions
	fails 1 "no branch or tag 'v3'.*main.*v1" datamount "$REPO@v3" data
	nothing_done
}

@test "an unknown commit id is named" {
	two_versions
	fails 1 'no commit begins with 0123456789' \
		datamount "$REPO@0123456789" data
	fails 1 "$(printf '%064d' 7)" \
		datamount "$REPO@$(printf '%064d' 7)" data
	nothing_done
}

@test "a short id that several commits have is refused" {
	two_versions
	line=$(tail -n 1 "$REPO/refs/log")
	id=${line%% *}
	printf '%s%s %s\n' "${id:0:62}" 00 "${line#* }" >>"$REPO/refs/log"
	fails 1 'give more digits' datamount "$REPO@${id:0:12}" data
	nothing_done
}

@test "a path that is no directory of the version is named" {
	two_versions
	fails 1 'nowhere' datamount "$REPO@v1:nowhere" data
	fails 1 'a\.csv' datamount "$REPO@v1:a.csv" data
	nothing_done
}

@test "a repository without permission says so" {
	[ "$(id -u)" != 0 ] || skip "root may read everything"
	two_versions
	chmod 0 "$REPO/datamount"
	fails 1 '[Pp]ermission' datamount "$REPO@v1" data
	nothing_done
}

@test "a server that refuses access says so" {
	two_versions
	httpd_start "$REPO" '/* * status=403'
	fails 1 '403' datamount "$URL/@v1" data
	nothing_done
}

@test "a closed port says that nobody listens" {
	fails 1 'refused' datamount --timeout 1 \
		"http://127.0.0.1:$(free_port)/pets" data
	nothing_done
}

@test "a command that cannot begin gives up within seconds, not minutes" {
	SECONDS=0
	fails 1 'refused' datamount ls "http://127.0.0.1:$(free_port)/pets"
	[ "$SECONDS" -lt 60 ]
}

@test "a name that does not resolve is said" {
	fails 1 'no\.such\.host\.invalid' datamount --timeout 1 \
		http://no.such.host.invalid/pets data
	nothing_done
}

@test "a certificate that nobody vouches for is refused" {
	need openssl
	two_versions
	openssl req -x509 -newkey ed25519 -nodes -keyout key -out cert \
		-days 2 -subj /CN=localhost 2>/dev/null
	port=$(free_port)
	mkfifo fifo
	(cd "$REPO" && exec openssl s_server -quiet -accept "$port" -WWW \
		-cert "$T/cert" -key "$T/key" >/dev/null 2>&1 3>&- 4>&-) &
	ends_with_test $!
	eventually openssl s_client -connect "127.0.0.1:$port" </dev/null \
		>/dev/null 2>&1
	fails 1 'certificate' datamount --timeout 30 \
		"https://localhost:$port/" data
	nothing_done
}

@test "an HTML page is no repository" {
	two_versions
	httpd_start "$REPO" '/* * html'
	fails 1 'not a datamount repository' datamount "$URL/@v1" data
	nothing_done
}

@test "a repository of a later format asks for a newer program" {
	two_versions
	sed -i 's/repository 1/repository 2/' "$REPO/datamount"
	fails 1 '[Nn]ewer|later' datamount "$REPO@v1" data
	nothing_done
}

@test "a truncated commit is damage, and not mounted" {
	two_versions
	file=$REPO/commits/${V1:0:2}/$V1
	chmod u+w "$file"
	truncate -s 40 "$file"
	fails 1 "${V1:0:12}" datamount "$REPO@v1" data
	nothing_done
}

@test "truncated packs are damage, and not mounted" {
	two_versions
	find "$REPO/packs" -type f -exec chmod u+w {} + \
		-exec truncate -s 20 {} +
	fails 1 'pack' datamount "$REPO@v1" data
	nothing_done
}

@test "a mount point that is not empty, or no directory, is refused" {
	need_fuse
	two_versions
	mkdir data
	touch data/mine other
	fails 1 'not empty' datamount "$REPO@v1" data
	fails 1 'other' datamount "$REPO@v1" other
	[ -e data/mine ]
	[ ! -e data.source ] && [ ! -e other.source ]
}

@test "a cache directory of another user is refused" {
	need_root
	two_versions
	mkdir -m 700 theirs
	chown 12345 theirs
	fails 1 'theirs' datamount --cache "$T/theirs" "$REPO@v1" data
	nothing_done
}

@test "a cache directory that others can write is refused" {
	two_versions
	mkdir -m 777 open
	chmod 777 open
	fails 1 'open' datamount --cache "$T/open" "$REPO@v1" data
	nothing_done
}

@test "a repository folder of another user is refused" {
	need_root
	two_versions
	chown 12345 "$REPO"
	fails 1 'belongs to user 12345' datamount "$REPO@v1" data
	chown 0 "$REPO"
	chown 12345 "$REPO/datamount"
	fails 1 'belongs to user 12345' datamount "$REPO@v1" data
	nothing_done
}

@test "a .source file with a bad line is refused by its number" {
	printf 'version = 1\nrepository = /x\nnonsense = 1\n' >data.source
	fails 1 'data\.source: line 3' datamount ./data
	printf 'version = 1\nversion = 1\n' >data.source
	fails 1 'data\.source: line 2' datamount ./data
	printf 'version = 1\nrepository = /x\001y\n' >data.source
	fails 1 'data\.source: line 2' datamount ./data
	printf 'version = 9\n' >data.source
	fails 1 'data\.source: line 1' datamount ./data
	[ ! -e data ]
}

@test "a directory without a pin says how to make one" {
	fails 1 'data\.source.*datamount REPO' datamount ./data
	[ ! -e data ]
}
