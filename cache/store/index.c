/*
 * The index.
 *
 * One connection, of the thread that ticks, and short transactions; a database
 * that somebody else has locked is tried again at the next tick.  The journal
 * is truncated rather than WAL: several processes share the file, and SQLite
 * before 3.51.3 can corrupt a WAL that they share.
 */
#include "cache/store/index.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/database.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/base/log.h"
#include "cache/store/census.h"

enum {
	LOAD_TICKS = 5,     /* between two copies to memory */
	REFRESH_S = 60,     /* between two looks at the directory, of all */
	USES_MAX = 4 << 20, /* rows that are believed */
	ASIDE_MAX = 3,      /* files put aside, with none between that worked */
};

static const char settings[] = "PRAGMA journal_mode = TRUNCATE;"
			       "PRAGMA synchronous = OFF;"; /* a hint */

static const char *const tables[] = {
	"CREATE TABLE blob (key BLOB PRIMARY KEY,"
	" bytes INTEGER NOT NULL, used INTEGER NOT NULL,"
	" pinned INTEGER NOT NULL) WITHOUT ROWID",
	"CREATE TABLE refreshed (at INTEGER NOT NULL)",
};

enum query { Q_TOUCH, Q_BLOB, Q_LOAD, Q_REFRESHED, Q_STALE, NQUERIES };

static const char *const query_sql[NQUERIES] = {
	[Q_TOUCH] = "INSERT INTO blob VALUES (?1, 0, ?2, 0)"
		    " ON CONFLICT (key) DO UPDATE SET"
		    " used = max(used, excluded.used)",
	[Q_BLOB] = "INSERT INTO blob VALUES (?1, ?3, ?2, ?4)"
		   " ON CONFLICT (key) DO UPDATE SET bytes = excluded.bytes,"
		   " used = max(used, excluded.used),"
		   " pinned = excluded.pinned",
	[Q_LOAD] = "SELECT key, used FROM blob ORDER BY key",
	[Q_REFRESHED] = "SELECT max(at) FROM refreshed",
	[Q_STALE] = "DELETE FROM blob WHERE key = ?1",
};

struct use {
	struct digest key;
	int64_t used_s;
};

struct index {
	/* of the thread that ticks */
	char path[PATH_MAX];
	sqlite3 *db; /* NULL: not open */
	int why;     /* it failed: SQLite's code */
	unsigned aside;
	ino_t ino; /* of its file */
	sqlite3_stmt *query[NQUERIES];
	unsigned ticks;

	struct dm_mutex mu; /* guards all below; only the above thread writes */
	struct use *use;    /* by key */
	size_t n;
};

int
index_new(struct index **out, const char *dir, struct dm_err *err)
{
	struct index *ix = calloc(1, sizeof(*ix));

	if (ix == NULL)
		return dm_fail(err, DM_NOMEM, "cache");
	dm_mutex_init(&ix->mu, DM_RANK_INDEX);
	/* A path that is too long is one that cannot be opened. */
	if (snprintf(ix->path, sizeof(ix->path), "%s/" INDEX_FILE, dir) >=
	    PATH_MAX)
		ix->path[0] = '\0';
	*out = ix;
	return 0;
}

static void
close_db(struct index *ix)
{
	for (int i = 0; i < NQUERIES; i++) {
		sqlite3_finalize(ix->query[i]);
		ix->query[i] = NULL;
	}
	sqlite3_close(ix->db);
	ix->db = NULL;
}

void
index_free(struct index *ix)
{
	if (ix == NULL)
		return;
	close_db(ix);
	dm_mutex_destroy(&ix->mu);
	free(ix->use);
	free(ix);
}

/* ---- the database ---- */

static int
prepare(struct index *ix)
{
	int rc = SQLITE_OK;

	for (int i = 0; rc == SQLITE_OK && i < NQUERIES; i++)
		rc = sqlite3_prepare_v2(ix->db, query_sql[i], -1, &ix->query[i],
		    NULL);
	return rc;
}

static bool
is_same_file(const struct index *ix)
{
	struct stat st;

	return lstat(ix->path, &st) == 0 && st.st_ino == ix->ino;
}

/* Is the open database still the file of that name?  Else open that. */
static bool
open_db(struct index *ix)
{
	struct stat st;

	if (ix->db != NULL && is_same_file(ix))
		return true;
	close_db(ix);
	ix->why = SQLITE_OK;
	if (ix->path[0] == '\0')
		return false;
	ix->why = dm_database_open(&ix->db, ix->path,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	if (ix->why == SQLITE_OK)
		ix->why = sqlite3_exec(ix->db, settings, NULL, NULL, NULL);
	if (ix->why == SQLITE_OK)
		ix->why = dm_database_make(ix->db, tables,
		    sizeof(tables) / sizeof(tables[0]));
	if (ix->why == SQLITE_OK)
		ix->why = prepare(ix);
	if (ix->why != SQLITE_OK || lstat(ix->path, &st) < 0)
		return false;
	ix->ino = st.st_ino;
	(void)chmod(ix->path, 0600); /* the directory is 0700 */
	return true;
}

/* The file is to blame.  One that cannot be put aside is done without: a disk
 * that takes no changes.  So is one whose successors are no better. */
static void
put_aside(struct index *ix)
{
	char bad[PATH_MAX + 8];

	close_db(ix);
	(void)snprintf(bad, sizeof(bad), "%s.bad", ix->path);
	if (ix->aside == ASIDE_MAX || !dm_database_put_aside(ix->path, bad))
		return;
	ix->aside++;
	dm_log(DM_LOG_WARN, "cache", "%s: %s: made again from the directory",
	    ix->path, sqlite3_errstr(ix->why));
}

/* Note why the last call failed; it returned that. */
static bool
failed(struct index *ix, int why)
{
	ix->why = why;
	return false;
}

static bool
run(struct index *ix, const char *sql)
{
	int rc = sqlite3_exec(ix->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? true : failed(ix, rc);
}

static bool
run_query(struct index *ix, enum query which, const struct digest *key,
    int64_t used_s, uint64_t bytes, bool pinned)
{
	sqlite3_stmt *q = ix->query[which];
	int rc;

	sqlite3_bind_blob(q, 1, key->bytes, DIGEST_SIZE, SQLITE_STATIC);
	if (which != Q_STALE)
		sqlite3_bind_int64(q, 2, used_s);
	if (which == Q_BLOB) {
		sqlite3_bind_int64(q, 3, (int64_t)bytes);
		sqlite3_bind_int(q, 4, pinned);
	}
	rc = sqlite3_step(q);
	sqlite3_reset(q);
	return rc == SQLITE_DONE ? true : failed(ix, rc);
}

/* ---- what a tick does ---- */

static int64_t
now_s(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	return now.tv_sec;
}

static bool
note_uses(struct index *ix, const struct digest *used, size_t n)
{
	int64_t now = now_s();
	bool noted = n == 0 || run(ix, "BEGIN IMMEDIATE");

	if (n == 0)
		return true;
	for (size_t i = 0; noted && i < n; i++)
		noted = run_query(ix, Q_TOUCH, &used[i], now, 0, false);
	if (noted && run(ix, "COMMIT"))
		return true;
	if (!sqlite3_get_autocommit(ix->db))
		(void)sqlite3_exec(ix->db, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

/* A row of Q_LOAD, which anyone could have written: measure, then copy.  Keys
 * ascend, or else a page of the file may be its own child, and there is no
 * end of rows. */
static int
read_row(sqlite3_stmt *q, const struct use *last, struct use *out)
{
	int rc = sqlite3_step(q);

	if (rc != SQLITE_ROW)
		return rc;
	if (sqlite3_column_bytes(q, 0) != DIGEST_SIZE)
		return SQLITE_CORRUPT;
	memcpy(out->key.bytes, sqlite3_column_blob(q, 0), DIGEST_SIZE);
	out->used_s = sqlite3_column_int64(q, 1);
	if (out->used_s < 0 || out->used_s > now_s())
		out->used_s = 0; /* it is not known */
	if (last != NULL &&
	    memcmp(last->key.bytes, out->key.bytes, DIGEST_SIZE) >= 0)
		return SQLITE_CORRUPT;
	return SQLITE_ROW;
}

static bool
load(struct index *ix)
{
	struct use *use = NULL, *old;
	size_t n = 0, room = 0;
	int rc = SQLITE_ROW;

	while (rc == SQLITE_ROW && n < USES_MAX) {
		if (n == room) {
			struct use *more;

			room = room == 0 ? 256 : room * 2;
			more = realloc(use, room * sizeof(*use));
			if (more == NULL)
				break;
			use = more;
		}
		rc = read_row(ix->query[Q_LOAD], n == 0 ? NULL : &use[n - 1],
		    &use[n]);
		n += rc == SQLITE_ROW;
	}
	sqlite3_reset(ix->query[Q_LOAD]);
	if (rc != SQLITE_DONE && n < USES_MAX) {
		free(use);
		/* no memory: the old copy will do */
		return rc == SQLITE_ROW ? true : failed(ix, rc);
	}
	dm_lock(&ix->mu);
	old = ix->use;
	ix->use = use;
	ix->n = n;
	dm_unlock(&ix->mu);
	free(old);
	return true;
}

/* Has another process looked at the directory lately? */
static bool
is_fresh(struct index *ix)
{
	sqlite3_stmt *q = ix->query[Q_REFRESHED];
	int64_t now = now_s(), at = 0;

	if (sqlite3_step(q) == SQLITE_ROW)
		at = sqlite3_column_int64(q, 0);
	sqlite3_reset(q);
	return at <= now && at > now - REFRESH_S;
}

/* Only this thread changes the copy, so it reads it without the lock, which is
 * never held over SQLite. */
static bool
drop_absent(struct index *ix, struct census *c)
{
	bool dropped = true;

	for (size_t i = 0; dropped && i < ix->n; i++)
		if (census_find(c, &ix->use[i].key) == NULL)
			dropped = run_query(ix, Q_STALE, &ix->use[i].key, 0, 0,
			    false);
	return dropped;
}

/* Write what the directory says. */
static bool
refresh(struct index *ix, int root)
{
	struct census c;
	struct dm_err err;
	bool done = true;

	if (census_take(&c, root, &err) < 0 ||
	    census_mark_pinned(&c, root, &err) < 0) {
		dm_log(DM_LOG_DEBUG, "cache", "%s", err.text);
		census_release(&c);
		return true; /* the index is not to blame */
	}
	done = run(ix, "BEGIN IMMEDIATE");
	for (size_t i = 0; done && i < c.n; i++)
		done = run_query(ix, Q_BLOB, &c.blob[i].key, c.blob[i].used_s,
		    c.blob[i].bytes, c.blob[i].pinned);
	done = done && drop_absent(ix, &c) &&
	    run(ix,
		"DELETE FROM refreshed;"
		"INSERT INTO refreshed VALUES (CAST(strftime('%s') AS INTEGER));") &&
	    run(ix, "COMMIT");
	if (!done && !sqlite3_get_autocommit(ix->db))
		(void)sqlite3_exec(ix->db, "ROLLBACK", NULL, NULL, NULL);
	census_release(&c);
	return done;
}

bool
index_tick(struct index *ix, int root, const struct digest *used, size_t n)
{
	bool noted = false, fine = open_db(ix);

	if (fine)
		fine = noted = note_uses(ix, used, n);
	if (fine && ix->ticks++ % LOAD_TICKS == 0)
		fine = load(ix) && (is_fresh(ix) || refresh(ix, root));
	if (!fine && dm_database_is_damage(ix->why))
		put_aside(ix);
	else if (fine)
		ix->aside = 0;
	return noted;
}

/* ---- for who evicts ---- */

static int
by_key(const void *a, const void *b)
{
	const struct use *x = a, *y = b;

	return memcmp(x->key.bytes, y->key.bytes, sizeof(x->key.bytes));
}

void
index_uses(struct index *ix, struct census *c)
{
	bool loaded;

	dm_lock(&ix->mu);
	loaded = ix->n > 0;
	for (size_t i = 0; ix->n > 0 && i < c->n; i++) {
		struct use want = { .key = c->blob[i].key };
		const struct use *is =
		    bsearch(&want, ix->use, ix->n, sizeof(*is), by_key);

		if (is != NULL && is->used_s > c->blob[i].used_s)
			c->blob[i].used_s = is->used_s;
	}
	dm_unlock(&ix->mu);
	/* A process that has just begun has no copy. */
	if (!loaded)
		index_read_uses(ix->path, c);
}

/* A connection of its own, which never waits. */
void
index_read_uses(const char *path, struct census *c)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *q = NULL;
	struct use use[2], *last = NULL;

	if (dm_database_open(&db, path, SQLITE_OPEN_READONLY) != SQLITE_OK ||
	    sqlite3_prepare_v2(db, query_sql[Q_LOAD], -1, &q, NULL) !=
		SQLITE_OK) {
		sqlite3_close(db);
		return;
	}
	for (int i = 0; read_row(q, last, &use[i]) == SQLITE_ROW; i ^= 1) {
		struct census_blob *b = census_find(c, &use[i].key);

		if (b != NULL && use[i].used_s > b->used_s)
			b->used_s = use[i].used_s;
		last = &use[i];
	}
	sqlite3_finalize(q);
	sqlite3_close(db);
}
