/* cache/base/lock.h - mutexes that know their place. */
#ifndef DM_BASE_LOCK_H
#define DM_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"

/*
 * Every mutex class of the program, outermost first.  A thread that holds a
 * mutex may take only mutexes further down this list; dm_lock() aborts on the
 * first violation.
 */
enum dm_rank {
	DM_RANK_CREW,    /* fs/cmd: jobs for a crew */
	DM_RANK_REPORT,  /* fs/cmd: results of a crew */
	DM_RANK_PUBLISH, /* fs/publish: the queue of work */
	DM_RANK_SPOOL,   /* fs/publish: packs to be written */
	DM_RANK_VERSION, /* fs/version: decoded pages */
	DM_RANK_WORKER,  /* fs/mount: slots, requests that wait */
	DM_RANK_OPENS,   /* fs/mount: open files */
	DM_RANK_BLOBS,   /* cache/store: table of open blobs */
	DM_RANK_BLOB,    /* cache/store: one blob */
	DM_RANK_SHELF,   /* cache/store: the directory's state */
	DM_RANK_QUOTA,   /* cache/store: bytes taken and not yet used */
	DM_RANK_FETCH,   /* cache: table of fetches in flight */
	DM_RANK_POOL,    /* cache: jobs for the pool that hashes */
	DM_RANK_WAIT,    /* cache: one blocked caller */
	DM_RANK_INDEX,   /* cache/store: SQLite index */
	DM_RANK_NET,     /* cache/net: queue of transfers */
	DM_RANK_RUN,     /* fs/mount: requests to run again */
	DM_RANK_LOG,
};

struct DM_CAPABILITY("mutex") dm_mutex {
	pthread_mutex_t mutex;
	enum dm_rank rank;
};

void dm_mutex_init(struct dm_mutex *mu, enum dm_rank rank);
void dm_mutex_destroy(struct dm_mutex *mu);
void dm_lock(struct dm_mutex *mu) DM_ACQUIRES(*mu);
void dm_unlock(struct dm_mutex *mu) DM_RELEASES(*mu);

/* Conditions count time by CLOCK_MONOTONIC.  Wait in a while on a named
 * predicate.  The second returns false once deadline_ms (clock.h) is over. */
void dm_cond_init(pthread_cond_t *cond);
void dm_cond_wait(pthread_cond_t *cond, struct dm_mutex *mu) DM_REQUIRES(*mu);
bool dm_cond_wait_until(pthread_cond_t *cond, struct dm_mutex *mu,
    uint64_t deadline_ms) DM_REQUIRES(*mu);

#endif
