#include "cache/plan.h"

#include <stdlib.h>

#include "cache/base/err.h"
#include "cache/store/blob.h"
#include "cache/store/directory.h"

int
plan_init(struct plan *p, struct directory *dir, struct blob *blob,
    uint32_t first, uint32_t n, struct dm_err *err)
{
	uint32_t count = directory_count(dir);
	int rc = 0;

	if (first >= count)
		return dm_fail(err, DM_CORRUPT, "the pack has no object %u",
		    first);
	if (n > count - first)
		n = count - first;
	*p = (struct plan){ .first = first, .n = n };
	p->object = malloc(n * sizeof(*p->object));
	p->skip = malloc(n);
	if (p->object == NULL || p->skip == NULL) {
		rc = dm_fail(err, DM_NOMEM, "neighbours of a piece");
	} else if (!directory_objects(dir, first, n, p->object)) {
		blob_cool(blob, false, true);
		rc = dm_fail(err, DM_STALE, "the pack's directory has changed");
	}
	if (rc < 0)
		plan_release(p);
	else
		blob_claims(blob, first, n, p->skip);
	return rc;
}

void
plan_release(struct plan *p)
{
	free(p->object);
	free(p->skip);
	*p = (struct plan){ 0 };
}

uint32_t
plan_guess(const struct directory *dir, uint64_t window)
{
	uint64_t count = directory_count(dir);
	uint64_t mean = directory_plain_size(dir) / (count == 0 ? 1 : count);
	uint64_t n = 16 + 2 * window / (mean == 0 ? 1 : mean);

	return n > PLAN_PIECES ? PLAN_PIECES : (uint32_t)n;
}

uint64_t
plan_cost(const struct pack_object *o)
{
	return o->codec == PACK_PLAIN ?
	    o->stored_size :
	    (uint64_t)o->stored_size + o->plain_size;
}

uint32_t
plan_first(const struct pack_object *o, bool walked, unsigned misses)
{
	uint32_t window = PLAN_MISS;

	if (o->kind != OBJECT_DATA && !walked)
		return o->stored_size + PLAN_ROOT;
	if (o->stored_size >= PLAN_LARGE)
		return o->stored_size;
	while (o->kind == OBJECT_DATA && misses-- > 0 && window < PLAN_MOST)
		window *= 2;
	return window;
}

/* What a range has taken up so far. */
struct taken {
	uint64_t bytes, gap, cost;
	uint64_t window, cost_max;
};

/* Look at the next piece in a direction: false ends the range before it;
 * *taken says whether the range now reaches to it. */
static bool
step(const struct plan *p, uint32_t i, struct taken *t, bool *reached)
{
	uint64_t size = p->object[i].stored_size;

	*reached = false;
	if (p->skip[i]) {
		t->gap += size;
		return t->gap <= PLAN_GAP;
	}
	if (t->bytes + t->gap + size > t->window ||
	    t->cost + plan_cost(&p->object[i]) > t->cost_max)
		return false;
	t->bytes += t->gap + size;
	t->cost += plan_cost(&p->object[i]);
	t->gap = 0;
	*reached = true;
	return true;
}

void
plan_range(const struct plan *p, uint32_t at, uint64_t window,
    uint64_t cost_max, bool back, uint32_t *lo, uint32_t *hi)
{
	struct taken t = {
		.bytes = p->object[at].stored_size,
		.cost = plan_cost(&p->object[at]),
		.window = window,
		.cost_max = cost_max,
	};
	bool reached;

	*lo = at;
	*hi = at + 1;
	for (uint32_t i = at + 1; i < p->n && step(p, i, &t, &reached); i++)
		if (reached)
			*hi = i + 1;
	t.gap = 0;
	for (uint32_t i = at; back && i > 0 && step(p, i - 1, &t, &reached);
	     i--)
		if (reached)
			*lo = i - 1;
}
