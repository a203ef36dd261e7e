#include "cache/cache.h"

#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/lock.h"

enum { OFFLINE_MS = 10000 }; /* before an origin is asked again */

void
cache_sleeper_init(struct cache_sleeper *s)
{
	dm_mutex_init(&s->mu, DM_RANK_WAIT);
	dm_cond_init(&s->cond);
	s->stopped = false;
}

void
cache_sleeper_destroy(struct cache_sleeper *s)
{
	(void)pthread_cond_destroy(&s->cond);
	dm_mutex_destroy(&s->mu);
}

void
cache_sleeper_stop(struct cache_sleeper *s)
{
	dm_lock(&s->mu);
	s->stopped = true;
	(void)pthread_cond_signal(&s->cond);
	dm_unlock(&s->mu);
}

bool
cache_sleeper_stopped(struct cache_sleeper *s)
{
	bool stopped;

	dm_lock(&s->mu);
	stopped = s->stopped;
	dm_unlock(&s->mu);
	return stopped;
}

bool
cache_sleeper_nap(struct cache_sleeper *s, uint64_t ms)
{
	uint64_t until = dm_deadline_ms(ms);
	bool stopped;

	dm_lock(&s->mu);
	while (!s->stopped && dm_cond_wait_until(&s->cond, &s->mu, until))
		continue;
	stopped = s->stopped;
	dm_unlock(&s->mu);
	return !stopped;
}

static void
wake(struct cache_wait *w)
{
	struct cache_sleep *sleep = (struct cache_sleep *)w;
	struct cache_sleeper *s = sleep->sleeper;

	dm_lock(&s->mu);
	sleep->woken = true;
	(void)pthread_cond_signal(&s->cond);
	dm_unlock(&s->mu);
}

void
cache_sleep_init(struct cache_sleep *sleep, struct cache_sleeper *s,
    uint64_t timeout_ms)
{
	sleep->sleeper = s;
	sleep->timeout_ms = timeout_ms;
	sleep->woken = false;
	cache_wait_init(&sleep->wait, wake, dm_deadline_ms(timeout_ms));
}

void
cache_sleep_release(struct cache_sleep *sleep)
{
	cache_wait_release(&sleep->wait);
}

bool
cache_sleep(struct cache *c, struct cache_sleep *sleep)
{
	struct cache_sleeper *s = sleep->sleeper;
	bool stopped;

	dm_lock(&s->mu);
	while (!sleep->woken && !s->stopped)
		dm_cond_wait(&s->cond, &s->mu);
	stopped = s->stopped;
	dm_unlock(&s->mu);
	/* If it does not wait any more, its wake is under way. */
	if (stopped)
		cache_wait_cancel(c, &sleep->wait);
	dm_lock(&s->mu);
	while (!sleep->woken)
		dm_cond_wait(&s->cond, &s->mu);
	sleep->woken = false;
	dm_unlock(&s->mu);
	return !stopped;
}

bool
cache_sleep_again(struct cache *c, struct cache_sleep *sleep,
    const struct dm_err *err)
{
	if (err->code == DM_AGAIN)
		return cache_sleep(c, sleep);
	if (err->code != DM_OFFLINE ||
	    !cache_sleeper_nap(sleep->sleeper, OFFLINE_MS))
		return false;
	sleep->wait.deadline_ms = dm_deadline_ms(sleep->timeout_ms);
	return true;
}
