/* cache/pool.h - a few threads that decompress and hash. */
#ifndef DM_CACHE_POOL_H
#define DM_CACHE_POOL_H

#include <stdbool.h>

#include "cache/base/attr.h"

struct codec;
struct dm_err;

/*
 * Jobs run in the order in which they were added, each on some thread of the
 * pool, with that thread's codec.  Locks itself (DM_RANK_POOL) and runs jobs
 * unlocked.
 */
struct pool;

struct pool_job {
	struct pool_job *next; /* the pool's */
	void (*run)(struct pool_job *job, struct codec *codec);
	void (*drop)(struct pool_job *job); /* instead of run, at the end */
};

int pool_open(struct pool **out, struct dm_err *err) DM_MUST_CHECK;

/* False: the pool has stopped; the job is still the caller's. */
bool pool_add(struct pool *p, struct pool_job *job);

/* Join the threads and drop what they did not begin. */
void pool_stop(struct pool *p);

/* Stop, and free; NULL is fine. */
void pool_close(struct pool *p);

#endif
