#include "fs/publish/spool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/pack/pack_writer.h"

enum { BYTES_MAX = 8 << 20 /* that wait */ };

/* To write data, or without any: to seal. */
struct job {
	struct job *next;
	struct pack_writer *writer;
	void *data; /* owned */
	size_t size;
};

struct spool {
	pthread_t thread;
	bool started;

	struct dm_mutex mu; /* guards all below; DM_RANK_SPOOL */
	pthread_cond_t todo, done;
	struct job *first, **last;
	uint64_t bytes; /* that wait, or are being written */
	uint64_t sealed;
	bool stopping;
	struct dm_err err; /* the first failure */
};

static int
job_do(const struct job *j, struct dm_err *err)
{
	if (j->data == NULL)
		return pack_writer_seal(j->writer, err);
	return pack_writer_put(j->writer, j->data, j->size, err);
}

static void
job_free(struct job *j)
{
	free(j->data);
	free(j);
}

/* The next job, or NULL when there will be none. */
static struct job *
next_locked(struct spool *s) DM_REQUIRES(s->mu)
{
	struct job *j;

	while (s->first == NULL && !s->stopping)
		dm_cond_wait(&s->todo, &s->mu);
	if (s->stopping || s->err.code != DM_OK)
		return NULL;
	j = s->first;
	s->first = j->next;
	if (s->first == NULL)
		s->last = &s->first;
	return j;
}

static void *
run(void *arg)
{
	struct spool *s = arg;
	struct job *j;

	dm_lock(&s->mu);
	while ((j = next_locked(s)) != NULL) {
		struct dm_err err = { 0 };
		int rc;

		dm_unlock(&s->mu);
		rc = job_do(j, &err);
		dm_lock(&s->mu);
		if (rc < 0)
			s->err = err;
		else if (j->data == NULL)
			s->sealed++;
		s->bytes -= j->size;
		job_free(j);
		(void)pthread_cond_signal(&s->done);
	}
	dm_unlock(&s->mu);
	return NULL;
}

static void
closep(struct spool **s)
{
	spool_close(*s);
}

int
spool_open(struct spool **out, struct dm_err *err)
{
	DM_AUTO(closep) struct spool *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return dm_fail(err, DM_NOMEM, "packs");
	dm_mutex_init(&s->mu, DM_RANK_SPOOL);
	dm_cond_init(&s->todo);
	dm_cond_init(&s->done);
	s->last = &s->first;
	s->started = pthread_create(&s->thread, NULL, run, s) == 0;
	if (!s->started)
		return dm_fail(err, DM_NOMEM, "cannot start a thread");
	*out = dm_steal(&s);
	return 0;
}

void
spool_close(struct spool *s)
{
	if (s == NULL)
		return;
	dm_lock(&s->mu);
	s->stopping = true;
	(void)pthread_cond_signal(&s->todo);
	dm_unlock(&s->mu);
	if (s->started)
		(void)pthread_join(s->thread, NULL);
	while (s->first != NULL) {
		struct job *j = s->first;

		s->first = j->next;
		job_free(j);
	}
	(void)pthread_cond_destroy(&s->todo);
	(void)pthread_cond_destroy(&s->done);
	dm_mutex_destroy(&s->mu);
	free(s);
}

/* Wait until the job may wait, too. */
static int
put(struct spool *s, struct job *j, struct dm_err *err)
{
	int rc = 0;

	dm_lock(&s->mu);
	while (s->err.code == DM_OK && s->bytes > 0 &&
	    s->bytes + j->size > BYTES_MAX)
		dm_cond_wait(&s->done, &s->mu);
	if (s->err.code != DM_OK) {
		*err = s->err;
		rc = -1;
	} else {
		*s->last = j;
		s->last = &j->next;
		s->bytes += j->size;
		(void)pthread_cond_signal(&s->todo);
	}
	dm_unlock(&s->mu);
	if (rc < 0)
		job_free(j);
	return rc;
}

static struct job *
job_new(struct pack_writer *w, struct dm_err *err)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j == NULL)
		(void)dm_fail(err, DM_NOMEM, "packs");
	else
		j->writer = w;
	return j;
}

int
spool_write(struct spool *s, struct pack_writer *w, void **data, size_t size,
    struct dm_err *err)
{
	struct job *j = job_new(w, err);

	if (j == NULL)
		return -1;
	j->data = *data;
	j->size = size;
	*data = NULL;
	return put(s, j, err);
}

int
spool_seal(struct spool *s, struct pack_writer *w, struct dm_err *err)
{
	struct job *j = job_new(w, err);

	return j == NULL ? -1 : put(s, j, err);
}

int
spool_sealed(struct spool *s, uint64_t least, uint64_t *sealed,
    struct dm_err *err)
{
	int rc = 0;

	dm_lock(&s->mu);
	while (s->err.code == DM_OK && s->sealed < least)
		dm_cond_wait(&s->done, &s->mu);
	*sealed = s->sealed;
	if (s->err.code != DM_OK) {
		*err = s->err;
		rc = -1;
	}
	dm_unlock(&s->mu);
	return rc;
}
