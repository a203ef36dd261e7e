/*
 * Native repositories, by known paths only: nothing is listed, so that any
 * static server will do.  The one exception is a short commit id that
 * refs/log does not know, in a folder.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/cache.h"
#include "cache/net/origin.h"
#include "fs/source/rollback.h"
#include "fs/source/source.h"

enum {
	REFS_MAX = 64 << 20, /* bytes of refs/all */
	LOG_MAX = 256 << 20, /* bytes of refs/log */
	PREFIX_MIN = 8,      /* digits of a short id */
	NAMED_MAX = 6,       /* refs that an error names */
	PATH_ROOM = 16 + DM_REF_NAME_MAX,
};

int
repo_open(struct repo **out, struct net *net, struct cache *cache,
    const char *url, uint64_t timeout_ms, struct dm_err *err)
{
	struct repo *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return dm_fail(err, DM_NOMEM, "open repository");
	r->net = net;
	r->cache = cache;
	r->timeout_ms = timeout_ms;
	if (origin_open(&r->origin, net, url, err) < 0) {
		free(r);
		return -1;
	}
	*out = r;
	return 0;
}

void
repo_close(struct repo *r)
{
	if (r == NULL)
		return;
	origin_close(r->origin);
	free(r->seen_dir);
	free(r);
}

static int
read_small(struct repo *r, const char *path, struct dm_buf *out, bool *found,
    struct dm_err *err)
{
	return origin_read(r->origin, path, dm_deadline_ms(r->timeout_ms), out,
	    found, err);
}

/* The datamount file on its way. */
struct identity {
	struct origin_reading reading;
	struct dm_buf text;
	bool begun; /* it was not known before */
};

static void
identity_begin(struct identity *id, struct repo *r)
{
	id->text = (struct dm_buf)DM_BUF(DM_REF_MAX);
	id->begun = !r->id_known;
	if (id->begun)
		origin_read_begin(&id->reading, r->origin, "datamount",
		    dm_deadline_ms(r->timeout_ms), &id->text);
}

static int
identity_read(struct identity *id, struct repo *r, struct dm_err *err)
{
	const char *name = origin_name(r->origin);
	bool found = false,
	     read = origin_read_end(&id->reading, &found, err) == 0;

	if (read && !found)
		return dm_fail(err, DM_NOTFOUND,
		    "%s: no datamount repository there (it has no file "
		    "'datamount')",
		    name);
	if (read &&
	    repo_file_decode(r->id, id->text.data, id->text.size, err) == 0) {
		r->id_known = true;
		return 0;
	}
	if (err->code == DM_CORRUPT)
		return dm_fail(err, DM_CORRUPT,
		    "%s: not a datamount repository (the %s)", name,
		    origin_folder(r->origin) != NULL ?
			"file 'datamount' there is something else" :
			"server answered something else");
	return dm_wrap(err, "%s", name);
}

static int
identity_end(struct identity *id, struct repo *r, struct dm_err *err)
{
	int rc = id->begun ? identity_read(id, r, err) : 0;

	dm_buf_release(&id->text);
	return rc;
}

int
repo_identify(struct repo *r, struct dm_err *err)
{
	struct identity id;

	identity_begin(&id, r);
	return identity_end(&id, r, err);
}

/* Lines of a text that came from an origin. */
static bool
next_line(const struct dm_buf *text, size_t *off, const char **line,
    size_t *size)
{
	const char *end;

	if (*off >= text->size)
		return false;
	*line = text->data + *off;
	end = memchr(*line, '\n', text->size - *off);
	*size = end != NULL ? (size_t)(end - *line) : text->size - *off;
	*off += *size + 1;
	return true;
}

int
repo_refs(struct repo *r,
    int (*each)(void *arg, const struct ref_line *line, struct dm_err *err),
    void *arg, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(REFS_MAX);
	struct ref_line ref;
	const char *line;
	size_t off = 0, size;
	bool found = false;

	if (read_small(r, "refs/all", &text, &found, err) < 0)
		return dm_wrap(err, "%s", origin_name(r->origin));
	while (found && next_line(&text, &off, &line, &size)) {
		if (ref_line_decode(&ref, line, size, err) < 0)
			return dm_wrap(err, "%s/refs/all",
			    origin_name(r->origin));
		if (each(arg, &ref, err) < 0)
			return -1;
	}
	return 0;
}

int
repo_log(struct repo *r,
    int (*each)(void *arg, const struct log_line *line, struct dm_err *err),
    void *arg, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(LOG_MAX);
	struct log_line entry;
	const char *line;
	size_t off = 0, size;
	bool found = false;

	if (read_small(r, "refs/log", &text, &found, err) < 0)
		return dm_wrap(err, "%s", origin_name(r->origin));
	while (found && next_line(&text, &off, &line, &size)) {
		if (log_line_decode(&entry, line, size, err) < 0)
			return dm_wrap(err, "%s/refs/log",
			    origin_name(r->origin));
		if (each(arg, &entry, err) < 0)
			return -1;
	}
	return 0;
}

/* Some names for an error's text. */
struct names {
	struct dm_buf text;
	unsigned n;
};

static int
note_ref(void *arg, const struct ref_line *line, struct dm_err *err)
{
	struct names *names = arg;

	if (names->n++ >= NAMED_MAX)
		return 0;
	return dm_buf_printf(&names->text, err, "%s%s%s",
	    names->n == 1 ? "" : ", ", line->tag ? "tag " : "branch ",
	    line->name);
}

static int
fail_unknown(struct repo *r, const char *ref, struct dm_err *err)
{
	struct names names = { .text = DM_BUF(4096) };
	const char *name = origin_name(r->origin), *there, *list = "";
	struct dm_err ignored = { 0 };
	char more[32] = "";

	/* What there is only makes the answer kinder: without it, it is the
	 * same answer. */
	if (repo_refs(r, note_ref, &names, &ignored) < 0) {
		there = "";
		names.n = 0;
	} else if (names.n == 0)
		there = " (nothing was published there yet)";
	else
		there = "; there is ";
	if (names.n > 0)
		list = names.text.data;
	if (names.n > NAMED_MAX)
		(void)snprintf(more, sizeof(more), " and %u more",
		    names.n - NAMED_MAX);
	(void)dm_fail(err, DM_NOTFOUND, "%s: no branch or tag '%s'%s%s%s", name,
	    ref, there, list, more);
	dm_buf_release(&names.text);
	return -1;
}

/* A search for the only commit id that begins with some digits. */
struct search {
	const char *prefix;
	size_t size;
	struct digest first, second;
	unsigned n; /* different ones */
};

static void
search_add(struct search *s, const struct digest *id)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(id, hex);
	if (strncmp(hex, s->prefix, s->size) != 0)
		return;
	if (s->n > 0 && digest_equal(id, &s->first))
		return;
	if (s->n > 1 && digest_equal(id, &s->second))
		return;
	if (s->n == 0)
		s->first = *id;
	else if (s->n == 1)
		s->second = *id;
	s->n++;
}

static int
search_line(void *arg, const struct log_line *line, struct dm_err *err)
{
	(void)err;
	search_add(arg, &line->commit);
	return 0;
}

static int
search_folder(struct search *s, const char *folder, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf path = DM_BUF(PATH_MAX);
	struct dirent *e;
	struct digest id;
	DIR *dir;

	if (dm_buf_printf(&path, err, "%s/commits/%.2s", folder, s->prefix) < 0)
		return -1;
	dir = opendir(path.data);
	if (dir == NULL && errno == ENOENT)
		return 0;
	if (dir == NULL)
		return dm_fail_errno(err, "list %s", path.data);
	/* Nobody else has this DIR, so readdir(3) is safe. */
	/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while ((e = readdir(dir)) != NULL) {
		if (digest_parse(&id, e->d_name, strlen(e->d_name)))
			search_add(s, &id);
	}
	(void)closedir(dir); /* it was only read */
	return 0;
}

static int
resolve_prefix(struct repo *r, const char *prefix, struct resolved *out,
    struct dm_err *err)
{
	struct search s = { .prefix = prefix, .size = strlen(prefix) };
	const char *name = origin_name(r->origin);
	const char *folder = origin_folder(r->origin);
	char a[DIGEST_HEX + 1], b[DIGEST_HEX + 1];

	if (repo_log(r, search_line, &s, err) < 0)
		return -1;
	if (folder != NULL && search_folder(&s, folder, err) < 0)
		return -1;
	if (s.n == 0)
		return dm_fail(err, DM_NOTFOUND,
		    "%s: no commit begins with %s; `datamount log` lists them",
		    name, prefix);
	if (s.n > 1) {
		digest_hex(&s.first, a);
		digest_hex(&s.second, b);
		return dm_fail(err, DM_INVALID,
		    "%s: %u commits begin with %s (%.16s, %.16s%s): give more "
		    "digits",
		    name, s.n, prefix, a, b, s.n > 2 ? ", ..." : "");
	}
	out->commit = s.first;
	return 0;
}

/* The file refs/NAME, or *found = false. */
static int
read_ref(struct repo *r, const char *kind, const char *ref,
    struct resolved *out, bool *found, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_REF_MAX);
	char path[PATH_ROOM];
	struct ref decoded;

	(void)snprintf(path, sizeof(path), "refs/%s%s", kind, ref);
	if (read_small(r, path, &text, found, err) < 0)
		return dm_wrap(err, "%s/%s", origin_name(r->origin), path);
	if (!*found)
		return 0;
	if (ref_decode(&decoded, text.data, text.size, err) < 0)
		return dm_wrap(err, "%s/%s", origin_name(r->origin), path);
	out->commit = decoded.commit;
	out->sequence = decoded.sequence;
	(void)snprintf(out->name, sizeof(out->name), "%s%s", kind, ref);
	return 0;
}

static bool
is_hex(const char *ref)
{
	return strspn(ref, "0123456789abcdef") == strlen(ref);
}

/* The full name that resolved.name and refs/all use is understood too: it is
 * the only way to a tag beside a branch of the same name. */
static bool
is_full_name(const char *ref)
{
	return strncmp(ref, "heads/", 6) == 0 || strncmp(ref, "tags/", 5) == 0;
}

static int
resolve_name(struct repo *r, const char *ref, struct resolved *out,
    struct dm_err *err)
{
	struct dm_err why = { 0 };
	struct identity id;
	bool found = false;
	int rc;

	/* Both are asked for at once.  What the repository is comes first. */
	identity_begin(&id, r);
	rc = read_ref(r, "heads/", ref, out, &found, &why);
	if (identity_end(&id, r, err) < 0)
		return -1;
	if (rc < 0) {
		*err = why;
		return -1;
	}
	if (!found && read_ref(r, "tags/", ref, out, &found, err) < 0)
		return -1;
	if (!found && is_full_name(ref) &&
	    read_ref(r, "", ref, out, &found, err) < 0)
		return -1;
	if (!found)
		return fail_unknown(r, ref, err);
	if (r->seen_dir == NULL)
		return 0;
	return rollback_check(r->seen_dir, r->id, origin_name(r->origin), out,
	    r->allow_rollback, err);
}

int
repo_resolve(struct repo *r, const char *ref, struct resolved *out,
    struct dm_err *err)
{
	size_t size = strlen(ref);

	*out = (struct resolved){ 0 };
	if (digest_parse(&out->commit, ref, size))
		return 0;
	if (size == 0)
		return resolve_name(r, "main", out, err);
	if (size >= PREFIX_MIN && size < DIGEST_HEX && is_hex(ref))
		return repo_identify(r, err) < 0 ?
		    -1 :
		    resolve_prefix(r, ref, out, err);
	if (ref_name_valid(ref, size))
		return resolve_name(r, ref, out, err);
	if (repo_identify(r, err) < 0)
		return -1;
	return dm_fail(err, DM_INVALID,
	    "'%.200s' is neither a branch or tag name nor a commit id", ref);
}

int
repo_commit(struct repo *r, const struct digest *id, struct dm_buf *text,
    struct commit *out, struct dm_err *err)
{
	char hex[DIGEST_HEX + 1], path[DIGEST_HEX + 16];
	struct dm_err other = { 0 };

	digest_hex(id, hex);
	(void)snprintf(path, sizeof(path), "commits/%.2s/%s", hex, hex);
	if (cache_file(r->cache, r->origin, path, id, r->timeout_ms, text,
		err) < 0) {
		/* If there is no repository at all, that is the cause. */
		if ((err->code == DM_NOTFOUND || err->code == DM_CORRUPT) &&
		    repo_identify(r, &other) < 0 && other.code != DM_OFFLINE) {
			*err = other;
			return -1;
		}
		if (err->code == DM_NOTFOUND)
			return dm_fail(err, DM_NOTFOUND, "%s: no commit %s",
			    origin_name(r->origin), hex);
		return dm_wrap(err, "%s: commit %.12s", origin_name(r->origin),
		    hex);
	}
	if (commit_decode(out, text->data, text->size, err) < 0)
		return dm_wrap(err, "%s: commit %.12s", origin_name(r->origin),
		    hex);
	return 0;
}
