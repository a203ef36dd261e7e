/*
 * Which pieces a miss brings along, and the table of what is on its way.
 * fetch_state.h says what the other parts do.
 */
#include "cache/fetch.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/cache.h"
#include "cache/courier.h"
#include "cache/fetch_state.h"
#include "cache/landing.h"
#include "cache/moved_table.h"
#include "cache/plan.h"
#include "cache/pool.h"
#include "cache/store/blob.h"
#include "cache/store/directory.h"
#include "cache/sweeper.h"

enum { LOOKS_MAX = 1000 }; /* at what others fetch; then we fetch it anyway */

/* ---- flights ---- */

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
	fl->job.run = landing_check;
	fl->job.drop = drop_job;
	fl->fetch = f;
	fl->origin = w->origin;
	fl->blob = w->blob;
	fl->pack = *blob_key(w->blob);
	fl->piece = piece;
	fl->attempt = ORIGIN_CACHED;
	if (piece == FETCH_DIR) {
		fl->tail =
		    w->tail < w->dir_off ? w->tail : (uint32_t)w->dir_off;
		fl->off = w->dir_off - fl->tail;
		fl->size = fl->tail + w->dir_len;
		fl->cost = fl->size;
	} else {
		fl->object = *o;
		fl->job.group = o->plain_size <= BLOB_SMALL ? w->blob : NULL;
		fl->off = o->stored_off;
		fl->size = o->stored_size;
		fl->cost = plan_cost(o);
	}
	return fl;
}

/* Somebody waits now for what was to be fetched ahead. */
static void
promote_locked(struct fetch *f, struct transfer *t)
{
	if (t == NULL || t->class == TRANSFER_DEMAND)
		return;
	transfer_unlink(&f->queue[t->class], t);
	t->class = TRANSFER_DEMAND;
	transfer_push(&f->queue[TRANSFER_DEMAND], t);
}

/* ---- starting ---- */

/* What brings it; or what asks where the objects of its pack are, since that
 * is gone: it is not asked for again meanwhile. */
static struct flight *
find_locked(struct fetch *f, const struct fetch_want *want)
{
	struct flight *fl = flight_find(&f->flights, want->blob, want->piece,
	    want->dir_off, want->dir_len);

	return fl != NULL ?
	    fl :
	    flight_find(&f->flights, want->blob, FETCH_MOVED, 0, 0);
}

/* Without any hurry. */
void
fetch_attend_locked(struct fetch *f, struct flight *fl, struct cache_wait *w)
{
	flight_join(&f->flights, fl, w);
	if (w->deadline_ms + FLIGHT_GRACE_MS < f->sweep_at) {
		f->sweep_at = w->deadline_ms + FLIGHT_GRACE_MS;
		pthread_cond_signal(&f->sooner);
	}
}

static void
join_locked(struct fetch *f, struct flight *fl, struct cache_wait *w)
{
	fetch_attend_locked(f, fl, w);
	if (fl->queued != NULL && fl->queued->deadline_ms < w->deadline_ms)
		fl->queued->deadline_ms = w->deadline_ms;
	promote_locked(f, fl->queued);
}

/* Put flights for the range into the table and one transfer into the queue of
 * its class; deadline_ms 0: nobody waits.  NULL: no memory. */
static struct transfer *
queue_locked(struct fetch *f, const struct fetch_want *want,
    struct turn_range *r, enum transfer_class class, uint64_t deadline_ms)
{
	const struct plan *plan = r->plan;
	struct transfer *t =
	    calloc(1, sizeof(*t) + (r->hi - r->lo) * sizeof(struct flight *));

	if (t == NULL)
		return NULL;
	t->fetch = f;
	t->class = class;
	t->deadline_ms = deadline_ms;
	for (uint32_t i = r->lo; i < r->hi; i++) {
		struct flight *fl;

		if (plan != NULL && plan->skip[i])
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
	transfer_push(&f->queue[class], t);
	return t;
}

void
fetch_skip_in_flight_locked(struct fetch *f, struct plan *p, struct blob *b)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (!p->skip[i] &&
		    flight_find(&f->flights, b, p->first + i, 0, 0) != NULL)
			p->skip[i] = 1;
}

uint64_t
fetch_cost_max(const struct fetch *f)
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

	bool fresh = s->window == 0;

	plan->skip[at] = 0; /* whatever the map claims */
	fetch_skip_in_flight_locked(f, plan, want->blob);
	if (fresh)
		s->window = plan_first(&plan->object[at], f->walked,
		    stream_misses(&f->streams, want->blob));
	f->walked = f->walked || plan->object[at].kind != OBJECT_DATA;
	plan_range(plan, at, s->window, fetch_cost_max(f), fresh, &r->lo,
	    &r->hi);
	if (s->window < PLAN_MISS)
		s->window = PLAN_MISS / 2;
	if (fresh && s->window > PLAN_MISS)
		s->window = PLAN_MISS;
	s->next = plan->first + r->hi;
	if (!fresh)
		stream_set_mark(&f->streams, s, want->piece);
}

/* The disk claims what the reader did not find: it may have come in between. */
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
	bool trusted;
	int ours;

	if (r->plan == NULL) {
		trusted = first_doubt(want, wait);
	} else {
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
	else if (queue_locked(f, want, r, TRANSFER_DEMAND, wait->deadline_ms) !=
	    NULL)
		*out = find_locked(f, want);
	return *out == NULL ? -1 : 1;
}

int
fetch_check_want(const struct fetch_want *want, struct dm_err *err)
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

	return plan_init(plan, want->dir, want->blob, want->piece - back,
	    back + n, err);
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
	fl = find_locked(f, want);
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

	if (fetch_check_want(want, err) < 0)
		return -1;
	if (want->piece != FETCH_DIR) {
		range.plan = &plan;
		if (look_around(&plan, want, err) < 0) {
			/* Its directory was removed: the reader finds that. */
			return err->code == DM_STALE &&
				wait->looks++ < LOOKS_MAX ?
			    0 :
			    -1;
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
	fetch_used(f, want);
	courier_pump(f);
	return rc;
}

/* For what nobody waits for. */
bool
fetch_has_room_locked(const struct fetch *f, enum transfer_class class)
{
	return !f->stopping && f->used + f->queue[class].cost <= f->budget / 2;
}

bool
fetch_run_locked(struct fetch *f, const struct fetch_want *want,
    struct turn_range *r, enum transfer_class class)
{
	uint32_t at = r->lo;
	int ours = turn_take_range(&f->turns, r, at, true);
	bool queued = true;

	if (ours > 0)
		queued = queue_locked(f, want, r, class, 0) != NULL;
	turn_range_end(r);
	if (ours <= 0)
		r->hi = ours < 0 ? turn_others_end(r, at) : at + 1;
	return queued;
}

/* Queue the missing runs of a plan while there is room. */
static void
ahead_locked(struct fetch *f, const struct fetch_want *want, struct plan *plan,
    struct files *files)
{
	struct turn_range r = {
		.blob = want->blob, .plan = plan, .files = files
	};

	fetch_skip_in_flight_locked(f, plan, want->blob);
	for (uint32_t i = 0; i < plan->n; i = r.hi) {
		r.hi = i + 1;
		if (plan->skip[i])
			continue;
		if (!fetch_has_room_locked(f, TRANSFER_AHEAD))
			return;
		plan_range(plan, i, PLAN_MOST, fetch_cost_max(f), false, &r.lo,
		    &r.hi);
		if (!fetch_run_locked(f, want, &r, TRANSFER_AHEAD))
			return;
	}
}

/* Pieces of the plan from its first on that hold so many stored bytes. */
static uint32_t
pieces_of(const struct plan *plan, uint64_t window)
{
	uint64_t bytes = 0;
	uint32_t n = 0;

	while (n < plan->n && bytes < window)
		bytes += plan->object[n++].stored_size;
	return n;
}

/* Queue the next window of the stream, unless another thread has.  Its first
 * piece, once used, asks for the one behind it: so there is always a window
 * between the reader and the end of what is asked for. */
static void
read_on_locked(struct fetch *f, const struct fetch_want *want,
    struct plan *plan, struct files *files)
{
	struct stream *s = stream_marked(&f->streams, want->blob, want->piece);

	if (s == NULL || s->next != plan->first ||
	    !fetch_has_room_locked(f, TRANSFER_AHEAD))
		return;
	s->window = s->window >= PLAN_AHEAD / 2 ? PLAN_AHEAD : s->window * 2;
	plan->n = pieces_of(plan, s->window);
	stream_set_mark(&f->streams, s, plan->first);
	s->next = plan->first + plan->n;
	ahead_locked(f, want, plan, files);
}

/* Where the stream that the piece belongs to goes on; false: nowhere. */
static bool
next_of(struct fetch *f, const struct fetch_want *want, uint32_t *next)
{
	struct stream *s;

	dm_lock(&f->mu);
	s = stream_marked(&f->streams, want->blob, want->piece);
	if (s != NULL)
		*next = s->next;
	if (s != NULL && s->next >= directory_count(want->dir)) {
		stream_set_mark(&f->streams, s, STREAM_NO_MARK);
		s = NULL;
	}
	dm_unlock(&f->mu);
	return s != NULL;
}

void
fetch_used(struct fetch *f, const struct fetch_want *want)
{
	struct files *files;
	struct plan plan;
	struct dm_err err;
	uint32_t next;

	if (want->dir == NULL || want->piece == FETCH_DIR ||
	    !stream_is_due(&f->streams, want->blob, want->piece) ||
	    !next_of(f, want, &next) ||
	    plan_init(&plan, want->dir, want->blob, next,
		plan_guess(want->dir, PLAN_AHEAD), &err) < 0)
		return;
	files = blob_files(want->blob);
	dm_lock(&f->mu);
	read_on_locked(f, want, &plan, files);
	dm_unlock(&f->mu);
	plan_release(&plan);
	files_put(files);
	courier_pump(f);
}

bool
fetch_directory_ahead(struct fetch *f, const struct fetch_want *want,
    enum transfer_class class, struct cache_wait *wait)
{
	struct turn_range r = {
		.blob = want->blob,
		.files = blob_files(want->blob),
		.dir_off = want->dir_off,
		.hi = 1,
	};
	struct flight *fl;
	int ours = 0;

	dm_lock(&f->mu);
	fl = find_locked(f, want);
	if (fl == NULL && !f->stopping &&
	    blob_finished(want->blob) == want->finished)
		ours = turn_take_range(&f->turns, &r, 0, true);
	if (ours > 0 && queue_locked(f, want, &r, class, 0) != NULL)
		fl = find_locked(f, want);
	if (ours < 0 && wait != NULL)
		fl = watch_locked(f, want, &r, 0);
	if (fl != NULL && wait != NULL)
		fetch_attend_locked(f, fl, wait);
	dm_unlock(&f->mu);
	turn_range_end(&r);
	files_put(r.files);
	courier_pump(f);
	return fl != NULL;
}

/* Begin a stream that comes to the piece, unless there is one. */
static void
expect_piece(struct fetch *f, const struct fetch_want *want)
{
	struct stream *s;
	bool begun;

	dm_lock(&f->mu);
	begun = !stream_is_in(&f->streams, want->blob);
	if (begun) {
		s = stream_of(&f->streams, want->blob, want->piece, PLAN_MOST);
		s->window = 2 * PLAN_MISS;
		s->next = want->piece;
		stream_set_mark(&f->streams, s, want->piece);
	}
	dm_unlock(&f->mu);
	if (begun)
		fetch_used(f, want);
}

void
fetch_expect(struct fetch *f, const struct fetch_want *want)
{
	struct dm_err err;

	if (fetch_check_want(want, &err) < 0)
		return;
	if (want->piece != FETCH_DIR)
		expect_piece(f, want);
	else
		(void)fetch_directory_ahead(f, want, TRANSFER_AHEAD, NULL);
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

void
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
	for (int i = 0; i < TRANSFER_CLASSES; i++)
		transfer_queue_init(&f->queue[i]);
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
	if (pthread_create(&f->sweeper, NULL, sweeper_main, f) != 0) {
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
	for (int i = 0; i < TRANSFER_CLASSES; i++)
		transfer_empty(&f->queue[i]);
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
