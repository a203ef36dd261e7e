#include "fs/version/ahead.h"

#include <string.h>

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

/* The entry, if what tells of it is here; else that begins to come, and is not
 * waited for. */
static bool
glance(struct version *v, struct cache *c, uint64_t ino,
    struct version_node *out)
{
	struct cache_sleeper sleeper;
	struct cache_sleep sleep;
	struct dm_err err;
	bool here;

	cache_sleeper_init(&sleeper);
	cache_sleep_init(&sleep, &sleeper, LOOK_MS);
	here = version_node(v, ino, out, &sleep.wait, &err) == 0;
	cache_sleeper_stop(&sleeper);
	if (!here && err.code == DM_AGAIN)
		(void)cache_sleep(c, &sleep);
	cache_sleep_release(&sleep);
	cache_sleeper_destroy(&sleeper);
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
