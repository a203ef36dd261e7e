#include "cache/pool.h"

#include <stdlib.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/pack/codec.h"

enum { THREADS_MIN = 2, THREADS_MAX = 4 };

struct pool {
	pthread_t thread[THREADS_MAX]; /* immutable after open */
	struct codec *codec[THREADS_MAX];
	unsigned nthreads;

	struct dm_mutex mu; /* guards all below */
	pthread_cond_t more;
	struct pool_job *head, **tail;
	unsigned started; /* threads that have taken their codec */
	bool stopping;
};

/* The first in the queue, and those behind it that may run with it. */
static struct pool_job *
first_locked(struct pool *p)
{
	struct pool_job *job = p->head, *last = job;

	for (int n = 1; n < POOL_RUN && job->group != NULL &&
	     last->next != NULL && last->next->group == job->group;
	     n++)
		last = last->next;
	p->head = last->next;
	if (p->head == NULL)
		p->tail = &p->head;
	last->next = NULL;
	return job;
}

static struct pool_job *
take(struct pool *p)
{
	struct pool_job *job;

	dm_lock(&p->mu);
	while (p->head == NULL && !p->stopping)
		dm_cond_wait(&p->more, &p->mu);
	job = p->stopping ? NULL : first_locked(p);
	dm_unlock(&p->mu);
	return job;
}

static void *
work(void *arg)
{
	struct pool *p = arg;
	struct codec *codec;
	struct pool_job *job;

	dm_lock(&p->mu);
	codec = p->codec[p->started++];
	dm_unlock(&p->mu);
	while ((job = take(p)) != NULL)
		job->run(job, codec);
	return NULL;
}

static unsigned
thread_count(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (n < THREADS_MIN)
		return THREADS_MIN;
	return n > THREADS_MAX ? THREADS_MAX : (unsigned)n;
}

int
pool_open(struct pool **out, struct dm_err *err)
{
	struct pool *p = calloc(1, sizeof(*p));
	unsigned want = thread_count();

	if (p == NULL)
		return dm_fail(err, DM_NOMEM, "threads that hash");
	dm_mutex_init(&p->mu, DM_RANK_POOL);
	dm_cond_init(&p->more);
	p->tail = &p->head;
	for (unsigned i = 0; i < want; i++) {
		p->codec[i] = codec_new();
		if (p->codec[i] == NULL ||
		    pthread_create(&p->thread[i], NULL, work, p) != 0) {
			pool_close(p);
			return dm_fail(err, DM_NOMEM,
			    "cannot start threads that hash");
		}
		p->nthreads++;
	}
	*out = p;
	return 0;
}

bool
pool_add(struct pool *p, struct pool_job *list)
{
	bool added;

	dm_lock(&p->mu);
	added = !p->stopping;
	if (added) {
		if (list->next != NULL)
			pthread_cond_broadcast(&p->more);
		else
			pthread_cond_signal(&p->more);
		for (*p->tail = list; *p->tail != NULL;)
			p->tail = &(*p->tail)->next;
	}
	dm_unlock(&p->mu);
	return added;
}

void
pool_stop(struct pool *p)
{
	struct pool_job *job, *next;

	dm_lock(&p->mu);
	p->stopping = true;
	job = p->head;
	p->head = NULL;
	p->tail = &p->head;
	pthread_cond_broadcast(&p->more);
	dm_unlock(&p->mu);
	for (; p->nthreads > 0; p->nthreads--)
		(void)pthread_join(p->thread[p->nthreads - 1], NULL);
	for (; job != NULL; job = next) {
		next = job->next;
		job->drop(job);
	}
}

void
pool_close(struct pool *p)
{
	if (p == NULL)
		return;
	pool_stop(p);
	for (unsigned i = 0; i < THREADS_MAX; i++)
		codec_free(p->codec[i]);
	pthread_cond_destroy(&p->more);
	dm_mutex_destroy(&p->mu);
	free(p);
}
