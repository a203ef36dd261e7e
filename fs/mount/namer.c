#include "fs/mount/namer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/cache.h"
#include "fs/format/limits.h"
#include "fs/version/version.h"

enum {
	LOOK_MS = 60 * 1000, /* for the pages that tell a path */
	OFFLINE_MS = 10000,  /* before an origin is asked again */
};

struct namer {
	struct cache_wait wait;   /* first: wake gets its address */
	struct namer_options opt; /* immutable */
	pthread_t thread;

	struct dm_mutex mu; /* guards all below */
	pthread_cond_t cond;
	bool stopping, woken;
};

/* ---- the list ---- */

bool
namer_add(struct namer_list *l, const struct namer_part *part)
{
	uint32_t added = atomic_load(&l->added);

	if (added - atomic_load(&l->done) >= NAMER_PARTS)
		return false;
	l->part[added % NAMER_PARTS] = *part;
	atomic_store(&l->added, added + 1);
	return true;
}

static bool
is_empty(const struct namer_list *l)
{
	return atomic_load(&l->added) == atomic_load(&l->done);
}

/* ---- waiting ---- */

static void
wake(struct cache_wait *w)
{
	struct namer *n = (struct namer *)w;

	dm_lock(&n->mu);
	n->woken = true;
	(void)pthread_cond_signal(&n->cond);
	dm_unlock(&n->mu);
}

/* Until the wait wakes; false: that is the end of it. */
static bool
await(struct namer *n)
{
	bool stopping;

	dm_lock(&n->mu);
	while (!n->woken && !n->stopping)
		dm_cond_wait(&n->cond, &n->mu);
	stopping = n->stopping;
	dm_unlock(&n->mu);
	if (stopping)
		cache_wait_cancel(n->opt.cache, &n->wait);
	dm_lock(&n->mu);
	while (!n->woken)
		dm_cond_wait(&n->cond, &n->mu);
	n->woken = false;
	dm_unlock(&n->mu);
	return !stopping;
}

static bool
nap(struct namer *n)
{
	uint64_t until = dm_deadline_ms(OFFLINE_MS);
	bool stopping;

	dm_lock(&n->mu);
	while (!n->stopping && dm_cond_wait_until(&n->cond, &n->mu, until))
		continue;
	stopping = n->stopping;
	dm_unlock(&n->mu);
	return !stopping;
}

/* Something to name; false: nothing is, and nothing will be. */
static bool
await_part(struct namer *n)
{
	bool some;

	dm_lock(&n->mu);
	while (is_empty(n->opt.list) && !n->stopping)
		dm_cond_wait(&n->cond, &n->mu);
	some = !is_empty(n->opt.list);
	dm_unlock(&n->mu);
	return some;
}

/* ---- naming ---- */

/* Should what failed be tried again? */
static bool
again(struct namer *n, const struct dm_err *err)
{
	if (err->code == DM_AGAIN)
		return await(n);
	if (err->code != DM_OFFLINE || !nap(n))
		return false;
	n->wait.deadline_ms = dm_deadline_ms(LOOK_MS);
	return true;
}

/* False: it would have to wait, and is to stop. */
static bool
name_part(struct namer *n, const struct namer_part *part)
{
	const struct namer_options *o = &n->opt;
	char path[DM_PATH_MAX + 2];
	struct dm_err err;
	int rc;

	cache_wait_init(&n->wait, wake, dm_deadline_ms(LOOK_MS));
	do
		rc = version_path_of(o->version, part->ino, path, sizeof(path),
		    &n->wait, &err);
	while (rc < 0 && again(n, &err));
	cache_wait_release(&n->wait);
	if (rc == 0)
		o->named(o->arg, part, path + 1);
	else if (err.code == DM_AGAIN || err.code == DM_OFFLINE)
		return false;
	else
		o->lost(o->arg, part, err.text);
	return true;
}

static void *
run(void *arg)
{
	struct namer *n = arg;
	struct namer_list *l = n->opt.list;
	bool going = true;

	while (going && await_part(n)) {
		struct namer_part part =
		    l->part[atomic_load(&l->done) % NAMER_PARTS];

		going = name_part(n, &part);
		if (going)
			(void)atomic_fetch_add(&l->done, 1);
	}
	return NULL;
}

/* ---- all ---- */

int
namer_open(struct namer **out, const struct namer_options *opt,
    struct dm_err *err)
{
	struct namer *n = calloc(1, sizeof(*n));
	int rc;

	if (n == NULL)
		return dm_fail(err, DM_NOMEM, "names for a trace");
	n->opt = *opt;
	dm_mutex_init(&n->mu, DM_RANK_WAIT);
	dm_cond_init(&n->cond);
	rc = pthread_create(&n->thread, NULL, run, n);
	if (rc == 0) {
		*out = n;
		return 0;
	}
	(void)pthread_cond_destroy(&n->cond);
	dm_mutex_destroy(&n->mu);
	free(n);
	errno = rc;
	return dm_fail_errno(err, "start a thread");
}

void
namer_more(struct namer *n)
{
	dm_lock(&n->mu);
	(void)pthread_cond_signal(&n->cond);
	dm_unlock(&n->mu);
}

void
namer_close(struct namer *n)
{
	if (n == NULL)
		return;
	dm_lock(&n->mu);
	n->stopping = true;
	(void)pthread_cond_signal(&n->cond);
	dm_unlock(&n->mu);
	(void)pthread_join(n->thread, NULL);
	(void)pthread_cond_destroy(&n->cond);
	dm_mutex_destroy(&n->mu);
	free(n);
}
