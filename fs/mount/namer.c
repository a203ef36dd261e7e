#include "fs/mount/namer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/cache.h"
#include "fs/format/limits.h"
#include "fs/version/version.h"

enum { LOOK_MS = 60 * 1000 }; /* for the pages that tell a path */

struct namer {
	struct namer_options opt; /* immutable */
	pthread_t thread;
	struct cache_sleeper sleeper;
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

/* ---- naming ---- */

/* Something to name; false: nothing is, and nothing will be. */
static bool
await_part(struct namer *n)
{
	struct cache_sleeper *s = &n->sleeper;
	bool some;

	dm_lock(&s->mu);
	while (is_empty(n->opt.list) && !s->stopped)
		dm_cond_wait(&s->cond, &s->mu);
	some = !is_empty(n->opt.list);
	dm_unlock(&s->mu);
	return some;
}

/* False: it would have to wait, and is to stop. */
static bool
name_part(struct namer *n, const struct namer_part *part)
{
	const struct namer_options *o = &n->opt;
	char path[DM_PATH_MAX + 2];
	struct cache_sleep sleep;
	struct dm_err err;
	int rc;

	cache_sleep_init(&sleep, &n->sleeper, LOOK_MS);
	do
		rc = version_path_of(o->version, part->ino, path, sizeof(path),
		    &sleep.wait, &err);
	while (rc < 0 && cache_sleep_again(o->cache, &sleep, &err));
	cache_sleep_release(&sleep);
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
	cache_sleeper_init(&n->sleeper);
	rc = pthread_create(&n->thread, NULL, run, n);
	if (rc == 0) {
		*out = n;
		return 0;
	}
	cache_sleeper_destroy(&n->sleeper);
	free(n);
	errno = rc;
	return dm_fail_errno(err, "start a thread");
}

void
namer_more(struct namer *n)
{
	dm_lock(&n->sleeper.mu);
	(void)pthread_cond_signal(&n->sleeper.cond);
	dm_unlock(&n->sleeper.mu);
}

void
namer_close(struct namer *n)
{
	if (n == NULL)
		return;
	cache_sleeper_stop(&n->sleeper);
	(void)pthread_join(n->thread, NULL);
	cache_sleeper_destroy(&n->sleeper);
	free(n);
}
