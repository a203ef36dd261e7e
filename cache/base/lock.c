/*
 * Ranked mutexes.  The ranks that a thread holds are bits of one thread-local
 * mask; a lock may be taken only while no bit at or above its own is set, so
 * neither an outer lock nor a second one of the same class can be taken.
 */
#include "cache/base/lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static _Thread_local unsigned held;

void
dm_mutex_init(struct dm_mutex *mu, enum dm_rank rank)
{
	mu->rank = rank;
	if (pthread_mutex_init(&mu->mutex, NULL) != 0)
		abort();
}

void
dm_mutex_destroy(struct dm_mutex *mu)
{
	(void)pthread_mutex_destroy(&mu->mutex);
}

void
dm_lock(struct dm_mutex *mu) DM_IS_LOCK
{
	if (held >> mu->rank != 0) {
		(void)fprintf(stderr,
		    "datamount: lock order: rank %d taken"
		    " while holding %#x\n",
		    (int)mu->rank, held);
		abort();
	}
	if (pthread_mutex_lock(&mu->mutex) != 0)
		abort();
	held |= 1U << mu->rank;
}

void
dm_unlock(struct dm_mutex *mu) DM_IS_LOCK
{
	held &= ~(1U << mu->rank);
	if (pthread_mutex_unlock(&mu->mutex) != 0)
		abort();
}

void
dm_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	if (pthread_condattr_init(&attr) != 0 ||
	    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
	    pthread_cond_init(cond, &attr) != 0)
		abort();
	(void)pthread_condattr_destroy(&attr);
}

void
dm_cond_wait(pthread_cond_t *cond, struct dm_mutex *mu)
{
	if (pthread_cond_wait(cond, &mu->mutex) != 0)
		abort();
}

bool
dm_cond_wait_until(pthread_cond_t *cond, struct dm_mutex *mu,
    uint64_t deadline_ms)
{
	struct timespec ts = {
		.tv_sec = (time_t)(deadline_ms / 1000),
		.tv_nsec = (long)(deadline_ms % 1000) * 1000000,
	};
	int rc = pthread_cond_timedwait(cond, &mu->mutex, &ts);

	if (rc != 0 && rc != ETIMEDOUT)
		abort();
	return rc == 0;
}
