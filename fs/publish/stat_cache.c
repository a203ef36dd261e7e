/*
 * Stat cache in SQLite.  Writes are gathered and made in short transactions,
 * so that two publishers do not wait for each other long.
 */
#include "fs/publish/stat_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "fs/format/limits.h"
#include "fs/publish/cache_file.h"

enum {
	READS = 256,   /* in one transaction: locking costs */
	BATCH = 16384, /* notes in one transaction: it takes some fsyncs */
	BATCH_BYTES = 4 << 20, /* of their paths */
	SPARE = 4096,          /* rows of lost files that do not matter */
};

static const char *const tables[] = {
	"CREATE TABLE root (no INTEGER PRIMARY KEY,"
	" path BLOB NOT NULL UNIQUE)",
	"CREATE TABLE file (root INTEGER NOT NULL,"
	" path BLOB NOT NULL, dev INTEGER NOT NULL, ino INTEGER NOT NULL,"
	" size INTEGER NOT NULL, mtime INTEGER NOT NULL,"
	" ctime INTEGER NOT NULL, id BLOB NOT NULL,"
	" PRIMARY KEY (root, path)) WITHOUT ROWID",
};

enum query {
	Q_ROOT_ADD,
	Q_ROOT,
	Q_FIND,
	Q_NOTE,
	Q_COUNT,
	Q_NEXT,
	Q_FORGET,
	Q_BEGIN_READ,
	Q_BEGIN,
	Q_COMMIT,
	NQUERIES
};

static const char *const query_sql[NQUERIES] = {
	[Q_ROOT_ADD] = "INSERT OR IGNORE INTO root (path) VALUES (?1)",
	[Q_ROOT] = "SELECT no FROM root WHERE path = ?1",
	[Q_FIND] = "SELECT dev, ino, size, mtime, ctime, id FROM file"
		   " WHERE root = ?1 AND path = ?2",
	[Q_NOTE] = "INSERT OR REPLACE INTO file VALUES"
		   " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[Q_COUNT] = "SELECT count(*) FROM file WHERE root = ?1",
	[Q_NEXT] = "SELECT path FROM file WHERE root = ?1 AND path > ?2"
		   " ORDER BY path LIMIT 1",
	[Q_FORGET] = "DELETE FROM file WHERE root = ?1 AND path = ?2",
	[Q_BEGIN_READ] = "BEGIN",
	[Q_BEGIN] = "BEGIN IMMEDIATE",
	[Q_COMMIT] = "COMMIT",
};

struct note {
	size_t path; /* where it begins in the paths */
	int64_t dev, ino, size, mtime, ctime;
	struct digest id;
};

struct stat_cache {
	sqlite3 *db;
	sqlite3_stmt *query[NQUERIES];
	int64_t root;
	unsigned reads;    /* in the transaction under way; 0: there is none */
	struct note *note; /* BATCH of them */
	size_t nnotes;
	struct dm_buf paths; /* each ending in NUL */
};

static const char what[] = "list of files read before";

static int
db_fail(struct stat_cache *sc, const char *doing, struct dm_err *err)
{
	return cache_file_fail(sc->db, what, doing, err);
}

static int
run(struct stat_cache *sc, enum query which, struct dm_err *err)
{
	sqlite3_stmt *q = sc->query[which];
	int rc = 0;

	if (sqlite3_step(q) != SQLITE_DONE)
		rc = db_fail(sc, query_sql[which], err);
	sqlite3_reset(q);
	return rc;
}

static int
number(struct stat_cache *sc, enum query which, int64_t *n, struct dm_err *err)
{
	sqlite3_stmt *q = sc->query[which];
	int rc = 0;

	if (sqlite3_step(q) == SQLITE_ROW)
		*n = sqlite3_column_int64(q, 0);
	else
		rc = db_fail(sc, query_sql[which], err);
	sqlite3_reset(q);
	return rc;
}

static sqlite3_stmt *
bind_path(struct stat_cache *sc, enum query which, const char *path)
{
	sqlite3_stmt *q = sc->query[which];

	sqlite3_bind_int64(q, 1, sc->root);
	sqlite3_bind_blob(q, 2, path, (int)strlen(path), SQLITE_STATIC);
	return q;
}

/* The number of the root; writing, which may have to wait, only if it is new.
 */
static int
find_root(struct stat_cache *sc, const char *root, struct dm_err *err)
{
	struct dm_err none = { 0 };

	for (enum query w = Q_ROOT_ADD; w <= Q_ROOT; w++)
		sqlite3_bind_blob(sc->query[w], 1, root, (int)strlen(root),
		    SQLITE_TRANSIENT);
	if (number(sc, Q_ROOT, &sc->root, &none) == 0)
		return 0;
	if (run(sc, Q_ROOT_ADD, err) < 0)
		return -1;
	return number(sc, Q_ROOT, &sc->root, err);
}

static int
open_db(struct stat_cache *sc, const char *path, const char *root,
    struct dm_err *err)
{
	const struct cache_file file = {
		.what = what,
		.path = path,
		.tables = tables,
		.ntables = sizeof(tables) / sizeof(tables[0]),
		.memory = 16 << 20, /* paths come as the folder has them */
	};

	if (cache_file_open(&sc->db, &file, err) < 0)
		return -1;
	for (int i = 0; i < NQUERIES; i++)
		if (sqlite3_prepare_v2(sc->db, query_sql[i], -1, &sc->query[i],
			NULL) != SQLITE_OK)
			return db_fail(sc, query_sql[i], err);
	return find_root(sc, root, err);
}

int
stat_cache_open(struct stat_cache **out, const char *path, const char *root,
    struct dm_err *err)
{
	struct stat_cache *sc = calloc(1, sizeof(*sc));

	if (sc == NULL)
		return dm_fail(err, DM_NOMEM, "list of files");
	sc->paths = (struct dm_buf)DM_BUF(BATCH_BYTES);
	sc->note = calloc(BATCH, sizeof(*sc->note));
	if (sc->note == NULL)
		(void)dm_fail(err, DM_NOMEM, "list of files");
	if (sc->note == NULL || open_db(sc, path, root, err) < 0) {
		stat_cache_close(sc);
		return -1;
	}
	*out = sc;
	return 0;
}

void
stat_cache_close(struct stat_cache *sc)
{
	if (sc == NULL)
		return;
	for (int i = 0; i < NQUERIES; i++)
		sqlite3_finalize(sc->query[i]);
	sqlite3_close(sc->db);
	dm_buf_release(&sc->paths);
	free(sc->note);
	free(sc);
}

bool
stat_cache_trusts(const struct stat *st, int64_t at_ns)
{
	return dm_timespec_ns(&st->st_mtim) < at_ns - STAT_RACY_NS &&
	    dm_timespec_ns(&st->st_ctim) < at_ns - STAT_RACY_NS;
}

/* End the transaction of reads once there were enough, so that another
 * publisher can write. */
static int
end_reads(struct stat_cache *sc, unsigned enough, struct dm_err *err)
{
	if (sc->reads == 0 || sc->reads < enough)
		return 0;
	sc->reads = 0;
	return run(sc, Q_COMMIT, err);
}

/* Does a row of Q_FIND say the same as st? */
static bool
same(sqlite3_stmt *q, const struct stat *st)
{
	return sqlite3_column_int64(q, 0) == (int64_t)st->st_dev &&
	    sqlite3_column_int64(q, 1) == (int64_t)st->st_ino &&
	    sqlite3_column_int64(q, 2) == (int64_t)st->st_size &&
	    sqlite3_column_int64(q, 3) == dm_timespec_ns(&st->st_mtim) &&
	    sqlite3_column_int64(q, 4) == dm_timespec_ns(&st->st_ctim) &&
	    sqlite3_column_bytes(q, 5) == DIGEST_SIZE;
}

int
stat_cache_find(struct stat_cache *sc, const char *path, const struct stat *st,
    struct digest *id, bool *found, struct dm_err *err)
{
	sqlite3_stmt *q = bind_path(sc, Q_FIND, path);
	int rc = 0, step;

	if (sc->reads == 0 && run(sc, Q_BEGIN_READ, err) < 0)
		return -1;
	sc->reads++;
	step = sqlite3_step(q);
	*found = step == SQLITE_ROW && same(q, st);
	if (*found)
		memcpy(id->bytes, sqlite3_column_blob(q, 5), DIGEST_SIZE);
	else if (step != SQLITE_ROW && step != SQLITE_DONE)
		rc = db_fail(sc, "find", err);
	sqlite3_reset(q);
	return rc < 0 ? -1 : end_reads(sc, READS, err);
}

int
stat_cache_rest(struct stat_cache *sc, struct dm_err *err)
{
	return end_reads(sc, 0, err);
}

/* Write the gathered notes. */
static int
write_notes(struct stat_cache *sc, struct dm_err *err)
{
	if (end_reads(sc, 0, err) < 0)
		return -1;
	if (sc->nnotes == 0)
		return 0;
	if (run(sc, Q_BEGIN, err) < 0)
		return -1;
	for (size_t i = 0; i < sc->nnotes; i++) {
		const struct note *n = &sc->note[i];
		sqlite3_stmt *q =
		    bind_path(sc, Q_NOTE, sc->paths.data + n->path);

		sqlite3_bind_int64(q, 3, n->dev);
		sqlite3_bind_int64(q, 4, n->ino);
		sqlite3_bind_int64(q, 5, n->size);
		sqlite3_bind_int64(q, 6, n->mtime);
		sqlite3_bind_int64(q, 7, n->ctime);
		sqlite3_bind_blob(q, 8, n->id.bytes, DIGEST_SIZE,
		    SQLITE_STATIC);
		if (run(sc, Q_NOTE, err) < 0)
			return -1;
	}
	sc->nnotes = 0;
	dm_buf_clear(&sc->paths);
	return run(sc, Q_COMMIT, err);
}

int
stat_cache_note(struct stat_cache *sc, const char *path, const struct stat *st,
    int64_t at_ns, const struct digest *id, struct dm_err *err)
{
	struct note *n;

	if (!stat_cache_trusts(st, at_ns))
		return 0;
	if ((sc->nnotes == BATCH ||
		sc->paths.size + DM_PATH_MAX >= BATCH_BYTES) &&
	    write_notes(sc, err) < 0)
		return -1;
	n = &sc->note[sc->nnotes];
	*n = (struct note){
		.path = sc->paths.size,
		.dev = (int64_t)st->st_dev,
		.ino = (int64_t)st->st_ino,
		.size = (int64_t)st->st_size,
		.mtime = dm_timespec_ns(&st->st_mtim),
		.ctime = dm_timespec_ns(&st->st_ctim),
		.id = *id,
	};
	if (dm_buf_append(&sc->paths, path, strlen(path) + 1, err) < 0)
		return -1;
	sc->nnotes++;
	return 0;
}

/* Can it be the next path of the table, whoever wrote that? */
static bool
follows(const char *path, const void *next, size_t size)
{
	size_t n = strlen(path);

	if (size == 0 || size > DM_PATH_MAX || memchr(next, 0, size) != NULL)
		return false;
	return memcmp(path, next, n < size ? n : size) <= 0 &&
	    (n < size || memcmp(path, next, size) != 0);
}

/* Copy the first path of the table behind path over it; false at the end. */
static int
next_path(struct stat_cache *sc, char path[DM_PATH_MAX + 1], bool *found,
    struct dm_err *err)
{
	sqlite3_stmt *q = bind_path(sc, Q_NEXT, path);
	int rc = 0, step = sqlite3_step(q);
	const void *next = step == SQLITE_ROW ? sqlite3_column_blob(q, 0) : "";
	int size = step == SQLITE_ROW ? sqlite3_column_bytes(q, 0) : 0;

	*found = step == SQLITE_ROW;
	if (*found && !follows(path, next, (size_t)size)) {
		rc = dm_fail(err, DM_CORRUPT, "%s: bad path", what);
	} else if (*found) {
		memcpy(path, next, (size_t)size);
		path[size] = '\0';
	} else if (step != SQLITE_DONE) {
		rc = db_fail(sc, "list", err);
	}
	sqlite3_reset(q);
	return rc;
}

/* Drop the rows of files that are gone. */
static int
forget_lost(struct stat_cache *sc, int fd, struct dm_err *err)
{
	char path[DM_PATH_MAX + 1] = "";
	bool found = true;

	if (run(sc, Q_BEGIN, err) < 0)
		return -1;
	for (;;) {
		struct stat st;

		if (next_path(sc, path, &found, err) < 0)
			return -1;
		if (!found)
			return run(sc, Q_COMMIT, err);
		if (fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			(void)bind_path(sc, Q_FORGET, path);
			if (run(sc, Q_FORGET, err) < 0)
				return -1;
		}
	}
}

int
stat_cache_save(struct stat_cache *sc, int fd, uint64_t files,
    struct dm_err *err)
{
	int64_t rows = 0;

	if (write_notes(sc, err) < 0)
		return -1;
	sqlite3_bind_int64(sc->query[Q_COUNT], 1, sc->root);
	if (number(sc, Q_COUNT, &rows, err) < 0)
		return -1;
	if ((uint64_t)rows <= 2 * files + SPARE)
		return 0;
	return forget_lost(sc, fd, err);
}
