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
#include "fs/cmd/commands.h"
#include "fs/cmd/crew.h"
#include "fs/cmd/look.h"
#include "fs/cmd/mounting.h"
#include "fs/cmd/pin.h"

enum {
	READ_THREADS = 16,
	READ_BYTES = 1 << 20,
	PART_BYTES = 32 << 20, /* of a large file, read by one thread */
};

struct ahead {
	struct version *version;
	const char *dir;      /* as the user wrote it */
	const char *real_dir; /* absolute */
	/* atomic */
	uint64_t files, bytes;

	/* of the thread that walks */
	struct crew *crew;
	struct dm_buf path;
	uint64_t total_bytes; /* 0: not known */

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
read_part(const struct part *p, struct dm_err *err)
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
		__atomic_add_fetch(&p->ahead->bytes, n, __ATOMIC_RELAXED);
		show_progress(p->ahead);
	}
	free(buf);
	return rc;
}

/* What is wrong with one file is said, and others go on; an origin that is
 * gone ends the command. */
static int
do_part(void *job, struct dm_err *err)
{
	struct part *p = job;

	if (read_part(p, err) == 0) {
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

static int
add_file(struct ahead *x, const struct version_node *node, const char *path,
    struct dm_err *err)
{
	uint64_t off = 0;

	if (node->size == 0)
		__atomic_add_fetch(&x->files, 1, __ATOMIC_RELAXED);
	for (; off < node->size; off += PART_BYTES) {
		size_t size = strlen(path) + 1;
		struct part *p = malloc(sizeof(*p) + size);

		if (p == NULL)
			return dm_fail(err, DM_NOMEM, "read a file");
		*p = (struct part){ .ahead = x, .node = *node, .off = off };
		p->end = node->size - off < PART_BYTES ? node->size :
							 off + PART_BYTES;
		memcpy(p->path, path, size);
		if (crew_add(x->crew, p, err) < 0)
			return -1;
	}
	return 0;
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

static int
add_lines(struct ahead *x, FILE *f, int end, struct dm_err *err)
{
	DM_AUTO(dm_freep) char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while (errno = 0, (n = getdelim(&line, &room, end, f)) > 0) {
		if (line[n - 1] == end)
			line[n - 1] = '\0';
		if (line[0] != '\0' && add_path(x, line, false, err) < 0)
			return -1;
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

static int
read_ahead(struct ahead *x, const struct cmd_args *a, struct dm_err *err)
{
	struct dm_err late = { 0 };
	int rc;

	if (crew_open(&x->crew, READ_THREADS, do_part, free, err) < 0)
		return -1;
	rc = cmd_value(a, "list") != NULL ? add_list(x, a, err) :
					    add_operands(x, a, err);
	if (crew_close(x->crew, rc < 0, &late) < 0 && rc == 0) {
		*err = late;
		rc = -1;
	}
	return rc;
}

static int
summary(const struct ahead *x, struct cache *cache, uint64_t ms, bool quiet,
    struct dm_err *err)
{
	char read[CMD_BYTES_TEXT], fetched[CMD_BYTES_TEXT];
	struct cache_counts counts;

	cache_counts(cache, &counts);
	if (!quiet)
		(void)fprintf(stderr,
		    "%llu files, %s, are in the cache: %s fetched in %.1f s\n",
		    (unsigned long long)x->files, cmd_bytes(read, x->bytes),
		    cmd_bytes(fetched, counts.fetched), (double)ms / 1000);
	if (counts.disk_broken)
		return dm_fail(err, DM_NOSPACE,
		    "%s cannot be written: not all was kept", cache_dir(cache));
	if (x->failed > 0)
		return dm_fail(err, DM_CORRUPT,
		    "not all was brought: %llu of the paths and files failed",
		    (unsigned long long)x->failed);
	return CMD_DONE;
}

static int
prefetch(struct session *s, const struct source_file *pin,
    const struct pin_place *place, const struct cmd_args *a, struct dm_err *err)
{
	struct ahead x = {
		.dir = a->operands[0],
		.real_dir = place->dir,
		.path = DM_BUF(DM_PATH_MAX),
	};
	uint64_t begun = dm_now_ms();
	char hex[DIGEST_HEX + 1];
	struct look l;
	int rc;

	digest_hex(&pin->commit, hex);
	if (look_open(&l, s->repo, hex, true, err) < 0)
		return -1;
	/* It takes the version over, also if it fails. */
	rc = pin->path[0] == '\0' ? 0 :
				    version_open_subtree(&l.version,
					dm_steal(&l.version), pin->path, err);
	if (rc == 0) {
		x.version = l.version;
		dm_mutex_init(&x.mu, DM_RANK_REPORT);
		x.progress = progress_new("prefetch", cmd_flag(a, "quiet"));
		rc = read_ahead(&x, a, err);
		progress_free(x.progress);
		dm_mutex_destroy(&x.mu);
		dm_buf_release(&x.path);
	}
	if (rc == 0)
		rc = summary(&x, s->cache, dm_now_ms() - begun,
		    cmd_flag(a, "quiet"), err);
	look_close(&l);
	return rc;
}

/* What DIR shows: its mount's version and cache, or else what its pin says. */
static int
open_session(struct session *s, struct source_file *pin,
    const struct pin_place *place, const struct cmd_args *a, struct dm_err *err)
{
	DM_AUTO(dm_freep) struct mount_spec *spec = calloc(1, sizeof(*spec));
	bool found = false;
	int rc;

	if (spec == NULL)
		return dm_fail(err, DM_NOMEM, "prefetch");
	if (mounting_current(place->dir, spec, &found, err) < 0)
		return -1;
	if (found) {
		*pin = spec->pin;
		rc = cmd_value(a, "cache") == NULL ?
		    session_open_in(s, spec->cache_dir, spec->timeout_ms,
			pin->repository[0], err) :
		    session_open(s, a, pin->repository[0], err);
	} else {
		if (pin_read(place->source, pin, &found, err) < 0)
			return -1;
		if (!found)
			return dm_fail(err, DM_NOTFOUND,
			    "%s is no mount, and there is no %s",
			    a->operands[0], place->source);
		if (pin_absolute(place->source, pin, err) < 0 ||
		    (pin->repository[0][0] == '/' &&
			pin_check_owner(pin->repository[0], err) < 0))
			return -1;
		rc = session_open(s, a, pin->repository[0], err);
	}
	if (rc == 0 && session_mirrors(s, pin, err) < 0) {
		session_close(s);
		rc = -1;
	}
	return rc;
}

static int
run_prefetch(int argc, char **argv, struct dm_err *err)
{
	DM_AUTO(dm_freep) struct source_file *pin = calloc(1, sizeof(*pin));
	struct pin_place place;
	struct session s;
	struct cmd_args a;
	int rc;

	if (cmd_parse(&a, &cmd_prefetch, argc, argv, 1, -1, err) < 0)
		return -1;
	if (a.n > 1 && cmd_value(&a, "list") != NULL)
		return cmd_usage(err, "give paths or --list, not both");
	if (cmd_flag(&a, "null") && cmd_value(&a, "list") == NULL)
		return cmd_usage(err, "-0 belongs to --list");
	if (pin == NULL)
		return dm_fail(err, DM_NOMEM, "prefetch");
	if (pin_place(&place, a.operands[0], NULL, err) < 0 ||
	    open_session(&s, pin, &place, &a, err) < 0)
		return -1;
	rc = prefetch(&s, pin, &place, &a, err);
	session_close(&s);
	return rc;
}

static const struct cmd_option options[] = {
	{ "list", 0, "FILE", "paths from FILE (- for stdin), one a line" },
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
