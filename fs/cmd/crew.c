#include "fs/cmd/crew.h"

#include <pthread.h>
#include <stdlib.h>

#include "cache/base/err.h"
#include "cache/base/lock.h"

enum { THREADS_MAX = 32, QUEUE = 64 };

struct crew {
	/* immutable after open */
	int (*do_job)(void *job, struct dm_err *err);
	void (*free_job)(void *job);
	pthread_t threads[THREADS_MAX];
	unsigned nthreads;

	struct dm_mutex mu;
	pthread_cond_t changed;
	/* guarded by mu */
	void *queue[QUEUE]; /* a ring */
	unsigned first, n;
	bool ending;
	struct dm_err err; /* the first failure */
};

/* The next job, or NULL: go home. */
static void *
take(struct crew *c)
{
	void *job = NULL;

	dm_lock(&c->mu);
	while (c->n == 0 && !c->ending)
		dm_cond_wait(&c->changed, &c->mu);
	if (c->n > 0) {
		job = c->queue[c->first];
		c->first = (c->first + 1) % QUEUE;
		c->n--;
		(void)pthread_cond_broadcast(&c->changed);
	}
	dm_unlock(&c->mu);
	return job;
}

static void
note_failure(struct crew *c, const struct dm_err *err)
{
	dm_lock(&c->mu);
	if (c->err.code == DM_OK)
		c->err = *err;
	(void)pthread_cond_broadcast(&c->changed);
	dm_unlock(&c->mu);
}

static bool
has_failed(struct crew *c)
{
	bool failed;

	dm_lock(&c->mu);
	failed = c->err.code != DM_OK;
	dm_unlock(&c->mu);
	return failed;
}

static void *
work(void *arg)
{
	struct crew *c = arg;
	struct dm_err err = { 0 };
	void *job;

	while ((job = take(c)) != NULL) {
		if (!has_failed(c) && c->do_job(job, &err) < 0)
			note_failure(c, &err);
		c->free_job(job);
	}
	return NULL;
}

int
crew_open(struct crew **out, unsigned threads,
    int (*do_job)(void *job, struct dm_err *err), void (*free_job)(void *job),
    struct dm_err *err)
{
	struct crew *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return dm_fail(err, DM_NOMEM, "start threads");
	c->do_job = do_job;
	c->free_job = free_job;
	dm_mutex_init(&c->mu, DM_RANK_CREW);
	dm_cond_init(&c->changed);
	for (; c->nthreads < threads && c->nthreads < THREADS_MAX;
	     c->nthreads++) {
		if (pthread_create(&c->threads[c->nthreads], NULL, work, c) !=
		    0)
			break;
	}
	if (c->nthreads == 0) {
		dm_mutex_destroy(&c->mu);
		free(c);
		return dm_fail(err, DM_NOMEM, "start a thread");
	}
	*out = c;
	return 0;
}

int
crew_add(struct crew *c, void *job, struct dm_err *err)
{
	int rc = -1;

	dm_lock(&c->mu);
	while (c->n == QUEUE && c->err.code == DM_OK)
		dm_cond_wait(&c->changed, &c->mu);
	if (c->err.code == DM_OK) {
		c->queue[(c->first + c->n) % QUEUE] = job;
		c->n++;
		(void)pthread_cond_broadcast(&c->changed);
		rc = 0;
	} else {
		*err = c->err;
	}
	dm_unlock(&c->mu);
	if (rc < 0)
		c->free_job(job);
	return rc;
}

/* Forget the jobs that wait. */
static void
drop_queue(struct crew *c)
{
	void *dropped[QUEUE];
	unsigned n = 0;

	dm_lock(&c->mu);
	for (; c->n > 0; c->n--) {
		dropped[n++] = c->queue[c->first];
		c->first = (c->first + 1) % QUEUE;
	}
	dm_unlock(&c->mu);
	while (n > 0)
		c->free_job(dropped[--n]);
}

int
crew_close(struct crew *c, bool drop, struct dm_err *err)
{
	unsigned i;
	int rc = 0;

	if (c == NULL)
		return 0;
	if (drop)
		drop_queue(c);
	dm_lock(&c->mu);
	c->ending = true;
	(void)pthread_cond_broadcast(&c->changed);
	dm_unlock(&c->mu);
	for (i = 0; i < c->nthreads; i++)
		(void)pthread_join(c->threads[i], NULL); /* they exist */
	if (c->err.code != DM_OK) {
		*err = c->err;
		rc = -1;
	}
	(void)pthread_cond_destroy(&c->changed);
	dm_mutex_destroy(&c->mu);
	free(c);
	return rc;
}
