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
 *                                         it is not: QUEUED alone, for the
 *                                         next mirror, or past caches
 *   DONE       nobody: written to disk, out of the table, waits woken, freed
 *   FAILED     nobody: out of the table, waits woken with the error, freed;
 *              the next reader starts anew
 *   WATCHING   the list of watched     another process fetches it, and has it
 *              flights                   or is too slow: waits woken to look
 *                                        again, freed (turn.h)
 *
 * In all states but DONE and FAILED the flight is in the table, and waits may
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
#include "cache/flight.h"
#include "cache/held.h"
#include "cache/moved_table.h"
#include "cache/net/origin.h"
#include "cache/plan.h"
#include "cache/pool.h"
#include "cache/store/blob.h"
#include "cache/store/directory.h"
#include "cache/stream.h"
#include "cache/transfer.h"
#include "cache/turn.h"

enum {
	SWEEP_MS = 1000,
	SAY_MS = 10000,   /* of waiting, then one log line says so */
	AHEAD_MS = 60000, /* deadline of what nobody waits for */
	LOOKS_MAX = 1000, /* at what others fetch; then it is fetched anyway */
};

struct fetch {
	/* immutable after open */
	struct moved_table *moved;
	struct pool *pool;
	uint64_t budget;
	pthread_t sweeper;

	/* atomic */
	_Atomic uint64_t fetched, wasted, bad;
	_Atomic bool stopping; /* written under mu */

	struct dm_mutex mu;    /* guards all below */
	pthread_cond_t sooner; /* sweep_at has moved, or stopping */
	bool joined, pumping;
	struct flights flights;
	struct transfer_queue demand, ahead;
	uint64_t used;    /* memory of started transfers */
	uint64_t running; /* transfers that an origin has */
	uint64_t sweep_at;
	struct streams streams;
	bool walked; /* a piece of a tree was missing before */
	struct turns turns;
	struct flight *watched;
};

/* ---- flights ---- */

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

/* ---- transfers, and the memory that bounds what is started ---- */

/* Somebody waits now for what was to be fetched ahead. */
static void
promote_locked(struct fetch *f, struct transfer *t)
{
	if (t == NULL || !transfer_is_in(&f->ahead, t))
		return;
	transfer_unlink(&f->ahead, t);
	transfer_push(&f->demand, t);
}

static struct transfer *
next_locked(struct fetch *f)
{
	struct transfer_queue *q =
	    f->demand.head != NULL ? &f->demand : &f->ahead;
	uint64_t bound = q == &f->demand ? f->budget : f->budget / 2;
	struct transfer *t = q->head;

	if (t == NULL || (f->used > 0 && f->used + t->cost > bound))
		return NULL;
	transfer_unlink(q, t);
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
		.immutable = true,
		.avoid = first->avoid,
		.from = &t->from,
		.deadline_ms = t->deadline_ms,
		.data = on_data,
		.done = on_done,
		.arg = t,
	};

	digest_hex(blob_key(first->blob), hex);
	(void)snprintf(path, sizeof(path), "%s/%.2s/%s",
	    t->moving ? "moved" : "packs", hex, hex);
	if (t->moving) {
		get.off = 0;
		get.size = ORIGIN_WHOLE;
		get.limit = MOVED_MAX;
		get.fresh = ORIGIN_REVALIDATE;
	}
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

	turn_end(&fl->turn);
	dm_lock(&f->mu);
	if (!f->stopping) {
		if (err == NULL)
			blob_finish(fl->blob);
		flight_remove(&f->flights, fl);
		list = flight_take(&f->flights, fl, bytes, dir, err);
	}
	f->used -= fl->cost;
	dm_unlock(&f->mu);
	flight_wake(list);
	flight_free(fl);
}

/* Will anybody still be there when another try ends? */
static bool
requeue_offline_locked(struct flight *fl)
{
	uint64_t last = 0;

	for (struct cache_wait *w = fl->waits; w != NULL; w = w->next)
		last = w->deadline_ms > last ? w->deadline_ms : last;
	if (last <= fl->deadline_ms)
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
	if (err->code == DM_CORRUPT && flight_next_place(fl))
		return true;
	if (err->code == DM_CORRUPT && fl->attempt != ORIGIN_UNIQUE) {
		fl->avoid = 0;
		fl->attempt = fl->attempt == ORIGIN_CACHED ? ORIGIN_REVALIDATE :
							     ORIGIN_UNIQUE;
		return true;
	}
	return false;
}

/* The pack is gone.  Did gc move what was in it? */
static bool
ask_moved_locked(struct flight *fl, const struct dm_err *err)
{
	if (err->code != DM_NOTFOUND || fl->gone != NULL || fl->waits == NULL)
		return false;
	fl->gone = malloc(sizeof(*fl->gone));
	if (fl->gone == NULL)
		return false;
	*fl->gone = *err;
	fl->moved = (struct dm_buf)DM_BUF(MOVED_MAX);
	fl->avoid = fl->from = 0;
	return true;
}

/* It did not say.  What sent us here may have been overtaken by a later gc:
 * then those who wait look again. */
static void
finish_gone(struct flight *fl)
{
	struct fetch *f = fl->fetch;
	struct dm_err why = *fl->gone;
	bool again = moved_table_gone(f->moved, blob_key(fl->blob));

	finish(fl, NULL, NULL, again ? NULL : &why);
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
	dm_buf_release(&fl->moved);
	dm_lock(&f->mu);
	again = t != NULL && !f->stopping &&
	    (another_try_locked(fl, err) || ask_moved_locked(fl, err));
	if (again) {
		f->used -= fl->cost;
		*t = (struct transfer){
			.fetch = f,
			.off = fl->off,
			.pos = fl->off,
			.size = fl->size,
			.cost = fl->cost,
			.deadline_ms = fl->deadline_ms,
			.moving = fl->gone != NULL,
			.n = 1,
		};
		t->flight[0] = fl;
		transfer_push(&f->demand, t);
	}
	dm_unlock(&f->mu);
	if (again)
		return;
	free(t);
	if (fl->gone != NULL && err->code == DM_NOTFOUND)
		finish_gone(fl);
	else
		finish(fl, NULL, NULL, err);
}

/* moved/ has come for the only flight of t. */
static void
moved_came(struct transfer *t)
{
	struct flight *fl = t->flight[0];
	struct dm_err err;

	t->cur = t->n;
	if (moved_table_put(fl->fetch->moved, blob_key(fl->blob), &fl->moved,
		&err) == 0)
		finish(fl, NULL, NULL, NULL);
	else
		lost(fl, &err);
}

/* ---- on the pool: is it what it should be? ---- */

/* A directory may be wrong because of a wrong hint where it is. */
static void
say_bad(struct fetch *f, const struct flight *fl)
{
	atomic_fetch_add(&f->bad, 1);
	origin_bad(fl->origin, fl->from, fl->piece != FETCH_DIR);
}

static void
check(struct pool_job *job, struct codec *codec)
{
	struct flight *fl = (struct flight *)job;
	struct fetch *f = fl->fetch;
	struct held_bytes *plain = NULL;
	struct directory *dir = NULL;
	struct dm_err err;

	if (flight_verify(fl, codec, &plain, &dir, &err) == 0) {
		finish(fl, plain, dir, NULL);
	} else {
		if (err.code == DM_CORRUPT)
			say_bad(f, fl);
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
	struct dm_err err;

	if (atomic_load(&f->stopping))
		return -1;
	atomic_fetch_add(&f->fetched, size);
	if (t->moving) {
		t->no_memory =
		    dm_buf_append(&t->flight[0]->moved, data, size, &err) < 0;
		t->flight[0]->from |= t->from;
		return t->no_memory ? -1 : 0;
	}
	while (size > 0 && t->cur < t->n) {
		struct flight *fl = t->flight[t->cur];

		if (t->pos >= fl->off)
			fl->from |= t->from;
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
	else if (t->moving)
		moved_came(t);
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

static void
join_locked(struct fetch *f, struct flight *fl, struct cache_wait *w)
{
	flight_join(&f->flights, fl, w);
	if (fl->queued != NULL && fl->queued->deadline_ms < w->deadline_ms)
		fl->queued->deadline_ms = w->deadline_ms;
	promote_locked(f, fl->queued);
	if (w->deadline_ms + FLIGHT_GRACE_MS < f->sweep_at) {
		f->sweep_at = w->deadline_ms + FLIGHT_GRACE_MS;
		pthread_cond_signal(&f->sooner);
	}
}

/* Put flights for the range into the table and one transfer into a queue: with
 * deadline_ms 0 that of what nobody waits for.  NULL: no memory. */
static struct transfer *
queue_locked(struct fetch *f, const struct fetch_want *want,
    struct turn_range *r, uint64_t deadline_ms)
{
	const struct plan *plan = r->plan;
	struct transfer *t =
	    calloc(1, sizeof(*t) + (r->hi - r->lo) * sizeof(struct flight *));

	if (t == NULL)
		return NULL;
	t->fetch = f;
	t->deadline_ms = deadline_ms;
	for (uint32_t i = r->lo; i < r->hi; i++) {
		struct flight *fl;

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
		if (r->turn != NULL) {
			fl->turn = r->turn[i - r->lo];
			r->turn[i - r->lo].files = NULL;
		}
		flight_add(&f->flights, fl);
		t->flight[t->n++] = fl;
		t->cost += fl->cost;
	}
	if (t->n == 0) {
		free(t);
		return NULL;
	}
	t->off = t->pos = t->flight[0]->off;
	t->size = t->flight[t->n - 1]->off + t->flight[t->n - 1]->size - t->off;
	transfer_push(deadline_ms == 0 ? &f->ahead : &f->demand, t);
	return t;
}

static void
skip_in_flight_locked(struct fetch *f, struct plan *p, struct blob *b)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (!p->skip[i] &&
		    flight_find(&f->flights, b, p->first + i, 0, 0) != NULL)
			p->skip[i] = 1;
}

static uint64_t
cost_max(const struct fetch *f)
{
	return f->budget / 4;
}

/* Wait for what another process fetches. */
static struct flight *
watch_locked(struct fetch *f, const struct fetch_want *want,
    struct turn_range *r, uint32_t at)
{
	struct flight *fl = r->plan == NULL ?
	    flight_new(f, want, FETCH_DIR, NULL) :
	    flight_new(f, want, want->piece, &r->plan->object[at]);

	if (fl == NULL)
		return NULL;
	fl->cost = 0;
	watch_begin(&f->turns, &fl->watch, r, at, want->piece);
	flight_add(&f->flights, fl);
	fl->watched = f->watched;
	f->watched = fl;
	pthread_cond_signal(&f->sooner);
	return fl;
}

/* Which pieces to fetch for the one that is wanted. */
static void
choose_locked(struct fetch *f, const struct fetch_want *want,
    struct turn_range *r)
{
	struct plan *plan = r->plan;
	uint32_t at = want->piece - plan->first;
	struct stream *s =
	    stream_of(&f->streams, want->blob, want->piece, PLAN_MOST);

	plan->skip[at] = 0; /* whatever the map claims */
	skip_in_flight_locked(f, plan, want->blob);
	if (s->window == 0)
		s->window = plan_first(&plan->object[at], f->walked);
	f->walked = f->walked || plan->object[at].kind != OBJECT_DATA;
	plan_range(plan, at, s->window, cost_max(f), s->next == 0, &r->lo,
	    &r->hi);
	if (s->window < PLAN_MISS)
		s->window = PLAN_MISS / 2;
	s->next = plan->first + r->hi;
}

/* The map claims what the reader did not find: it may have come in between. */
static bool
first_doubt(const struct fetch_want *want, struct cache_wait *wait)
{
	bool first =
	    wait->doubted_blob != want->blob || wait->doubted != want->piece;

	wait->doubted_blob = want->blob;
	wait->doubted = want->piece;
	return first;
}

/* Start a fetch of the piece and what is worth fetching along, or watch who
 * does.  1; 0: look again; -1: no memory. */
static int
begin_locked(struct fetch *f, const struct fetch_want *want,
    struct turn_range *r, struct cache_wait *wait, struct flight **out)
{
	uint32_t at = 0;
	bool trusted = true;
	int ours;

	if (r->plan != NULL) {
		at = want->piece - r->plan->first;
		trusted = !r->plan->skip[at];
		if (!trusted && first_doubt(want, wait))
			return 0;
		choose_locked(f, want, r);
	}
	ours = turn_take_range(&f->turns, r, at, trusted);
	if (ours == 0)
		return 0;
	if (ours < 0)
		*out = watch_locked(f, want, r, at);
	else if (queue_locked(f, want, r, wait->deadline_ms) != NULL)
		*out = flight_find(&f->flights, want->blob, want->piece,
		    want->dir_off, want->dir_len);
	return *out == NULL ? -1 : 1;
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
start_locked(struct fetch *f, const struct fetch_want *want,
    struct turn_range *r, struct cache_wait *wait, struct dm_err *err)
{
	struct flight *fl;
	int begun = 1;

	if (f->stopping)
		return dm_fail(err, DM_CANCELLED, "the cache is closing");
	fl = flight_find(&f->flights, want->blob, want->piece, want->dir_off,
	    want->dir_len);
	if (fl == NULL && blob_finished(want->blob) != want->finished)
		return 0;
	if (fl == NULL)
		begun = begin_locked(f, want, r, wait, &fl);
	if (begun == 0) {
		wait->looks++;
		return 0;
	}
	if (begun < 0)
		return dm_fail(err, DM_NOMEM, "fetch a piece");
	join_locked(f, fl, wait);
	return dm_fail(err, DM_AGAIN, "not here yet");
}

int
fetch_start(struct fetch *f, const struct fetch_want *want,
    struct cache_wait *wait, struct dm_err *err)
{
	struct plan plan = { 0 };
	struct turn_range range = {
		.blob = want->blob,
		.dir_off = want->dir_off,
		.hi = 1,
	};
	int rc;

	if (check_want(want, err) < 0)
		return -1;
	if (want->piece != FETCH_DIR) {
		range.plan = &plan;
		if (look_around(&plan, want, err) < 0) {
			plan_release(&plan);
			return -1;
		}
	}
	if (wait->looks < LOOKS_MAX)
		range.files = blob_files(want->blob);
	dm_lock(&f->mu);
	rc = start_locked(f, want, &range, wait, err);
	dm_unlock(&f->mu);
	turn_range_end(&range);
	files_put(range.files);
	plan_release(&plan);
	pump(f);
	return rc;
}

/* Queue the missing runs of a plan; false when there is no more room. */
static bool
ahead_locked(struct fetch *f, const struct fetch_want *want, struct plan *plan,
    struct files *files)
{
	struct turn_range r = {
		.blob = want->blob, .plan = plan, .files = files
	};

	skip_in_flight_locked(f, plan, want->blob);
	for (uint32_t i = 0; i < plan->n; i = r.hi) {
		bool queued = true;

		r.hi = i + 1;
		if (plan->skip[i] || plan->object[i].stored_size == 0)
			continue;
		if (f->stopping || f->used + f->ahead.cost > f->budget / 2)
			return false;
		plan_range(plan, i, PLAN_MOST, cost_max(f), false, &r.lo,
		    &r.hi);
		if (turn_take_range(&f->turns, &r, i, true) > 0)
			queued = queue_locked(f, want, &r, 0) != NULL;
		else
			r.hi = i + 1;
		turn_range_end(&r);
		if (!queued)
			return false;
	}
	return true;
}

static void
directory_ahead(struct fetch *f, const struct fetch_want *want,
    struct files *files)
{
	struct turn_range r = {
		.blob = want->blob,
		.files = files,
		.dir_off = want->dir_off,
		.hi = 1,
	};

	dm_lock(&f->mu);
	if (!f->stopping && blob_finished(want->blob) == want->finished &&
	    flight_find(&f->flights, want->blob, FETCH_DIR, want->dir_off,
		want->dir_len) == NULL &&
	    turn_take_range(&f->turns, &r, 0, true) > 0)
		(void)queue_locked(f, want, &r, 0); /* droppable */
	dm_unlock(&f->mu);
	turn_range_end(&r);
}

void
fetch_ahead(struct fetch *f, const struct fetch_want *want, uint32_t n)
{
	bool more = want->piece != FETCH_DIR;
	struct files *files;
	struct plan plan;
	struct dm_err err;

	if (check_want(want, &err) < 0)
		return;
	files = blob_files(want->blob);
	if (want->piece == FETCH_DIR)
		directory_ahead(f, want, files);
	for (uint32_t done = 0; more && done < n; done += PLAN_PIECES) {
		uint32_t some = n - done < PLAN_PIECES ? n - done : PLAN_PIECES;

		if (!plan_init(&plan, want->dir, want->blob, want->piece + done,
			some))
			break;
		dm_lock(&f->mu);
		more = ahead_locked(f, want, &plan, files);
		dm_unlock(&f->mu);
		plan_release(&plan);
	}
	files_put(files);
	pump(f);
}

/* ---- other processes ---- */

/* Readers whose watch is over, to be woken; those of a flight that nobody
 * waits for any more are none. */
static struct cache_wait *
watch_all_locked(struct fetch *f)
{
	struct cache_wait *list = NULL;

	for (struct flight **p = &f->watched, *fl; (fl = *p) != NULL;) {
		if (fl->waits != NULL &&
		    !watch_is_over(&f->turns, &fl->watch)) {
			p = &fl->watched;
			continue;
		}
		*p = fl->watched;
		flight_remove(&f->flights, fl);
		flight_collect(&list,
		    flight_take(&f->flights, fl, NULL, NULL, NULL));
		flight_free(fl);
	}
	return list;
}

/* ---- deadlines ---- */

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
	for (size_t i = 0; f->flights.waiting > 0 && i < FLIGHT_BUCKETS; i++) {
		for (struct flight *fl = f->flights.bucket[i]; fl != NULL;
		     fl = fl->chain) {
			flight_expire(&f->flights, fl, &f->sweep_at, &list);
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

static void
sleep_locked(struct fetch *f) DM_REQUIRES(f->mu)
{
	uint64_t until = f->sweep_at;
	bool watching = f->watched != NULL;

	if (watching && dm_now_ms() + TURN_WATCH_MS < until)
		until = dm_now_ms() + TURN_WATCH_MS;
	while (!f->stopping && dm_now_ms() < until && until <= f->sweep_at &&
	    (f->watched != NULL) == watching)
		(void)dm_cond_wait_until(&f->sooner, &f->mu, until);
}

static void *
sweep(void *arg)
{
	struct fetch *f = arg;
	char say[DM_ERR_TEXT];

	dm_lock(&f->mu);
	while (!f->stopping) {
		struct cache_wait *list = watch_all_locked(f);

		say[0] = '\0';
		if (dm_now_ms() >= f->sweep_at)
			flight_collect(&list, sweep_locked(f, say));
		dm_unlock(&f->mu);
		flight_wake(list);
		if (say[0] != '\0')
			dm_log(DM_LOG_WARN, "fetch", "%s", say);
		dm_lock(&f->mu);
		sleep_locked(f);
	}
	dm_unlock(&f->mu);
	return NULL;
}

void
fetch_cancel(struct fetch *f, struct cache_wait *wait)
{
	bool waited;

	dm_lock(&f->mu);
	waited = flight_cancel(&f->flights, wait);
	dm_unlock(&f->mu);
	if (waited)
		flight_wake(wait);
}

/* ---- open and close ---- */

static void
fetch_free(struct fetch *f)
{
	pool_close(f->pool);
	moved_table_free(f->moved);
	pthread_cond_destroy(&f->sooner);
	dm_mutex_destroy(&f->mu);
	free(f);
}

int
fetch_open(struct fetch **out, uint64_t memory, struct dm_err *err)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return dm_fail(err, DM_NOMEM, "cache");
	f->budget = memory;
	f->moved = moved_table_new();
	transfer_queue_init(&f->demand);
	transfer_queue_init(&f->ahead);
	dm_mutex_init(&f->mu, DM_RANK_FETCH);
	dm_cond_init(&f->sooner);
	if (f->moved == NULL) {
		fetch_free(f);
		return dm_fail(err, DM_NOMEM, "cache");
	}
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

struct moved_table *
fetch_moved(const struct fetch *f)
{
	return f->moved;
}

void
fetch_stop(struct fetch *f)
{
	struct cache_wait *list = NULL;
	struct dm_err err;

	(void)dm_fail(&err, DM_CANCELLED, "the cache is closing");
	dm_lock(&f->mu);
	f->stopping = true;
	for (size_t i = 0; i < FLIGHT_BUCKETS; i++) {
		for (struct flight *fl = f->flights.bucket[i]; fl != NULL;
		     fl = fl->chain) {
			flight_collect(&list,
			    flight_take(&f->flights, fl, NULL, NULL, &err));
		}
		f->flights.bucket[i] = NULL;
	}
	for (struct flight *fl; (fl = f->watched) != NULL;) {
		f->watched = fl->watched;
		flight_free(fl);
	}
	transfer_empty(&f->demand);
	transfer_empty(&f->ahead);
	pthread_cond_signal(&f->sooner);
	dm_unlock(&f->mu);
	flight_wake(list);
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
		.waited = f->flights.waited,
		.fetched = atomic_load(&f->fetched),
		.wasted = atomic_load(&f->wasted),
		.bad = atomic_load(&f->bad),
		.waiting = f->flights.waiting,
	};
	dm_unlock(&f->mu);
}
