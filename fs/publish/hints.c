/*
 * refs/all is made anew.  refs/log keeps the lines that it has, and gets one
 * for every commit that a ref reaches and it lacks: parents first.  A line is
 * lost only with its file; lines that do not parse are dropped.
 */
#include "fs/publish/hints.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/hex.h"
#include "cache/base/io.h"
#include "fs/format/commit.h"
#include "fs/format/ref.h"
#include "fs/publish/folder.h"

enum {
	HINTS_MAX = 256 << 20, /* bytes of refs/log */
	ID_PREFIX_MIN = 8,
	FILE_MODE = 0666, /* less the umask */
};

struct refs {
	struct ref_line *line;
	size_t n, room;
};

static int
refs_add(struct refs *r, const struct ref_line *line, struct dm_err *err)
{
	if (r->n == r->room) {
		size_t room = r->room == 0 ? 16 : 2 * r->room;
		struct ref_line *p = reallocarray(r->line, room, sizeof(*p));

		if (p == NULL)
			return dm_fail(err, DM_NOMEM, "list refs");
		r->line = p;
		r->room = room;
	}
	r->line[r->n++] = *line;
	return 0;
}

static void
closedirp(DIR **d)
{
	if (*d != NULL)
		(void)closedir(*d);
}

static int list_refs(struct folder *f, bool tag, const char *prefix,
    struct refs *out, struct dm_err *err);

/* One entry of a directory below refs/heads or refs/tags. */
static int
list_entry(struct folder *f, bool tag, const char *name, bool is_dir,
    struct refs *out, struct dm_err *err)
{
	struct ref_line line = { .tag = tag };
	bool found = false;
	char below[sizeof(line.name) + 1];

	if (is_dir) {
		(void)snprintf(below, sizeof(below), "%s/", name);
		return list_refs(f, tag, below, out, err);
	}
	/* a temporary file of a publisher that died, and the like */
	if (!ref_name_valid(name, strlen(name)))
		return 0;
	if (folder_ref_read(f, tag, name, &line.ref, &found, err) < 0)
		return -1;
	(void)snprintf(line.name, sizeof(line.name), "%s", name);
	return found ? refs_add(out, &line, err) : 0;
}

/* The refs below refs/heads/PREFIX; a prefix that is not empty ends in /. */
static int
list_refs(struct folder *f, bool tag, const char *prefix, struct refs *out,
    struct dm_err *err)
{
	char path[DM_REF_NAME_MAX + 32], name[DM_REF_NAME_MAX + 1];
	DM_AUTO(closedirp) DIR *d = NULL;
	const struct dirent *e;
	struct stat st;
	int fd;

	(void)snprintf(path, sizeof(path), "refs/%s/%s", tag ? "tags" : "heads",
	    prefix);
	fd = openat(f->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		(void)dm_fail_errno(err, "%s/%s", f->path, path);
		dm_closep(&fd);
		return -1;
	}
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this DIR */
	while (errno = 0, (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' ||
		    snprintf(name, sizeof(name), "%s%s", prefix, e->d_name) >=
			(int)sizeof(name))
			continue;
		if (fstatat(fd, e->d_name, &st, 0) < 0) {
			if (errno == ENOENT)
				continue; /* removed just now */
			return dm_fail_errno(err, "%s/%s%s", f->path, path,
			    e->d_name);
		}
		if (list_entry(f, tag, name, S_ISDIR(st.st_mode), out, err) < 0)
			return -1;
	}
	/* a ref that is not told is as good as lost */
	if (errno != 0)
		return dm_fail_errno(err, "read %s/%s", f->path, path);
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	const struct ref_line *x = a, *y = b;

	if (x->tag != y->tag)
		return x->tag ? 1 : -1;
	return strcmp(x->name, y->name);
}

int
hints_refs(struct folder *f, struct ref_line **out, size_t *n,
    struct dm_err *err)
{
	struct refs r = { 0 };

	if (list_refs(f, false, "", &r, err) < 0 ||
	    list_refs(f, true, "", &r, err) < 0) {
		free(r.line);
		return -1;
	}
	if (r.n > 0)
		qsort(r.line, r.n, sizeof(*r.line), by_name);
	*out = r.line;
	*n = r.n;
	return 0;
}

/* Look among the commits for the one whose id begins with prefix. */
static int
resolve_prefix(struct folder *f, const char *prefix, struct digest *out,
    bool *found, struct dm_err *err)
{
	size_t n = strlen(prefix);
	DM_AUTO(closedirp) DIR *d = NULL;
	const struct dirent *e;
	char path[16];
	int fd;

	*found = false;
	if (n < ID_PREFIX_MIN || n > DIGEST_HEX ||
	    strspn(prefix, "0123456789abcdef") != n)
		return 0;
	(void)snprintf(path, sizeof(path), "commits/%.2s", prefix);
	fd = openat(f->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		dm_closep(&fd);
		return 0;
	}
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this DIR */
	while ((e = readdir(d)) != NULL) {
		struct digest id;

		if (strncmp(e->d_name, prefix, n) != 0 ||
		    !digest_parse(&id, e->d_name, strlen(e->d_name)))
			continue;
		if (*found)
			return dm_fail(err, DM_INVALID,
			    "%s is the beginning of several commits' ids: give"
			    " more digits",
			    prefix);
		*out = id;
		*found = true;
	}
	return 0;
}

int
hints_resolve(struct folder *f, const char *ref, struct digest *out,
    struct dm_err *err)
{
	bool found = false;
	struct ref r;

	for (int tag = 0; tag < 2 && ref_name_valid(ref, strlen(ref)); tag++) {
		if (folder_ref_read(f, tag, ref, &r, &found, err) < 0)
			return -1;
		if (found) {
			*out = r.commit;
			return 0;
		}
	}
	if (resolve_prefix(f, ref, out, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND,
		    "%s has no branch, tag or commit %s", f->path, ref);
	return 0;
}

/* Replace a hint file unless it says just that already. */
static int
put_hint(struct folder *f, const char *path, const struct dm_buf *text,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf old = DM_BUF(HINTS_MAX);
	struct dm_err ignored = { 0 };
	bool found = false;

	/* what cannot be read is replaced */
	if (dm_file_read(f->fd, path, &old, &found, &ignored) == 0 && found &&
	    old.size == text->size &&
	    (old.size == 0 || memcmp(old.data, text->data, old.size) == 0))
		return 0;
	if (dm_file_replace(f->fd, path, text->data == NULL ? "" : text->data,
		text->size, FILE_MODE, err) < 0)
		return dm_wrap(err, "%s", f->path);
	return 0;
}

/* A growing set of commits: as many as were ever published. */
struct id_set {
	struct digest *slot; /* zero: empty */
	size_t n, room;      /* room is a power of two */
};

static struct digest *
set_slot(struct digest *slot, size_t room, const struct digest *id)
{
	size_t i;

	memcpy(&i, id->bytes, sizeof(i));
	for (i &= room - 1;
	     !digest_is_zero(&slot[i]) && !digest_equal(&slot[i], id);
	     i = (i + 1) & (room - 1))
		continue;
	return &slot[i];
}

static bool
set_has(const struct id_set *s, const struct digest *id)
{
	return s->room > 0 && !digest_is_zero(set_slot(s->slot, s->room, id));
}

static int
set_add(struct id_set *s, const struct digest *id, struct dm_err *err)
{
	if (2 * s->n >= s->room) {
		size_t room = s->room == 0 ? 256 : 2 * s->room;
		struct digest *slot = calloc(room, sizeof(*slot));

		if (slot == NULL)
			return dm_fail(err, DM_NOMEM, "list commits");
		for (size_t i = 0; i < s->room; i++)
			if (!digest_is_zero(&s->slot[i]))
				*set_slot(slot, room, &s->slot[i]) = s->slot[i];
		free(s->slot);
		s->slot = slot;
		s->room = room;
	}
	if (!set_has(s, id)) {
		*set_slot(s->slot, s->room, id) = *id;
		s->n++;
	}
	return 0;
}

static void
set_release(struct id_set *s)
{
	free(s->slot);
}

/* Keep the old log's good lines in text, and their ids in seen. */
static int
keep_log(struct folder *f, struct dm_buf *text, struct id_set *seen,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf old = DM_BUF(HINTS_MAX);
	bool found = false;
	char *line, *end;

	if (dm_file_read(f->fd, "refs/log", &old, &found, err) < 0)
		return dm_wrap(err, "%s", f->path);
	for (line = old.data; line != NULL && line < old.data + old.size &&
	     (end = strchr(line, '\n')) != NULL;
	     line = end + 1) {
		struct dm_err ignored = { 0 };
		struct log_line l;

		if (log_line_decode(&l, line, (size_t)(end - line), &ignored) <
			0 ||
		    set_has(seen, &l.commit))
			continue;
		if (set_add(seen, &l.commit, err) < 0 ||
		    dm_buf_append(text, line, (size_t)(end - line) + 1, err) <
			0)
			return -1;
	}
	return 0;
}

static int
log_commit(struct dm_buf *text, const struct digest *id, const struct commit *c,
    const char *branch, struct dm_err *err)
{
	struct log_line l = {
		.commit = *id, .nparents = c->nparents, .time = c->time
	};

	memcpy(l.parents, c->parents, sizeof(l.parents));
	(void)snprintf(l.branch, sizeof(l.branch), "%s", branch);
	log_line_subject(&l, c->message, c->message_size);
	if (log_line_encode(&l, text, err) < 0)
		return -1;
	if (text->data[text->size - 1] != '\n')
		return dm_buf_append(text, "\n", 1, err);
	return 0;
}

/* Commits that wait for their parents to be logged: a stack. */
struct pending {
	struct digest *id;
	size_t n, room;
};

static int
push(struct pending *p, const struct digest *id, struct dm_err *err)
{
	if (p->n == p->room) {
		size_t room = p->room == 0 ? 64 : 2 * p->room;
		struct digest *q = reallocarray(p->id, room, sizeof(*q));

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "list commits");
		p->id = q;
		p->room = room;
	}
	p->id[p->n++] = *id;
	return 0;
}

static void
pending_release(struct pending *p)
{
	free(p->id);
}

/* Log a commit and what of its ancestors the log lacks, oldest first. */
static int
log_missing(struct folder *f, const struct ref_line *ref, struct dm_buf *text,
    struct id_set *seen, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf body = DM_BUF(DM_COMMIT_MAX);
	DM_AUTO(pending_release) struct pending todo = { 0 };

	if (push(&todo, &ref->ref.commit, err) < 0)
		return -1;
	while (todo.n > 0) {
		struct digest id = todo.id[todo.n - 1];
		struct commit c;
		size_t before = todo.n;
		bool found = false;

		if (set_has(seen, &id)) {
			todo.n--;
			continue;
		}
		if (folder_commit_read(f, &id, &body, &c, &found, err) < 0)
			return -1;
		for (unsigned i = 0; found && i < c.nparents; i++)
			if (!set_has(seen, &c.parents[i]) &&
			    push(&todo, &c.parents[i], err) < 0)
				return -1;
		if (todo.n > before)
			continue;
		todo.n--;
		/* a commit that is gone has no line, but is not asked again */
		if (set_add(seen, &id, err) < 0 ||
		    (found && log_commit(text, &id, &c, ref->name, err) < 0))
			return -1;
	}
	return 0;
}

static int
refresh_all(struct folder *f, const struct ref_line *refs, size_t n,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(HINTS_MAX);

	for (size_t i = 0; i < n; i++) {
		if (ref_line_encode(&refs[i], &text, err) < 0)
			return -1;
		if (text.data[text.size - 1] != '\n' &&
		    dm_buf_append(&text, "\n", 1, err) < 0)
			return -1;
	}
	return put_hint(f, "refs/all", &text, err);
}

static int
refresh_log(struct folder *f, const struct ref_line *refs, size_t n,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(HINTS_MAX);
	DM_AUTO(set_release) struct id_set seen = { 0 };

	if (keep_log(f, &text, &seen, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (log_missing(f, &refs[i], &text, &seen, err) < 0)
			return -1;
	return put_hint(f, "refs/log", &text, err);
}

int
hints_refresh(struct folder *f, struct dm_err *err)
{
	DM_AUTO(dm_freep) struct ref_line *refs = NULL;
	size_t n = 0;

	if (hints_refs(f, &refs, &n, err) < 0 ||
	    refresh_all(f, refs, n, err) < 0 ||
	    refresh_log(f, refs, n, err) < 0)
		return -1;
	return 0;
}
