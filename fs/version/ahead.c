#include "fs/version/ahead.h"

#include <string.h>

#include "cache/base/clock.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/cache.h"
#include "fs/version/version.h"

enum {
	LOOK_MS = 60 * 1000, /* deadline of what nobody waits for */
	ROW = 16,            /* files, before a reader is believed to go on */
	EVERY = 8,           /* files, one look */
	SLACK = 32,      /* entries that are skipped, or read out of order */
	BYTES = 8 << 20, /* to look ahead, if that is */
	MOST = 512,      /* entries at most, */
	LEAST = 16,      /* and so many at least */
};

void
ahead_init(struct ahead *a)
{
	memset(a->reader, 0, sizeof(a->reader));
	a->uses = 0;
	dm_mutex_init(&a->mu, DM_RANK_VERSION);
}

void
ahead_release(struct ahead *a)
{
	dm_mutex_destroy(&a->mu);
}

/* The reader who comes from just before the file, or a new one in place of the
 * one not seen for longest. */
static struct ahead_reader *
reader_locked(struct ahead *a, uint64_t file) DM_REQUIRES(a->mu)
{
	struct ahead_reader *oldest = &a->reader[0];

	for (int i = 0; i < AHEAD_READERS; i++) {
		struct ahead_reader *r = &a->reader[i];

		if (r->used > 0 && file + SLACK >= r->ino &&
		    file <= r->ino + SLACK)
			return r;
		if (r->used < oldest->used)
			oldest = r;
	}
	*oldest = (struct ahead_reader){ .ino = file };
	return oldest;
}

static uint64_t
distance(uint64_t size)
{
	uint64_t n = BYTES / (size == 0 ? 1 : size);

	if (n > MOST)
		return MOST;
	return n < LEAST ? LEAST : n;
}

bool
ahead_read(struct ahead *a, uint64_t file, uint64_t size, uint64_t *ino)
{
	struct ahead_reader *r;
	bool due = false;

	dm_lock(&a->mu);
	r = reader_locked(a, file);
	r->used = ++a->uses;
	if (file > r->ino) {
		r->ino = file;
		r->seen++;
		due = r->seen >= ROW && r->seen % EVERY == 0;
	}
	dm_unlock(&a->mu);
	*ino = file + distance(size);
	return due;
}

/* A read whose fetch is to go on without it. */
struct glance {
	struct cache_wait wait; /* first: wake gets its address */
	struct dm_mutex mu;     /* guards woken */
	pthread_cond_t cond;
	bool woken;
};

static void
wake_glance(struct cache_wait *w)
{
	struct glance *g = (struct glance *)w;

	dm_lock(&g->mu);
	g->woken = true;
	pthread_cond_signal(&g->cond);
	dm_unlock(&g->mu);
}

/* The entry, if what tells of it is here; else that begins to come. */
static bool
glance(struct version *v, struct cache *c, uint64_t ino,
    struct version_node *out)
{
	struct glance g = { .woken = false };
	struct dm_err err;
	bool here;

	cache_wait_init(&g.wait, wake_glance, dm_deadline_ms(LOOK_MS));
	dm_mutex_init(&g.mu, DM_RANK_WAIT);
	dm_cond_init(&g.cond);
	here = version_node(v, ino, out, &g.wait, &err) == 0;
	if (!here && err.code == DM_AGAIN) {
		/* If it does not wait any more, its wake is under way. */
		cache_wait_cancel(c, &g.wait);
		dm_lock(&g.mu);
		while (!g.woken)
			dm_cond_wait(&g.cond, &g.mu);
		dm_unlock(&g.mu);
	}
	cache_wait_release(&g.wait);
	pthread_cond_destroy(&g.cond);
	dm_mutex_destroy(&g.mu);
	return here;
}

void
ahead_look(struct version *v, struct cache *c, struct origin *o,
    const struct version_node *file, uint64_t ino)
{
	uint64_t apart = ino - file->ino;
	struct version_node root, next;

	version_root(v, &root);
	if (ino > root.entries || !glance(v, c, ino, &next) ||
	    (next.kind != TREE_FILE && next.kind != TREE_EXEC) ||
	    !next.stored || next.size == 0 || next.size > DM_SMALL_FILE_MAX ||
	    digest_equal(&next.at.pack, &file->at.pack))
		return;
	/* The pack is entered before that file. */
	next.at.ordinal -=
	    next.at.ordinal < apart ? next.at.ordinal : (uint32_t)apart;
	cache_expect(c, o, &next.at);
}
