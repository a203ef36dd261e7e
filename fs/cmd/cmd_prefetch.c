/*
 * datamount prefetch: bring the bytes of files into the cache ahead.
 *
 * A crew reads the files as a mount would, several at once, and throws the
 * bytes away: so what is here already is checked and not fetched, neighbours
 * in a pack come in one request, and a run again goes on where one ended.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/base/lock.h"
#include "cache/cache.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/crew.h"
#include "fs/cmd/look.h"
#include "fs/cmd/prefetch.h"
#include "fs/cmd/shown.h"
#include "fs/format/trace.h"

enum {
	READ_TRIES = 10, /* while others make room in the cache */
	READ_THREADS = 16,
	READ_BYTES = 1 << 20,
	PART_BYTES = 32 << 20, /* of a large file, read by one thread */
};

struct ahead {
	struct version *version;
	struct cache *cache;
	const char *dir;      /* as the user wrote it */
	const char *real_dir; /* absolute */
	/* atomic */
	uint64_t files, bytes;

	/* of the thread that walks */
	struct crew *crew;
	struct dm_buf path;
	uint64_t total_bytes; /* 0: not known */
	uint64_t absent;      /* entries of a trace that are not there */
	uint64_t no_entries;  /* lines of it that are none */

	struct dm_mutex mu; /* guards all below */
	struct progress *progress;
	uint64_t failed;
};

/* A part of a file to be read. */
struct part {
	struct ahead *ahead;
	struct version_node node;
	uint64_t off, end;
	char path[]; /* for messages */
};

static void
report(struct ahead *x, const char *path, const char *why)
{
	dm_lock(&x->mu);
	x->failed++;
	(void)fprintf(stderr, "datamount: %s: %s\n", path, why);
	dm_unlock(&x->mu);
}

static void
show_progress(struct ahead *x)
{
	dm_lock(&x->mu);
	progress_update(x->progress,
	    __atomic_load_n(&x->files, __ATOMIC_RELAXED),
	    __atomic_load_n(&x->bytes, __ATOMIC_RELAXED), x->total_bytes);
	dm_unlock(&x->mu);
}

static int
read_part(const struct part *p, bool again, struct dm_err *err)
{
	uint64_t left = p->end - p->off;
	size_t room = left < READ_BYTES ? (size_t)left : READ_BYTES;
	char *buf = malloc(room);
	int rc = 0;
	size_t n;

	if (buf == NULL)
		return dm_fail(err, DM_NOMEM, "read a file");
	for (uint64_t off = p->off; rc == 0 && off < p->end; off += n) {
		size_t some =
		    p->end - off < room ? (size_t)(p->end - off) : room;

		rc = version_read(p->ahead->version, &p->node, buf, some, off,
		    &n, NULL, err);
		if (rc < 0)
			break;
		if (again)
			continue;
		__atomic_add_fetch(&p->ahead->bytes, n, __ATOMIC_RELAXED);
		show_progress(p->ahead);
	}
	free(buf);
	return rc;
}

/* What came while somebody was making room in the cache was not kept: it is
 * read again, and what is here by now is not fetched. */
static int
read_and_keep(const struct part *p, struct dm_err *err)
{
	struct cache_counts before, after;
	int rc = 0;

	for (int i = 0; rc == 0 && i < READ_TRIES; i++) {
		cache_counts(p->ahead->cache, &before);
		rc = read_part(p, i > 0, err);
		cache_counts(p->ahead->cache, &after);
		if (after.unkept_now == before.unkept_now)
			break;
	}
	return rc;
}

/* What is wrong with one file is said, and others go on; an origin that is
 * gone ends the command. */
static int
do_part(void *job, struct dm_err *err)
{
	struct part *p = job;

	if (read_and_keep(p, err) == 0) {
		if (p->end == p->node.size)
			__atomic_add_fetch(&p->ahead->files, 1,
			    __ATOMIC_RELAXED);
		return 0;
	}
	if (err->code != DM_CORRUPT && err->code != DM_NOTFOUND)
		return dm_wrap(err, "%s", p->path);
	report(p->ahead, p->path, err->text);
	return 0;
}

/* The file's bytes from off to end. */
static int
add_range(struct ahead *x, const struct version_node *node, const char *path,
    uint64_t off, uint64_t end, struct dm_err *err)
{
	if (node->size == 0)
		__atomic_add_fetch(&x->files, 1, __ATOMIC_RELAXED);
	for (; off < end; off += PART_BYTES) {
		size_t size = strlen(path) + 1;
		struct part *p = malloc(sizeof(*p) + size);

		if (p == NULL)
			return dm_fail(err, DM_NOMEM, "read a file");
		*p = (struct part){ .ahead = x, .node = *node, .off = off };
		p->end = end - off < PART_BYTES ? end : off + PART_BYTES;
		memcpy(p->path, path, size);
		if (crew_add(x->crew, p, err) < 0)
			return -1;
	}
	return 0;
}

static int
add_file(struct ahead *x, const struct version_node *node, const char *path,
    struct dm_err *err)
{
	return add_range(x, node, path, 0, node->size, err);
}

static int
add_entry(void *arg, const struct dm_buf *path, const struct version_node *node,
    struct dm_err *err)
{
	struct ahead *x = arg;

	if (node->kind != TREE_FILE && node->kind != TREE_EXEC)
		return 0;
	return add_file(x, node, path->data, err);
}

static int
add_node(struct ahead *x, const struct version_node *node, const char *path,
    struct dm_err *err)
{
	if (node->kind == TREE_SYMLINK)
		return 0;
	if (node->kind != TREE_DIR)
		return add_file(x, node, path, err);
	dm_buf_clear(&x->path);
	if (*path != '\0' &&
	    dm_buf_append(&x->path, path, strlen(path), err) < 0)
		return -1;
	return look_walk(x->version, node, &x->path, add_entry, x, err);
}

/* ---- paths ---- */

/* The path behind dir and slashes, or NULL if it does not begin so. */
static const char *
below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (strncmp(path, dir, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return NULL;
	return path + n + strspn(path + n, "/");
}

/* Write path without "./" at its begin and slashes at its end. */
static int
trim(char out[PATH_MAX], const char *path)
{
	size_t n;

	while (strncmp(path, "./", 2) == 0)
		path += 2 + strspn(path + 2, "/");
	if (strcmp(path, ".") == 0)
		path++;
	n = strlen(path);
	while (n > 0 && path[n - 1] == '/')
		n--;
	if (n >= PATH_MAX)
		return -1;
	memcpy(out, path, n);
	out[n] = '\0';
	return 0;
}

/* The entry that the user means: below DIR, or with DIR in front, as find
 * prints it. */
static int
find_path(struct ahead *x, const char *given, char path[PATH_MAX],
    struct version_node *node, bool *found, struct dm_err *err)
{
	const char *rest = below(given, x->real_dir);

	*found = false;
	if (rest == NULL && given[0] == '/')
		return 0;
	if (trim(path, rest != NULL ? rest : given) < 0)
		return 0;
	if (version_path(x->version, path, node, found, NULL, err) < 0)
		return -1;
	if (*found || rest != NULL || (rest = below(given, x->dir)) == NULL)
		return 0;
	if (trim(path, rest) < 0)
		return 0;
	return version_path(x->version, path, node, found, NULL, err);
}

static int
add_path(struct ahead *x, const char *given, bool only_count,
    struct dm_err *err)
{
	struct version_node node;
	char path[PATH_MAX];
	bool found;

	if (find_path(x, given, path, &node, &found, err) < 0) {
		if (err->code != DM_CORRUPT && err->code != DM_NOTFOUND)
			return -1;
		if (!only_count)
			report(x, given, err->text);
	} else if (!found) {
		if (!only_count)
			report(x, given, "no such file in this version");
	} else if (only_count) {
		x->total_bytes += node.kind == TREE_SYMLINK ? 0 : node.size;
	} else {
		return add_node(x, &node, path, err);
	}
	return 0;
}

static int
add_all(struct ahead *x, struct dm_err *err)
{
	struct version_node root;

	version_root(x->version, &root);
	x->total_bytes = root.size;
	return add_node(x, &root, "", err);
}

static int
add_operands(struct ahead *x, const struct cmd_args *a, struct dm_err *err)
{
	static char root[] = ".";
	char *all[] = { root };
	char **path = a->n > 1 ? a->operands + 1 : all;
	int n = a->n > 1 ? a->n - 1 : 1;

	for (int count = 1; count >= 0; count--)
		for (int i = 0; i < n; i++)
			if (add_path(x, path[i], count == 1, err) < 0)
				return -1;
	return 0;
}

/* A part of a file that a trace names.  What this version does not have is
 * only counted: the trace may be another one's. */
static int
add_traced(struct ahead *x, const char *line, size_t size, struct dm_err *err)
{
	struct version_node node;
	struct trace_entry e;
	bool found;

	if (trace_decode(&e, line, size, err) < 0) {
		x->no_entries++;
		return 0;
	}
	if (version_path(x->version, e.path, &node, &found, NULL, err) < 0) {
		if (err->code != DM_CORRUPT && err->code != DM_NOTFOUND)
			return -1;
		report(x, e.path, err->text);
		return 0;
	}
	if (!found || (node.kind != TREE_FILE && node.kind != TREE_EXEC) ||
	    (e.off > 0 && e.off >= node.size)) {
		x->absent++;
		return 0;
	}
	return add_range(x, &node, e.path, e.off,
	    node.size - e.off < TRACE_PART ? node.size : e.off + TRACE_PART,
	    err);
}

/* Paths, or a trace: then the first line says so. */
static int
add_lines(struct ahead *x, FILE *f, int end, struct dm_err *err)
{
	DM_AUTO(dm_freep) char *line = NULL;
	bool traced = false, first = true;
	size_t room = 0;
	ssize_t n;

	while (errno = 0, (n = getdelim(&line, &room, end, f)) > 0) {
		int rc = 0;

		if (line[n - 1] == end)
			line[--n] = '\0';
		if (first && trace_is_header(line, (size_t)n)) {
			traced = true;
			rc = trace_check_header(line, (size_t)n, err);
		} else if (traced) {
			rc = add_traced(x, line, (size_t)n, err);
		} else if (line[0] != '\0') {
			rc = add_path(x, line, false, err);
		}
		if (rc < 0)
			return -1;
		first = false;
	}
	return ferror(f) ? dm_fail_errno(err, "read the list") : 0;
}

static int
add_list(struct ahead *x, const struct cmd_args *a, struct dm_err *err)
{
	const char *name = cmd_value(a, "list");
	FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
	int rc;

	if (f == NULL)
		return dm_fail_errno(err, "%s", name);
	rc = add_lines(x, f, cmd_flag(a, "null") ? '\0' : '\n', err);
	if (f != stdin)
		(void)fclose(f); /* it was only read */
	return rc;
}

/* ---- the command ---- */

/* Read what a says, or without it everything. */
static int
read_ahead(struct ahead *x, const struct cmd_args *a, struct dm_err *err)
{
	struct dm_err late = { 0 };
	int rc;

	if (crew_open(&x->crew, READ_THREADS, do_part, free, err) < 0)
		return -1;
	if (a == NULL)
		rc = add_all(x, err);
	else
		rc = cmd_value(a, "list") != NULL ? add_list(x, a, err) :
						    add_operands(x, a, err);
	if (crew_close(x->crew, rc < 0, &late) < 0 && rc == 0) {
		*err = late;
		rc = -1;
	}
	return rc;
}

/* Can it be that not all was kept? */
static int
check_kept(const struct ahead *x, const struct cache_counts *counts,
    struct dm_err *err)
{
	char limit[CMD_BYTES_TEXT];

	if (counts->disk_broken)
		return dm_fail(err, DM_NOSPACE,
		    "%s cannot be written: not all was kept",
		    cache_dir(x->cache));
	if ((counts->limit == 0 || x->bytes <= counts->limit) &&
	    counts->unkept == counts->unkept_now)
		return 0;
	if (counts->limit == 0)
		return dm_fail(err, DM_NOSPACE,
		    "not all was kept: the disk of %s is full",
		    cache_dir(x->cache));
	return dm_fail(err, DM_NOSPACE,
	    "not all was kept: %s may hold %s, and no pack more than a quarter"
	    " of it; --cache-size or `datamount cache limit` gives it more",
	    cache_dir(x->cache), cmd_bytes(limit, counts->limit));
}

static int
summary(const struct ahead *x, uint64_t ms, bool quiet, struct dm_err *err)
{
	char read[CMD_BYTES_TEXT], fetched[CMD_BYTES_TEXT];
	struct cache_counts counts;
	int kept;

	cache_counts(x->cache, &counts);
	kept = check_kept(x, &counts, err);
	if (!quiet)
		(void)fprintf(stderr,
		    "%llu files, %s, %s: %s fetched in %.1f s\n",
		    (unsigned long long)x->files, cmd_bytes(read, x->bytes),
		    kept == 0 ? "are in the cache" : "were read",
		    cmd_bytes(fetched, counts.fetched), (double)ms / 1000);
	if (!quiet && x->absent + x->no_entries > 0)
		(void)fprintf(stderr,
		    "of the trace, %llu entries are not in this version and "
		    "%llu lines are no entries\n",
		    (unsigned long long)x->absent,
		    (unsigned long long)x->no_entries);
	if (kept < 0)
		return -1;
	if (x->failed > 0)
		return dm_fail(err, DM_CORRUPT,
		    "not all was brought: %llu of the paths and files failed",
		    (unsigned long long)x->failed);
	return 0;
}

static int
prefetch(struct ahead *x, const struct cmd_args *a, bool quiet,
    struct dm_err *err)
{
	uint64_t begun = dm_now_ms();
	int rc;

	x->path = (struct dm_buf)DM_BUF(DM_PATH_MAX);
	dm_mutex_init(&x->mu, DM_RANK_REPORT);
	x->progress = progress_new("prefetch", quiet);
	rc = read_ahead(x, a, err);
	progress_free(x->progress);
	dm_mutex_destroy(&x->mu);
	dm_buf_release(&x->path);
	return rc < 0 ? -1 : summary(x, dm_now_ms() - begun, quiet, err);
}

int
prefetch_version(struct version *v, struct cache *c, bool quiet,
    struct dm_err *err)
{
	struct ahead x = { .version = v, .cache = c };

	return prefetch(&x, NULL, quiet, err);
}

static int
prefetch_shown(struct shown *s, const struct cmd_args *a, struct dm_err *err)
{
	struct ahead x = { .cache = s->session.cache,
		.dir = a->operands[0],
		.real_dir = s->dir };

	if (shown_load(s, err) < 0)
		return -1;
	x.version = s->look.version;
	return prefetch(&x, a, cmd_flag(a, "quiet"), err);
}

static int
run_prefetch(int argc, char **argv, struct dm_err *err)
{
	struct shown s;
	struct cmd_args a;
	int rc;

	if (cmd_parse(&a, &cmd_prefetch, argc, argv, 1, -1, err) < 0)
		return -1;
	if (a.n > 1 && cmd_value(&a, "list") != NULL)
		return cmd_usage(err, "give paths or --list, not both");
	if (cmd_flag(&a, "null") && cmd_value(&a, "list") == NULL)
		return cmd_usage(err, "-0 belongs to --list");
	if (shown_find(&s, &a, a.operands[0], false, err) < 0)
		return -1;
	rc = prefetch_shown(&s, &a, err);
	shown_close(&s);
	return rc < 0 ? -1 : CMD_DONE;
}

static const struct cmd_option options[] = {
	{ "list", 0, "FILE", "paths, or a trace, from FILE (-: stdin)" },
	{ "null", '0', NULL, "paths of the list end with a NUL" },
	CMD_SESSION_OPTIONS,
	{ 0 },
};

const struct cmd cmd_prefetch = {
	.name = "prefetch",
	.args = "DIR [PATH...]",
	.help = "bring files of a mount into the cache ahead",
	.options = options,
	.run = run_prefetch,
};
