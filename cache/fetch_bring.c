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

enum {
	RUN_MOST = 4 << 20, /* bytes of one request: a reader may come for one
			     * of its pieces */
	RUN_GAP = 1 << 20,  /* of what nobody asked for, at a time, */
	RUN_OTHERS = 8,     /* and in all, for each byte that is wanted */
};

/* Ordinals, ascending; done: looked at. */
struct list {
	const uint32_t *ordinal;
	uint32_t n, done;
};

/* What is to be brought, seen through a plan. */
struct bring {
	const struct fetch_want *want;
	struct plan *plan;
	struct files *files;
	uint8_t *wanted; /* of each index */
	uint8_t *absent; /* neither here nor on its way */
};

/* Where the run from index i on ends: it reaches over what is not wanted while
 * that costs less than another request, and is not most of it. */
static uint32_t
end_of_run(const struct bring *b, uint32_t i, uint64_t cost_max)
{
	uint64_t wanted = 0, others = 0, gap = 0, cost = 0;
	uint32_t end = i + 1;

	for (; i < b->plan->n; i++) {
		const struct pack_object *o = &b->plan->object[i];

		cost += plan_cost(o);
		if (wanted + others + gap + o->stored_size > RUN_MOST ||
		    cost > cost_max)
			break;
		if (b->plan->skip[i]) {
			gap += o->stored_size;
			if (gap > RUN_GAP ||
			    others + gap > PLAN_GAP + RUN_OTHERS * wanted)
				break;
			continue;
		}
		wanted += o->stored_size;
		others += gap;
		gap = 0;
		end = i + 1;
	}
	return end;
}

/* What lies in a run and is not here is kept, if it has to come anyway. */
static void
take_along(const struct bring *b, const struct turn_range *r)
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
	struct turn_range r = {
		.blob = b->want->blob, .plan = plan, .files = b->files
	};
	bool any = false;

	fetch_skip_in_flight_locked(f, plan, b->want->blob);
	for (uint32_t i = 0; i < plan->n; i++) {
		b->absent[i] = !plan->skip[i];
		plan->skip[i] |= !b->wanted[i];
	}
	for (uint32_t i = 0; i < plan->n; i = r.hi) {
		r.hi = i + 1;
		if (plan->skip[i])
			continue;
		if (any && !fetch_has_room_locked(f, TRANSFER_BACKGROUND))
			return i;
		any = true;
		r.lo = i;
		r.hi = end_of_run(b, i, fetch_cost_max(f));
		take_along(b, &r);
		if (!fetch_run_locked(f, b->want, &r, TRANSFER_BACKGROUND))
			return i + 1;
	}
	return plan->n;
}

/* Look at some more of the list.  False: there is no room for what follows. */
static bool
look_on(struct fetch *f, const struct bring *b, struct list *l)
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

/* The same, with its plan.  1, 0 if there is no room, or -1. */
static int
bring_some(struct fetch *f, const struct fetch_want *want, struct list *l,
    struct dm_err *err)
{
	uint32_t first = l->ordinal[l->done];
	uint32_t n = l->ordinal[l->n - 1] - first;
	struct plan plan;
	struct bring b = { .want = want, .plan = &plan };
	bool room;

	if (plan_init(&plan, want->dir, want->blob, first,
		n < PLAN_PIECES ? n + 1 : PLAN_PIECES, err) < 0)
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
    const struct list *l, struct cache_wait *wait, struct dm_err *err)
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
    const uint32_t *ordinal, uint32_t n, uint32_t *done,
    struct cache_wait *wait, struct dm_err *err)
{
	struct list l = { .ordinal = ordinal, .n = n, .done = *done };
	int rc;

	do {
		rc = 1;
		while (rc > 0 && l.done < n)
			rc = bring_some(f, want, &l, err);
		courier_pump(f);
		if (rc >= 0)
			rc = attend_last(f, want, &l, wait, err);
	} while (rc == 0 && l.done < n);
	*done = l.done;
	return rc;
}
