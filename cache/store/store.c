/*
 * The table of blobs: chained hashing by the first bytes of the key, which is
 * a digest.  What is open is bounded by a clock hand that walks all blobs and
 * cools those that were not used since it last passed.
 */
#include "cache/store/store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cache/base/clock.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/store/blob.h"
#include "cache/store/index.h"
#include "cache/store/quota.h"
#include "cache/store/shelf.h"

enum {
	FILES_MAX = 256, /* blobs with open files; two descriptors each */
	FILES_MIN = 8,
	DIRS_MAX = 16 << 20, /* bytes of directories in memory */
	KEEP_MS = 1000,
	BATCH = 64, /* blobs cooled in one go */
};

struct entry {
	struct entry *next;
	struct blob *blob;
};

struct store {
	struct shelf *shelf; /* immutable */
	int64_t files_max;   /* immutable */
	struct index *index; /* immutable */
	pthread_t keeper;
	bool keeping;

	struct dm_mutex keeper_mu; /* guards stopping */
	pthread_cond_t stop;
	bool stopping;

	struct dm_mutex mu; /* guards all below */
	struct entry **bucket;
	size_t nbuckets; /* a power of two */
	struct blob **all;
	size_t n, room;
	size_t hand; /* of the clock, in all */
};

/* A part of what the process may open; the rest is for the others. */
static int64_t
files_bound(void)
{
	struct rlimit lim;
	int64_t n;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur / 6 > FILES_MAX)
		return FILES_MAX;
	n = (int64_t)lim.rlim_cur / 6;
	return n < FILES_MIN ? FILES_MIN : n;
}

/* Let go of files that somebody removed. */
static void
sweep(struct store *s)
{
	struct blob *open[FILES_MAX];
	size_t n = 0;

	dm_lock(&s->mu);
	for (size_t i = 0; i < s->n && n < FILES_MAX; i++)
		if (blob_has_files(s->all[i]))
			open[n++] = s->all[i];
	dm_unlock(&s->mu);
	for (size_t i = 0; i < n; i++)
		blob_sweep(open[i]);
}

static void
uses_of_index(void *arg, struct census *c)
{
	index_uses(arg, c);
}

/* Tell the index which blobs were used since it was told last. */
static void
note_uses(struct store *s, int root)
{
	struct digest *key = NULL;
	struct blob **used = NULL;
	size_t n = 0;

	dm_lock(&s->mu);
	if (s->n > 0) {
		key = malloc(s->n * sizeof(*key));
		used = malloc(s->n * sizeof(struct blob *));
	}
	for (size_t i = 0; key != NULL && used != NULL && i < s->n; i++)
		if (blob_was_touched(s->all[i])) {
			used[n] = s->all[i];
			key[n++] = *blob_key(s->all[i]);
		}
	dm_unlock(&s->mu);
	if (!index_tick(s->index, root, key, n))
		for (size_t i = 0; i < n; i++)
			blob_touch(used[i]);
	free(key);
	free((void *)used);
}

/* Once a second, until the end. */
static void *
keep(void *arg)
{
	struct store *s = arg;
	bool stopping = false;

	while (!stopping) {
		uint64_t until = dm_deadline_ms(KEEP_MS);
		int root = shelf_root(s->shelf);

		dm_lock(&s->keeper_mu);
		while (!s->stopping && dm_now_ms() < until)
			(void)dm_cond_wait_until(&s->stop, &s->keeper_mu,
			    until);
		stopping = s->stopping;
		dm_unlock(&s->keeper_mu);
		sweep(s);
		if (!stopping && root >= 0) {
			quota_tick(shelf_quota(s->shelf), root);
			note_uses(s, root);
		}
	}
	return NULL;
}

int
store_open(struct store **out, const char *dir, uint64_t limit,
    struct dm_err *err)
{
	struct store *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return dm_fail(err, DM_NOMEM, "cache");
	dm_mutex_init(&s->mu, DM_RANK_BLOBS);
	dm_mutex_init(&s->keeper_mu, DM_RANK_WAIT);
	dm_cond_init(&s->stop);
	s->files_max = files_bound();
	s->nbuckets = 256;
	s->bucket = calloc(s->nbuckets, sizeof(struct entry *));
	if (s->bucket == NULL) {
		store_close(s);
		return dm_fail(err, DM_NOMEM, "cache");
	}
	if (shelf_open(&s->shelf, dir, err) < 0 ||
	    shelf_set_limit(s->shelf, limit, err) < 0 ||
	    index_new(&s->index, dir, err) < 0) {
		store_close(s);
		return -1;
	}
	quota_set_uses(shelf_quota(s->shelf), uses_of_index, s->index);
	if (pthread_create(&s->keeper, NULL, keep, s) != 0) {
		store_close(s);
		return dm_fail(err, DM_NOMEM, "cannot start a thread");
	}
	s->keeping = true;
	*out = s;
	return 0;
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->keeping) {
		dm_lock(&s->keeper_mu);
		s->stopping = true;
		pthread_cond_signal(&s->stop);
		dm_unlock(&s->keeper_mu);
		(void)pthread_join(s->keeper, NULL);
	}
	for (size_t i = 0; s->bucket != NULL && i < s->nbuckets; i++) {
		for (struct entry *e = s->bucket[i], *next; e != NULL;
		     e = next) {
			next = e->next;
			blob_free(e->blob);
			free(e);
		}
	}
	free(s->bucket);
	free((void *)s->all);
	shelf_close(s->shelf);
	index_free(s->index);
	dm_mutex_destroy(&s->mu);
	pthread_cond_destroy(&s->stop);
	dm_mutex_destroy(&s->keeper_mu);
	free(s);
}

struct shelf *
store_shelf(struct store *s)
{
	return s->shelf;
}

static size_t
hash(const struct store *s, const struct digest *key)
{
	uint64_t h;

	memcpy(&h, key->bytes, sizeof(h));
	return (size_t)h & (s->nbuckets - 1);
}

/* Twice the buckets; without memory, the chains just grow. */
static void
grow_locked(struct store *s)
{
	struct entry **old = s->bucket;
	size_t nold = s->nbuckets;
	struct entry **bucket = calloc(nold * 2, sizeof(struct entry *));

	if (bucket == NULL)
		return;
	s->bucket = bucket;
	s->nbuckets = nold * 2;
	for (size_t i = 0; i < nold; i++) {
		for (struct entry *e = old[i], *next; e != NULL; e = next) {
			size_t h = hash(s, blob_key(e->blob));

			next = e->next;
			e->next = bucket[h];
			bucket[h] = e;
		}
	}
	free((void *)old);
}

static struct blob *
add_locked(struct store *s, const struct digest *key)
{
	struct entry *e;
	struct blob *b;
	size_t h;

	if (s->n == s->room) {
		size_t room = s->room == 0 ? 64 : s->room * 2;
		struct blob **all =
		    realloc((void *)s->all, room * sizeof(struct blob *));

		if (all == NULL)
			return NULL;
		s->all = all;
		s->room = room;
	}
	e = malloc(sizeof(*e));
	b = e == NULL ? NULL : blob_new(s->shelf, key);
	if (b == NULL) {
		free(e);
		return NULL;
	}
	if (s->n >= s->nbuckets)
		grow_locked(s);
	h = hash(s, key);
	*e = (struct entry){ .next = s->bucket[h], .blob = b };
	s->bucket[h] = e;
	s->all[s->n++] = b;
	return b;
}

struct victim {
	struct blob *blob;
	bool files, directory;
};

static bool
over_bounds(const struct store *s)
{
	return shelf_held_files(s->shelf) > s->files_max ||
	    shelf_held_memory(s->shelf) > DIRS_MAX;
}

/* Choose what to cool, somewhat more than must be; returns how many. */
static size_t
choose_locked(struct store *s, struct victim out[BATCH])
{
	int64_t files = shelf_held_files(s->shelf) - s->files_max * 7 / 8;
	int64_t memory =
	    shelf_held_memory(s->shelf) - (int64_t)DIRS_MAX / 8 * 7;
	size_t n = 0;

	for (size_t i = 0; i < s->n * 2 && n < BATCH; i++) {
		struct blob *b = s->all[s->hand++ % s->n];
		bool drop_files = files > 0 && blob_has_files(b);
		bool drop_dir = memory > 0 && blob_memory(b) > 0;

		if ((!drop_files && !drop_dir) || blob_was_used(b))
			continue;
		out[n++] = (struct victim){ b, drop_files, drop_dir };
		files -= drop_files;
		memory -= drop_dir ? (int64_t)blob_memory(b) : 0;
	}
	return n;
}

int
store_keys(struct store *s, struct digest **out, size_t *n, struct dm_err *err)
{
	struct digest *key;
	size_t count;

	dm_lock(&s->mu);
	count = s->n;
	key = malloc((count + 1) * sizeof(*key));
	for (size_t i = 0; key != NULL && i < count; i++)
		key[i] = *blob_key(s->all[i]);
	dm_unlock(&s->mu);
	if (key == NULL)
		return dm_fail(err, DM_NOMEM, "keys of blobs");
	*out = key;
	*n = count;
	return 0;
}

struct blob *
store_blob(struct store *s, const struct digest *key)
{
	struct victim victim[BATCH];
	struct blob *b = NULL;
	size_t n = 0;

	dm_lock(&s->mu);
	for (struct entry *e = s->bucket[hash(s, key)]; e != NULL; e = e->next)
		if (digest_equal(blob_key(e->blob), key)) {
			b = e->blob;
			break;
		}
	if (b == NULL)
		b = add_locked(s, key);
	if (b != NULL)
		blob_use(b);
	if (over_bounds(s))
		n = choose_locked(s, victim);
	dm_unlock(&s->mu);
	for (size_t i = 0; i < n; i++)
		blob_cool(victim[i].blob, victim[i].files, victim[i].directory);
	return b;
}
