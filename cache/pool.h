/* cache/pool.h - a few threads that decompress and hash. */
#ifndef DM_CACHE_POOL_H
#define DM_CACHE_POOL_H

#include <stdbool.h>

#include "cache/base/attr.h"

struct codec;
struct dm_err;

/*
 * Jobs run in the order in which they were added, each on some thread of the
 * pool, with that thread's codec.  Neighbours of one group that lie there
 * together run together.  Locks itself (DM_RANK_POOL) and runs jobs unlocked.
 */
struct pool;

enum { POOL_RUN = 32 }; /* jobs that run together at most */

struct pool_job {
	struct pool_job *next; /* the pool's, until they run */
	const void *group;     /* NULL: it runs alone */
	/* list: this one, and others of its group */
	void (*run)(struct pool_job *list, struct codec *codec);
	void (*drop)(struct pool_job *job); /* instead of run, at the end */
};

int pool_open(struct pool **out, struct dm_err *err) DM_MUST_CHECK;

/* Add a list of jobs.  False: the pool has stopped; they are still the
 * caller's. */
bool pool_add(struct pool *p, struct pool_job *list);

/* Join the threads and drop what they did not begin. */
void pool_stop(struct pool *p);

/* Stop, and free; NULL is fine. */
void pool_close(struct pool *p);

#endif
