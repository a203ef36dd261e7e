#include "fs/mount/late.h"

#include "cache/base/clock.h"
#include "fs/mount/mount.h"
#include "fs/mount/task.h"
#include "fs/mount/worker.h"

uint64_t
late_ms(uint64_t timeout_ms)
{
	uint64_t ms = timeout_ms / 10;

	if (ms < LATE_MS_MIN)
		return LATE_MS_MIN;
	return ms > LATE_MS_MAX ? LATE_MS_MAX : ms;
}

void
late_note(const struct task *t)
{
	struct worker *w = t->worker;
	uint64_t ms = late_ms(w->start.spec->timeout_ms);
	struct late_read *l;

	dm_lock(&w->fault_mu);
	l = &w->late[w->late_next++ % LATE_READS];
	l->ino = t->ino;
	l->off = (uint64_t)t->off;
	l->end = l->off + t->size;
	l->until_ms = dm_now_ms() + ms;
	atomic_store(&w->late_until_ms, l->until_ms);
	dm_unlock(&w->fault_mu);
}

bool
late_again(const struct task *t)
{
	struct worker *w = t->worker;
	uint64_t last = atomic_load(&w->late_until_ms), now,
		 off = (uint64_t)t->off, end = off + t->size;
	bool found = false;

	/* Where all is well nobody looks at a clock, or takes a lock. */
	if (last == 0)
		return false;
	now = dm_now_ms();
	if (now >= last)
		return false;
	dm_lock(&w->fault_mu);
	for (int i = 0; i < LATE_READS && !found; i++) {
		const struct late_read *l = &w->late[i];

		found = l->ino == t->ino && l->off < end && off < l->end &&
		    now < l->until_ms;
	}
	dm_unlock(&w->fault_mu);
	return found;
}
