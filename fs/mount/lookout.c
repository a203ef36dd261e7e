#include "fs/mount/lookout.h"

#include <poll.h>
#include <stdatomic.h>

#include "cache/base/clock.h"

enum {
	LOOK_MS = 10,       /* between two looks of who stands by */
	LOOKS_ASLEEP = 100, /* at no request, then he looks no more */
};

void
lookout_init(struct lookout *l)
{
	dm_mutex_init(&l->mu, DM_RANK_WORKER);
	dm_cond_init(&l->called);
}

void
lookout_release(struct lookout *l)
{
	dm_mutex_destroy(&l->mu);
	(void)pthread_cond_destroy(&l->called);
}

/* Is a request there, or the end of all? */
static bool
is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* Nobody sent requests for long, and somebody waits for them: wait, without
 * looking at the clock, until one has come. */
static void
sleep_locked(struct lookout *l) DM_REQUIRES(l->mu)
{
	unsigned taken = atomic_load(&l->taken);

	atomic_fetch_add(&l->asleep, 1);
	while (!atomic_load(&l->ended) && l->calls == 0 &&
	    atomic_load(&l->waiting) > 0 && atomic_load(&l->taken) == taken)
		dm_cond_wait(&l->called, &l->mu);
	atomic_fetch_sub(&l->asleep, 1);
}

/* Until called, or until nobody has waited, and none was taken, from one look
 * to the next. */
static void
stand_by_locked(struct lookout *l) DM_REQUIRES(l->mu)
{
	unsigned taken = atomic_load(&l->taken), looks = 0;

	while (!atomic_load(&l->ended) && l->calls == 0) {
		if (dm_cond_wait_until(&l->called, &l->mu,
			dm_deadline_ms(LOOK_MS)))
			continue;
		if (atomic_load(&l->taken) != taken) {
			taken = atomic_load(&l->taken);
			looks = 0;
		} else if (atomic_load(&l->waiting) == 0) {
			return;
		} else if (++looks == LOOKS_ASLEEP) {
			sleep_locked(l);
			looks = 0;
		}
	}
	if (l->calls > 0)
		l->calls--;
}

bool
lookout_enter(struct lookout *l, int fd)
{
	if (atomic_load(&l->ended))
		return false;
	if (atomic_fetch_add(&l->waiting, 1) == 0 || is_readable(fd))
		return true;
	atomic_fetch_sub(&l->waiting, 1);
	dm_lock(&l->mu);
	atomic_fetch_add(&l->standing_by, 1);
	stand_by_locked(l);
	atomic_fetch_sub(&l->standing_by, 1);
	dm_unlock(&l->mu);
	atomic_fetch_add(&l->waiting, 1);
	return !atomic_load(&l->ended);
}

void
lookout_taken(struct lookout *l, int fd, bool is_long)
{
	bool alone = atomic_fetch_sub(&l->waiting, 1) == 1;

	atomic_fetch_add(&l->taken, 1);
	if (atomic_load(&l->asleep) > 0) {
		dm_lock(&l->mu);
		(void)pthread_cond_broadcast(&l->called);
		dm_unlock(&l->mu);
	}
	if (!alone || atomic_load(&l->standing_by) == 0 ||
	    (!is_long && !is_readable(fd)))
		return;
	dm_lock(&l->mu);
	if (l->calls < atomic_load(&l->standing_by)) {
		l->calls++;
		(void)pthread_cond_signal(&l->called);
	}
	dm_unlock(&l->mu);
}

void
lookout_end(struct lookout *l)
{
	dm_lock(&l->mu);
	atomic_store(&l->ended, true);
	(void)pthread_cond_broadcast(&l->called);
	dm_unlock(&l->mu);
}
