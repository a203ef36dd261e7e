/* Pieces here and there in a pack, for nobody who waits. */
#include <stdlib.h>

#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/cache.h"
#include "cache/courier.h"
#include "cache/fetch.h"
#include "cache/fetch_state.h"
#include "cache/plan.h"
#include "cache/store/blob.h"
#include "cache/store/directory.h"

enum {
	RUN_MOST = 4 << 20,   /* bytes of one request: a reader may come for one
			       * of its pieces */
	RUN_GAP = 1 << 20,    /* of what nobody asked for, at a time, */
	RUN_OTHERS = 8,       /* and in all, for each byte that is wanted */
	RUN_EDGE = 64,        /* pieces that are looked at beside these */
	RUN_SIDE = 256 << 10, /* bytes beside a run of what is wanted later */
};

/* What is to be brought, seen through a plan. */
struct bring {
	const struct fetch_want *want;
	struct plan *plan;
	struct files *files;
	bool others;     /* are wanted, too, later */
	uint8_t *wanted; /* of each index */
	uint8_t *absent; /* neither here nor on its way */
};

/* Indexes, and stored bytes of what is wanted of them. */
struct run {
	uint32_t lo, hi;
	uint64_t wanted;
};

/* The run from index i on: it reaches over what is not wanted while that costs
 * less than another request, and is not most of it. */
static struct run
run_from(const struct bring *b, uint32_t i, uint64_t cost_max)
{
	struct run r = { .lo = i, .hi = i + 1 };
	uint64_t others = 0, gap = 0, cost = 0;

	for (; i < b->plan->n; i++) {
		const struct pack_object *o = &b->plan->object[i];

		cost += plan_cost(o);
		if (r.wanted + others + gap + o->stored_size > RUN_MOST ||
		    cost > cost_max)
			break;
		if (b->plan->skip[i]) {
			gap += o->stored_size;
			if (gap > RUN_GAP ||
			    (!b->others &&
				others + gap >
				    PLAN_GAP + RUN_OTHERS * r.wanted))
				break;
			continue;
		}
		r.wanted += o->stored_size;
		others += gap;
		gap = 0;
		r.hi = i + 1;
	}
	return r;
}

/* Let the run reach, on both sides, to what is absent, small and lies near: of
 * what stays between two runs, each that a later list wants costs a request. */
static void
widen(const struct bring *b, struct run *r, uint32_t from)
{
	uint64_t most = r->wanted / 2 < RUN_GAP ? r->wanted / 2 : RUN_GAP;
	const struct pack_object *o = b->plan->object;
	uint64_t size = 0;

	if (b->others && most < RUN_SIDE)
		most = RUN_SIDE;
	for (uint32_t i = r->lo; i > from; i--) {
		size += o[i - 1].stored_size;
		if (size > most || o[i - 1].stored_size >= PLAN_LARGE)
			break;
		if (b->absent[i - 1])
			r->lo = i - 1;
	}
	size = 0;
	for (uint32_t i = r->hi; i < b->plan->n; i++) {
		size += o[i].stored_size;
		if (size > most || o[i].stored_size >= PLAN_LARGE)
			break;
		if (b->absent[i])
			r->hi = i + 1;
	}
}

/* What lies in a run and is not here is kept, if it has to come anyway. */
static void
take_along(const struct bring *b, const struct run *r)
{
	for (uint32_t i = r->lo; i < r->hi; i++)
		if (b->absent[i])
			b->plan->skip[i] = 0;
}

/* Queue runs of what is wanted and absent, always one, while there is room;
 * returns the index up to which that was done. */
static uint32_t
queue_runs_locked(struct fetch *f, const struct bring *b)
{
	struct plan *plan = b->plan;
	uint32_t from = 0;
	bool any = false;

	fetch_skip_in_flight_locked(f, plan, b->want->blob);
	for (uint32_t i = 0; i < plan->n; i++) {
		b->absent[i] = !plan->skip[i];
		plan->skip[i] |= !b->wanted[i];
	}
	for (uint32_t i = 0; i < plan->n; i++) {
		struct turn_range r = {
			.blob = b->want->blob, .plan = plan, .files = b->files
		};
		struct run run;

		if (i < from || plan->skip[i])
			continue;
		if (any && !fetch_has_room_locked(f, TRANSFER_BACKGROUND))
			return i;
		any = true;
		run = run_from(b, i, fetch_cost_max(f));
		widen(b, &run, from);
		take_along(b, &run);
		r.lo = run.lo;
		r.hi = run.hi;
		if (!fetch_run_locked(f, b->want, &r, TRANSFER_BACKGROUND))
			return i + 1;
		from = r.hi;
	}
	return plan->n;
}

/* Look at some more of the list.  False: there is no room for what follows. */
static bool
look_on(struct fetch *f, const struct bring *b, struct cache_lot *l)
{
	uint32_t first = b->plan->first, hi;

	for (uint32_t i = l->done;
	     i < l->n && l->ordinal[i] - first < b->plan->n; i++)
		b->wanted[l->ordinal[i] - first] = 1;
	dm_lock(&f->mu);
	hi = queue_runs_locked(f, b);
	dm_unlock(&f->mu);
	while (l->done < l->n && l->ordinal[l->done] - first < hi)
		l->done++;
	return hi == b->plan->n;
}

/* Plan for what is left of the list, and a little on both sides. */
static int
plan_list(struct plan *p, const struct fetch_want *want,
    const struct cache_lot *l, struct dm_err *err)
{
	uint32_t wanted = l->ordinal[l->done];
	uint32_t edge =
	    l->done > 0 ? wanted - l->ordinal[l->done - 1] - 1 : wanted;
	uint64_t n;

	if (wanted >= directory_count(want->dir))
		return dm_fail(err, DM_CORRUPT, "the pack has no object %u",
		    wanted);
	if (edge > RUN_EDGE)
		edge = RUN_EDGE;
	n = (uint64_t)l->ordinal[l->n - 1] - wanted + edge + 1 + RUN_EDGE;
	return plan_init(p, want->dir, want->blob, wanted - edge,
	    n < PLAN_PIECES ? (uint32_t)n : PLAN_PIECES, err);
}

/* The same, with its plan.  1, 0 if there is no room, or -1. */
static int
bring_some(struct fetch *f, const struct fetch_want *want, struct cache_lot *l,
    struct dm_err *err)
{
	struct plan plan;
	struct bring b = { .want = want, .plan = &plan, .others = l->others };
	bool room;

	if (plan_list(&plan, want, l, err) < 0)
		return -1;
	b.wanted = calloc(plan.n, 2);
	if (b.wanted == NULL) {
		plan_release(&plan);
		return dm_fail(err, DM_NOMEM, "pieces to bring");
	}
	b.absent = b.wanted + plan.n;
	b.files = blob_files(want->blob);
	room = look_on(f, &b, l);
	files_put(b.files);
	free(b.wanted);
	plan_release(&plan);
	return room;
}

/* Have wait woken by the last of what was looked at that is on its way.  -1:
 * DM_AGAIN, or stopping; 0: none is. */
static int
attend_last(struct fetch *f, const struct fetch_want *want,
    const struct cache_lot *l, struct cache_wait *wait, struct dm_err *err)
{
	struct flight *fl = NULL;
	bool stopping;

	dm_lock(&f->mu);
	stopping = f->stopping;
	for (uint32_t i = l->done; i-- > 0 && fl == NULL && !stopping;)
		fl = flight_find(&f->flights, want->blob, l->ordinal[i], 0, 0);
	if (fl != NULL)
		fetch_attend_locked(f, fl, wait);
	dm_unlock(&f->mu);
	if (stopping)
		return dm_fail(err, DM_CANCELLED, "the cache is closing");
	return fl != NULL ? dm_fail(err, DM_AGAIN, "not here yet") : 0;
}

int
fetch_bring_directory(struct fetch *f, const struct fetch_want *want,
    struct cache_wait *wait, struct dm_err *err)
{
	if (fetch_check_want(want, err) < 0)
		return -1;
	return fetch_directory_ahead(f, want, TRANSFER_BACKGROUND, wait) ?
	    dm_fail(err, DM_AGAIN, "not here yet") :
	    0;
}

int
fetch_bring(struct fetch *f, const struct fetch_want *want,
    struct cache_lot *lot, struct cache_wait *wait, struct dm_err *err)
{
	int rc;

	do {
		rc = 1;
		while (rc > 0 && lot->done < lot->n)
			rc = bring_some(f, want, lot, err);
		courier_pump(f);
		if (rc >= 0)
			rc = attend_last(f, want, lot, wait, err);
	} while (rc == 0 && lot->done < lot->n);
	return rc;
}
