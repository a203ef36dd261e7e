/*
 * Object index in SQLite: one connection, one mutex.  What is added gathers in
 * a batch, and is written in order of ids; until then its packs are, to
 * others, packs that the index has yet to learn.
 *
 * The journal is rolled back, not written ahead: the cache directory may lie
 * on any file system.  A wrong row would become a wrong `where`, so
 * transactions are synced: a power cut leaves the old rows or the new.
 */
#include "fs/publish/object_index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/base/lock.h"
#include "cache/base/log.h"
#include "cache/pack/pack_dir.h"
#include "cache/pack/pack_writer.h"
#include "fs/publish/cache_file.h"
#include "fs/publish/marks.h"
#include "fs/publish/object_batch.h"
#include "fs/publish/pack_peek.h"

enum {
	READS = 256, /* in one transaction: locking costs more than they do */
};

/* A pack's number is never used again: while one publisher knows a pack by it,
 * another may drop that pack and add its own.  It has rows for all of its
 * objects but wheres, unless another pack has the same object. */
static const char *const tables[] = {
	"CREATE TABLE pack (no INTEGER PRIMARY KEY AUTOINCREMENT,"
	" id BLOB NOT NULL UNIQUE, off INTEGER NOT NULL, len INTEGER NOT NULL,"
	" count INTEGER NOT NULL, rows INTEGER NOT NULL)",
	"CREATE TABLE object (id BLOB NOT NULL,"
	" kind INTEGER NOT NULL, pack INTEGER NOT NULL,"
	" ordinal INTEGER NOT NULL, PRIMARY KEY (id, kind)) WITHOUT ROWID",
};

enum query {
	Q_FIND,
	Q_PACK,
	Q_PACK_NO,
	Q_PACK_ADD,
	Q_OBJECT_ADD,
	Q_PACK_DROP,
	Q_PACKS,
	Q_PACKS_HIDDEN,
	Q_OBJECTS_HIDDEN,
	Q_FORGET,
	Q_BEGIN_READ,
	Q_BEGIN,
	Q_COMMIT,
	Q_ROLLBACK,
	NQUERIES
};

static const char *const query_sql[NQUERIES] = {
	[Q_FIND] = ("SELECT pack, ordinal FROM object WHERE id = ?1"
		    " AND kind = ?2"),
	[Q_PACK] = "SELECT id, off, len, count FROM pack WHERE no = ?1",
	[Q_PACK_NO] = "SELECT no FROM pack WHERE id = ?1",
	[Q_PACK_ADD] = ("INSERT INTO pack (id, off, len, count, rows)"
			" VALUES (?1, ?2, ?3, ?4, ?5)"),
	[Q_OBJECT_ADD] = "INSERT OR IGNORE INTO object VALUES (?1, ?2, ?3, ?4)",
	[Q_PACK_DROP] = "DELETE FROM pack WHERE no = ?1",
	[Q_PACKS] = "SELECT no, id FROM pack WHERE no > ?1 ORDER BY no LIMIT 1",
	/* An object that two packs have is a row of the first: when that is
	 * gone, the second is to be read again. */
	[Q_PACKS_HIDDEN] =
	    ("WITH n AS (SELECT pack, count(*) AS c FROM object"
	     " GROUP BY pack) DELETE FROM pack WHERE rows >"
	     " coalesce((SELECT c FROM n WHERE n.pack = no), 0)"),
	[Q_OBJECTS_HIDDEN] = ("DELETE FROM object WHERE pack NOT IN"
			      " (SELECT no FROM pack)"),
	[Q_FORGET] = "DELETE FROM object WHERE id = ?1 AND kind = ?2",
	[Q_BEGIN_READ] = "BEGIN",
	[Q_BEGIN] = "BEGIN IMMEDIATE",
	[Q_COMMIT] = "COMMIT",
	[Q_ROLLBACK] = "ROLLBACK",
};

struct object_index {
	char packs_dir[PATH_MAX];   /* immutable after open */
	const struct marks *marked; /* while it is opened */
	struct dm_mutex mu;         /* guards all below */
	sqlite3 *db;
	sqlite3_stmt *query[NQUERIES];
	bool failed;    /* no answer of it is to be relied on any more */
	unsigned reads; /* in the transaction under way; 0: there is none */
	struct object_batch batch; /* not written yet */
	struct pack_peek peek;
};

static const char what[] = "index of published objects";

static int
db_fail(struct object_index *ix, const char *doing, struct dm_err *err)
{
	ix->failed = true;
	return cache_file_fail(ix->db, what, doing, err);
}

/* A row says what no row of ours can say. */
static int
row_fail(struct object_index *ix, const char *why, struct dm_err *err)
{
	ix->failed = true;
	return dm_fail(err, DM_CORRUPT, "%s: %s", what, why);
}

/* Run a statement that gives no row. */
static int
run_locked(struct object_index *ix, enum query which, struct dm_err *err)
{
	sqlite3_stmt *q = ix->query[which];
	int rc = 0;

	if (sqlite3_step(q) != SQLITE_DONE)
		rc = db_fail(ix, query_sql[which], err);
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
	return rc;
}

static sqlite3_stmt *
bind_id(struct object_index *ix, enum query which, const struct digest *id)
{
	sqlite3_bind_blob(ix->query[which], 1, id->bytes, DIGEST_SIZE,
	    SQLITE_STATIC);
	return ix->query[which];
}

/* The first column of the first row as a number; *found: there is a row. */
static int
number_locked(struct object_index *ix, enum query which, int64_t *n,
    bool *found, struct dm_err *err)
{
	sqlite3_stmt *q = ix->query[which];
	int rc = 0, step = sqlite3_step(q);

	*found = step == SQLITE_ROW;
	if (*found)
		*n = sqlite3_column_int64(q, 0);
	else if (step != SQLITE_DONE)
		rc = db_fail(ix, query_sql[which], err);
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
	return rc;
}

/* Begin a transaction for reads, unless one is under way. */
static int
begin_read_locked(struct object_index *ix, struct dm_err *err)
{
	if (ix->reads == 0 && run_locked(ix, Q_BEGIN_READ, err) < 0)
		return -1;
	ix->reads++;
	return 0;
}

/* End it after enough reads, so that another publisher can write; or now. */
static int
end_read_locked(struct object_index *ix, unsigned enough, struct dm_err *err)
{
	if (ix->reads == 0 || ix->reads < enough)
		return 0;
	ix->reads = 0;
	return run_locked(ix, Q_COMMIT, err);
}

static int
open_db(struct object_index *ix, const char *path, struct dm_err *err)
{
	const struct cache_file file = {
		.what = what,
		.path = path,
		.tables = tables,
		.ntables = sizeof(tables) / sizeof(tables[0]),
		.memory = 16 << 20,
	};

	if (cache_file_open(&ix->db, &file, err) < 0) {
		ix->failed = true;
		return -1;
	}
	for (int i = 0; i < NQUERIES; i++)
		if (sqlite3_prepare_v2(ix->db, query_sql[i], -1, &ix->query[i],
			NULL) != SQLITE_OK)
			return db_fail(ix, query_sql[i], err);
	return 0;
}

/* ---- writing the batch ---- */

/* The pack's row, and its number.  One that the index has already may lack
 * rows that were forgotten. */
static int
write_pack_locked(struct object_index *ix, struct batch_pack *pack,
    struct dm_err *err)
{
	const struct pack_name *name = &pack->name;
	sqlite3_stmt *q;
	bool found = false;

	(void)bind_id(ix, Q_PACK_NO, &name->id);
	if (number_locked(ix, Q_PACK_NO, &pack->no, &found, err) < 0 || found)
		return found ? 0 : -1;
	q = bind_id(ix, Q_PACK_ADD, &name->id);
	sqlite3_bind_int64(q, 2, (int64_t)name->dir_off);
	sqlite3_bind_int64(q, 3, name->dir_len);
	sqlite3_bind_int64(q, 4, name->count);
	sqlite3_bind_int64(q, 5, pack->rows);
	if (run_locked(ix, Q_PACK_ADD, err) < 0)
		return -1;
	pack->no = sqlite3_last_insert_rowid(ix->db);
	return 0;
}

static int
write_rows_locked(struct object_index *ix, struct dm_err *err)
{
	struct object_batch *b = &ix->batch;

	for (uint32_t i = 0; i < b->npacks; i++)
		if (write_pack_locked(ix, &b->pack[i], err) < 0)
			return -1;
	object_batch_sort(b);
	for (uint32_t i = 0; i < b->n; i++) {
		const struct batch_row *r = &b->row[i];
		sqlite3_stmt *q;

		q = bind_id(ix, Q_OBJECT_ADD, &r->id);
		sqlite3_bind_int(q, 2, r->kind);
		sqlite3_bind_int64(q, 3, b->pack[r->pack].no);
		sqlite3_bind_int64(q, 4, r->at.ordinal);
		if (run_locked(ix, Q_OBJECT_ADD, err) < 0)
			return -1;
	}
	return 0;
}

/* Whether it succeeds or not, the batch is empty behind it. */
static int
flush_locked(struct object_index *ix, struct dm_err *err)
{
	struct dm_err ignored = { 0 };
	int rc;

	if (ix->batch.npacks == 0)
		return 0;
	rc = end_read_locked(ix, 0, err);
	if (rc == 0)
		rc = run_locked(ix, Q_BEGIN, err);
	if (rc == 0) {
		rc = write_rows_locked(ix, err);
		if (rc == 0)
			rc = run_locked(ix, Q_COMMIT, err);
		if (rc < 0) /* the first error counts */
			(void)run_locked(ix, Q_ROLLBACK, &ignored);
	}
	object_batch_clear(&ix->batch);
	return rc;
}

int
object_index_flush(struct object_index *ix, struct dm_err *err)
{
	int rc;

	dm_lock(&ix->mu);
	rc = flush_locked(ix, err);
	dm_unlock(&ix->mu);
	return rc;
}

int
object_index_add(struct object_index *ix, const struct pack_name *name,
    uint32_t number, const struct pack_object *objects, uint32_t count,
    struct dm_err *err)
{
	int rc = 0;

	dm_lock(&ix->mu);
	if (ix->batch.n > 0 && ix->batch.n + count > BATCH_ROWS)
		rc = flush_locked(ix, err);
	if (rc == 0)
		rc = object_batch_add(&ix->batch, name, number, objects, count,
		    err);
	dm_unlock(&ix->mu);
	return rc;
}

static int
pack_path(struct object_index *ix, const struct digest *id, char out[PATH_MAX],
    struct dm_err *err)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(id, hex);
	if (snprintf(out, PATH_MAX, "%s/%.2s/%s", ix->packs_dir, hex, hex) >=
	    PATH_MAX)
		return dm_fail(err, DM_INVALID, "%s: path too long",
		    ix->packs_dir);
	return 0;
}

/* Read a pack's directory from the end of its file; the caller frees *dir. */
static int
read_dir(const char *path, const struct digest *id, struct pack_name *name,
    uint8_t **dir, struct dm_err *err)
{
	DM_AUTO(dm_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	DM_AUTO(dm_freep) uint8_t *data = NULL;
	uint8_t trailer[PACK_TRAILER];
	uint64_t size;
	struct stat st;
	uint32_t len = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return dm_fail_errno(err, "open %s", path);
	size = (uint64_t)st.st_size;
	if (size < PACK_TRAILER ||
	    dm_pread_full(fd, trailer, PACK_TRAILER, size - PACK_TRAILER) !=
		PACK_TRAILER)
		return dm_fail(err, DM_CORRUPT, "%s: too short", path);
	if (pack_trailer_decode(&len, trailer, err) < 0)
		return dm_wrap(err, "%s", path);
	if (len > PACK_DIR_MAX || len > size - PACK_TRAILER)
		return dm_fail(err, DM_CORRUPT, "%s: bad directory", path);
	data = malloc(len);
	if (data == NULL)
		return dm_fail(err, DM_NOMEM, "%s", path);
	name->dir_off = size - PACK_TRAILER - len;
	name->dir_len = len;
	if (dm_pread_full(fd, data, len, name->dir_off) != (ssize_t)len)
		return dm_fail_errno(err, "read %s", path);
	digest_of(&name->id, data, len);
	if (!digest_equal(&name->id, id))
		return dm_fail(err, DM_CORRUPT, "%s: damaged directory", path);
	*dir = dm_steal(&data);
	return 0;
}

/* A pack that the index does not know yet: read what is in it. */
static int
learn_pack(struct object_index *ix, const struct digest *id, struct dm_err *err)
{
	DM_AUTO(dm_freep) uint8_t *data = NULL;
	struct pack_object *objects;
	struct pack_name name;
	struct pack_dir dir;
	char path[PATH_MAX];
	int rc;

	if (pack_path(ix, id, path, err) < 0 ||
	    read_dir(path, id, &name, &data, err) < 0 ||
	    pack_dir_decode(&dir, data, name.dir_len, err) < 0)
		return -1;
	if (dir.stored_size != name.dir_off)
		return dm_fail(err, DM_CORRUPT, "%s: wrong length", path);
	name.count = dir.count;
	objects = calloc(dir.count == 0 ? 1 : dir.count, sizeof(*objects));
	if (objects == NULL)
		return dm_fail(err, DM_NOMEM, "%s", path);
	for (uint32_t i = 0; i < dir.count; i++)
		pack_dir_object(&dir, i, &objects[i]);
	/* nothing is looked for before all have been learned and written */
	rc = object_index_add(ix, &name, 0, objects, dir.count, err);
	free(objects);
	return rc;
}

static void
closedirp(DIR **d)
{
	if (*d != NULL)
		(void)closedir(*d);
}

static int
know_pack(struct object_index *ix, const struct digest *id, uint64_t *known,
    struct dm_err *err)
{
	struct dm_err e = { 0 };
	int64_t no;
	bool found = false;
	int rc;

	dm_lock(&ix->mu);
	(void)bind_id(ix, Q_PACK_NO, id);
	rc = number_locked(ix, Q_PACK_NO, &no, &found, err);
	dm_unlock(&ix->mu);
	if (rc < 0)
		return -1;
	if (!found && learn_pack(ix, id, &e) < 0) {
		if (e.code != DM_CORRUPT && e.code != DM_NOTFOUND) {
			*err = e;
			return -1;
		}
		/* its objects are stored again; `verify` names who needs it */
		dm_log(DM_LOG_WARN, "publish", "%s: not used", e.text);
		return 0;
	}
	++*known;
	return 0;
}

/* The packs of packs/AA. */
static int
list_packs(struct object_index *ix, const char *aa, uint64_t *known,
    struct dm_err *err)
{
	char path[PATH_MAX];
	DM_AUTO(closedirp) DIR *d = NULL;
	const struct dirent *e;
	struct digest id;

	if (snprintf(path, sizeof(path), "%s/%s", ix->packs_dir, aa) >=
	    (int)sizeof(path))
		return dm_fail(err, DM_INVALID, "%s: path too long",
		    ix->packs_dir);
	d = opendir(path);
	if (d == NULL)
		return errno == ENOTDIR ? 0 :
					  dm_fail_errno(err, "open %s", path);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this DIR */
	while ((e = readdir(d)) != NULL)
		if (digest_parse(&id, e->d_name, strlen(e->d_name)) &&
		    marks_find(ix->marked, MARK_PACK, &id) == NULL &&
		    know_pack(ix, &id, known, err) < 0)
			return -1;
	return 0;
}

/* The next pack of the index behind number *no. */
static int
next_pack(struct object_index *ix, int64_t *no, struct digest *id, bool *found,
    struct dm_err *err)
{
	sqlite3_stmt *q;
	int rc = 0, step;

	dm_lock(&ix->mu);
	q = ix->query[Q_PACKS];
	sqlite3_bind_int64(q, 1, *no);
	step = sqlite3_step(q);
	*found = step == SQLITE_ROW;
	if (*found && sqlite3_column_bytes(q, 1) != DIGEST_SIZE)
		rc = row_fail(ix, "bad id of a pack", err);
	else if (*found && sqlite3_column_int64(q, 0) <= *no)
		rc = row_fail(ix, "packs in disorder", err);
	else if (*found) {
		*no = sqlite3_column_int64(q, 0);
		memcpy(id->bytes, sqlite3_column_blob(q, 1), DIGEST_SIZE);
	} else if (step != SQLITE_DONE)
		rc = db_fail(ix, "list packs", err);
	sqlite3_reset(q);
	dm_unlock(&ix->mu);
	return rc;
}

/* Packs to be forgotten. */
struct lost {
	int64_t *no;
	size_t n, room;
};

static int
lost_add(struct lost *l, int64_t no, struct dm_err *err)
{
	size_t room = l->room == 0 ? 64 : 2 * l->room;
	int64_t *more;

	if (l->n == l->room) {
		more = realloc(l->no, room * sizeof(*more));
		if (more == NULL)
			return dm_fail(err, DM_NOMEM, "%s", what);
		l->no = more;
		l->room = room;
	}
	l->no[l->n++] = no;
	return 0;
}

/* Count the index's packs, and find those whose files are gone or are going to
 * be.  The repository may be slow: nobody waits for a lock meanwhile. */
static int
find_lost(struct object_index *ix, struct lost *l, uint64_t *count,
    struct dm_err *err)
{
	char path[PATH_MAX];
	int64_t no = 0;
	struct digest id;
	bool found = true;

	for (*count = 0;; ++*count) {
		if (next_pack(ix, &no, &id, &found, err) < 0)
			return -1;
		if (!found)
			return 0;
		if (pack_path(ix, &id, path, err) < 0)
			return -1;
		if ((marks_find(ix->marked, MARK_PACK, &id) != NULL ||
			(access(path, F_OK) < 0 && errno == ENOENT)) &&
		    lost_add(l, no, err) < 0)
			return -1;
	}
}

static int
forget_locked(struct object_index *ix, const struct lost *l, struct dm_err *err)
{
	for (size_t i = 0; i < l->n; i++) {
		sqlite3_bind_int64(ix->query[Q_PACK_DROP], 1, l->no[i]);
		if (run_locked(ix, Q_PACK_DROP, err) < 0)
			return -1;
	}
	if (run_locked(ix, Q_PACKS_HIDDEN, err) < 0)
		return -1;
	return run_locked(ix, Q_OBJECTS_HIDDEN, err);
}

/* In one transaction: a row never names a pack that is not there.  One that
 * came back meanwhile is learned as others are that the index lacks. */
static int
drop_lost(struct object_index *ix, uint64_t *count, struct dm_err *err)
{
	struct dm_err ignored = { 0 };
	struct lost lost = { 0 };
	int rc = find_lost(ix, &lost, count, err);

	if (rc == 0 && lost.n > 0) {
		dm_lock(&ix->mu);
		rc = run_locked(ix, Q_BEGIN, err);
		if (rc == 0) {
			rc = forget_locked(ix, &lost, err);
			if (rc == 0)
				rc = run_locked(ix, Q_COMMIT, err);
			if (rc < 0) /* the first error counts */
				(void)run_locked(ix, Q_ROLLBACK, &ignored);
		}
		dm_unlock(&ix->mu);
	}
	free(lost.no);
	return rc;
}

static int
catch_up(struct object_index *ix, struct dm_err *err)
{
	DM_AUTO(closedirp) DIR *d = opendir(ix->packs_dir);
	const struct dirent *e;
	uint64_t known = 0, count = 0;

	if (d == NULL)
		return dm_fail_errno(err, "open %s", ix->packs_dir);
	if (drop_lost(ix, &count, err) < 0)
		return -1;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this DIR */
	while ((e = readdir(d)) != NULL)
		if (strlen(e->d_name) == 2 && e->d_name[0] != '.' &&
		    list_packs(ix, e->d_name, &known, err) < 0)
			return -1;
	return object_index_flush(ix, err);
}

int
object_index_open(struct object_index **out, const char *path,
    const char *packs_dir, const struct marks *marked, bool *unusable,
    struct dm_err *err)
{
	struct object_index *ix = calloc(1, sizeof(*ix));

	if (ix == NULL)
		return dm_fail(err, DM_NOMEM, "index of published objects");
	dm_mutex_init(&ix->mu, DM_RANK_INDEX);
	(void)snprintf(ix->packs_dir, sizeof(ix->packs_dir), "%s", packs_dir);
	ix->marked = marked;
	pack_peek_init(&ix->peek, ix->packs_dir);
	if (open_db(ix, path, err) < 0 || catch_up(ix, err) < 0) {
		if (unusable != NULL)
			*unusable = ix->failed;
		object_index_close(ix);
		return -1;
	}
	ix->marked = NULL;
	*out = ix;
	return 0;
}

void
object_index_close(struct object_index *ix)
{
	if (ix == NULL)
		return;
	for (int i = 0; i < NQUERIES; i++)
		sqlite3_finalize(ix->query[i]);
	sqlite3_close(ix->db);
	dm_mutex_destroy(&ix->mu);
	object_batch_release(&ix->batch);
	pack_peek_release(&ix->peek);
	free(ix);
}

bool
object_index_failed(struct object_index *ix)
{
	bool failed;

	dm_lock(&ix->mu);
	failed = ix->failed;
	dm_unlock(&ix->mu);
	return failed;
}

/* Anyone could have written this file: what does not fit is not used. */
static int
read_place(struct object_index *ix, sqlite3_stmt *q, struct place *at,
    struct dm_err *err)
{
	int64_t pack = sqlite3_column_int64(q, 0);
	int64_t ordinal = sqlite3_column_int64(q, 1);

	if (pack < 0 || pack > INT32_MAX || ordinal < 0 ||
	    ordinal >= PACK_OBJECTS_MAX)
		return row_fail(ix, "bad place of an object", err);
	at->pack = (uint32_t)pack;
	at->ordinal = (uint32_t)ordinal;
	return 0;
}

static int
find_locked(struct object_index *ix, const struct digest *id,
    enum object_kind kind, struct place *at, bool *found, struct dm_err *err)
{
	sqlite3_stmt *q = bind_id(ix, Q_FIND, id);
	int rc = 0, step;

	sqlite3_bind_int(q, 2, (int)kind);
	step = sqlite3_step(q);
	*found = step == SQLITE_ROW;
	if (*found)
		rc = read_place(ix, q, at, err);
	else if (step != SQLITE_DONE)
		rc = db_fail(ix, "find object", err);
	sqlite3_reset(q);
	return rc;
}

static int
pack_locked(struct object_index *ix, uint32_t pack, struct pack_name *out,
    struct dm_err *err)
{
	sqlite3_stmt *q = ix->query[Q_PACK];
	int rc = 0;

	sqlite3_bind_int64(q, 1, pack);
	if (sqlite3_step(q) != SQLITE_ROW ||
	    sqlite3_column_bytes(q, 0) != DIGEST_SIZE) {
		rc = row_fail(ix, "a pack that it does not have", err);
	} else {
		memcpy(out->id.bytes, sqlite3_column_blob(q, 0), DIGEST_SIZE);
		out->dir_off = (uint64_t)sqlite3_column_int64(q, 1);
		out->dir_len = (uint32_t)sqlite3_column_int64(q, 2);
		out->count = (uint32_t)sqlite3_column_int64(q, 3);
	}
	sqlite3_reset(q);
	return rc;
}

/* Is the object where its row says?  The pack knows. */
static int
check_locked(struct object_index *ix, const struct digest *id,
    enum object_kind kind, const struct place *at, struct dm_err *err)
{
	struct pack_name name;
	bool holds = false;

	if (!pack_peek_knows(&ix->peek, at->pack) &&
	    (pack_locked(ix, at->pack, &name, err) < 0 ||
		pack_peek_open(&ix->peek, at->pack, &name, err) < 0))
		return -1;
	if (pack_peek_holds(&ix->peek, at, id, kind, &holds, err) < 0)
		return -1;
	return holds ? 0 : row_fail(ix, "an object that is elsewhere", err);
}

int
object_index_find(struct object_index *ix, const struct digest *id,
    enum object_kind kind, struct place *at, bool *found, struct dm_err *err)
{
	int rc;

	dm_lock(&ix->mu);
	*found = object_batch_find(&ix->batch, id, kind, at);
	rc = *found ? 0 : begin_read_locked(ix, err);
	if (rc == 0 && !*found) {
		rc = find_locked(ix, id, kind, at, found, err);
		if (rc == 0 && *found)
			rc = check_locked(ix, id, kind, at, err);
		if (rc == 0)
			rc = end_read_locked(ix, READS, err);
	}
	dm_unlock(&ix->mu);
	return rc;
}

int
object_index_forget(struct object_index *ix, const struct digest *id,
    enum object_kind kind, struct dm_err *err)
{
	int rc;

	dm_lock(&ix->mu);
	rc = flush_locked(ix, err);
	if (rc == 0)
		rc = end_read_locked(ix, 0, err);
	if (rc == 0) {
		sqlite3_bind_int(bind_id(ix, Q_FORGET, id), 2, (int)kind);
		rc = run_locked(ix, Q_FORGET, err);
	}
	dm_unlock(&ix->mu);
	return rc;
}

int
object_index_rest(struct object_index *ix, struct dm_err *err)
{
	int rc;

	dm_lock(&ix->mu);
	rc = end_read_locked(ix, 0, err);
	dm_unlock(&ix->mu);
	return rc;
}

int
object_index_pack(struct object_index *ix, uint32_t pack, struct pack_name *out,
    struct dm_err *err)
{
	int rc;

	dm_lock(&ix->mu);
	rc = pack_locked(ix, pack, out, err);
	dm_unlock(&ix->mu);
	return rc;
}
