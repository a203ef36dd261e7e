#include "fs/cmd/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/base/err.h"
#include "cache/base/hex.h"
#include "fs/cmd/config.h"
#include "fs/format/text.h"

enum { BATCH = 64 };

int
look_open(struct look *out, struct repo *repo, const char *ref,
    bool all_symlinks, struct dm_err *err)
{
	struct version_options opt = { .all_symlinks = all_symlinks };

	*out = (struct look){ .text = DM_BUF(DM_COMMIT_MAX) };
	if (repo_resolve(repo, ref, &out->ref, err) < 0 ||
	    repo_commit(repo, &out->ref.commit, &out->text, &out->commit, err) <
		0 ||
	    version_open(&out->version, repo->cache, repo->origin, &out->commit,
		&opt, err) < 0) {
		look_close(out);
		return -1;
	}
	return 0;
}

void
look_close(struct look *l)
{
	version_close(l->version);
	l->version = NULL;
	dm_buf_release(&l->text);
}

int
look_symlinks(const struct cmd_args *a, bool *all, struct dm_err *err)
{
	const char *value = cmd_value(a, "symlinks");

	*all = value != NULL && strcmp(value, "all") == 0;
	if (value != NULL && !*all && strcmp(value, "inside") != 0)
		return cmd_usage(err, "--symlinks is all or inside, not '%s'",
		    value);
	return 0;
}

static int
open_name(struct look_name *out, const struct cmd_args *a, const char *text,
    bool mirrors, struct dm_err *err)
{
	bool all_symlinks;

	memset(out, 0, sizeof(*out));
	if (look_symlinks(a, &all_symlinks, err) < 0 ||
	    config_name_parse(&out->name, text, err) < 0 ||
	    session_open(&out->session, a, out->name.repo, err) < 0)
		return -1;
	if ((mirrors &&
		session_configured_mirrors(&out->session, out->name.repo, err) <
		    0) ||
	    look_open(&out->look, out->session.repo, out->name.ref,
		all_symlinks, err) < 0) {
		session_close(&out->session);
		return -1;
	}
	return 0;
}

int
look_name_open(struct look_name *out, const struct cmd_args *a,
    const char *text, struct dm_err *err)
{
	return open_name(out, a, text, true, err);
}

int
look_name_open_alone(struct look_name *out, const struct cmd_args *a,
    const char *text, struct dm_err *err)
{
	return open_name(out, a, text, false, err);
}

void
look_name_close(struct look_name *l)
{
	look_close(&l->look);
	session_close(&l->session);
}

int
look_path(struct version *v, const char *path, struct version_node *out,
    struct dm_err *err)
{
	bool found = false;

	if (version_path(v, path, out, &found, NULL, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND, "no '%s' in this version",
		    path);
	return 0;
}

void
look_dir_init(struct look_dir *d, struct version *v,
    const struct version_node *dir)
{
	*d = (struct look_dir){ .version = v, .dir = *dir };
}

void
look_dir_release(struct look_dir *d)
{
	free(d->batch);
	d->batch = NULL;
}

static bool
note_entry(void *arg, uint64_t n, const char *name, size_t name_len,
    const struct version_node *node)
{
	struct look_dir *d = arg;
	struct look_entry *e = &d->batch[d->n++];

	memcpy(e->name, name, name_len);
	e->name[name_len] = '\0';
	e->name_len = name_len;
	e->node = *node;
	d->next = n + 1;
	return d->n < BATCH;
}

int
look_dir_next(struct look_dir *d, struct look_entry **out, struct dm_err *err)
{
	*out = NULL;
	if (d->batch == NULL)
		d->batch = malloc(BATCH * sizeof(*d->batch));
	if (d->batch == NULL)
		return dm_fail(err, DM_NOMEM, "list a directory");
	if (d->i == d->n && !d->ended) {
		d->i = d->n = 0;
		if (version_list(d->version, &d->dir, d->next, note_entry, d,
			NULL, err) < 0)
			return -1;
		d->ended = d->n < BATCH;
	}
	if (d->i < d->n)
		*out = &d->batch[d->i++];
	return 0;
}

int
look_path_push(struct dm_buf *path, const char *name, size_t name_len,
    struct dm_err *err)
{
	if (path->size > 0 && dm_buf_append(path, "/", 1, err) < 0)
		return -1;
	return dm_buf_append(path, name, name_len, err);
}

void
look_path_pop(struct dm_buf *path, size_t size)
{
	path->size = size;
	if (path->data != NULL)
		path->data[size] = '\0';
}

/* Depth is bounded by DM_DEPTH_MAX, which the version enforces. */
/* NOLINTNEXTLINE(misc-no-recursion) */
int
look_walk(struct version *v, const struct version_node *dir,
    struct dm_buf *path,
    int (*each)(void *arg, const struct dm_buf *path,
	const struct version_node *node, struct dm_err *err),
    void *arg, struct dm_err *err)
{
	size_t size = path->size;
	struct look_entry *e;
	struct look_dir d;
	int rc;

	look_dir_init(&d, v, dir);
	while ((rc = look_dir_next(&d, &e, err)) == 0 && e != NULL) {
		rc = look_path_push(path, e->name, e->name_len, err);
		if (rc == 0)
			rc = each(arg, path, &e->node, err);
		if (rc == 0 && e->node.kind == TREE_DIR)
			rc = look_walk(v, &e->node, path, each, arg, err);
		if (rc < 0)
			break;
		look_path_pop(path, size);
	}
	look_dir_release(&d);
	return rc;
}

const char *
look_kind(enum tree_kind kind)
{
	switch (kind) {
	case TREE_FILE:
		return "file";
	case TREE_EXEC:
		return "exec";
	case TREE_DIR:
		return "dir";
	case TREE_SYMLINK:
		return "symlink";
	}
	return "?";
}

static bool
is_plain(const char *name, size_t size)
{
	return text_is_clean((struct text){ name, size }, false) &&
	    memchr(name, '"', size) == NULL && memchr(name, '\\', size) == NULL;
}

void
look_print_name(const char *name, size_t size)
{
	static const char codes[] = "\a\b\t\n\v\f\r\"\\";
	static const char letters[] = "abtnvfr\"\\";
	const unsigned char *s = (const unsigned char *)name;
	const char *code;

	if (is_plain(name, size)) {
		(void)fwrite(name, 1, size, stdout);
		return;
	}
	(void)putchar('"');
	for (; size > 0; s++, size--) {
		code = *s != '\0' ? strchr(codes, *s) : NULL;
		if (code != NULL)
			printf("\\%c", letters[code - codes]);
		else if (*s >= 0x20 && *s < 0x7f)
			(void)putchar(*s);
		else
			printf("\\%03o", *s);
	}
	(void)putchar('"');
}

void
look_json_name(json_t *object, const char *key, const char *name, size_t size)
{
	json_t *text = json_stringn(name, size);
	DM_AUTO(dm_buf_release)
	struct dm_buf hex = DM_BUF(64U + DM_PATH_MAX * 2U);
	struct dm_err err = { 0 };
	char *digits;

	if (text != NULL) {
		json_object_set_new(object, key, text);
		return;
	}
	if (dm_buf_printf(&hex, &err, "%s_hex", key) < 0 ||
	    dm_buf_append(&hex, "", 1, &err) < 0 ||
	    (digits = dm_buf_extend(&hex, 2 * size + 1, &err)) == NULL)
		return; /* no memory, or a name of no path's length */
	dm_hex_encode(digits, (const uint8_t *)name, size);
	json_object_set_new(object, hex.data, json_string(digits));
}

void
look_json_add(struct look_json *j, json_t *o)
{
	(void)fputs(j->any ? ",\n" : "[\n", stdout);
	j->any = true;
	(void)json_dumpf(o, stdout, JSON_COMPACT); /* main looks at stdout */
	json_decref(o);
}

void
look_json_end(struct look_json *j)
{
	(void)fputs(j->any ? "\n]\n" : "[]\n", stdout);
}

const char *
look_time(char out[LOOK_TIME_TEXT], uint64_t time)
{
	time_t t = (time_t)time;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(out, LOOK_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)snprintf(out, LOOK_TIME_TEXT, "@%llu",
		    (unsigned long long)time);
	return out;
}

size_t
look_subject(const struct commit *c)
{
	const char *end = memchr(c->message, '\n', c->message_size);

	return end != NULL ? (size_t)(end - c->message) : c->message_size;
}
