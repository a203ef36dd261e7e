/* cache/plan.h - which neighbours of a missing piece are worth fetching along.
 */
#ifndef DM_CACHE_PLAN_H
#define DM_CACHE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/pack/pack_dir.h"

struct blob;
struct directory;
struct dm_err;

enum {
	PLAN_MISS = 1 << 20,    /* stored bytes of a first miss */
	PLAN_ROOT = 16 << 10,   /* of the first piece of a tree, beside it */
	PLAN_MOST = 8 << 20,    /* of a sequential reader's window */
	PLAN_AHEAD = 16 << 20,  /* of what is fetched ahead of one */
	PLAN_GAP = 64 << 10,    /* of pieces that are here, fetched over */
	PLAN_LARGE = 128 << 10, /* a piece from this size on comes alone */
	PLAN_PIECES = 4096,     /* in each direction: all of a pack of trees */
};

/* Some pieces of a pack, in order. */
struct plan {
	uint32_t first, n;
	struct pack_object *object;
	uint8_t *skip; /* here already, or on its way */
};

/* Look at pieces first to first + n - 1 (fewer at the pack's end).
 * DM_CORRUPT: there is no such piece.  DM_STALE: the directory's file has
 * changed, and the blob does not keep it any more; ask it again.  DM_NOMEM. */
int plan_init(struct plan *p, struct directory *dir, struct blob *blob,
    uint32_t first, uint32_t n, struct dm_err *err) DM_MUST_CHECK;
void plan_release(struct plan *p);

/* How many pieces a window of so many bytes may hold, guessed. */
uint32_t plan_guess(const struct directory *dir, uint64_t window);

/* Memory that a piece takes while it is fetched. */
uint64_t plan_cost(const struct pack_object *o);

/*
 * The window of a reader's first miss.  The first piece of a tree that a
 * process asks for is a root, to mount it, and often no other follows: so
 * that costs as little for a large version as for a small one.  After that
 * (walked) neighbours are wanted.  Small files of a pack of which some were
 * missed before, here and there, are wanted all, it seems: the window doubles
 * with each miss.  Pure.
 */
uint32_t plan_first(const struct pack_object *o, bool walked, unsigned misses);

/*
 * The range of indexes [*lo, *hi) to fetch so that piece number at (an index)
 * comes: forwards, then, with back, backwards, over pieces that are not to be
 * skipped, and small gaps of others, while window (stored bytes) and cost_max
 * hold.  Pure.
 */
void plan_range(const struct plan *p, uint32_t at, uint64_t window,
    uint64_t cost_max, bool back, uint32_t *lo, uint32_t *hi);

#endif
