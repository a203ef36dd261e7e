/*
 * The door: a read is a walk from a place to bytes, and is begun anew whenever
 * something had to be fetched.  What came for it is held by its wait, so each
 * round gets further than the one before, with or without a disk.
 */
#include "cache/cache.h"

#include <assert.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/fetch.h"
#include "cache/held.h"
#include "cache/inside.h"
#include "cache/moved_table.h"
#include "cache/net/origin.h"
#include "cache/pack/pack_dir.h"
#include "cache/store/blob.h"
#include "cache/store/directory.h"
#include "cache/store/files.h"
#include "cache/store/quota.h"
#include "cache/store/shelf.h"
#include "cache/store/store.h"
#include "cache/turn.h"

static const uint64_t memory_default = (uint64_t)256 << 20;

struct cache {
	/* immutable after open */
	struct store *store;
	struct fetch *fetch;
	uint64_t timeout_ms;

	_Atomic uint64_t hits;
	_Atomic uint64_t calls; /* under way, and CLOSING */

	struct dm_mutex mu; /* guards idle */
	pthread_cond_t idle;
};

#define CLOSING ((uint64_t)1 << 63)

/* ---- open and close ---- */

int
cache_open(struct cache **out, const struct cache_options *opt,
    struct dm_err *err)
{
	struct cache *c = calloc(1, sizeof(*c));
	char dir[PATH_MAX];
	const char *why;

	if (c == NULL)
		return dm_fail(err, DM_NOMEM, "cache");
	c->timeout_ms = opt->timeout_ms;
	dm_mutex_init(&c->mu, DM_RANK_WAIT);
	dm_cond_init(&c->idle);
	if ((opt->dir == NULL &&
		cache_dir_default(dir, sizeof(dir), &why, err) < 0) ||
	    store_open(&c->store, opt->dir != NULL ? opt->dir : dir, opt->limit,
		err) < 0 ||
	    fetch_open(&c->fetch,
		opt->memory != 0 ? opt->memory : memory_default, err) < 0) {
		cache_close(c);
		return -1;
	}
	*out = c;
	return 0;
}

void
cache_close(struct cache *c)
{
	if (c == NULL)
		return;
	atomic_fetch_or(&c->calls, CLOSING);
	if (c->fetch != NULL)
		fetch_stop(c->fetch);
	dm_lock(&c->mu);
	while (atomic_load(&c->calls) != CLOSING)
		dm_cond_wait(&c->idle, &c->mu);
	dm_unlock(&c->mu);
	fetch_close(c->fetch);
	store_close(c->store);
	pthread_cond_destroy(&c->idle);
	dm_mutex_destroy(&c->mu);
	free(c);
}

/* While the cache closes, the count falls under the lock only: who waits for
 * it to be 0 may free the cache then. */
void
cache_leave(struct cache *c)
{
	uint64_t calls = atomic_load(&c->calls);

	while ((calls & CLOSING) == 0)
		if (atomic_compare_exchange_weak(&c->calls, &calls, calls - 1))
			return;
	dm_lock(&c->mu);
	atomic_fetch_sub(&c->calls, 1);
	pthread_cond_signal(&c->idle);
	dm_unlock(&c->mu);
}

static int
enter(struct cache *c, struct dm_err *err)
{
	if ((atomic_fetch_add(&c->calls, 1) & CLOSING) == 0)
		return 0;
	cache_leave(c);
	return dm_fail(err, DM_CANCELLED, "the cache is closing");
}

struct blob *
cache_enter(struct cache *c, const struct digest *pack)
{
	struct dm_err closing;
	struct blob *b;

	if (enter(c, &closing) < 0)
		return NULL;
	b = store_blob(c->store, pack);
	if (b == NULL)
		cache_leave(c);
	return b;
}

const char *
cache_dir(const struct cache *c)
{
	return shelf_path(store_shelf(c->store));
}

/* ---- waits ---- */

void
cache_wait_init(struct cache_wait *w, void (*wake)(struct cache_wait *),
    uint64_t deadline_ms)
{
	*w = (struct cache_wait){ .wake = wake, .deadline_ms = deadline_ms };
}

void
cache_wait_release(struct cache_wait *w)
{
	held_free(w->held);
	free(w->text);
	w->held = NULL;
	w->text = NULL;
}

void
cache_wait_cancel(struct cache *c, struct cache_wait *w)
{
	struct dm_err closing;

	/* A cache that closes has woken w already. */
	if (enter(c, &closing) < 0)
		return;
	fetch_cancel(c->fetch, w);
	cache_leave(c);
}

/* The error that befell what w waited for; it is told once. */
static int
wait_failure(struct cache_wait *w, struct dm_err *err)
{
	enum dm_code code = (enum dm_code)w->failed;

	if (code == DM_OK)
		return 0;
	(void)dm_fail(err, code, "%s", w->text != NULL ? w->text : "no memory");
	w->failed = DM_OK;
	free(w->text);
	w->text = NULL;
	return -1;
}

/* ---- one read ---- */

enum { MOVED = 2 }; /* what is read is somewhere else now */

/* Children lie before their parents in a pack of trees: the first that is
 * wanted of it, a root, lies at its end, just before the directory. */
enum { TAIL = 64 << 10 };

struct read {
	struct cache *cache;
	struct origin *origin;
	const struct cache_place *said; /* where it lies */
	const struct digest *id;        /* NULL: what the directory says */
	enum object_kind kind;
	const struct cache_place *at; /* where it is looked for */
	struct blob *blob;            /* there */
	struct moved_place found;     /* if it is MOVED, where to */
	struct cache_place now;       /* of found */

	/* cache_read: a part of an object of this size, to buf */
	uint32_t plain_size, off, size;
	void *buf;
	/* cache_object: all of it */
	struct dm_buf *out;
};

static int
gone(const struct read *r, struct dm_err *err)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&r->at->pack, hex);
	return dm_fail(err, DM_NOTFOUND,
	    "%s: pack %.12s was removed, and object %u of it is nowhere else",
	    origin_name(r->origin), hex, r->at->ordinal);
}

/* Is its pack known to be gone, and where to look instead?  What another run
 * was told is on disk. */
static bool
has_moved(struct read *r, bool *known)
{
	struct moved_table *moved = fetch_moved(r->cache->fetch);
	struct shelf *shelf = store_shelf(r->cache->store);
	const struct digest *pack = &r->at->pack;
	bool found =
	    moved_table_find(moved, pack, r->at->ordinal, &r->found, known);

	if (!*known && moved_table_load(moved, shelf, pack))
		found = moved_table_find(moved, pack, r->at->ordinal, &r->found,
		    known);
	if (found)
		moved_table_keep(moved, shelf, pack);
	return found;
}

/* Fetch it, unless its pack is known to be gone.  0, MOVED, or -1. */
static int
missing(struct read *r, struct directory *dir, uint64_t finished,
    struct cache_wait *wait, struct dm_err *err)
{
	bool known;
	struct fetch_want want = {
		.origin = r->origin,
		.blob = r->blob,
		.dir = dir,
		.dir_off = r->at->dir_off,
		.dir_len = r->at->dir_len,
		.piece = dir == NULL ? FETCH_DIR : r->at->ordinal,
		.tail = r->kind == OBJECT_TREE ? TAIL : 0,
		.finished = finished,
	};

	if (has_moved(r, &known))
		return MOVED;
	if (known)
		return gone(r, err);
	return fetch_start(r->cache->fetch, &want, wait, err);
}

/* It is here: will more be wanted? */
static void
used(const struct read *r, struct directory *dir)
{
	struct fetch_want want = {
		.origin = r->origin,
		.blob = r->blob,
		.dir = dir,
		.piece = r->at->ordinal,
	};

	fetch_used(r->cache->fetch, &want);
}

static int
stale(const struct read *r, const char *what, struct dm_err *err)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&r->at->pack, hex);
	return dm_fail(err, DM_CORRUPT, "%s: pack %.12s: object %u %s",
	    origin_name(r->origin), hex, r->at->ordinal, what);
}

/* Is the object there the one that was meant? */
static int
check_object(const struct read *r, const struct pack_object *o,
    struct dm_err *err)
{
	if (r->id != NULL && !digest_equal(&o->id, r->id))
		return stale(r, "is another one", err);
	if (o->kind != r->kind)
		return stale(r, "is of another kind", err);
	if (r->out == NULL && o->plain_size != r->plain_size)
		return stale(r, "has another size", err);
	return 0;
}

/* The directory's record from dir, if dir can still be read. */
static bool
read_record(const struct read *r, struct directory *dir, struct pack_object *o)
{
	return r->at->ordinal >= directory_count(dir) ||
	    directory_objects(dir, r->at->ordinal, 1, o);
}

/* Find the directory and in it the object.  NULL: it is not here. */
static struct directory *
find_directory(const struct read *r, const struct cache_wait *wait,
    struct pack_object *o)
{
	struct directory *dir;
	struct cache_held *held;

	for (int i = 0; i < 2; i++) {
		dir = blob_directory(r->blob);
		if (dir == NULL || read_record(r, dir, o))
			break;
		directory_put(dir);
		dir = NULL;
		blob_cool(r->blob, false, true);
	}
	if (dir != NULL)
		return dir;
	held = held_find(wait->held, r->blob, FETCH_DIR);
	if (held != NULL && read_record(r, held->dir, o))
		return directory_get(held->dir);
	return NULL;
}

/* Copy the bytes from the wait or the disk to where they are wanted. */
static bool
find_bytes(const struct read *r, const struct pack_object *o,
    const struct cache_wait *wait, uint32_t off, void *buf, uint32_t size)
{
	struct blob_piece p = {
		.id = o->id,
		.off = o->plain_off,
		.size = o->plain_size,
		.n = r->at->ordinal,
	};
	struct cache_held *held =
	    held_find(wait->held, r->blob, r->at->ordinal);

	if (held != NULL && held->bytes->size == o->plain_size) {
		memcpy(buf, held->bytes->data + off, size);
		return true;
	}
	if (!blob_read(r->blob, &p, off, buf, size))
		return false;
	atomic_fetch_add_explicit(&r->cache->hits, 1, memory_order_relaxed);
	return true;
}

/* With the record at hand.  1: done; 0: not here; -1. */
static int
deliver(const struct read *r, const struct pack_object *o,
    const struct cache_wait *wait, struct dm_err *err)
{
	size_t before;
	void *room;

	if (r->out == NULL) {
		assert(r->buf != NULL);
		return find_bytes(r, o, wait, r->off, r->buf, r->size);
	}
	before = r->out->size;
	room = dm_buf_extend(r->out, o->plain_size, err);
	if (room == NULL)
		return -1;
	if (find_bytes(r, o, wait, 0, room, o->plain_size))
		return 1;
	r->out->size = before;
	return 0;
}

/* From the place to the bytes, once.  1: done; 0: look again; MOVED; -1,
 * DM_AGAIN too. */
static int
walk(struct read *r, struct cache_wait *wait, struct dm_err *err)
{
	uint64_t finished = blob_finished(r->blob);
	struct pack_object o = { 0 };
	struct directory *dir = find_directory(r, wait, &o);
	int rc;

	if (dir == NULL)
		return missing(r, NULL, finished, wait, err);
	if (r->at->ordinal >= directory_count(dir))
		rc = stale(r, "does not exist", err);
	else
		rc = check_object(r, &o, err);
	if (rc == 0)
		rc = deliver(r, &o, wait, err);
	if (rc == 1)
		used(r, dir);
	if (rc == 0)
		rc = missing(r, dir, finished, wait, err);
	directory_put(dir);
	return rc;
}

static struct cache_place
place_of(const struct moved_place *to)
{
	return (struct cache_place){ .pack = to->pack,
		.dir_off = to->dir_off,
		.dir_len = to->dir_len,
		.ordinal = to->ordinal };
}

/* From where it was said to be to where it is now, hop by hop. */
static int
follow(struct read *r, struct cache_wait *wait, struct dm_err *err)
{
	int rc = wait_failure(wait, err);

	if (rc < 0)
		return -1;
	r->at = r->said;
	for (int hop = 0; hop <= MOVED_CHAIN; hop++) {
		r->blob = store_blob(r->cache->store, &r->at->pack);
		if (r->blob == NULL)
			return dm_fail(err, DM_NOMEM, "cache");
		do
			rc = walk(r, wait, err);
		while (rc == 0);
		if (rc != MOVED)
			return rc < 0 ? -1 : 0;
		r->now = place_of(&r->found);
		r->at = &r->now;
	}
	return gone(r, err);
}

static int
follow_blocking(struct read *r, struct dm_err *err)
{
	struct cache_sleeper sleeper;
	struct cache_sleep sleep;
	struct dm_err why;
	int rc;

	cache_sleeper_init(&sleeper);
	cache_sleep_init(&sleep, &sleeper, r->cache->timeout_ms);
	do
		rc = follow(r, &sleep.wait, &why);
	while (rc < 0 && why.code == DM_AGAIN && cache_sleep(r->cache, &sleep));
	if (rc < 0)
		*err = why;
	cache_sleep_release(&sleep);
	cache_sleeper_destroy(&sleeper);
	return rc;
}

static int
run(struct read *r, struct cache_wait *wait, struct dm_err *err)
{
	int rc;

	if (enter(r->cache, err) < 0)
		return -1;
	rc = wait != NULL ? follow(r, wait, err) : follow_blocking(r, err);
	cache_leave(r->cache);
	return rc;
}

/* Where the object is now, as far as is known already. */
static struct cache_place
place_now(struct cache *c, const struct cache_place *at)
{
	struct cache_place now = *at;
	struct moved_place to;
	bool known;

	for (int hop = 0; hop < MOVED_CHAIN &&
	     moved_table_find(fetch_moved(c->fetch), &now.pack, now.ordinal,
		 &to, &known);
	     hop++)
		now = place_of(&to);
	return now;
}

int
/* NOLINTNEXTLINE(readability-function-size): an address has many parts */
cache_read(struct cache *c, struct origin *o, const struct cache_place *at,
    const struct digest *id, uint32_t plain_size, uint32_t off, void *buf,
    uint32_t size, struct cache_wait *wait, struct dm_err *err)
{
	struct read r = {
		.cache = c,
		.origin = o,
		.said = at,
		.id = id,
		.kind = OBJECT_DATA,
		.plain_size = plain_size,
		.off = off,
		.size = size,
		.buf = buf,
	};

	if (size == 0)
		return 0;
	return run(&r, wait, err);
}

int
/* NOLINTNEXTLINE(readability-function-size): likewise */
cache_object(struct cache *c, struct origin *o, const struct cache_place *at,
    const struct digest *id, enum object_kind kind, struct dm_buf *out,
    struct cache_wait *wait, struct dm_err *err)
{
	struct read r = {
		.cache = c,
		.origin = o,
		.said = at,
		.id = id,
		.kind = kind,
		.out = out,
	};

	return run(&r, wait, err);
}

uint32_t
cache_present(struct cache *c, const struct cache_place *at,
    uint32_t plain_size)
{
	struct dm_err err;
	struct directory *dir;
	struct blob *b;
	struct cache_place now;
	uint8_t here = 0;

	if (enter(c, &err) < 0)
		return 0;
	now = place_now(c, at);
	at = &now;
	b = store_blob(c->store, &at->pack);
	dir = b == NULL ? NULL : blob_directory(b);
	if (dir != NULL && at->ordinal < directory_count(dir))
		blob_claims(b, at->ordinal, 1, &here);
	directory_put(dir);
	cache_leave(c);
	return here ? plain_size : 0;
}

void
cache_expect(struct cache *c, struct origin *o, const struct cache_place *at)
{
	struct fetch_want want = { .origin = o, .piece = FETCH_DIR };
	struct cache_place now;
	struct dm_err err;

	if (enter(c, &err) < 0)
		return;
	now = place_now(c, at);
	at = &now;
	want.dir_off = at->dir_off;
	want.dir_len = at->dir_len;
	want.blob = store_blob(c->store, &at->pack);
	if (want.blob != NULL) {
		want.finished = blob_finished(want.blob);
		want.dir = blob_directory(want.blob);
		if (want.dir != NULL)
			want.piece = at->ordinal;
		fetch_expect(c->fetch, &want);
		directory_put(want.dir);
	}
	cache_leave(c);
}

/* The directory may be another process's to fetch, or a third one's, until they
 * are no longer believed in. */
enum { OPENS_MAX = 3 };

static int
bring(struct cache *c, struct origin *o, struct cache_lot *lot,
    struct cache_wait *wait, struct dm_err *err)
{
	struct fetch_want want = {
		.origin = o,
		.blob = store_blob(c->store, &lot->at.pack),
		.dir_off = lot->at.dir_off,
		.dir_len = lot->at.dir_len,
		.piece = FETCH_DIR,
	};
	int rc = 0;

	if (want.blob == NULL)
		return dm_fail(err, DM_NOMEM, "cache");
	want.finished = blob_finished(want.blob);
	want.dir = blob_directory(want.blob);
	if (want.dir == NULL && lot->opens < OPENS_MAX) {
		lot->opens++;
		rc = fetch_bring_directory(c->fetch, &want, wait, err);
		if (rc == 0)
			want.dir = blob_directory(want.blob);
	} else if (want.dir == NULL) {
		rc = dm_fail(err, DM_NOSPACE, "the cache keeps nothing");
	}
	if (rc == 0 && want.dir != NULL)
		rc = fetch_bring(c->fetch, &want, lot, wait, err);
	directory_put(want.dir);
	return rc;
}

int
cache_bring(struct cache *c, struct origin *o, struct cache_lot *lot,
    struct cache_wait *wait, struct dm_err *err)
{
	struct moved_place to;
	bool known = false;
	int rc;

	if (enter(c, err) < 0)
		return -1;
	held_free(wait->held); /* it is to be kept on disk, and not here */
	wait->held = NULL;
	rc = wait_failure(wait, err);
	if (rc == 0 && shelf_broken(store_shelf(c->store)))
		rc = dm_fail(err, DM_NOSPACE, "the cache keeps nothing");
	if (rc == 0 && lot->n > 0) {
		(void)moved_table_find(fetch_moved(c->fetch), &lot->at.pack,
		    lot->ordinal[0], &to, &known);
		rc = known ? dm_fail(err, DM_NOTFOUND, "the pack was removed") :
			     bring(c, o, lot, wait, err);
	}
	cache_leave(c);
	return rc;
}

int
cache_asked(struct cache *c, struct digest **key, size_t *n, struct dm_err *err)
{
	return store_keys(c->store, key, n, err);
}

void
cache_counts(struct cache *c, struct cache_counts *out)
{
	struct shelf *shelf = store_shelf(c->store);
	struct fetch_counts fetch;
	uint64_t unkept, unkept_now;

	fetch_counts(c->fetch, &fetch);
	unkept = shelf_refused(shelf, &unkept_now);
	*out = (struct cache_counts){
		.hits = atomic_load(&c->hits),
		.misses = fetch.waited,
		.fetched = fetch.fetched,
		.wasted = fetch.wasted,
		.bad_disk = shelf_bad(shelf),
		.bad_origin = fetch.bad,
		.waiting = fetch.waiting,
		.unkept = unkept,
		.unkept_now = unkept_now,
		.limit = quota_limit(shelf_quota(shelf), shelf_root(shelf)),
		.disk_broken = shelf_broken(shelf),
	};
}

/* ---- whole files ---- */

/* A whole file on its way. */
struct whole {
	struct dm_mutex mu; /* guards all below */
	pthread_cond_t ended;
	struct dm_buf *out;
	uint32_t places; /* that bytes came from */
	bool done;
	struct dm_err err;

	uint32_t from; /* the origin's: the place that sends */
};

static int
whole_data(void *arg, const void *data, size_t size)
{
	struct whole *w = arg;
	int rc;

	dm_lock(&w->mu);
	w->places |= w->from;
	rc = dm_buf_append(w->out, data, size, &w->err);
	dm_unlock(&w->mu);
	return rc;
}

static void
whole_done(void *arg, const struct dm_err *err)
{
	struct whole *w = arg;

	dm_lock(&w->mu);
	/* what whole_data reported is the cause of its DM_CANCELLED */
	if (err != NULL && w->err.code == DM_OK)
		w->err = *err;
	w->done = true;
	pthread_cond_signal(&w->ended);
	dm_unlock(&w->mu);
}

/* What is asked for, and how. */
struct ask {
	struct origin *origin;
	const char *path;
	const struct digest *id;
	uint64_t deadline_ms;
	enum origin_fresh fresh;
	uint32_t avoid; /* places that gave wrong bytes so far */
};

/* Get the whole file and compare its digest. */
static int
get_whole(struct ask *a, struct dm_buf *out, struct dm_err *err)
{
	struct whole w = { .out = out };
	struct origin_get get = {
		.path = a->path,
		.size = ORIGIN_WHOLE,
		.limit = out->max - out->size,
		.fresh = a->fresh,
		.deadline_ms = a->deadline_ms,
		.immutable = true,
		.avoid = a->avoid,
		.from = &w.from,
		.data = whole_data,
		.done = whole_done,
		.arg = &w,
	};
	size_t before = out->size;
	struct digest is;

	dm_mutex_init(&w.mu, DM_RANK_WAIT);
	dm_cond_init(&w.ended);
	origin_start(a->origin, &get);
	dm_lock(&w.mu);
	while (!w.done)
		dm_cond_wait(&w.ended, &w.mu);
	dm_unlock(&w.mu);
	pthread_cond_destroy(&w.ended);
	dm_mutex_destroy(&w.mu);
	if (w.err.code == DM_OK) {
		digest_of(&is, out->data + before, out->size - before);
		if (digest_equal(&is, a->id))
			return 0;
		a->avoid |= w.places;
		origin_bad(a->origin, w.places, true);
		(void)dm_fail(&w.err, DM_CORRUPT,
		    "%s: %s does not match its id", origin_name(a->origin),
		    a->path);
	}
	out->size = before;
	*err = w.err;
	return -1;
}

/* Ask one place after the other while they give wrong bytes. */
static int
ask_places(struct ask *a, struct dm_buf *out, struct dm_err *err)
{
	uint32_t all = (1U << origin_places(a->origin)) - 1;
	uint32_t before;

	a->avoid = 0;
	do {
		before = a->avoid;
		if (get_whole(a, out, err) == 0)
			return 0;
	} while (err->code == DM_CORRUPT && a->avoid != before &&
	    (a->avoid & all) != all);
	return -1;
}

static int
fetch_whole(struct ask *a, struct dm_buf *out, struct dm_err *err)
{
	static const enum origin_fresh tries[] = { ORIGIN_CACHED,
		ORIGIN_REVALIDATE, ORIGIN_UNIQUE };
	int rc = -1;

	for (size_t i = 0; rc < 0 && i < sizeof(tries) / sizeof(tries[0]);
	     i++) {
		a->fresh = tries[i];
		rc = ask_places(a, out, err);
		if (rc < 0 && err->code != DM_CORRUPT &&
		    (err->code != DM_NOTFOUND || i > 0))
			break;
	}
	return rc;
}

/* Does another process fetch it?  Watch until it is here, or nobody does, or
 * TURN_STALE_MS have passed.  True: it is in out. */
static bool
others_bring(struct cache *c, struct blob *b, struct files *files,
    struct dm_buf *out)
{
	static const struct timespec pause = { 0, TURN_WATCH_MS * 1000000L };
	const struct files_range range = files_directory_range(0);
	uint64_t until = dm_deadline_ms(TURN_STALE_MS);

	while (files != NULL && !files_lock(files, 0, range) &&
	    dm_now_ms() < until && (atomic_load(&c->calls) & CLOSING) == 0) {
		if (blob_whole_read(b, out))
			return true;
		(void)nanosleep(&pause, NULL);
	}
	return files != NULL && blob_whole_read(b, out);
}

int
cache_file(struct cache *c, struct origin *o, const char *path,
    const struct digest *id, uint64_t timeout_ms, struct dm_buf *out,
    struct dm_err *err)
{
	size_t before = out->size;
	struct files *files;
	struct blob *b;
	int rc = 0;

	if (enter(c, err) < 0)
		return -1;
	b = store_blob(c->store, id);
	if (b == NULL) {
		rc = dm_fail(err, DM_NOMEM, "cache");
	} else if (!blob_whole_read(b, out)) {
		struct ask a = { .origin = o,
			.path = path,
			.id = id,
			.deadline_ms = dm_deadline_ms(timeout_ms) };

		files = blob_files(b);
		if (!others_bring(c, b, files, out)) {
			rc = fetch_whole(&a, out, err);
			if (rc == 0)
				blob_whole_write(b, out->data + before,
				    out->size - before);
		}
		files_put(files); /* and with it, the lock */
	}
	cache_leave(c);
	return rc;
}
