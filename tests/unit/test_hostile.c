/*
 * What others may put before us, and how it is refused: every case has the
 * code and the words.  Each is a thing that somebody could gain by: another
 * file, another host, a terminal's control, a sum that runs over, or one
 * content in two encodings.  Tests of each module have the slips of the pen.
 */
#include "tests/unit/check.h"

#include "cache/base/le.h"
#include "cache/base/object.h"
#include "cache/net/http_header.h"
#include "cache/net/url.h"
#include "cache/pack/codec.h"
#include "cache/pack/moved.h"
#include "cache/pack/pack_dir.h"
#include "fs/format/commit.h"
#include "fs/format/config_file.h"
#include "fs/format/limits.h"
#include "fs/format/ref.h"
#include "fs/format/seen_refs.h"
#include "fs/format/source_file.h"
#include "fs/format/tree.h"
#include "fs/source/source.h"
#include "tests/lib/result.h"

#define A8 "aaaaaaaa"
#define B8 "bbbbbbbb"
#define A32 A8 A8 A8 A8
#define A64 A32 A32
#define B64 B8 B8 B8 B8 B8 B8 B8 B8
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TEXT(t) (t), sizeof(t) - 1

struct bad {
	const char *text;
	size_t size;
	const char *says;
};

static uint64_t tried;

/* Each of the n is refused by the decoder, with that code and its words. */
static void
refuse(int (*decode)(const char *text, size_t size, struct dm_err *err),
    enum dm_code code, const struct bad *bad, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct dm_err err = { 0 };
		/* Of exactly that size, for ASan. */
		char *copy = malloc(bad[i].size + 1);

		assert_non_null(copy);
		memcpy(copy, bad[i].text, bad[i].size + 1);
		if (decode(copy, bad[i].size, &err) == 0)
			fail_msg("taken: %s", bad[i].text);
		if (err.code != code || strstr(err.text, bad[i].says) == NULL)
			fail_msg("%s: %d %s, not %d %s", bad[i].text,
			    (int)err.code, err.text, (int)code, bad[i].says);
		for (const char *p = err.text; *p != '\0'; p++)
			if ((unsigned char)*p < ' ' || *p == '\x7f')
				fail_msg("control bytes said: %s", err.text);
		free(copy);
		tried++;
	}
}

static int
decode_source(const char *text, size_t size, struct dm_err *err)
{
	static struct source_file f;

	return source_file_decode(&f, text, size, err);
}

#define V "version = 1\n"
#define REPO "repository = https://example.org/data\n"
#define ID "repository-id = " A32 "\n"
#define SHORT V REPO ID "commit = " A64 "\n"

static void
test_hostile_source_files_are_refused(void **state)
{
	static const struct bad bad[] = {
		{ TEXT("\xef\xbb\xbf" V REPO), "line 1: " },
		{ TEXT("\0"), "control bytes" },
		{ TEXT(V "repository = /a\0b\n"), "line 2: control bytes" },
		{ TEXT(V "repository = /a\x1b[2J\n"), "line 2: control bytes" },
		{ TEXT(V "repository = /a\x01\n"), "line 2: control bytes" },
		{ TEXT(V "repository = /a\xc2\x9b\n"), "line 2: control" },
		{ TEXT(V "repository = /a\rrepository = /b\n"), "line 2: " },
		{ TEXT(V "include = /etc/passwd\n"), "line 2: unknown key" },
		{ TEXT(V "exec = id\n"), "line 2: unknown key" },
		{ TEXT(V "credential-helper = !id\n"), "line 2: unknown key" },
		{ TEXT(V "proxy = http://127.0.0.1\n"), "line 2: unknown key" },
		{ TEXT(V "cache-dir = /etc\n"), "line 2: unknown key" },
		{ TEXT(V "allow-other = yes\n"), "line 2: unknown key" },
		{ TEXT(V "Repository = /a\n"), "line 2: unknown key" },
		{ TEXT(V "[network]\n"), "line 2: not \"key = value\"" },
		{ TEXT("version = 1 \n"), "line 1: " },
		{ TEXT("version =  1\n"), "line 1: " },
		{ TEXT("version = 01\n"), "line 1: version is not 1" },
		{ TEXT("version = +1\n"), "line 1: version is not 1" },
		{ TEXT("version = 18446744073709551617\n"), "line 1: version" },
		{ TEXT(V REPO "repository-id = " A32 "aa\n"), "line 3: " },
		{ TEXT(V REPO "repository-id = " A8 A8 A8 "AAAAAAAA\n"),
		    "line 3: repository-id" },
		{ TEXT(V REPO ID "commit = " A32 "\n"), "line 4: commit" },
		{ TEXT(V REPO ID "commit = " A64 "00\n"), "line 4: commit" },
		{ TEXT(V REPO ID "commit = HEAD\n"), "line 4: commit" },
		{ TEXT(V REPO ID "commit = sha1:" A32 A8 "\n"),
		    "line 4: commit" },
		{ TEXT(V REPO ID "commit = ../../../etc/passwd\n"),
		    "line 4: commit" },
		{ TEXT(SHORT "path = /..\n"), "line 5: bad path" },
		{ TEXT(SHORT "path = /a/..\n"), "line 5: bad path" },
		{ TEXT(SHORT "path = ..\n"), "line 5: bad path" },
		{ TEXT(SHORT "path = //\n"), "line 5: bad path" },
		{ TEXT(SHORT "path = /a/./b\n"), "line 5: bad path" },
		{ TEXT(SHORT "path = /a\0b\n"), "line 5: control bytes" },
		{ TEXT(SHORT "ref = --upload-pack=id\n"), "line 5: bad name" },
		{ TEXT(SHORT "ref = -o\n"), "line 5: bad name" },
		{ TEXT(SHORT "ref = ../../secret\n"), "line 5: bad name" },
		{ TEXT(SHORT "ref = a/../../b\n"), "line 5: bad name" },
		{ TEXT(SHORT "ref = $(id)\n"), "line 5: bad name" },
		{ TEXT(SHORT "ref = a;id\n"), "line 5: bad name" },
		{ TEXT(SHORT "ref = a b\n"), "line 5: bad name" },
		{ TEXT(SHORT "ref = " A64 "\n"), "line 5: bad name" },
		{ TEXT(SHORT "ref = a\nsequence = -1\n"), "line 6: bad seq" },
		{ TEXT(SHORT "ref = a\nsequence = 18446744073709551616\n"),
		    "line 6: bad sequence" },
		{ TEXT(SHORT "ref = a\nsequence = 9223372036854775808\n"),
		    "line 6: bad sequence" },
		{ TEXT(SHORT "ref = a\nsequence = 0x1\n"), "line 6: bad seq" },
		{ TEXT(SHORT ">>>>>>> theirs\n"), "line 5: unresolved merge" },
	};

	(void)state;
	refuse(decode_source, DM_INVALID, bad, COUNT(bad));
}

static int
decode_url(const char *text, size_t size, struct dm_err *err)
{
	struct url u;

	(void)size;
	return url_parse(&u, text, err);
}

static void
test_hostile_urls_are_refused(void **state)
{
	static const struct bad bad[] = {
		{ TEXT("ext::sh -c id"), "neither http" },
		{ TEXT("fd::17"), "neither http" },
		{ TEXT("--config=x"), "neither http" },
		{ TEXT("-oProxyCommand=id://h/"), "neither http" },
		{ TEXT("javascript://h/"), "javascript: neither" },
		{ TEXT("data://h/"), "data: neither" },
		{ TEXT("dict://h:11211/stat"), "dict: neither" },
		{ TEXT("gopher://h:6379/_x"), "gopher: neither" },
		{ TEXT("ldap://h/"), "ldap: neither" },
		{ TEXT("scp://h/x"), "scp: neither" },
		{ TEXT("sftp://h/x"), "sftp: neither" },
		{ TEXT("smb://h/x"), "smb: neither" },
		{ TEXT("telnet://h/x"), "telnet: neither" },
		{ TEXT("unix:///run/docker.sock"), "unix: neither" },
		{ TEXT(" http://h/"), "neither http" },
		{ TEXT("http:/h/"), "neither http" },
		{ TEXT("http:h"), "neither http" },
		{ TEXT("http://good@evil/"), "user or a password" },
		{ TEXT("http://good:80@evil/"), "user or a password" },
		{ TEXT("http://@evil/"), "user or a password" },
		{ TEXT("http://good%40evil/"), "malformed" },
		{ TEXT("http://good%2fevil/"), "malformed" },
		{ TEXT("http://good\\@evil/"), "user or a password" },
		{ TEXT("http://good\\.evil/"), "malformed" },
		{ TEXT("http://good evil/"), "malformed" },
		{ TEXT("http://h\r\nX-Evil: 1/"), "control" },
		{ TEXT("http://h/\r\nX-Evil: 1"), "control" },
		{ TEXT("http://h/ HTTP/1.1\r\nHost: evil"), "control" },
		{ TEXT("http://h/a\tb"), "control" },
		{ TEXT("http://h/\x1b]0;evil\x07"), "control" },
		{ TEXT("http://h:-1/"), "port" },
		{ TEXT("http://h:+80/"), "port" },
		{ TEXT("http://h: 80/"), "port" },
		{ TEXT("http://h:4294967376/"), "port" },
		{ TEXT("http://h:80:90/"), "port" },
		{ TEXT("http://[::1]:x/"), "port" },
		{ TEXT("http://[::1"), "no \"]\"" },
		{ TEXT("http://[::1]@evil/"), "user or a password" },
		{ TEXT("http://[::1].evil/"), "malformed" },
		{ TEXT("http://h#@evil/"), "fragment" },
		{ TEXT("http://?x"), "names no host" },
		{ TEXT("https:///etc/passwd"), "names no host" },
	};

	(void)state;
	refuse(decode_url, DM_INVALID, bad, COUNT(bad));
}

static int
decode_redirect(const char *text, size_t size, struct dm_err *err)
{
	(void)size;
	return url_check_redirect(true, text, err);
}

static void
test_hostile_redirects_are_refused(void **state)
{
	static const struct bad bad[] = {
		{ TEXT("http://h/"), "from https" },
		{ TEXT("HTTP://h/"), "from https" },
		{ TEXT("http://h/?token=SECRET"), "from https" },
		{ TEXT("file:///etc/passwd"), "neither to http" },
		{ TEXT("FILE:///etc/passwd"), "neither to http" },
		{ TEXT("file://127.0.0.1/etc/passwd"), "neither to http" },
		{ TEXT("ftp://h/"), "neither to http" },
		{ TEXT("ftps://h/"), "neither to http" },
		{ TEXT("dict://h:11211/"), "neither to http" },
		{ TEXT("gopher://h:25/_HELO"), "neither to http" },
		{ TEXT("ldap://h/"), "neither to http" },
		{ TEXT("ws://h/"), "neither to http" },
		{ TEXT("javascript:alert(1)"), "neither to http" },
		{ TEXT("data:text/plain,x"), "neither to http" },
		{ TEXT("https://u@h/"), "malformed" },
		{ TEXT("https://u:p@h/"), "malformed" },
		{ TEXT("https://h:0/"), "malformed" },
		{ TEXT("https://h:65536/"), "malformed" },
		{ TEXT("https:///x"), "malformed" },
		{ TEXT("https://[::1/"), "malformed" },
	};

	(void)state;
	refuse(decode_redirect, DM_DENIED, bad, COUNT(bad));
}

static int
decode_file_url(const char *text, size_t size, struct dm_err *err)
{
	char path[64];

	(void)size;
	return url_file_path(path, sizeof(path), text, err);
}

static void
test_hostile_file_urls_are_refused(void **state)
{
	static const struct bad bad[] = {
		{ TEXT("file://evil/share"), "needs a full path" },
		{ TEXT("file://../x"), "needs a full path" },
		{ TEXT("file://"), "needs a full path" },
		{ TEXT("file:///a?b"), "neither query nor fragment" },
		{ TEXT("file:///a#b"), "neither query nor fragment" },
		{ TEXT("file:///a%"), "malformed \"%\"" },
		{ TEXT("file:///a%0"), "malformed \"%\"" },
		{ TEXT("file:///a%zz"), "malformed \"%\"" },
		{ TEXT("file:///a%00b"), "malformed \"%\"" },
		{ TEXT("file:///" A64), "too long" },
	};

	(void)state;
	refuse(decode_file_url, DM_INVALID, bad, COUNT(bad));
}

/* The two below answer yes or no; the words are ours. */
static int
decode_path(const char *text, size_t size, struct dm_err *err)
{
	(void)size;
	return url_path_valid(text) ? 0 : dm_fail(err, DM_INVALID, "path");
}

static int
decode_range(const char *text, size_t size, struct dm_err *err)
{
	struct http_range r;

	(void)size;
	return http_header_range(&r, text) ? 0 :
					     dm_fail(err, DM_CORRUPT, "range");
}

static void
test_hostile_paths_are_refused(void **state)
{
	static const struct bad bad[] = {
		{ TEXT(""), "path" },
		{ TEXT("/etc/passwd"), "path" },
		{ TEXT(".."), "path" },
		{ TEXT("../x"), "path" },
		{ TEXT("a/../b"), "path" },
		{ TEXT("a/.."), "path" },
		{ TEXT("."), "path" },
		{ TEXT("a/./b"), "path" },
		{ TEXT("a//b"), "path" },
		{ TEXT("a/"), "path" },
		{ TEXT("a\nb"), "path" },
		{ TEXT("a\r\nHost: evil"), "path" },
		{ TEXT("a\x7f"), "path" },
		{ TEXT("a\x1b[m"), "path" },
	};

	(void)state;
	refuse(decode_path, DM_INVALID, bad, COUNT(bad));
}

static void
test_hostile_ranges_are_refused(void **state)
{
	static const struct bad bad[] = {
		{ TEXT("bytes 0-0/0"), "range" },
		{ TEXT("bytes 1-1/1"), "range" },
		{ TEXT("bytes 5-4/10"), "range" },
		{ TEXT("bytes 0-18446744073709551615/*"), "range" },
		{ TEXT("bytes 18446744073709551616-18446744073709551617/*"),
		    "range" },
		{ TEXT("bytes 0x0-0x1/2"), "range" },
		{ TEXT("bytes 0-1,3-4/9"), "range" },
		{ TEXT("bytes 0-1/2, bytes 3-4/9"), "range" },
		{ TEXT("bytes 0-1/2\r\nX: y"), "range" },
		{ TEXT("bytes 0-1/-2"), "range" },
		{ TEXT("bytes 0-1/2;x"), "range" },
		{ TEXT("bytes */"), "range" },
		{ TEXT("bytes *-1/2"), "range" },
		{ TEXT("bytes0-1/2"), "range" },
		{ TEXT("seconds 0-1/2"), "range" },
		{ TEXT("none"), "range" },
		{ TEXT("bytes 0\xc2\xa0-1/2"), "range" },
	};

	(void)state;
	refuse(decode_range, DM_CORRUPT, bad, COUNT(bad));
}

static int
decode_name(const char *text, size_t size, struct dm_err *err)
{
	struct source_name n;

	(void)size;
	return source_name_parse(&n, text, err);
}

static void
test_hostile_names_of_versions_are_refused(void **state)
{
	static const struct bad bad[] = {
		{ TEXT(""), "" },
		{ TEXT("@main"), "no repository" },
		{ TEXT("http://u@h/@main"), "user" },
		{ TEXT("http://u:p@h/@main"), "user" },
		{ TEXT("/r@-x"), "neither a branch or tag" },
		{ TEXT("/r@--help"), "neither a branch or tag" },
		{ TEXT("/r@../x"), "neither a branch or tag" },
		{ TEXT("/r@a..b"), "neither a branch or tag" },
		{ TEXT("/r@a.lock"), "neither a branch or tag" },
		{ TEXT("/r@.git"), "neither a branch or tag" },
		{ TEXT("/r@a b"), "neither a branch or tag" },
		{ TEXT("/r@a*"), "neither a branch or tag" },
		{ TEXT("/r@a%00"), "neither a branch or tag" },
		{ TEXT("/r@main:../x"), "cannot have '..'" },
		{ TEXT("/r@main:a/../../x"), "cannot have '..'" },
		{ TEXT("/r@main:/.."), "cannot have '..'" },
		{ TEXT("/r\n@main"), "control bytes" },
		{ TEXT("/r@ma\x1bin"), "control bytes" },
		{ TEXT("/r@main:a\rb"), "control bytes" },
		{ TEXT("/r@main:a\x7f"), "control bytes" },
	};

	(void)state;
	refuse(decode_name, DM_INVALID, bad, COUNT(bad));
}

static int
decode_config(const char *text, size_t size, struct dm_err *err)
{
	struct config_file f;

	if (config_file_decode(&f, text, size, err) < 0)
		return -1;
	config_file_release(&f);
	return 0;
}

#define PETS "[repository \"p\"]\nurl = https://example.org/p\n"

static void
test_hostile_configurations_are_refused(void **state)
{
	static const struct bad bad[] = {
		{ TEXT("\xef\xbb\xbf[cache]\n"), "line 1: " },
		{ TEXT("dir = /etc\n"), "line 1: " },
		{ TEXT("[include]\npath = /etc/passwd\n"), "line 1: " },
		{ TEXT("[alias]\n"), "line 1: " },
		{ TEXT("[cache\n"), "line 1: " },
		{ TEXT("[Cache]\n"), "line 1: " },
		{ TEXT("[cache]\ndir = a\0b\n"), "line 2: control bytes" },
		{ TEXT("[cache]\ndir = /a\x1b\n"), "line 2: control bytes" },
		{ TEXT("[cache]\ndir = /a\xff\n"), "line 2: control bytes" },
		{ TEXT("[cache]\ndir = /a\r\n"), "line 2: it ends in CR LF" },
		{ TEXT("[cache]\ndir = \n"), "line 2: " },
		{ TEXT("[cache]\ndir = /a\ndir = /b\n"), "line 3: " },
		{ TEXT("[cache]\nsize = -1\n"), "line 2: " },
		{ TEXT("[cache]\nsize = 1e9\n"), "line 2: " },
		{ TEXT("[cache]\nsize = 99999999999999999999\n"), "line 2: " },
		{ TEXT("[cache]\nsize = 18446744073709551615G\n"), "line 2: " },
		{ TEXT("[cache]\nsize = 0x10\n"), "line 2: " },
		{ TEXT("[cache]\nmemory = 17179869184T\n"), "line 2: " },
		{ TEXT("[cache]\nexec = id\n"), "line 2: " },
		{ TEXT("[network]\ntimeout = -1\n"), "line 2: " },
		{ TEXT("[network]\ntimeout = 4294967297000\n"), "line 2: " },
		{ TEXT("[network]\nproxy = http://evil\n"), "line 2: " },
		{ TEXT("[network]\nnetrc = yes\n"), "line 2: " },
		{ TEXT("[network]\npassword = x\n"), "line 2: " },
		{ TEXT("[mount]\nallow-other = maybe\n"), "line 2: " },
		{ TEXT("[mount]\nsymlinks = outside\n"), "line 2: " },
		{ TEXT("[mount]\noptions = suid,dev\n"), "line 2: " },
		{ TEXT("[mount]\nio = kernel\n"), "line 2: " },
		{ TEXT("[repository \"\"]\nurl = /a\n"), "line 1: " },
		{ TEXT("[repository \"../x\"]\nurl = /a\n"), "line 1: " },
		{ TEXT("[repository \"-x\"]\nurl = /a\n"), "line 1: " },
		{ TEXT("[repository \"a/b\"]\nurl = /a\n"), "line 1: " },
		{ TEXT("[repository \"a b\"]\nurl = /a\n"), "line 1: " },
		{ TEXT("[repository \"p.source\"]\nurl = /a\n"), "line 1: " },
		{ TEXT("[repository \"p\"\nurl = /a\n"), "line 1: " },
		{ TEXT("[repository \"p\"] x\nurl = /a\n"), "line 1: " },
		{ TEXT("[repository \"p\"]\n"), "has no url" },
		{ TEXT(PETS "url = /b\n"), "line 3: " },
		{ TEXT(PETS PETS), "line 3: " },
	};

	(void)state;
	refuse(decode_config, DM_INVALID, bad, COUNT(bad));
}

static int
decode_commit(const char *text, size_t size, struct dm_err *err)
{
	struct commit c;

	return commit_decode(&c, text, size, err);
}

#define HEAD "format 1\ntree " A64 "\nlevel 1\n"
#define TOTALS "entries 9\nfiles 7\nbytes 12345\n"
#define AT "at " B64 " 100 72 0\n"
#define TIME "time 1700000000\n"
#define ALL HEAD TOTALS AT TIME

static void
test_hostile_commits_are_refused(void **state)
{
	static const struct bad bad[] = {
		{ TEXT("\0"), "not a commit" },
		{ TEXT("DMo1\1\0\0\0"), "not a commit" },
		{ TEXT("tree " A32 A8 "\n"), "not a commit" },
		{ TEXT(" " ALL "\n"), "not a commit" },
		{ TEXT("format 1\0\n"), "not a commit" },
		{ TEXT("format 1\ntree sha1:" A32 A8 "\n"), "bad tree" },
		{ TEXT("format 1\ntree " A32 "\n"), "bad tree" },
		{ TEXT("format 1\ntree  " A64 "\n"), "bad tree" },
		{ TEXT("format 1\ntree " A64 " \n"), "bad tree" },
		{ TEXT("format 1\ntree " A32 A8 A8 A8 "AAAAAAAA\n"),
		    "bad tree" },
		{ TEXT("format 1\ntree " A64 "\nlevel 255\n"), "bad level" },
		{ TEXT("format 1\ntree " A64 "\nlevel 256\n"), "bad level" },
		{ TEXT("format 1\ntree " A64 "\nlevel 00\n"), "bad level" },
		{ TEXT(HEAD "entries 18446744073709551615\nfiles 1\nbytes 1\n"),
		    "bad totals" },
		{ TEXT(HEAD "entries 9\nfiles 9\nbytes 4611686018427387905\n"),
		    "bad totals" },
		{ TEXT(HEAD "entries 9\nfiles 9\nbytes -1\n"), "bad totals" },
		{ TEXT(HEAD "entries +9\n"), "bad totals" },
		{ TEXT(HEAD TOTALS "at " A32 " 100 72 0\n"), "bad place" },
		{ TEXT(HEAD TOTALS "at " B64 " 18446744073709551616 72 0\n"),
		    "bad place" },
		{ TEXT(HEAD TOTALS "at ../../x 100 72 0\n"), "bad place" },
		{ TEXT(HEAD TOTALS AT "parent " A64 "\nparent " A64 "\n" TIME
				      "\n"),
		    "bad parent" },
		{ TEXT(HEAD TOTALS AT "time 18446744073709551616\n\n"),
		    "bad time" },
		{ TEXT(ALL "author \x1b]0;x\x07\n\n"), "bad author" },
		{ TEXT(ALL "author a\0b\n\n"), "bad author" },
		{ TEXT(ALL "author a\r\n\n"), "bad author" },
		{ TEXT(ALL "x-a\x1b 1\n\n"), "bad free key" },
		{ TEXT(ALL "x-a 1\x1b\n\n"), "bad free key" },
		{ TEXT(ALL "x-../a 1\n\n"), "bad free key" },
		{ TEXT(ALL "x-b 1\nx-a 1\n\n"), "bad free key" },
		{ TEXT(ALL "gpgsig x\n\n"), "unknown or misplaced" },
		{ TEXT(ALL "\nm\0"), "bad message" },
		{ TEXT(ALL "\nm\x1b[2J"), "bad message" },
		{ TEXT(ALL "\nm\xc2\x85"), "bad message" },
		{ TEXT(ALL "\nm\xf4\x90\x80\x80"), "bad message" },
		{ TEXT(ALL "\nm\xe0\x80\xaf"), "bad message" },
	};

	(void)state;
	refuse(decode_commit, DM_CORRUPT, bad, COUNT(bad));
}

static int
decode_ref(const char *text, size_t size, struct dm_err *err)
{
	struct ref r;

	return ref_decode(&r, text, size, err);
}

static int
decode_ref_line(const char *text, size_t size, struct dm_err *err)
{
	struct ref_line l;

	return ref_line_decode(&l, text, size, err);
}

static int
decode_log_line(const char *text, size_t size, struct dm_err *err)
{
	struct log_line l;

	return log_line_decode(&l, text, size, err);
}

static int
decode_seen(const char *text, size_t size, struct dm_err *err)
{
	struct seen_refs s;
	int rc = seen_refs_decode(&s, text, size, err);

	seen_refs_release(&s);
	return rc;
}

static int
decode_repo_file(const char *text, size_t size, struct dm_err *err)
{
	uint8_t id[REPO_ID_SIZE];

	return repo_file_decode(id, text, size, err);
}

#define C64 "commit " A64 "\n"
#define REST "sequence 1\ntime 1\n"

static void
test_hostile_refs_are_refused(void **state)
{
	static const struct bad bad[] = {
		{ TEXT("ref: refs/heads/main\n"), "not a ref" },
		{ TEXT("\0"), "not a ref" },
		{ TEXT("<!DOCTYPE html>\n"), "not a ref" },
		{ TEXT("\xef\xbb\xbf" C64 REST), "not a ref" },
		{ TEXT("commit sha1:" A32 A8 "\n" REST), "not a ref" },
		{ TEXT("commit " A32 "\n" REST), "not a ref" },
		{ TEXT("commit " A64 "aa\n" REST), "not a ref" },
		{ TEXT("commit " A64 "\0\n" REST), "not a ref" },
		{ TEXT("commit ../../../../etc/passwd\n" REST), "not a ref" },
		{ TEXT("commit  " A64 "\n" REST), "not a ref" },
		{ TEXT("Commit " A64 "\n" REST), "not a ref" },
		{ TEXT(C64 C64 REST), "not a ref" },
		{ TEXT(C64 "sequence -1\ntime 1\n"), "not a ref" },
		{ TEXT(C64 "sequence +1\ntime 1\n"), "not a ref" },
		{ TEXT(C64 "sequence 1 \ntime 1\n"), "not a ref" },
		{ TEXT(C64 "sequence 18446744073709551617\ntime 1\n"),
		    "not a ref" },
		{ TEXT(C64 "sequence 1\ntime -1\n"), "not a ref" },
		{ TEXT(C64 "sequence 1\ntime 18446744073709551616\n"),
		    "not a ref" },
		{ TEXT(C64 REST "x: y\n"), "not a ref" },
		{ TEXT(C64 REST "\0"), "not a ref" },
	};

	(void)state;
	refuse(decode_ref, DM_CORRUPT, bad, COUNT(bad));
}

static void
test_hostile_lists_of_refs_are_refused(void **state)
{
	static const struct bad lines[] = {
		{ TEXT("heads/../../x " A64 " 1 1"), "bad line" },
		{ TEXT("heads//x " A64 " 1 1"), "bad line" },
		{ TEXT("heads/-x " A64 " 1 1"), "bad line" },
		{ TEXT("heads/x\x1b[m " A64 " 1 1"), "bad line" },
		{ TEXT("heads/x\0 " A64 " 1 1"), "bad line" },
		{ TEXT("heads/" A64 " " A64 " 1 1"), "bad line" },
		{ TEXT("heads/x " A32 " 1 1"), "bad line" },
		{ TEXT("heads/x " A64 " 1 1 1"), "bad line" },
		{ TEXT("heads/x " A64 " 18446744073709551617 1"), "bad line" },
		{ TEXT("notes/x " A64 " 1 1"), "not a ref" },
		{ TEXT("../heads/x " A64 " 1 1"), "not a ref" },
	};
	static const struct bad log[] = {
		{ TEXT(""), "bad line" },
		{ TEXT(A64 " - 1 main\x1b s"), "bad line" },
		{ TEXT(A64 " - 1 ../x s"), "bad line" },
		{ TEXT(A64 " - -1 main s"), "bad line" },
		{ TEXT(A64 " - 253402300800 main s"), "bad line" },
		{ TEXT(A64 " - 1 main a\x1b[2Jb"), "bad line" },
		{ TEXT(A64 " - 1 main a\0b"), "bad line" },
		{ TEXT(A64 " " A64 "," A64 ", 1 main s"), "bad line" },
		{ TEXT(A64 " " A32 " 1 main s"), "bad line" },
		{ TEXT(A32 " - 1 main s"), "bad line" },
	};
	static const struct bad seen[] = {
		{ TEXT("datamount seen refs 1\nheads/../x " A64 " 1\n"),
		    "bad line 2" },
		{ TEXT("datamount seen refs 1\nheads/a\0 " A64 " 1\n"),
		    "bad line 2" },
		{ TEXT("datamount seen refs 1\nheads/a " A32 " 1\n"),
		    "bad line 2" },
		{ TEXT("datamount seen refs 1\0\n"), "not a list" },
	};
	static const struct bad repo[] = {
		{ TEXT("\0"), "not the datamount file" },
		{ TEXT("<html><title>datamount repository 1</title>"),
		    "not the datamount file" },
		{ TEXT(" datamount repository 1\nid " A32 "\n"),
		    "not the datamount file" },
		{ TEXT("datamount repository 1\r\nid " A32 "\r\n"),
		    "not the datamount file" },
		{ TEXT("datamount repository -1\nid " A32 "\n"),
		    "not the datamount file" },
		{ TEXT("datamount repository 18446744073709551617\n"),
		    "not the datamount file" },
		{ TEXT("datamount repository 1\nid " A64 "\n"), "bad id" },
		{ TEXT("datamount repository 1\nid ../../../../../../../a\n"),
		    "bad id" },
		{ TEXT("datamount repository 1\nid " A32 "\nurl http://evil\n"),
		    "bad id" },
	};

	(void)state;
	refuse(decode_ref_line, DM_CORRUPT, lines, COUNT(lines));
	refuse(decode_log_line, DM_CORRUPT, log, COUNT(log));
	refuse(decode_seen, DM_CORRUPT, seen, COUNT(seen));
	refuse(decode_repo_file, DM_CORRUPT, repo, COUNT(repo));
}

/* A page of empty files with these names, each its bytes up to a newline:
 * sums and all else are right, so that the names alone are to blame. */
static size_t
page_of(uint8_t *out, const char *names, size_t size)
{
	enum { RECORDS = 48, RECORD = 64 };
	uint32_t count = 0, heap = 0;
	uint8_t *r = out + RECORDS;
	size_t begin = 0;

	for (size_t i = 0; i <= size; i++) {
		if (i < size && names[i] != '\n')
			continue;
		memset(r, 0, RECORD);
		le32_put(r, heap);
		le16_put(r + 4, (uint16_t)(i - begin));
		r[6] = TREE_FILE;
		le64_put(r + 16, count);
		le64_put(r + 24, 1);
		heap += (uint32_t)(i - begin);
		begin = i + 1;
		r += RECORD;
		count++;
	}
	memset(out, 0, RECORDS);
	le32_put(out, 0x316f4d44); /* "DMo1" */
	out[4] = OBJECT_TREE;
	le32_put(out + 8, count);
	le32_put(out + 12, heap);
	for (size_t at = 16; at <= 32; at += 8)
		le64_put(out + at, count);
	for (size_t i = 0; i < size; i++)
		if (names[i] != '\n')
			*r++ = (uint8_t)names[i];
	return (size_t)(r - out);
}

static int
decode_page(const char *names, size_t size, struct dm_err *err)
{
	uint8_t page[2048];
	struct tree t;

	return tree_decode(&t, page, page_of(page, names, size), err);
}

static void
test_hostile_names_in_trees_are_refused(void **state)
{
	static const struct bad bad[] = {
		{ TEXT(""), "record 0: bad name" },
		{ TEXT("."), "record 0: bad name" },
		{ TEXT(".."), "record 0: bad name" },
		{ TEXT("/"), "record 0: bad name" },
		{ TEXT("/etc/passwd"), "record 0: bad name" },
		{ TEXT("a/b"), "record 0: bad name" },
		{ TEXT("../x"), "record 0: bad name" },
		{ TEXT("a/"), "record 0: bad name" },
		{ TEXT("a\0b"), "record 0: bad name" },
		{ TEXT("\0"), "record 0: bad name" },
		{ TEXT("a\0"), "record 0: bad name" },
		{ TEXT(A64 A64 A64 A64), "record 0: bad name" },
		{ TEXT("a\na"), "record 1: names are not in order" },
		{ TEXT("b\na"), "record 1: names are not in order" },
		{ TEXT("a\nb\nb"), "record 2: names are not in order" },
		{ TEXT("a\nB"), "record 1: names are not in order" },
		{ TEXT("aa\na"), "record 1: names are not in order" },
		{ TEXT("\xc3\xa9\na"), "record 1: names are not in order" },
		{ TEXT("a\n.."), "record 1: " },
		{ TEXT("a\n"), "record 1: " },
	};
	struct dm_err err = { 0 };

	(void)state;
	/* The builder is right: names that are no lie pass. */
	assert_int_equal(decode_page(TEXT("a\nb\n\xc3\xa9"), &err), 0);
	refuse(decode_page, DM_CORRUPT, bad, COUNT(bad));
}

/* Answers yes or no; the words are ours. */
static int
decode_git_name(const char *text, size_t size, struct dm_err *err)
{
	return tree_name_is_git(text, size) ?
	    dm_fail(err, DM_CORRUPT, "taken for .git") :
	    0;
}

static void
test_aliases_of_git_are_known(void **state)
{
	static const struct bad bad[] = {
		{ TEXT(".git"), "" },
		{ TEXT(".GIT"), "" },
		{ TEXT(".Git"), "" },
		{ TEXT(".giT"), "" },
		{ TEXT(".git."), "" },
		{ TEXT(".git..."), "" },
		{ TEXT(".git "), "" },
		{ TEXT(".git . ."), "" },
		{ TEXT(".GIT ."), "" },
		{ TEXT(".git::$INDEX_ALLOCATION"), "" },
		{ TEXT(".git:x"), "" },
		{ TEXT(".git .:x"), "" },
		{ TEXT(".git\\config"), "" },
		{ TEXT(".git \\x"), "" },
		{ TEXT("git~1"), "" },
		{ TEXT("GIT~1"), "" },
		{ TEXT("Git~1."), "" },
		{ TEXT("git~1 "), "" },
		{ TEXT("git~1::$DATA"), "" },
		{ TEXT("git~1\\hooks"), "" },
		{ TEXT("\xe2\x80\x8c.git"), "" },
		{ TEXT(".\xe2\x80\x8dgit"), "" },
		{ TEXT(".g\xe2\x80\x8eit"), "" },
		{ TEXT(".gi\xe2\x80\x8ft"), "" },
		{ TEXT(".git\xe2\x80\xaa"), "" },
		{ TEXT(".\xe2\x80\xae"
		       "git"),
		    "" },
		{ TEXT(".g\xe2\x81\xaait"), "" },
		{ TEXT(".gi\xe2\x81\xaft"), "" },
		{ TEXT("\xef\xbb\xbf.git"), "" },
		{ TEXT(".G\xe2\x80\x8c\xe2\x80\x8dIT."), "" },
		{ TEXT(".git\xef\xbb\xbf "), "" },
	};

	(void)state;
	refuse(decode_git_name, DM_CORRUPT, bad, COUNT(bad));
}

/* What makes 64 KiB is said to make n bytes. */
static void
bomb(struct codec *c, const void *stored, size_t size, size_t n)
{
	char *plain = malloc(n + 1);

	assert_non_null(plain);
	FAILS(DM_CORRUPT, "",
	    codec_decode(c, PACK_ZSTD, stored, size, plain, n, &err));
	free(plain);
	tried++;
}

static void
test_decompression_bombs_are_refused(void **state)
{
	enum { SIZE = 64 << 10 };
	static const char skippable[] = "\x50\x2a\x4d\x18\x00\x00\x00\x00";
	struct codec *c = codec_new();
	char *zeros = calloc(1, SIZE), twice[2048];
	const size_t doubled = (size_t)2 * SIZE;
	enum pack_codec how = PACK_PLAIN;
	const void *stored = NULL;
	size_t size = 0;

	(void)state;
	assert_true(c != NULL && zeros != NULL);
	OK(codec_encode(c, zeros, SIZE, &stored, &size, &how, &err));
	assert_true(how == PACK_ZSTD && 2 * size + 8 < sizeof(twice));
	memcpy(twice, stored, size);
	memcpy(twice + size, twice, size);
	for (size_t n = 1; n < SIZE; n *= 16)
		bomb(c, twice, size, n);
	bomb(c, twice, size, SIZE - 1);
	bomb(c, twice, size, SIZE + 1);
	bomb(c, twice, size, doubled);
	/* Two frames, and one with what no frame makes. */
	bomb(c, twice, 2 * size, doubled);
	bomb(c, twice, 2 * size, SIZE);
	memcpy(twice + size, skippable, sizeof(skippable) - 1);
	bomb(c, twice, size + 8, SIZE);
	bomb(c, skippable, 8, 1);
	bomb(c, twice, size - 1, SIZE);
	bomb(c, twice, 4, SIZE);
	/* A frame that wants a window of more than it may have. */
	bomb(c, "\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00", 9, SIZE);
	/* One that says nothing of its size, and one that is 2^64 - 1. */
	bomb(c, "\x28\xb5\x2f\xfd\x00\x58\x01\x00\x00", 9, SIZE);
	bomb(c, "\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\xff\x01", 14,
	    SIZE);
	/* One that wants a dictionary. */
	bomb(c, "\x28\xb5\x2f\xfd\x21\x07\x01\x01\x00\x00", 10, 1);
	codec_free(c);
	free(zeros);
}

static int
decode_trailer(const char *text, size_t size, struct dm_err *err)
{
	uint32_t len;

	assert_int_equal(size, PACK_TRAILER);
	return pack_trailer_decode(&len, (const uint8_t *)text, err);
}

static int
decode_dir_header(const char *text, size_t size, struct dm_err *err)
{
	uint32_t count;

	return pack_dir_header_decode(&count, text, size, err);
}

static int
decode_moved(const char *text, size_t size, struct dm_err *err)
{
	struct moved m;

	return moved_decode(&m, text, size, err);
}

static void
test_hostile_packs_are_refused(void **state)
{
	static const struct bad trailers[] = {
		{ TEXT("\0\0\0\0\0\0\0\0"
		       "DMpacke1"),
		    "" },
		{ TEXT("\x0f\0\0\0\0\0\0\0"
		       "DMpacke1"),
		    "" },
		{ TEXT("\x10\0\0\0\0\0\0\0"
		       "DMpacke1"),
		    "" },
		{ TEXT("\x49\0\0\0\0\0\0\0"
		       "DMpacke1"),
		    "" },
		{ TEXT("\xff\xff\xff\xff\0\0\0\0"
		       "DMpacke1"),
		    "" },
		{ TEXT("\x48\0\0\0\1\0\0\0"
		       "DMpacke1"),
		    "" },
		{ TEXT("\x48\0\0\0\0\0\0\x80"
		       "DMpacke1"),
		    "" },
		{ TEXT("\x48\0\0\0\0\0\0\0"
		       "DMpacke2"),
		    "" },
		{ TEXT("\x48\0\0\0\0\0\0\0"
		       "DMpackd1"),
		    "" },
		{ TEXT("<html>\n\n</html>\n"), "" },
	};
	static const struct bad headers[] = {
		{ TEXT(""), "" },
		{ TEXT("DMpackd1"), "" },
		{ TEXT("DMpackd1\0\0\0\0\1\0\0"), "" },
		{ TEXT("DMpackd1\0\0\0\0\0\0\0\0"), "number of records" },
		{ TEXT("DMpackd1\0\0\0\0\xff\xff\xff\xff"), "number of" },
		{ TEXT("DMpackd1\0\0\0\0\1\0\x10\0"), "number of records" },
		{ TEXT("DMpackd1\0\0\0\x80\1\0\0\0"), "flags" },
		{ TEXT("DMpackd2\0\0\0\0\1\0\0\0"), "not a pack directory" },
		{ TEXT("PACK\0\0\0\2\0\0\0\1\0\0\0\0"), "not a pack" },
	};
	static const struct bad moves[] = {
		{ TEXT(""), "list of moved objects" },
		{ TEXT("DMmoved1"), "list of moved objects" },
		{ TEXT("DMmoved2\0\0\0\0\0\0\0\0"), "list of moved objects" },
		{ TEXT("DMmoved1\0\0\0\0\0\0\0\0"), "list of moved objects" },
		{ TEXT("DMmoved1\xff\xff\xff\xff\xff\xff\xff\xff"),
		    "list of moved objects" },
		{ TEXT("DMmoved1\1\0\0\0\0\0\0\0"), "list of moved objects" },
		{ TEXT("DMmoved1\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
		    "list of moved objects" },
	};

	(void)state;
	refuse(decode_trailer, DM_CORRUPT, trailers, COUNT(trailers));
	refuse(decode_dir_header, DM_CORRUPT, headers, COUNT(headers));
	refuse(decode_moved, DM_CORRUPT, moves, COUNT(moves));
}

static int
record_result(void **state)
{
	(void)state;
	result_add("hostile-inputs", tried, 0, 0);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile_source_files_are_refused),
		cmocka_unit_test(test_hostile_urls_are_refused),
		cmocka_unit_test(test_hostile_redirects_are_refused),
		cmocka_unit_test(test_hostile_file_urls_are_refused),
		cmocka_unit_test(test_hostile_paths_are_refused),
		cmocka_unit_test(test_hostile_ranges_are_refused),
		cmocka_unit_test(test_hostile_names_of_versions_are_refused),
		cmocka_unit_test(test_hostile_configurations_are_refused),
		cmocka_unit_test(test_hostile_commits_are_refused),
		cmocka_unit_test(test_hostile_refs_are_refused),
		cmocka_unit_test(test_hostile_lists_of_refs_are_refused),
		cmocka_unit_test(test_hostile_names_in_trees_are_refused),
		cmocka_unit_test(test_aliases_of_git_are_known),
		cmocka_unit_test(test_decompression_bombs_are_refused),
		cmocka_unit_test(test_hostile_packs_are_refused),
	};

	return cmocka_run_group_tests_name("hostile", tests, NULL,
	    record_result);
}
