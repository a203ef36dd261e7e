/*
 * Pieces in flight.
 *
 * A flight is one piece (or a directory) on its way; a transfer is one ranged
 * GET that carries flights in the order of their bytes.
 *
 *   state      owner of the flight        ends when
 *   QUEUED     its transfer, in a queue   there is memory: origin_start
 *   RUNNING    its transfer               its bytes are complete: to the pool
 *   CHECKING   a job of the pool          the digest is right: DONE
 *                                         it is not: QUEUED alone, past caches
 *   DONE       nobody: written to disk, out of the table, waits woken, freed
 *   FAILED     nobody: out of the table, waits woken with the error, freed;
 *              the next reader starts anew
 *
 * In all states but the last two the flight is in the table, and waits may
 * join and leave it.  A finished piece is on disk, and its blob counts it
 * (blob_finish), before it leaves the table: who looked at the disk too early
 * finds either the flight or another count, and never starts a second fetch.
 *
 * Transfers that were started hold a reference: they may outlive fetch_close,
 * because only their origin can end them.
 */
#include "cache/fetch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/clock.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/base/log.h"
#include "cache/cache.h"
#include "cache/held.h"
#include "cache/net/origin.h"
#include "cache/pack/codec.h"
#include "cache/plan.h"
#include "cache/pool.h"
#include "cache/store/blob.h"
#include "cache/store/directory.h"
#include "cache/store/store.h"

enum {
	BUCKETS = 4096,
	STREAMS = 64,      /* sequential readers that are remembered */
	STREAM_SLACK = 64, /* pieces that such a reader may skip */
	SWEEP_MS = 1000,
	SAY_MS = 10000,   /* of waiting, then one log line says so */
	AHEAD_MS = 60000, /* deadline of what nobody waits for */
};

struct transfer;

struct flight {
	/* immutable once in the table */
	struct pool_job job;
	struct fetch *fetch;
	struct origin *origin;
	struct blob *blob;
	uint32_t piece;            /* or FETCH_DIR */
	uint64_t off;              /* in the pack */
	uint32_t size;             /* stored */
	struct pack_object object; /* of a piece */

	/* the owner's */
	struct held_bytes *stored;
	uint8_t *dir; /* stored bytes of a directory */
	uint32_t got;

	/* guarded by fetch->mu */
	struct flight *chain;
	struct transfer *queued;
	struct cache_wait *waits;
	enum origin_fresh attempt;
	uint64_t cost, deadline_ms, since_ms;
	bool said; /* the log has it */
};

struct transfer {
	struct transfer *next; /* in a queue */
	struct fetch *fetch;
	uint64_t off, size, cost;
	uint64_t deadline_ms; /* 0: nobody waits; guarded by fetch->mu */

	/* the origin's thread's */
	uint64_t pos; /* the next byte to come */
	bool no_memory;
	uint32_t n, cur; /* flights from cur on are not complete */
	struct flight *flight[];
};

struct queue {
	struct transfer *head, **tail;
};

/* A reader that goes forward: where its next miss is expected. */
struct stream {
	struct blob *blob;
	uint32_t next;
	uint32_t window;
	uint64_t used;
};

struct fetch {
	/* immutable after open */
	struct store *store;
	struct pool *pool;
	uint64_t budget;
	pthread_t sweeper;

	/* atomic */
	_Atomic uint64_t fetched, wasted, bad;
	_Atomic bool stopping; /* written under mu */

	struct dm_mutex mu;    /* guards all below */
	pthread_cond_t sooner; /* sweep_at has moved, or stopping */
	bool joined, pumping;
	struct flight *bucket[BUCKETS];
	struct queue demand, ahead;
	uint64_t used;        /* memory of started transfers */
	uint64_t queued_cost; /* of those in ahead */
	uint64_t running;     /* transfers that an origin has */
	uint64_t waited, waiting;
	uint64_t sweep_at;
	struct stream stream[STREAMS];
	uint64_t uses; /* of streams */
};

/* ---- flights ---- */

static size_t
bucket_of(const struct blob *b, uint32_t piece)
{
	uint64_t h;

	memcpy(&h, blob_key(b)->bytes, sizeof(h));
	h = (h ^ piece) * 0x9e3779b97f4a7c15U;
	return (size_t)(h >> 32) % BUCKETS;
}

/* Two hints for one directory are two flights: a wrong one must not fail the
 * readers who have the right one. */
static struct flight *
find_locked(struct fetch *f, const struct blob *b, uint32_t piece, uint64_t off,
    uint32_t size)
{
	struct flight *fl = f->bucket[bucket_of(b, piece)];

	while (fl != NULL &&
	    (fl->blob != b || fl->piece != piece ||
		(piece == FETCH_DIR && (fl->off != off || fl->size != size))))
		fl = fl->chain;
	return fl;
}

static void
table_remove_locked(struct fetch *f, struct flight *fl)
{
	struct flight **p = &f->bucket[bucket_of(fl->blob, fl->piece)];

	while (*p != NULL && *p != fl)
		p = &(*p)->chain;
	if (*p == fl)
		*p = fl->chain;
}

static void
flight_free(struct flight *fl)
{
	held_bytes_put(fl->stored);
	free(fl->dir);
	free(fl);
}

static void check(struct pool_job *job, struct codec *codec);

static void
drop_job(struct pool_job *job)
{
	flight_free((struct flight *)job);
}

static struct flight *
flight_new(struct fetch *f, const struct fetch_want *w, uint32_t piece,
    const struct pack_object *o)
{
	struct flight *fl = calloc(1, sizeof(*fl));

	if (fl == NULL)
		return NULL;
	fl->job.run = check;
	fl->job.drop = drop_job;
	fl->fetch = f;
	fl->origin = w->origin;
	fl->blob = w->blob;
	fl->piece = piece;
	fl->attempt = ORIGIN_CACHED;
	if (piece == FETCH_DIR) {
		fl->off = w->dir_off;
		fl->size = w->dir_len;
		fl->cost = w->dir_len;
	} else {
		fl->object = *o;
		fl->off = o->stored_off;
		fl->size = o->stored_size;
		fl->cost = plan_cost(o);
	}
	return fl;
}

/* ---- waits ---- */

/* Wakes may not happen under the lock: waits that are to be woken are taken
 * off their flight into a list of the caller's. */
static void
wake_all(struct cache_wait *list)
{
	for (struct cache_wait *next; list != NULL; list = next) {
		next = list->next;
		list->next = NULL;
		list->wake(list);
	}
}

static void
wait_fail_locked(struct cache_wait *w, enum dm_code code, const char *text)
{
	w->failed = (int)code;
	free(w->text);
	w->text = strdup(text); /* NULL is read as "no memory" */
}

static void
wait_leave_locked(struct fetch *f, struct cache_wait *w)
{
	w->fetch = NULL;
	f->waiting--;
}

static struct cache_wait *
take_waits_locked(struct fetch *f, struct flight *fl, struct held_bytes *bytes,
    struct directory *dir, const struct dm_err *err)
{
	struct cache_wait *list = fl->waits;

	for (struct cache_wait *w = list; w != NULL; w = w->next) {
		struct cache_held *h = NULL;

		wait_leave_locked(f, w);
		if (err == NULL)
			h = held_add(w->held, fl->blob, fl->piece, bytes, dir);
		if (h != NULL)
			w->held = h;
		else if (err != NULL)
			wait_fail_locked(w, err->code, err->text);
		else
			wait_fail_locked(w, DM_NOMEM, "no memory");
	}
	fl->waits = NULL;
	return list;
}

/* ---- queues, and the memory that bounds what is started ---- */

static void
push_locked(struct queue *q, struct transfer *t)
{
	t->next = NULL;
	*q->tail = t;
	q->tail = &t->next;
	for (uint32_t i = 0; i < t->n; i++)
		t->flight[i]->queued = t;
}

static void
unlink_locked(struct queue *q, struct transfer *t)
{
	struct transfer **p = &q->head;

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	if (*p == NULL)
		q->tail = p;
	for (uint32_t i = 0; i < t->n; i++)
		t->flight[i]->queued = NULL;
}

static bool
in_queue_locked(const struct queue *q, const struct transfer *t)
{
	const struct transfer *i = q->head;

	while (i != NULL && i != t)
		i = i->next;
	return i != NULL;
}

/* Somebody waits now for what was to be fetched ahead. */
static void
promote_locked(struct fetch *f, struct transfer *t)
{
	if (t == NULL || !in_queue_locked(&f->ahead, t))
		return;
	unlink_locked(&f->ahead, t);
	f->queued_cost -= t->cost;
	push_locked(&f->demand, t);
}

static struct transfer *
next_locked(struct fetch *f)
{
	struct queue *q = f->demand.head != NULL ? &f->demand : &f->ahead;
	uint64_t bound = q == &f->demand ? f->budget : f->budget / 2;
	struct transfer *t = q->head;

	if (t == NULL || (f->used > 0 && f->used + t->cost > bound))
		return NULL;
	unlink_locked(q, t);
	if (q == &f->ahead)
		f->queued_cost -= t->cost;
	if (t->deadline_ms == 0)
		t->deadline_ms = dm_deadline_ms(AHEAD_MS);
	for (uint32_t i = 0; i < t->n; i++)
		t->flight[i]->deadline_ms = t->deadline_ms;
	f->used += t->cost;
	f->running++;
	return t;
}

static int on_data(void *arg, const void *data, size_t size);
static void on_done(void *arg, const struct dm_err *failure);

static void
start(struct transfer *t)
{
	struct flight *first = t->flight[0];
	char hex[DIGEST_HEX + 1], path[DIGEST_HEX + 16];
	struct origin_get get = {
		.path = path,
		.off = t->off,
		.size = t->size,
		.fresh = first->attempt,
		.deadline_ms = t->deadline_ms,
		.data = on_data,
		.done = on_done,
		.arg = t,
	};

	digest_hex(blob_key(first->blob), hex);
	(void)snprintf(path, sizeof(path), "packs/%.2s/%s", hex, hex);
	origin_start(first->origin, &get);
}

/* Start what there is memory for.  One thread at a time: an origin that fails
 * at once calls back from within origin_start, and would nest without end. */
static void
pump(struct fetch *f)
{
	struct transfer *t;

	dm_lock(&f->mu);
	if (!f->pumping) {
		f->pumping = true;
		while (!f->stopping && (t = next_locked(f)) != NULL) {
			dm_unlock(&f->mu);
			start(t);
			dm_lock(&f->mu);
		}
		f->pumping = false;
	}
	dm_unlock(&f->mu);
}

/* ---- how a flight ends ---- */

/* Deliver to all who wait, forget, free.  err NULL: it came. */
static void
finish(struct flight *fl, struct held_bytes *bytes, struct directory *dir,
    const struct dm_err *err)
{
	struct fetch *f = fl->fetch;
	struct cache_wait *list = NULL;

	dm_lock(&f->mu);
	if (!f->stopping) {
		if (err == NULL)
			blob_finish(fl->blob);
		table_remove_locked(f, fl);
		list = take_waits_locked(f, fl, bytes, dir, err);
	}
	f->used -= fl->cost;
	dm_unlock(&f->mu);
	wake_all(list);
	flight_free(fl);
}

/* Will anybody still be there when another try ends? */
static bool
requeue_offline_locked(struct flight *fl)
{
	uint64_t now = dm_now_ms(), last = 0;

	for (struct cache_wait *w = fl->waits; w != NULL; w = w->next)
		last = w->deadline_ms > last ? w->deadline_ms : last;
	if (now < fl->deadline_ms || last <= now)
		return false;
	fl->deadline_ms = last;
	return true;
}

/* Is it worth to ask again, for those who wait, and how? */
static bool
another_try_locked(struct flight *fl, const struct dm_err *err)
{
	if (fl->waits == NULL)
		return false;
	if (err->code == DM_OFFLINE)
		return requeue_offline_locked(fl);
	if (err->code == DM_NOTFOUND && fl->attempt == ORIGIN_CACHED) {
		fl->attempt = ORIGIN_REVALIDATE;
		return true;
	}
	if (err->code == DM_CORRUPT && fl->attempt != ORIGIN_UNIQUE) {
		fl->attempt = fl->attempt == ORIGIN_CACHED ? ORIGIN_REVALIDATE :
							     ORIGIN_UNIQUE;
		return true;
	}
	return false;
}

/* The flight did not bring what it should: fetch it again, alone, or fail. */
static void
lost(struct flight *fl, const struct dm_err *err)
{
	struct fetch *f = fl->fetch;
	struct transfer *t = calloc(1, sizeof(*t) + sizeof(struct flight *));
	bool again;

	held_bytes_put(fl->stored);
	fl->stored = NULL;
	free(fl->dir);
	fl->dir = NULL;
	fl->got = 0;
	dm_lock(&f->mu);
	again = t != NULL && !f->stopping && another_try_locked(fl, err);
	if (again) {
		f->used -= fl->cost;
		*t = (struct transfer){
			.fetch = f,
			.off = fl->off,
			.pos = fl->off,
			.size = fl->size,
			.cost = fl->cost,
			.deadline_ms = fl->deadline_ms,
			.n = 1,
		};
		t->flight[0] = fl;
		push_locked(&f->demand, t);
	}
	dm_unlock(&f->mu);
	if (again)
		return;
	free(t);
	finish(fl, NULL, NULL, err);
}

/* ---- on the pool: is it what it should be? ---- */

static int
unpack(struct flight *fl, struct codec *codec, struct held_bytes **plain,
    struct dm_err *err)
{
	const struct pack_object *o = &fl->object;
	struct digest is;

	if (o->codec == PACK_PLAIN) {
		*plain = held_bytes_get(fl->stored);
	} else {
		*plain = held_bytes_new(o->plain_size);
		if (*plain == NULL)
			return dm_fail(err, DM_NOMEM, "a piece of %u bytes",
			    o->plain_size);
		if (codec_decode(codec, o->codec, fl->stored->data, fl->size,
			(*plain)->data, o->plain_size, err) < 0)
			return -1;
	}
	digest_of(&is, (*plain)->data, o->plain_size);
	if (!digest_equal(&is, &o->id))
		return dm_fail(err, DM_CORRUPT,
		    "the bytes do not match their digest");
	return 0;
}

static int
check_bytes(struct flight *fl, struct codec *codec, struct held_bytes **plain,
    struct directory **dir, struct dm_err *err)
{
	struct blob_piece p = {
		.id = fl->object.id,
		.off = fl->object.plain_off,
		.size = fl->object.plain_size,
		.n = fl->piece,
	};
	uint8_t *data = fl->dir;

	if (fl->piece == FETCH_DIR) {
		fl->dir = NULL;
		return blob_directory_make(fl->blob, data, fl->size, dir, err);
	}
	if (unpack(fl, codec, plain, err) < 0)
		return -1;
	blob_write(fl->blob, &p, (*plain)->data);
	return 0;
}

static void
say_bad(const struct flight *fl, struct dm_err *err)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(blob_key(fl->blob), hex);
	if (fl->piece == FETCH_DIR)
		(void)dm_wrap(err, "%s: pack %.12s", origin_name(fl->origin),
		    hex);
	else
		(void)dm_wrap(err, "%s: pack %.12s: object %u",
		    origin_name(fl->origin), hex, fl->piece);
}

static void
check(struct pool_job *job, struct codec *codec)
{
	struct flight *fl = (struct flight *)job;
	struct fetch *f = fl->fetch;
	struct held_bytes *plain = NULL;
	struct directory *dir = NULL;
	struct dm_err err;

	if (check_bytes(fl, codec, &plain, &dir, &err) == 0) {
		finish(fl, plain, dir, NULL);
	} else {
		if (err.code == DM_CORRUPT)
			atomic_fetch_add(&f->bad, 1);
		say_bad(fl, &err);
		lost(fl, &err);
	}
	held_bytes_put(plain);
	directory_put(dir);
	pump(f);
}

/* ---- callbacks of a transfer, on a thread of net ---- */

static uint8_t *
room_of(struct flight *fl)
{
	if (fl->piece == FETCH_DIR) {
		if (fl->dir == NULL)
			fl->dir = malloc(fl->size);
		return fl->dir;
	}
	if (fl->stored == NULL)
		fl->stored = held_bytes_new(fl->size);
	return fl->stored == NULL ? NULL : fl->stored->data;
}

static int
on_data(void *arg, const void *data, size_t size)
{
	struct transfer *t = arg;
	struct fetch *f = t->fetch;
	const uint8_t *from = data;

	if (atomic_load(&f->stopping))
		return -1;
	atomic_fetch_add(&f->fetched, size);
	while (size > 0 && t->cur < t->n) {
		struct flight *fl = t->flight[t->cur];
		bool gap = t->pos < fl->off;
		uint64_t left = gap ? fl->off - t->pos : fl->size - fl->got;
		size_t some = size < left ? size : (size_t)left;
		uint8_t *to = gap ? NULL : room_of(fl);

		if (gap) {
			atomic_fetch_add(&f->wasted, some);
		} else if (to == NULL) {
			t->no_memory = true;
			return -1;
		} else {
			memcpy(to + fl->got, from, some);
			fl->got += (uint32_t)some;
		}
		t->pos += some;
		from += some;
		size -= some;
		if (!gap && fl->got == fl->size) {
			t->cur++;
			if (!pool_add(f->pool, &fl->job)) {
				flight_free(fl);
				return -1;
			}
		}
	}
	return 0;
}

static void fetch_free(struct fetch *f);

static void
on_done(void *arg, const struct dm_err *failure)
{
	struct transfer *t = arg;
	struct fetch *f = t->fetch;
	struct dm_err err;
	bool last;

	if (t->no_memory)
		(void)dm_fail(&err, DM_NOMEM, "a piece that was fetched");
	else if (failure != NULL)
		err = *failure;
	else
		(void)dm_fail(&err, DM_CORRUPT, "fewer bytes than asked");
	for (; t->cur < t->n; t->cur++)
		lost(t->flight[t->cur], &err);
	free(t);
	pump(f);
	dm_lock(&f->mu);
	f->running--;
	last = f->joined && f->running == 0;
	dm_unlock(&f->mu);
	if (last)
		fetch_free(f);
}

/* ---- starting ---- */

/* The window for a miss of that piece, and the stream that it continues. */
static struct stream *
stream_locked(struct fetch *f, struct blob *b, uint32_t piece)
{
	struct stream *oldest = &f->stream[0];

	for (int i = 0; i < STREAMS; i++) {
		struct stream *s = &f->stream[i];

		if (s->blob == b && piece >= s->next &&
		    piece - s->next <= STREAM_SLACK) {
			s->used = ++f->uses;
			s->window = s->window >= PLAN_MOST / 2 ? PLAN_MOST :
								 s->window * 2;
			return s;
		}
		if (s->used < oldest->used)
			oldest = s;
	}
	*oldest = (struct stream){ .blob = b, .used = ++f->uses };
	return oldest;
}

static void
join_locked(struct fetch *f, struct flight *fl, struct cache_wait *w)
{
	uint64_t now = dm_now_ms();

	if (fl->waits == NULL)
		fl->since_ms = now;
	w->fetch = fl;
	w->next = fl->waits;
	fl->waits = w;
	f->waited++;
	f->waiting++;
	if (fl->queued != NULL && fl->queued->deadline_ms < w->deadline_ms)
		fl->queued->deadline_ms = w->deadline_ms;
	promote_locked(f, fl->queued);
	if (w->deadline_ms < f->sweep_at) {
		f->sweep_at = w->deadline_ms;
		pthread_cond_signal(&f->sooner);
	}
}

/* Put flights for indexes [lo, hi) of the plan (or for the directory, plan
 * NULL) into the table and one transfer into a queue: with deadline_ms 0 that
 * of what nobody waits for.  NULL: no memory. */
static struct transfer *
queue_locked(struct fetch *f, const struct fetch_want *want,
    const struct plan *plan, uint32_t lo, uint32_t hi, uint64_t deadline_ms)
{
	struct transfer *t =
	    calloc(1, sizeof(*t) + (hi - lo) * sizeof(struct flight *));

	if (t == NULL)
		return NULL;
	t->fetch = f;
	t->deadline_ms = deadline_ms;
	for (uint32_t i = lo; i < hi; i++) {
		struct flight *fl;
		size_t h;

		if (plan != NULL &&
		    (plan->skip[i] || plan->object[i].stored_size == 0))
			continue;
		fl = plan == NULL ?
		    flight_new(f, want, FETCH_DIR, NULL) :
		    flight_new(f, want, plan->first + i, &plan->object[i]);
		if (fl == NULL)
			break;
		if (fl->cost > f->budget)
			fl->cost = f->budget;
		h = bucket_of(fl->blob, fl->piece);
		fl->chain = f->bucket[h];
		f->bucket[h] = fl;
		t->flight[t->n++] = fl;
		t->cost += fl->cost;
	}
	if (t->n == 0) {
		free(t);
		return NULL;
	}
	t->off = t->pos = t->flight[0]->off;
	t->size = t->flight[t->n - 1]->off + t->flight[t->n - 1]->size - t->off;
	push_locked(deadline_ms == 0 ? &f->ahead : &f->demand, t);
	return t;
}

static void
skip_in_flight_locked(struct fetch *f, struct plan *p, struct blob *b)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (!p->skip[i] &&
		    find_locked(f, b, p->first + i, 0, 0) != NULL)
			p->skip[i] = 1;
}

static uint64_t
cost_max(const struct fetch *f)
{
	return f->budget / 4;
}

/* Start a fetch of the piece and what is worth fetching along. */
static struct flight *
begin_locked(struct fetch *f, const struct fetch_want *want, struct plan *plan,
    uint64_t deadline_ms)
{
	uint32_t at, lo = 0, hi = 1;
	struct transfer *t;
	struct stream *s;

	if (plan == NULL) {
		t = queue_locked(f, want, NULL, 0, 1, deadline_ms);
		return t == NULL ? NULL : t->flight[0];
	}
	at = want->piece - plan->first;
	s = stream_locked(f, want->blob, want->piece);
	plan->skip[at] = 0; /* whatever the map claims */
	skip_in_flight_locked(f, plan, want->blob);
	if (s->window == 0)
		s->window = plan->object[at].stored_size >= PLAN_LARGE ?
		    plan->object[at].stored_size :
		    PLAN_MISS;
	plan_range(plan, at, s->window, cost_max(f), s->next == 0, &lo, &hi);
	if (s->window < PLAN_MISS)
		s->window = PLAN_MISS / 2;
	s->next = plan->first + hi;
	t = queue_locked(f, want, plan, lo, hi, deadline_ms);
	return t == NULL ? NULL : find_locked(f, want->blob, want->piece, 0, 0);
}

static int
check_want(const struct fetch_want *want, struct dm_err *err)
{
	if (want->piece == FETCH_DIR &&
	    (want->dir_len < PACK_DIR_HEADER || want->dir_len > PACK_DIR_MAX ||
		want->dir_off > INT64_MAX - PACK_DIR_MAX))
		return dm_fail(err, DM_CORRUPT,
		    "no directory of a pack can be %u bytes at %llu",
		    want->dir_len, (unsigned long long)want->dir_off);
	return 0;
}

/* Look around the wanted piece. */
static int
look_around(struct plan *plan, const struct fetch_want *want,
    struct dm_err *err)
{
	uint32_t n = plan_guess(want->dir, PLAN_MOST);
	uint32_t back = want->piece < n ? want->piece : n;

	if (!plan_init(plan, want->dir, want->blob, want->piece - back,
		back + n))
		return dm_fail(err, DM_NOMEM, "neighbours of a piece");
	if (plan->object[back].stored_size == 0)
		return dm_fail(err, DM_CORRUPT,
		    "object %u of the pack has no bytes", want->piece);
	return 0;
}

/* Join or begin; 0, DM_AGAIN, or an error. */
static int
start_locked(struct fetch *f, const struct fetch_want *want, struct plan *plan,
    struct cache_wait *wait, struct dm_err *err)
{
	struct flight *fl;

	if (f->stopping)
		return dm_fail(err, DM_CANCELLED, "the cache is closing");
	fl = find_locked(f, want->blob, want->piece, want->dir_off,
	    want->dir_len);
	if (fl == NULL && blob_finished(want->blob) != want->finished)
		return 0;
	if (fl == NULL)
		fl = begin_locked(f, want, plan, wait->deadline_ms);
	if (fl == NULL)
		return dm_fail(err, DM_NOMEM, "fetch a piece");
	join_locked(f, fl, wait);
	return dm_fail(err, DM_AGAIN, "not here yet");
}

int
fetch_start(struct fetch *f, const struct fetch_want *want,
    struct cache_wait *wait, struct dm_err *err)
{
	struct plan plan = { 0 };
	bool piece = want->piece != FETCH_DIR;
	int rc;

	if (check_want(want, err) < 0)
		return -1;
	if (piece && look_around(&plan, want, err) < 0) {
		plan_release(&plan);
		return -1;
	}
	dm_lock(&f->mu);
	rc = start_locked(f, want, piece ? &plan : NULL, wait, err);
	dm_unlock(&f->mu);
	plan_release(&plan);
	pump(f);
	return rc;
}

/* Queue the missing runs of a plan; false when there is no more room. */
static bool
ahead_locked(struct fetch *f, const struct fetch_want *want, struct plan *plan)
{
	skip_in_flight_locked(f, plan, want->blob);
	for (uint32_t i = 0, lo, hi; i < plan->n; i = hi) {
		struct transfer *t;

		hi = i + 1;
		if (plan->skip[i] || plan->object[i].stored_size == 0)
			continue;
		if (f->stopping || f->used + f->queued_cost > f->budget / 2)
			return false;
		plan_range(plan, i, PLAN_MOST, cost_max(f), false, &lo, &hi);
		t = queue_locked(f, want, plan, lo, hi, 0);
		if (t == NULL)
			return false;
		f->queued_cost += t->cost;
	}
	return true;
}

static void
directory_ahead(struct fetch *f, const struct fetch_want *want)
{
	struct transfer *t;

	dm_lock(&f->mu);
	if (!f->stopping && blob_finished(want->blob) == want->finished &&
	    find_locked(f, want->blob, FETCH_DIR, want->dir_off,
		want->dir_len) == NULL) {
		t = queue_locked(f, want, NULL, 0, 1, 0);
		f->queued_cost += t == NULL ? 0 : t->cost;
	}
	dm_unlock(&f->mu);
}

void
fetch_ahead(struct fetch *f, const struct fetch_want *want, uint32_t n)
{
	bool more = want->piece != FETCH_DIR;
	struct plan plan;
	struct dm_err err;

	if (check_want(want, &err) < 0)
		return;
	if (want->piece == FETCH_DIR)
		directory_ahead(f, want);
	for (uint32_t done = 0; more && done < n; done += PLAN_PIECES) {
		uint32_t some = n - done < PLAN_PIECES ? n - done : PLAN_PIECES;

		if (!plan_init(&plan, want->dir, want->blob, want->piece + done,
			some))
			break;
		dm_lock(&f->mu);
		more = ahead_locked(f, want, &plan);
		dm_unlock(&f->mu);
		plan_release(&plan);
	}
	pump(f);
}

/* ---- deadlines ---- */

static void
expire_locked(struct fetch *f, struct flight *fl, struct cache_wait **list)
{
	uint64_t now = dm_now_ms();
	char hex[DIGEST_HEX + 1], text[DM_ERR_TEXT];

	for (struct cache_wait **p = &fl->waits, *w; (w = *p) != NULL;) {
		if (w->deadline_ms > now) {
			if (w->deadline_ms < f->sweep_at)
				f->sweep_at = w->deadline_ms;
			p = &w->next;
			continue;
		}
		*p = w->next;
		digest_hex(blob_key(fl->blob), hex);
		(void)snprintf(text, sizeof(text),
		    "%.300s: pack %.12s did not come in the time allowed",
		    origin_name(fl->origin), hex);
		wait_leave_locked(f, w);
		wait_fail_locked(w, DM_OFFLINE, text);
		w->next = *list;
		*list = w;
	}
}

/* Collect the waits whose time is over, and one thing to log; set sweep_at to
 * when the next look is due. */
static struct cache_wait *
sweep_locked(struct fetch *f, char say[DM_ERR_TEXT])
{
	struct cache_wait *list = NULL;
	uint64_t now = dm_now_ms();
	char hex[DIGEST_HEX + 1];

	say[0] = '\0';
	f->sweep_at = now + SWEEP_MS;
	for (size_t i = 0; f->waiting > 0 && i < BUCKETS; i++) {
		for (struct flight *fl = f->bucket[i]; fl != NULL;
		     fl = fl->chain) {
			expire_locked(f, fl, &list);
			if (fl->waits == NULL || fl->said ||
			    now - fl->since_ms < SAY_MS || say[0] != '\0')
				continue;
			fl->said = true;
			digest_hex(blob_key(fl->blob), hex);
			(void)snprintf(say, DM_ERR_TEXT,
			    "%.300s: readers wait since %d s for pack %.12s",
			    origin_name(fl->origin), SAY_MS / 1000, hex);
		}
	}
	return list;
}

static void *
sweep(void *arg)
{
	struct fetch *f = arg;
	char say[DM_ERR_TEXT];
	uint64_t store_at = 0;

	dm_lock(&f->mu);
	while (!f->stopping) {
		struct cache_wait *list = sweep_locked(f, say);

		dm_unlock(&f->mu);
		wake_all(list);
		if (say[0] != '\0')
			dm_log(DM_LOG_WARN, "fetch", "%s", say);
		if (dm_now_ms() >= store_at) {
			store_sweep(f->store);
			store_at = dm_deadline_ms(SWEEP_MS);
		}
		dm_lock(&f->mu);
		while (!f->stopping && dm_now_ms() < f->sweep_at)
			(void)dm_cond_wait_until(&f->sooner, &f->mu,
			    f->sweep_at);
	}
	dm_unlock(&f->mu);
	return NULL;
}

void
fetch_cancel(struct fetch *f, struct cache_wait *wait)
{
	struct flight *fl;

	dm_lock(&f->mu);
	fl = wait->fetch;
	if (fl != NULL) {
		struct cache_wait **p = &fl->waits;

		while (*p != wait)
			p = &(*p)->next;
		*p = wait->next;
		wait->next = NULL;
		wait_leave_locked(f, wait);
		wait_fail_locked(wait, DM_CANCELLED, "the reader gave up");
	}
	dm_unlock(&f->mu);
	if (fl != NULL)
		wake_all(wait);
}

/* ---- open and close ---- */

static void
fetch_free(struct fetch *f)
{
	pool_close(f->pool);
	pthread_cond_destroy(&f->sooner);
	dm_mutex_destroy(&f->mu);
	free(f);
}

int
fetch_open(struct fetch **out, struct store *store, uint64_t memory,
    struct dm_err *err)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return dm_fail(err, DM_NOMEM, "cache");
	f->store = store;
	f->budget = memory;
	f->demand.tail = &f->demand.head;
	f->ahead.tail = &f->ahead.head;
	dm_mutex_init(&f->mu, DM_RANK_FETCH);
	dm_cond_init(&f->sooner);
	if (pool_open(&f->pool, err) < 0) {
		fetch_free(f);
		return -1;
	}
	if (pthread_create(&f->sweeper, NULL, sweep, f) != 0) {
		fetch_free(f);
		return dm_fail(err, DM_NOMEM, "cannot start a thread");
	}
	*out = f;
	return 0;
}

/* Free what was not started, and its flights. */
static void
empty_queue_locked(struct queue *q)
{
	struct transfer *t;

	while ((t = q->head) != NULL) {
		unlink_locked(q, t);
		for (uint32_t i = 0; i < t->n; i++)
			flight_free(t->flight[i]);
		free(t);
	}
}

void
fetch_stop(struct fetch *f)
{
	struct cache_wait *list = NULL;
	struct dm_err err;

	(void)dm_fail(&err, DM_CANCELLED, "the cache is closing");
	dm_lock(&f->mu);
	f->stopping = true;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct flight *fl = f->bucket[i]; fl != NULL;
		     fl = fl->chain) {
			struct cache_wait *w =
			    take_waits_locked(f, fl, NULL, NULL, &err);

			for (struct cache_wait *next; w != NULL; w = next) {
				next = w->next;
				w->next = list;
				list = w;
			}
		}
		f->bucket[i] = NULL;
	}
	empty_queue_locked(&f->demand);
	empty_queue_locked(&f->ahead);
	pthread_cond_signal(&f->sooner);
	dm_unlock(&f->mu);
	wake_all(list);
}

void
fetch_close(struct fetch *f)
{
	bool last;

	if (f == NULL)
		return;
	fetch_stop(f);
	(void)pthread_join(f->sweeper, NULL);
	pool_stop(f->pool);
	dm_lock(&f->mu);
	f->joined = true;
	last = f->running == 0;
	dm_unlock(&f->mu);
	if (last)
		fetch_free(f);
}

void
fetch_counts(struct fetch *f, struct fetch_counts *out)
{
	dm_lock(&f->mu);
	*out = (struct fetch_counts){
		.waited = f->waited,
		.fetched = atomic_load(&f->fetched),
		.wasted = atomic_load(&f->wasted),
		.bad = atomic_load(&f->bad),
		.waiting = f->waiting,
	};
	dm_unlock(&f->mu);
}
