/* Does a repository answer, and as it should?  And what time is it? */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/net/origin.h"
#include "fs/cmd/doctor.h"
#include "fs/cmd/pin.h"
#include "fs/source/source.h"

enum {
	DOCTOR_SKEW_S = 300, /* certificates and dates bear as much */
	DOCTOR_CLOCK_TEXT = 32,
};

static const char *
describe(char out[DOCTOR_CLOCK_TEXT], uint64_t seconds)
{
	if (seconds < 120)
		(void)snprintf(out, DOCTOR_CLOCK_TEXT, "%" PRIu64 " s",
		    seconds);
	else if (seconds < 7200)
		(void)snprintf(out, DOCTOR_CLOCK_TEXT, "%" PRIu64 " min",
		    seconds / 60);
	else if (seconds < 172800)
		(void)snprintf(out, DOCTOR_CLOCK_TEXT, "%" PRIu64 " h",
		    seconds / 3600);
	else
		(void)snprintf(out, DOCTOR_CLOCK_TEXT, "%" PRIu64 " days",
		    seconds / 86400);
	return out;
}

/* ahead_s: how far something that we trust is before our clock; may_be_old:
 * it only shows that the clock is behind. */
static void
judge_clock(struct doctor *d, int64_t ahead_s, bool may_be_old, const char *of)
{
	char text[DOCTOR_CLOCK_TEXT];
	uint64_t off = (uint64_t)llabs((long long)ahead_s);

	if (off <= DOCTOR_SKEW_S || (may_be_old && ahead_s < 0)) {
		doctor_say(d, DOCTOR_OK, "clock", "%s %s",
		    may_be_old ? "not before" : "agrees with", of);
		return;
	}
	doctor_say(d, DOCTOR_WARN, "clock", "%s %s %s", describe(text, off),
	    ahead_s > 0 ? "behind" : "ahead of", of);
	doctor_fix(d, "set the clock: timedatectl set-ntp true");
}

void
doctor_clock(struct doctor *d)
{
	struct stat st;

	/* The newest thing that this machine has for certain. */
	if (stat("/proc/self/exe", &st) == 0)
		judge_clock(d, (int64_t)st.st_mtime - (int64_t)time(NULL), true,
		    "the date of this program");
}

/* ---- the origin ---- */

struct examination {
	struct doctor *d;
	struct repo *repo;
	const char *url; /* without its query */
	const char *ref;
	uint64_t timeout_ms;
	struct digest commit; /* what ref is */
	uint64_t commit_time; /* 0: the commit could not be read */
};

static const char *
advice(enum dm_code code, bool is_folder)
{
	if (code == DM_OFFLINE)
		return "is the server up, the URL right, and no firewall or "
		       "proxy (http_proxy, no_proxy) in the way?";
	if (code == DM_DENIED)
		return is_folder ?
		    "chmod, or ask its owner" :
		    "for a private certificate authority set SSL_CERT_FILE; "
		    "else ask who runs the server";
	return is_folder ? "name the folder that `datamount init` made" :
			   "name the URL of the folder that has the file "
			   "'datamount'";
}

/* The file by which a repository is known. */
static bool
examine_identity(struct examination *e)
{
	const char *folder = origin_folder(e->repo->origin);
	struct dm_err err = { 0 };

	if (repo_identify(e->repo, &err) < 0) {
		bool answered =
		    err.code == DM_NOTFOUND || err.code == DM_CORRUPT;

		doctor_say(e->d, DOCTOR_FAIL,
		    answered ? "repository" : "origin", "%s", err.text);
		doctor_fix(e->d, "%s", advice(err.code, folder != NULL));
		return false;
	}
	if (folder != NULL && pin_check_owner(folder, &err) < 0) {
		doctor_say(e->d, DOCTOR_FAIL, "origin", "%s", err.text);
		return false;
	}
	doctor_say(e->d, DOCTOR_OK, "origin", "%s answers", e->url);
	return true;
}

/* Straight from the origin: the cache is another matter. */
static int
read_commit(struct examination *e, struct repo *repo, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	char hex[DIGEST_HEX + 1], path[DIGEST_HEX + 16];
	struct commit commit;
	struct digest is;
	bool found = false;

	digest_hex(&e->commit, hex);
	(void)snprintf(path, sizeof(path), "commits/%.2s/%s", hex, hex);
	if (origin_read(repo->origin, path, dm_deadline_ms(e->timeout_ms),
		&text, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND, "%s is missing", path);
	digest_of(&is, text.data, text.size);
	if (!digest_equal(&is, &e->commit))
		return dm_fail(err, DM_CORRUPT, "%s does not match its id",
		    path);
	if (commit_decode(&commit, text.data, text.size, err) < 0)
		return dm_wrap(err, "%s", path);
	e->commit_time = commit.time;
	return 0;
}

static void
examine_versions(struct examination *e)
{
	char hex[DIGEST_HEX + 1];
	struct dm_err err = { 0 };
	struct resolved now;

	if (repo_resolve(e->repo, e->ref, &now, &err) < 0) {
		/* A new repository has no main yet. */
		doctor_say(e->d,
		    err.code == DM_NOTFOUND && e->ref[0] == '\0' ? DOCTOR_WARN :
								   DOCTOR_FAIL,
		    "repository", "%s", err.text);
		return;
	}
	e->commit = now.commit;
	if (read_commit(e, e->repo, &err) < 0) {
		doctor_say(e->d, DOCTOR_FAIL, "repository", "%s: %s", e->url,
		    err.text);
		doctor_fix(e->d, "copy the repository again, refs last");
		return;
	}
	digest_hex(&now.commit, hex);
	doctor_say(e->d, DOCTOR_OK, "repository", "%s is %.12s",
	    now.name[0] != '\0' ? now.name : "what is pinned", hex);
}

/* Ask for a piece of the one file that every repository has. */
static void
examine_ranges(struct examination *e)
{
	enum { FROM = 1, SIZE = 4 };
	DM_AUTO(dm_buf_release) struct dm_buf piece = DM_BUF(SIZE);
	struct origin_server server;
	struct dm_err err = { 0 };

	if (origin_read_range(e->repo->origin, "datamount", FROM, SIZE,
		dm_deadline_ms(e->timeout_ms), &piece, &err) < 0) {
		doctor_say(e->d, DOCTOR_FAIL, "ranges", "%s", err.text);
		return;
	}
	origin_server(e->repo->origin, &server);
	if (server.ranges > 0) {
		doctor_say(e->d, DOCTOR_OK, "ranges",
		    "the server sends parts of files");
		return;
	}
	doctor_say(e->d, DOCTOR_WARN, "ranges",
	    "the server sends whole files only: slow for large ones");
	doctor_fix(e->d,
	    "serve the folder with a server that knows ranges, such as nginx");
}

static void
examine_server(struct examination *e)
{
	if (strncmp(e->url, "https:", 6) == 0)
		doctor_say(e->d, DOCTOR_OK, "tls",
		    "the server's certificate is trusted");
	else
		doctor_say(e->d, DOCTOR_OK, "tls",
		    "not used: what is pinned is proven by its id, but nobody "
		    "vouches for what a name such as main means");
	examine_ranges(e);
}

static void
examine_clock(struct examination *e)
{
	struct origin_server server;

	origin_server(e->repo->origin, &server);
	if (server.has_date)
		judge_clock(e->d, server.ahead_s, false,
		    "the clock of the server");
	else if (e->commit_time > 0)
		judge_clock(e->d, (int64_t)e->commit_time - (int64_t)time(NULL),
		    true, "the date of the newest version");
	else
		doctor_clock(e->d);
}

/* ---- mirrors ---- */

/* Is it the same repository, and up to date?  One that is down is made up for
 * by the others. */
static void
judge_mirror(struct examination *e, struct repo *mirror)
{
	const char *folder = origin_folder(mirror->origin);
	const char *url = origin_name(mirror->origin);
	struct dm_err err = { 0 };

	if (folder != NULL && pin_check_owner(folder, &err) < 0) {
		doctor_say(e->d, DOCTOR_FAIL, "mirror", "%s", err.text);
	} else if (repo_identify(mirror, &err) < 0) {
		doctor_say(e->d, DOCTOR_WARN, "mirror", "%s", err.text);
		doctor_fix(e->d, "%s", advice(err.code, folder != NULL));
	} else if (e->repo->id_known &&
	    memcmp(mirror->id, e->repo->id, REPO_ID_SIZE) != 0) {
		doctor_say(e->d, DOCTOR_FAIL, "mirror",
		    "%s is another repository", url);
		doctor_fix(e->d, "correct its URL, or remove it");
	} else if (e->commit_time > 0 && read_commit(e, mirror, &err) < 0) {
		doctor_say(e->d, DOCTOR_WARN, "mirror", "%s: %s", url,
		    err.text);
		doctor_fix(e->d, "bring the copy up to date");
	} else {
		doctor_say(e->d, DOCTOR_OK, "mirror", "%s answers", url);
	}
	doctor_end(e->d);
}

static void
examine_mirror(struct examination *e, const char *url)
{
	struct repo *mirror = NULL;
	struct dm_err err = { 0 };

	if (repo_open(&mirror, e->repo->net, NULL, url, e->timeout_ms, &err) <
	    0) {
		doctor_say(e->d, DOCTOR_FAIL, "mirror", "%s", err.text);
		doctor_end(e->d);
		return;
	}
	judge_mirror(e, mirror);
	repo_close(mirror); /* every answer was waited for */
}

void
doctor_origin(struct doctor *d, const struct source_file *version,
    uint64_t timeout_ms)
{
	struct examination e = {
		.d = d, .ref = version->ref, .timeout_ms = timeout_ms
	};
	struct net_options opt = { 0 };
	struct dm_err err = { 0 };
	struct net *net = NULL;

	if (net_open(&net, &opt, &err) < 0 ||
	    repo_open(&e.repo, net, NULL, version->repository[0], timeout_ms,
		&err) < 0) {
		doctor_say(d, DOCTOR_FAIL, "origin", "%s", err.text);
		doctor_end(d);
		net_close(net);
		return;
	}
	e.url = origin_name(e.repo->origin);
	if (examine_identity(&e)) {
		if (origin_folder(e.repo->origin) == NULL)
			examine_server(&e);
		examine_versions(&e);
	}
	for (unsigned i = 1; i < version->nrepositories; i++)
		examine_mirror(&e, version->repository[i]);
	examine_clock(&e);
	doctor_end(d);
	net_close(net); /* its threads use the origin */
	repo_close(e.repo);
}
