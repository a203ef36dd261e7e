/*
 * Nothing here is held while an operation runs.  The order of the last steps
 * of a task is what makes interrupts safe: libfuse calls interrupted_by()
 * under a lock of the request that fuse_req_interrupt_func() takes too, so
 * after task_settle() no cancel can reach whoever uses the slot next.
 */
#include "fs/mount/task.h"

#include <stdlib.h>

#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "fs/mount/fault.h"
#include "fs/mount/late.h"
#include "fs/mount/mount.h"
#include "fs/mount/scout.h"
#include "fs/mount/worker.h"

enum { TASK_STOP_MS = 2000 };

int
task_pool_init(struct task_pool *p, struct worker *w, struct dm_err *err)
{
	p->tasks = calloc(SHARED_SLOTS, sizeof(*p->tasks));
	if (p->tasks == NULL)
		return dm_fail(err, DM_NOMEM, "tasks");
	dm_mutex_init(&p->mu, DM_RANK_WORKER);
	dm_cond_init(&p->freed);
	dm_mutex_init(&p->run_mu, DM_RANK_RUN);
	dm_cond_init(&p->queued);
	p->nfree = 0;
	for (unsigned i = 0; i < SHARED_SLOTS; i++) {
		p->tasks[i].worker = w;
		p->tasks[i].slot = i;
	}
	/* The lowest number is on top, so that few pages are touched. */
	for (unsigned i = SHARED_SLOTS; i-- > 0;)
		p->free[p->nfree++] = (uint16_t)i;
	return 0;
}

void
task_pool_release(struct task_pool *p)
{
	if (p->tasks == NULL)
		return;
	dm_mutex_destroy(&p->mu);
	dm_mutex_destroy(&p->run_mu);
	(void)pthread_cond_destroy(&p->freed);
	(void)pthread_cond_destroy(&p->queued);
	free(p->tasks);
	p->tasks = NULL;
}

static bool
is_stopping(struct task_pool *p)
{
	bool stopping;

	dm_lock(&p->run_mu);
	stopping = p->stopping;
	dm_unlock(&p->run_mu);
	return stopping;
}

bool
task_take(struct task_pool *p, unsigned *slot)
{
	bool taken;

	dm_lock(&p->mu);
	while (p->nfree == 0 && !is_stopping(p))
		dm_cond_wait(&p->freed, &p->mu);
	taken = p->nfree > 0;
	if (taken)
		*slot = p->free[--p->nfree];
	dm_unlock(&p->mu);
	return taken;
}

void
task_give(struct task_pool *p, unsigned slot)
{
	atomic_store(&p->tasks[slot].state, TASK_FREE);
	dm_lock(&p->mu);
	p->free[p->nfree++] = (uint16_t)slot;
	(void)pthread_cond_signal(&p->freed);
	dm_unlock(&p->mu);
}

struct task *
task_of(fuse_req_t req)
{
	struct worker *w = fuse_req_userdata(req);

	/* worker.c put the slot's number where the kernel had put the caller's
	 * process number. */
	return &w->pool.tasks[fuse_req_ctx(req)->pid];
}

/* The cache's word that a task can go on.  Any thread, perhaps with locks of
 * the cache held; perhaps before the operation that waits has returned. */
static void
wake(struct cache_wait *wait)
{
	struct task *t =
	    (struct task *)(void *)((char *)wait - offsetof(struct task, wait));
	struct task_pool *p = &t->worker->pool;
	int expected = TASK_RUNNING;

	if (atomic_compare_exchange_strong(&t->state, &expected, TASK_WOKEN))
		return;
	t->next = NULL;
	dm_lock(&p->run_mu);
	if (p->tail != NULL)
		p->tail->next = t;
	else
		p->head = t;
	p->tail = t;
	(void)pthread_cond_signal(&p->queued);
	dm_unlock(&p->run_mu);
}

/* libfuse's word that the caller was killed, or got a signal. */
static void
interrupted_by(fuse_req_t req, void *arg)
{
	struct task *t = arg;

	(void)req;
	atomic_store(&t->interrupted, true);
	cache_wait_cancel(t->worker->cache, &t->wait);
}

/* Leave the task to wake(); false if that came before. */
static bool
park(struct task *t)
{
	struct task_pool *p = &t->worker->pool;
	struct shared *s = t->worker->start.shared;
	struct thread *on = t->on;
	int expected = TASK_RUNNING;
	unsigned waiting;

	if (!t->watched) {
		t->watched = true;
		fuse_req_interrupt_func(t->req, interrupted_by, t);
	}
	shared_count(s, STAT_parked, 1);
	dm_lock(&p->run_mu);
	waiting = ++p->parked;
	/* An earlier worker may have been told. */
	if (p->stopping ||
	    atomic_load(&s->notes[t->slot].interrupted) == t->unique)
		atomic_store(&t->interrupted, true);
	dm_unlock(&p->run_mu);
	/* An interrupt during the run found nothing to cancel; and what comes
	 * late waits for nothing. */
	t->over = t->late || t->hasty || (t->scout && waiting > SCOUT_WAITING);
	if (t->over || atomic_load(&t->interrupted))
		cache_wait_cancel(t->worker->cache, &t->wait);
	on->parked = true;
	if (atomic_compare_exchange_strong(&t->state, &expected, TASK_PARKED))
		return true;
	on->parked = false;
	dm_lock(&p->run_mu);
	p->parked--;
	dm_unlock(&p->run_mu);
	return false;
}

void
task_settle(struct task *t)
{
	if (t->watched)
		fuse_req_interrupt_func(t->req, NULL, NULL);
	cache_wait_release(&t->wait);
}

void
task_refuse(struct task *t, int e)
{
	shared_note_refusal(t->worker->start.shared, t->slot, e);
	/* The caller may be gone by now: nobody to tell. */
	(void)fuse_reply_err(t->req, e);
}

/* A run that ends, in whatever way, takes back its mark in the note: what is
 * left there counts the runs that killed a worker. */
static void
run(struct task *t)
{
	struct shared_note *note = &t->worker->start.shared->notes[t->slot];
	struct dm_err err;
	int rc;

	do {
		err.code = DM_OK;
		err.text[0] = '\0';
		atomic_store(&t->state, TASK_RUNNING);
		note->begun++;
		if (atomic_load(&t->interrupted))
			rc = dm_fail(&err, DM_CANCELLED, "interrupted");
		else if (t->over)
			rc = dm_fail(&err, DM_OFFLINE,
			    "it was waited for in vain a moment ago");
		else
			rc = t->run(t, &err);
		if (rc == 0)
			return;
		if (err.code != DM_AGAIN) {
			task_settle(t);
			fault_reply(t, &err);
			return;
		}
		note->begun--;
	} while (!park(t));
}

/* Who comes to a page that the scout asked for waits as long as that does, and
 * then for what he asks for himself. */
static uint64_t
timeout_of(const struct task *t)
{
	uint64_t ms = t->worker->start.spec->timeout_ms;

	return t->scout ? late_ms(ms) : ms;
}

void
task_start(fuse_req_t req, fuse_ino_t ino, const char *what, task_run_fn fn)
{
	struct task *t = task_of(req);
	struct worker *w = t->worker;
	uint64_t timeout = timeout_of(t),
		 started = w->start.shared->notes[t->slot].started_ms;

	t->req = req;
	t->ino = ino;
	t->what = what;
	t->run = fn;
	t->watched = false;
	t->over = false;
	t->late = t->late && timeout != 0;
	atomic_store(&t->interrupted, false);
	cache_wait_init(&t->wait, wake,
	    timeout == 0 ? dm_deadline_ms(0) : started + timeout);
	run(t);
}

bool
task_run_next(struct task_pool *p, struct thread *on)
{
	struct task *t;

	dm_lock(&p->run_mu);
	while (p->head == NULL && !(p->stopping && p->parked == 0))
		dm_cond_wait(&p->queued, &p->run_mu);
	t = p->head;
	if (t != NULL) {
		p->head = t->next;
		if (p->head == NULL)
			p->tail = NULL;
		p->parked--;
	}
	if (p->stopping && p->parked == 0)
		(void)pthread_cond_broadcast(&p->queued);
	dm_unlock(&p->run_mu);
	if (t == NULL)
		return false;
	t->on = on;
	on->parked = false;
	run(t);
	if (!on->parked) {
		shared_done(t->worker->start.shared, t->slot);
		task_give(p, t->slot);
	}
	return true;
}

bool
task_pool_stop(struct task_pool *p)
{
	bool drained;
	uint64_t deadline = dm_deadline_ms(TASK_STOP_MS);

	dm_lock(&p->run_mu);
	p->stopping = true;
	(void)pthread_cond_broadcast(&p->queued);
	dm_unlock(&p->run_mu);
	for (unsigned i = 0; i < SHARED_SLOTS; i++) {
		struct task *t = &p->tasks[i];

		/* A sick worker has no cache, and nothing that waits. */
		if (atomic_load(&t->state) == TASK_FREE ||
		    t->worker->cache == NULL)
			continue;
		atomic_store(&t->interrupted, true);
		cache_wait_cancel(t->worker->cache, &t->wait);
	}
	dm_lock(&p->run_mu);
	while (p->parked > 0)
		if (!dm_cond_wait_until(&p->queued, &p->run_mu, deadline))
			break;
	drained = p->parked == 0;
	(void)pthread_cond_broadcast(&p->queued);
	dm_unlock(&p->run_mu);
	dm_lock(&p->mu);
	(void)pthread_cond_broadcast(&p->freed);
	dm_unlock(&p->mu);
	return drained;
}
