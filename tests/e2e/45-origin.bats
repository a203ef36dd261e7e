#!/usr/bin/env bats
# Where bytes come from: folders, servers of several kinds, servers in trouble.
# Each test sets URL for itself.
# shellcheck disable=SC2030,SC2031
load helpers

# A repository at $T/repo of a folder $T/src with small and large files.
publish () {
	small_data src v1
	head -c 3000000 /dev/urandom >src/large
	datamount init repo
	datamount commit src repo@main -m 'a version' --quiet
}

# Every byte of the version at $1 is right.
exports_right () {
	rm -rf out
	datamount export --quiet "$1@main" out
	diff -r src out
}

@test "a folder is an origin, as a path and as a file URL" {
	publish
	exports_right "$T/repo"
	exports_right repo
	exports_right "file://$T/repo/"
}

@test "nginx is an origin, and is asked for each byte once" {
	need nginx
	publish
	nginx_start repo
	exports_right "$URL/"
	nginx_settle
	run awk '$3 !~ /^20[06]$/' "$LOG"
	[ -z "$output" ]
	# beside the version: its ref, its directories
	run awk '{n += $5} END {print n}' "$LOG"
	[ "$output" -lt 3200000 ]
}

@test "a server without ranges is an origin" {
	publish
	python_start repo
	exports_right "$URL/"
}

@test "a mount reads from a server" {
	need_fuse
	publish
	httpd_start repo
	datamount "$URL/@main" data
	diff -r src data
	datamount umount data
}

@test "every answer broken off: the version is right all the same" {
	publish
	httpd_start repo
	httpd_rule '* * truncate=200000'
	exports_right "$URL/"
	[ "$(httpd_count '/packs/*')" -gt 15 ]
}

@test "trouble with every other request: the version is right all the same" {
	publish
	httpd_start repo
	httpd_rule '* 1 status=503
* 3 reset=0
* 5 status=429 retry-after=1
* 7 truncate=100
* 9 status=500
* 11 drop
* 13 reset=50'
	exports_right "$URL/"
}

@test "one answer with wrong bytes is asked for again" {
	publish
	httpd_start repo
	httpd_rule '/packs/* 1 flip=100'
	exports_right "$URL/"
}

@test "wrong bytes that stay wrong are an error, and no byte of them is shown" {
	publish
	httpd_start repo
	httpd_rule '/packs/* * flip=100'
	fails 1 'do not match|digest|damaged|corrupt' \
		datamount cat "$URL/@main:large"
}

@test "another range than was asked for is never used" {
	publish
	httpd_start repo
	httpd_rule '/packs/* * shift=1'
	fails 1 'asked for bytes from' datamount cat "$URL/@main:large"
}

@test "a repository that has moved is followed" {
	need nginx
	publish
	nginx_start repo
	NEW=$URL
	httpd_start repo
	for path in /datamount /refs/heads/main; do
		httpd_rule "$path * redirect=$NEW$path"
	done
	(cd repo && find packs commits -type f) | while read -r f; do
		httpd_rule "/$f * redirect=$NEW/$f"
	done
	exports_right "$URL/"
}

@test "a redirect to a cloud's metadata is refused" {
	publish
	httpd_start repo
	httpd_rule '* * redirect=http://169.254.169.254/latest/meta-data/'
	fails 1 'internal address 169.254.169.254' datamount ls "$URL/@main"
}

@test "a closed port is named, with what to look at" {
	fails 1 'connection refused \(is the server running\?\)' \
		datamount ls --timeout 1 "http://127.0.0.1:$(free_port)/@main"
}

@test "a server that says nothing is given up at the deadline" {
	publish
	httpd_start repo
	httpd_rule '* * stall=0'
	fails 1 'in time' datamount ls --timeout 1 "$URL/@main"
}

@test "a page of HTML is no repository" {
	publish
	httpd_start repo
	httpd_rule '* * html'
	fails 1 'not a datamount repository' datamount ls "$URL/@main"
}

@test "a server that denies access is not asked again" {
	publish
	httpd_start repo
	httpd_rule '* * status=403'
	fails 1 'HTTP 403' datamount ls "$URL/@main"
	[ "$(httpd_count '*datamount')" -eq 1 ]
	[ "$(httpd_count '*refs/*')" -le 1 ] # asked for at the same time
	[ "$(httpd_count)" -le 2 ]
}

@test "a URL with a password in it is refused, and not repeated" {
	fails 1 'user' datamount ls 'http://me:SECRET@127.0.0.1/r/@main'
	# shellcheck disable=SC2154
	[[ $stderr != *SECRET* ]]
}

# nginx with TLS for localhost, by an authority of its own; it offers HTTP/2.
tls_start () {
	local port
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout ca.key -out ca.pem -days 2 -subj '/CN=Test authority'
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout key.pem -out csr.pem -subj /CN=localhost
	openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -days 2 \
		-set_serial 1 -out cert.pem \
		-extfile <(echo subjectAltName=DNS:localhost)
	nginx_start "$1"
	port=$(free_port)
	sed -i "s|root \"|listen 127.0.0.1:$port ssl http2; &|
		s|root \"|ssl_certificate $T/cert.pem; &|
		s|root \"|ssl_certificate_key $T/key.pem; &|
		s|log_format dm '|&\$server_protocol |" nginx/conf
	nginx_stop
	: >"$LOG"
	nginx -p "$T/nginx" -e "$T/nginx/error.log" -c "$T/nginx/conf" \
		3>&- 4>&-
	URL=https://localhost:$port
	PORT=$port
}

@test "a certificate is trusted through SSL_CERT_FILE, and for its host only" {
	need nginx
	publish
	tls_start repo
	fails 1 'certificate is not trusted' datamount ls "$URL/@main"
	export SSL_CERT_FILE=$T/ca.pem
	fails 1 'certificate is not for this host' \
		datamount ls "https://127.0.0.1:$PORT/@main"
	exports_right "$URL/"
	nginx_settle
	run awk '$1 != "HTTP/1.1"' "$LOG"
	[ -z "$output" ]
}

# With a sanitizer, what is used after its end fails here.
@test "a command that has what it wants ends while its neighbours still come" {
	mkdir src
	for i in $(seq 60); do head -c 10000 /dev/urandom >"src/$i"; done
	datamount init repo
	datamount commit src repo@main -m 'a version' --quiet
	httpd_start repo
	datamount ls "$URL/@main" >/dev/null
	# All of them take a minute.
	httpd_rule '/packs/* * drip=10000'
	SECONDS=0
	datamount cat "$URL/@main:1" | cmp - src/1
	[ "$SECONDS" -lt 30 ]
}
