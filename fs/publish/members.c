/*
 * Two tables.  entry: a directory's number and a name, kind, and a number that
 * is the directory's own, or a content's.  content: what a file holds; several
 * entries (hard links) may name one, and one that was replaced none.
 *
 * The key (directory, name) has the entries in the order of the tree.
 */
#include "fs/publish/members.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "fs/format/limits.h"
#include "fs/publish/ignore.h"
#include "fs/publish/packer.h"
#include "fs/publish/quote.h"
#include "fs/publish/tree_builder.h"

static const char schema[] =
    "PRAGMA journal_mode = OFF;"
    "PRAGMA synchronous = OFF;"
    "PRAGMA locking_mode = EXCLUSIVE;"
    "PRAGMA cache_size = -32768;" /* KiB */
    "CREATE TABLE entry (dir INTEGER NOT NULL, name BLOB NOT NULL,"
    " kind INTEGER NOT NULL, no INTEGER NOT NULL, target BLOB,"
    " PRIMARY KEY (dir, name)) WITHOUT ROWID;"
    "CREATE TABLE content (no INTEGER PRIMARY KEY, size INTEGER NOT NULL,"
    " id BLOB NOT NULL, pack INTEGER NOT NULL, ordinal INTEGER NOT NULL);"
    "BEGIN;";

enum query { Q_FIND, Q_ADD, Q_ANY, Q_CONTENT, Q_CONTENT_ADD, NQUERIES };

static const char *const query_sql[NQUERIES] = {
	[Q_FIND] = "SELECT kind, no FROM entry WHERE dir = ?1 AND name = ?2",
	[Q_ADD] = "INSERT OR REPLACE INTO entry VALUES (?1, ?2, ?3, ?4, ?5)",
	[Q_ANY] = "SELECT count(*) FROM"
		  " (SELECT 1 FROM entry WHERE dir = ?1 LIMIT ?2)",
	[Q_CONTENT] = "SELECT size, id, pack, ordinal FROM content"
		      " WHERE no = ?1",
	[Q_CONTENT_ADD] = "INSERT INTO content VALUES (?1, ?2, ?3, ?4, ?5)",
};

static const char list_sql[] =
    "SELECT name, kind, no, target FROM entry WHERE dir = ?1 ORDER BY name";

struct members {
	sqlite3 *db;
	sqlite3_stmt *query[NQUERIES];
	sqlite3_stmt *list[DM_DEPTH_MAX + 1]; /* of directories being listed */
	uint64_t dirs; /* numbers given; the root's is 0 */

	/* the directories above the last member, as far as they are sure */
	char path[DM_PATH_MAX + 1];
	size_t end[DM_DEPTH_MAX]; /* of each one's part of the path */
	uint64_t no[DM_DEPTH_MAX];
	unsigned depth;
};

static int
db_fail(struct members *m, struct dm_err *err)
{
	return dm_fail(err,
	    sqlite3_errcode(m->db) == SQLITE_FULL ? DM_NOSPACE : DM_IO,
	    "table of the archive's members: %s", sqlite3_errmsg(m->db));
}

static int
open_db(struct members *m, const char *tmp_dir, struct dm_err *err)
{
	char path[PATH_MAX];
	int fd, rc;

	if (snprintf(path, sizeof(path), "%s/members.XXXXXX", tmp_dir) >=
	    (int)sizeof(path))
		return dm_fail(err, DM_INVALID, "%s: path too long", tmp_dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return dm_fail_errno(err, "create a temporary file in %s",
		    tmp_dir);
	(void)close(fd); /* nothing was written */
	rc = sqlite3_open_v2(path, &m->db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(m->db, schema, NULL, NULL, NULL);
	(void)unlink(path); /* a name that stays is only untidy */
	if (rc != SQLITE_OK)
		return db_fail(m, err);
	for (int i = 0; i < NQUERIES; i++)
		if (sqlite3_prepare_v2(m->db, query_sql[i], -1, &m->query[i],
			NULL) != SQLITE_OK)
			return db_fail(m, err);
	return 0;
}

int
members_open(struct members **out, const char *tmp_dir, struct dm_err *err)
{
	struct members *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return dm_fail(err, DM_NOMEM, "table of members");
	if (open_db(m, tmp_dir, err) < 0) {
		members_close(m);
		return -1;
	}
	*out = m;
	return 0;
}

void
members_close(struct members *m)
{
	if (m == NULL)
		return;
	for (int i = 0; i < NQUERIES; i++)
		sqlite3_finalize(m->query[i]);
	for (int i = 0; i <= DM_DEPTH_MAX; i++)
		sqlite3_finalize(m->list[i]);
	sqlite3_close(m->db);
	free(m);
}

/* ---- one entry ---- */

static int
find(struct members *m, uint64_t dir, const char *name, size_t size,
    struct member *out, bool *found, struct dm_err *err)
{
	sqlite3_stmt *q = m->query[Q_FIND];
	int rc;

	sqlite3_bind_int64(q, 1, (int64_t)dir);
	sqlite3_bind_blob(q, 2, name, (int)size, SQLITE_STATIC);
	rc = sqlite3_step(q);
	*found = rc == SQLITE_ROW;
	*out = (struct member){ .kind = TREE_FILE };
	if (*found) {
		out->kind = (enum tree_kind)sqlite3_column_int(q, 0);
		out->content = (uint64_t)sqlite3_column_int64(q, 1);
	}
	sqlite3_reset(q);
	return *found || rc == SQLITE_DONE ? 0 : db_fail(m, err);
}

static int
add(struct members *m, uint64_t dir, const char *name, size_t size,
    const struct member *what, struct dm_err *err)
{
	sqlite3_stmt *q = m->query[Q_ADD];
	int rc;

	sqlite3_bind_int64(q, 1, (int64_t)dir);
	sqlite3_bind_blob(q, 2, name, (int)size, SQLITE_STATIC);
	sqlite3_bind_int(q, 3, (int)what->kind);
	sqlite3_bind_int64(q, 4, (int64_t)what->content);
	if (what->target == NULL)
		sqlite3_bind_null(q, 5);
	else
		sqlite3_bind_blob(q, 5, what->target, (int)strlen(what->target),
		    SQLITE_STATIC);
	rc = sqlite3_step(q);
	sqlite3_reset(q);
	return rc == SQLITE_DONE ? 0 : db_fail(m, err);
}

/* How many entries a directory has, at most most. */
static int
count_some(struct members *m, uint64_t dir, uint64_t most, uint64_t *n,
    struct dm_err *err)
{
	sqlite3_stmt *q = m->query[Q_ANY];
	int rc;

	sqlite3_bind_int64(q, 1, (int64_t)dir);
	sqlite3_bind_int64(q, 2, (int64_t)most);
	rc = sqlite3_step(q);
	*n = (uint64_t)sqlite3_column_int64(q, 0);
	sqlite3_reset(q);
	return rc == SQLITE_ROW ? 0 : db_fail(m, err);
}

/* ---- paths ---- */

/* Forget the directories that are not above path. */
static void
keep_common(struct members *m, const char *path)
{
	unsigned d = 0;
	size_t from = 0;

	while (d < m->depth &&
	    strncmp(path + from, m->path + from, m->end[d] - from) == 0 &&
	    path[m->end[d]] == '/') {
		from = m->end[d];
		d++;
	}
	m->depth = d;
}

static int
refuse(const char *path, const char *why, struct dm_err *err)
{
	char text[QUOTE_TEXT];

	return dm_fail(err, DM_INVALID, "%s %s", quote_path(text, path), why);
}

/* Where the path goes on behind the directories that were entered. */
static size_t
part_begin(const struct members *m)
{
	return m->depth == 0 ? 0 : m->end[m->depth - 1] + 1;
}

/* Enter the directory of the path's next part, which ends at end. */
static int
enter(struct members *m, const char *path, size_t end, bool make, uint64_t *dir,
    bool *found, struct dm_err *err)
{
	size_t from = part_begin(m);
	struct member e;

	if (end - from > DM_NAME_MAX)
		return refuse(path, "has a name of more than 255 bytes", err);
	/* the root is one of the directories above an entry */
	if (m->depth + 1 >= DM_DEPTH_MAX)
		return refuse(path, "lies too deep: use --exclude", err);
	if (find(m, *dir, path + from, end - from, &e, found, err) < 0)
		return -1;
	if (!*found && make) {
		*found = true;
		e = (struct member){ TREE_DIR, ++m->dirs, NULL };
		if (add(m, *dir, path + from, end - from, &e, err) < 0)
			return -1;
	}
	if (*found && e.kind != TREE_DIR) {
		if (make)
			return refuse(path,
			    "lies below what the archive has as a file or"
			    " symlink",
			    err);
		*found = false;
	}
	if (!*found)
		return 0;
	*dir = e.content;
	memcpy(m->path + from, path + from, end - from + 1);
	m->end[m->depth] = end;
	m->no[m->depth++] = e.content;
	return 0;
}

/* The directory in which the path's last component is, and that. */
static int
parent_of(struct members *m, const char *path, bool make, uint64_t *dir,
    const char **name, bool *found, struct dm_err *err)
{
	const char *slash;

	*found = true;
	if (strlen(path) > DM_PATH_MAX)
		return refuse(path, "is longer than 4095 bytes", err);
	keep_common(m, path);
	*dir = m->depth == 0 ? 0 : m->no[m->depth - 1];
	while (*found && (slash = strchr(path + part_begin(m), '/')) != NULL)
		if (enter(m, path, (size_t)(slash - path), make, dir, found,
			err) < 0)
			return -1;
	*name = path + part_begin(m);
	return 0;
}

int
members_find(struct members *m, const char *path, struct member *out,
    bool *found, struct dm_err *err)
{
	const char *name;
	uint64_t dir;

	if (parent_of(m, path, false, &dir, &name, found, err) < 0)
		return -1;
	return *found ? find(m, dir, name, strlen(name), out, found, err) : 0;
}

int
members_add(struct members *m, const char *path, const struct member *what,
    struct dm_err *err)
{
	struct member e = *what, old;
	const char *name;
	uint64_t dir, n = 0;
	bool found;

	if (parent_of(m, path, true, &dir, &name, &found, err) < 0)
		return -1;
	if (strlen(name) > DM_NAME_MAX)
		return refuse(path, "has a name of more than 255 bytes", err);
	if (find(m, dir, name, strlen(name), &old, &found, err) < 0)
		return -1;
	if (found && old.kind == TREE_DIR) {
		if (what->kind == TREE_DIR)
			return 0;
		if (count_some(m, old.content, 1, &n, err) < 0)
			return -1;
		if (n > 0)
			return refuse(path,
			    "is a directory, and later in the archive"
			    " something else",
			    err);
	}
	if (e.kind == TREE_DIR)
		e.content = ++m->dirs;
	return add(m, dir, name, strlen(name), &e, err);
}

int
members_content(struct members *m, uint64_t no, uint64_t size,
    const struct digest *id, const struct place *at, struct dm_err *err)
{
	sqlite3_stmt *q = m->query[Q_CONTENT_ADD];
	int rc;

	sqlite3_bind_int64(q, 1, (int64_t)no);
	sqlite3_bind_int64(q, 2, (int64_t)size);
	sqlite3_bind_blob(q, 3, id->bytes, DIGEST_SIZE, SQLITE_STATIC);
	sqlite3_bind_int64(q, 4, at->pack);
	sqlite3_bind_int64(q, 5, at->ordinal);
	rc = sqlite3_step(q);
	sqlite3_reset(q);
	return rc == SQLITE_DONE ? 0 : db_fail(m, err);
}

/* ---- the tree ---- */

struct emit {
	struct members *m;
	const struct members_tree *to;
	char path[DM_PATH_MAX + 1]; /* of the present entry */
	size_t path_size;
	unsigned depth; /* directories above it, less the root */
};

/* What the row says of an entry; its name stands at the path's end. */
struct row {
	const char *name;
	size_t name_len;
	struct member e;
	size_t target_size;
};

static int
read_row(struct emit *x, sqlite3_stmt *q, struct row *out, struct dm_err *err)
{
	size_t at = x->path_size;

	out->name_len = (size_t)sqlite3_column_bytes(q, 0);
	if (at > 0)
		x->path[at++] = '/';
	if (at + out->name_len > DM_PATH_MAX)
		return dm_fail(err, DM_INVALID, "a path is too long");
	out->name = x->path + at;
	memcpy(x->path + at, sqlite3_column_blob(q, 0), out->name_len);
	x->path[at + out->name_len] = '\0';
	x->path_size = at + out->name_len;
	out->e.kind = (enum tree_kind)sqlite3_column_int(q, 1);
	out->e.content = (uint64_t)sqlite3_column_int64(q, 2);
	out->e.target = sqlite3_column_blob(q, 3);
	out->target_size = (size_t)sqlite3_column_bytes(q, 3);
	return 0;
}

static void
path_leave(struct emit *x, size_t was)
{
	x->path_size = was;
	x->path[was] = '\0';
}

static int
get_content(struct members *m, uint64_t no, struct tree_entry *e,
    struct place *at, struct dm_err *err)
{
	sqlite3_stmt *q = m->query[Q_CONTENT];
	int rc;

	sqlite3_bind_int64(q, 1, (int64_t)no);
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW) {
		e->size = (uint64_t)sqlite3_column_int64(q, 0);
		assert(sqlite3_column_bytes(q, 1) == DIGEST_SIZE);
		memcpy(e->id.bytes, sqlite3_column_blob(q, 1), DIGEST_SIZE);
		at->pack = (uint32_t)sqlite3_column_int64(q, 2);
		at->ordinal = (uint32_t)sqlite3_column_int64(q, 3);
	}
	sqlite3_reset(q);
	return rc == SQLITE_ROW ? 0 : db_fail(m, err);
}

static int
emit_leaf(struct emit *x, const struct row *r, struct dm_err *err)
{
	struct place at = { .pack = PLACE_NONE };
	struct tree_entry e = {
		.name = r->name,
		.name_len = (uint16_t)r->name_len,
		.kind = r->e.kind,
	};

	if (r->e.kind == TREE_SYMLINK) {
		if (!x->to->all_symlinks &&
		    !tree_target_stays(r->e.target, r->target_size, x->depth))
			return refuse(x->path,
			    "is a symlink that leaves the directory:"
			    " use --symlinks=keep or --exclude",
			    err);
		e.target = r->e.target;
		e.size = r->target_size;
	} else {
		e.files = 1;
		if (r->e.content != 0 &&
		    get_content(x->m, r->e.content, &e, &at, err) < 0)
			return -1;
	}
	return tree_builder_add(x->to->trees, &e, &at, err);
}

static int
list(struct emit *x, uint64_t dir, sqlite3_stmt **out, struct dm_err *err)
{
	sqlite3_stmt **q = &x->m->list[x->depth];

	if (*q == NULL &&
	    sqlite3_prepare_v2(x->m->db, list_sql, -1, q, NULL) != SQLITE_OK)
		return db_fail(x->m, err);
	sqlite3_bind_int64(*q, 1, (int64_t)dir);
	*out = *q;
	return 0;
}

static int emit_dir(struct emit *x, const char *name, size_t name_len,
    uint64_t dir, struct dm_err *err);

/* Count (trees false) or give away the entry of a row. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as a path may be */
static int
emit_row(struct emit *x, const struct row *r, bool counting, uint64_t *n,
    struct dm_err *err)
{
	int rc;

	if (ignore_match(x->to->ignore, x->path, r->e.kind == TREE_DIR))
		return 0;
	++*n;
	if (counting)
		return 0;
	if (tree_name_is_git(r->name, r->name_len))
		return refuse(x->path,
		    "is Git's own, or is taken for it on some systems:"
		    " use --exclude",
		    err);
	if (r->e.kind != TREE_DIR)
		return emit_leaf(x, r, err);
	x->depth++;
	rc = emit_dir(x, r->name, r->name_len, r->e.content, err);
	x->depth--;
	return rc;
}

/* NOLINTNEXTLINE(misc-no-recursion): likewise */
static int
each_row(struct emit *x, uint64_t dir, bool counting, uint64_t *n,
    struct dm_err *err)
{
	size_t was = x->path_size;
	sqlite3_stmt *q = NULL;
	struct row r = { 0 };
	int rc, step;

	if (list(x, dir, &q, err) < 0)
		return -1;
	*n = 0;
	rc = 0;
	while (rc == 0 && (step = sqlite3_step(q)) != SQLITE_DONE) {
		if (step != SQLITE_ROW)
			rc = db_fail(x->m, err);
		else if ((rc = read_row(x, q, &r, err)) == 0)
			rc = emit_row(x, &r, counting, n, err);
		path_leave(x, was);
	}
	sqlite3_reset(q);
	return rc;
}

/* NOLINTNEXTLINE(misc-no-recursion): likewise */
static int
emit_dir(struct emit *x, const char *name, size_t name_len, uint64_t dir,
    struct dm_err *err)
{
	uint64_t n = 0;

	if (each_row(x, dir, true, &n, err) < 0 ||
	    tree_builder_begin(x->to->trees, name, name_len, n, err) < 0 ||
	    each_row(x, dir, false, &n, err) < 0)
		return -1;
	return tree_builder_end(x->to->trees, err);
}

int
members_tree(struct members *m, const struct members_tree *to,
    struct dm_err *err)
{
	struct emit x = { .m = m, .to = to };

	return emit_dir(&x, "", 0, 0, err);
}
