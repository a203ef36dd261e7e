/*
 * The ring: head is the oldest item, tail the next free place, next the first
 * item that no worker looked at, whole the first that the hasher did not.
 *
 *   head <= next <= tail, head <= whole <= tail <= head + RING
 */
#include "fs/publish/work.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/io.h"
#include "cache/base/lock.h"
#include "cache/pack/codec.h"
#include "fs/format/limits.h"
#include "fs/publish/packer.h"
#include "fs/publish/quote.h"

enum {
	RING = 256,
	BYTES_MAX = 16 << 20, /* plain bytes in the queue */
	THREADS_MIN = 2,
	THREADS_MAX = 64,
};

struct work_queue {
	struct packer *packer; /* immutable after open, as nthreads */
	pthread_t thread[THREADS_MAX + 1];
	unsigned nthreads;
	struct digest_hasher *hash; /* the hasher's */

	struct dm_mutex mu; /* guards all below; DM_RANK_PUBLISH */
	pthread_cond_t todo, to_hash, done;
	struct work *ring[RING];
	uint64_t head, next, whole, tail;
	uint64_t bytes;
	bool stopping;
};

struct work_dir *
work_dir_new(int fd)
{
	struct work_dir *d = malloc(sizeof(*d));

	if (d == NULL)
		return NULL;
	d->fd = fd;
	d->users = 1;
	return d;
}

void
work_dir_put(struct work_dir *d)
{
	if (d == NULL || __atomic_sub_fetch(&d->users, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	(void)close(d->fd);
	free(d);
}

struct work *
work_new(enum work_kind kind, const char *path)
{
	struct work *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->kind = kind;
	w->path = strdup(path);
	if (w->path == NULL) {
		free(w);
		return NULL;
	}
	return w;
}

void
work_free(struct work *w)
{
	if (w == NULL)
		return;
	work_dir_put(w->dir);
	free(w->path);
	free(w->target);
	free(w->data);
	free(w->compressed);
	free(w);
}

const char *
work_name(const struct work *w)
{
	const char *slash = strrchr(w->path, '/');

	return slash == NULL ? w->path : slash + 1;
}

void **
work_stored(struct work *w)
{
	return w->compressed != NULL ? &w->compressed : &w->data;
}

int
work_changed(const char *path, struct dm_err *err)
{
	char text[QUOTE_TEXT];

	return dm_fail(err, DM_STALE,
	    "%s changed while it was read: commit again when it is at rest",
	    quote_path(text, path));
}

bool
work_same_stat(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	    a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	    a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* ---- what workers do ---- */

static int
read_small(struct work *w, struct dm_err *err)
{
	DM_AUTO(dm_closep)
	int fd = openat(w->dir->fd, work_name(w),
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	size_t size = (size_t)w->st.st_size;
	char text[QUOTE_TEXT];
	struct stat now;
	ssize_t n;

	if (fd < 0)
		return dm_fail_errno(err, "cannot read %s",
		    quote_path(text, w->path));
	w->data = malloc(size + 1);
	if (w->data == NULL)
		return dm_fail(err, DM_NOMEM, "%s", quote_path(text, w->path));
	n = dm_pread_full(fd, w->data, size + 1, 0);
	if (n < 0 || fstat(fd, &now) < 0)
		return dm_fail_errno(err, "cannot read %s",
		    quote_path(text, w->path));
	if ((size_t)n != size || !work_same_stat(&now, &w->st))
		return work_changed(w->path, err);
	w->size = size;
	return 0;
}

/* Hash the item's data, and compress it if it must be stored. */
static int
prepare(struct work *w, struct packer *p, struct codec *c, struct dm_err *err)
{
	const void *stored;
	size_t size;

	digest_of(&w->object.id, w->data, w->size);
	if (w->kind == WORK_SMALL)
		w->id = w->object.id;
	w->object.kind = OBJECT_DATA;
	w->object.plain_size = (uint32_t)w->size;
	if (packer_known(p, &w->object.id, OBJECT_DATA, &w->known, err) < 0)
		return -1;
	if (w->known)
		return 0;
	if (codec_encode(c, w->data, w->size, &stored, &size, &w->object.codec,
		err) < 0)
		return -1;
	w->object.stored_size = (uint32_t)size;
	if (stored == w->data)
		return 0;
	w->compressed = malloc(size);
	if (w->compressed == NULL)
		return dm_fail(err, DM_NOMEM, "%zu bytes", size);
	memcpy(w->compressed, stored, size);
	return 0;
}

static void
work_do(struct work *w, struct packer *p, struct codec *c)
{
	if (w->kind == WORK_SMALL && w->data == NULL &&
	    read_small(w, &w->err) < 0)
		return;
	(void)prepare(w, p, c, &w->err); /* the taker looks at w->err */
}

static bool
for_worker(const struct work *w)
{
	return w->kind == WORK_SMALL || (w->kind == WORK_CHUNK && !w->zeros);
}

static bool
for_hasher(const struct work *w)
{
	return w->kind == WORK_CHUNK || w->kind == WORK_LARGE_END;
}

/* The next item for a worker, or NULL when the queue is closing. */
static struct work *
next_todo_locked(struct work_queue *q) DM_REQUIRES(q->mu)
{
	for (;;) {
		while (!q->stopping && q->next == q->tail)
			dm_cond_wait(&q->todo, &q->mu);
		if (q->stopping)
			return NULL;
		if (for_worker(q->ring[q->next % RING]))
			return q->ring[q->next++ % RING];
		q->next++;
	}
}

static void *
worker(void *arg)
{
	struct work_queue *q = arg;
	struct codec *c = codec_new();
	struct work *w;

	dm_lock(&q->mu);
	while ((w = next_todo_locked(q)) != NULL) {
		dm_unlock(&q->mu);
		if (c == NULL)
			(void)dm_fail(&w->err, DM_NOMEM, "compression");
		else
			work_do(w, q->packer, c);
		dm_lock(&q->mu);
		w->done = true;
		if (w == q->ring[q->head % RING])
			(void)pthread_cond_signal(&q->done);
	}
	dm_unlock(&q->mu);
	codec_free(c);
	return NULL;
}

static struct work *
next_to_hash_locked(struct work_queue *q) DM_REQUIRES(q->mu)
{
	for (;;) {
		if (q->whole < q->head)
			q->whole = q->head;
		while (!q->stopping && q->whole == q->tail)
			dm_cond_wait(&q->to_hash, &q->mu);
		if (q->stopping)
			return NULL;
		if (q->whole >= q->head && for_hasher(q->ring[q->whole % RING]))
			return q->ring[q->whole % RING];
		q->whole++;
	}
}

/* The bytes of a chunk that is all zeros. */
static uint8_t zeros[CHUNK_MAX];

/* The thread that makes the digests of whole large files. */
static void *
hasher(void *arg)
{
	struct work_queue *q = arg;
	struct work *w;

	dm_lock(&q->mu);
	while ((w = next_to_hash_locked(q)) != NULL) {
		dm_unlock(&q->mu);
		if (w->kind == WORK_CHUNK)
			digest_hasher_add(q->hash, w->zeros ? zeros : w->data,
			    w->size);
		else
			digest_hasher_get(q->hash, &w->id);
		dm_lock(&q->mu);
		q->whole++;
		w->hashed = true;
		if (w == q->ring[q->head % RING])
			(void)pthread_cond_signal(&q->done);
	}
	dm_unlock(&q->mu);
	return NULL;
}

/* ---- the queue ---- */

static unsigned
processors(void)
{
	cpu_set_t set;
	int n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	if (n < THREADS_MIN)
		return THREADS_MIN;
	return n > THREADS_MAX ? THREADS_MAX : (unsigned)n;
}

static int
start(struct work_queue *q, void *(*run)(void *), struct dm_err *err)
{
	int rc = pthread_create(&q->thread[q->nthreads], NULL, run, q);

	if (rc != 0)
		return dm_fail(err, DM_NOMEM, "cannot start a thread");
	q->nthreads++;
	return 0;
}

static void
closep(struct work_queue **q)
{
	work_queue_close(*q);
}

int
work_queue_open(struct work_queue **out, struct packer *packer,
    unsigned threads, struct dm_err *err)
{
	DM_AUTO(closep) struct work_queue *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return dm_fail(err, DM_NOMEM, "queue of work");
	dm_mutex_init(&q->mu, DM_RANK_PUBLISH);
	dm_cond_init(&q->todo);
	dm_cond_init(&q->to_hash);
	dm_cond_init(&q->done);
	q->packer = packer;
	q->hash = digest_hasher_new();
	if (q->hash == NULL)
		return dm_fail(err, DM_NOMEM, "queue of work");
	if (threads == 0)
		threads = processors();
	if (start(q, hasher, err) < 0)
		return -1;
	for (unsigned i = 0; i < threads && i < THREADS_MAX; i++)
		if (start(q, worker, err) < 0)
			return -1;
	*out = dm_steal(&q);
	return 0;
}

void
work_queue_close(struct work_queue *q)
{
	if (q == NULL)
		return;
	dm_lock(&q->mu);
	q->stopping = true;
	(void)pthread_cond_broadcast(&q->todo);
	(void)pthread_cond_broadcast(&q->to_hash);
	dm_unlock(&q->mu);
	for (unsigned i = 0; i < q->nthreads; i++)
		(void)pthread_join(q->thread[i], NULL);
	for (; q->head < q->tail; q->head++)
		work_free(q->ring[q->head % RING]);
	(void)pthread_cond_destroy(&q->todo);
	(void)pthread_cond_destroy(&q->to_hash);
	(void)pthread_cond_destroy(&q->done);
	dm_mutex_destroy(&q->mu);
	digest_hasher_free(q->hash);
	free(q);
}

/* What the item will hold in memory. */
static uint64_t
weight(const struct work *w)
{
	if (w->zeros)
		return 0;
	return w->kind == WORK_SMALL ? (uint64_t)w->st.st_size : w->size;
}

bool
work_queue_full(struct work_queue *q, const struct work *w)
{
	bool full;

	dm_lock(&q->mu);
	full = q->tail - q->head == RING ||
	    (q->tail > q->head && q->bytes + weight(w) > BYTES_MAX);
	dm_unlock(&q->mu);
	return full;
}

void
work_queue_put(struct work_queue *q, struct work *w)
{
	w->done = !for_worker(w);
	w->hashed = !for_hasher(w);
	dm_lock(&q->mu);
	q->bytes += weight(w);
	q->ring[q->tail++ % RING] = w;
	if (for_worker(w))
		(void)pthread_cond_signal(&q->todo);
	if (for_hasher(w))
		(void)pthread_cond_signal(&q->to_hash);
	dm_unlock(&q->mu);
}

struct work *
work_queue_take(struct work_queue *q)
{
	struct work *w = NULL;

	dm_lock(&q->mu);
	if (q->head < q->tail) {
		w = q->ring[q->head % RING];
		while (!w->done || !w->hashed)
			dm_cond_wait(&q->done, &q->mu);
		q->bytes -= weight(w);
		q->head++;
		if (q->next < q->head)
			q->next = q->head;
	}
	dm_unlock(&q->mu);
	return w;
}
