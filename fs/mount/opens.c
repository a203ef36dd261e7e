/*
 * Killed between any two instructions, a worker leaves an entry that was
 * written before its request was answered, or a number of the kernel's that no
 * entry has: the highest noted, or the next one, since one at a time is taken
 * behind the lock.  Whoever comes next gives that back.
 *
 * A number is given back before its entry is freed, and what was closed is
 * replayed before what is opened: so no open gets a number that is gone.
 *
 * An open that is begun again and has an entry is answered from that, whatever
 * has become of the file.  One that was told that it failed, or was closed
 * before its request was done with, gets none: see shared.h.  Else nobody
 * would close it, and the inode would be open for ever.
 */
#include "fs/mount/opens.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cache/base/err.h"
#include "cache/base/log.h"

/* Linux 6.9; older headers lack them. */
#ifndef FUSE_DEV_IOC_BACKING_OPEN
struct fuse_backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define FUSE_DEV_IOC_BACKING_OPEN _IOW(229, 1, struct fuse_backing_map)
#define FUSE_DEV_IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)
#endif

/* ---- the kernel's numbers ---- */

/* 0: it refuses, now and for ever. */
static int32_t
backing_open_locked(struct opens *o, int fd)
{
	struct fuse_backing_map map = { .fd = fd };
	int id;

	if (atomic_load(&o->shared->io_broken) != 0)
		return 0;
	id = ioctl(o->fuse_fd, FUSE_DEV_IOC_BACKING_OPEN, &map);
	if (id > 0) {
		atomic_store(&o->shared->io_last, (uint32_t)id);
		return id;
	}
	dm_log(DM_LOG_WARN, "fuse",
	    "the kernel does not take a file of the cache to read it by "
	    "itself: %m; all is read through the daemon");
	atomic_store(&o->shared->io_broken, (uint32_t)errno);
	return 0;
}

static bool
backing_close(const struct opens *o, int32_t id)
{
	uint32_t number = (uint32_t)id;

	/* ENOENT: an earlier worker did. */
	return ioctl(o->fuse_fd, FUSE_DEV_IOC_BACKING_CLOSE, &number) == 0;
}

/* ---- inodes ---- */

static struct opens_inode **
find_locked(struct opens *o, uint64_t ino)
{
	struct opens_inode **at = &o->bucket[ino % OPENS_BUCKETS];

	while (*at != NULL && (*at)->ino != ino)
		at = &(*at)->next;
	return at;
}

/* Count one open file of the inode; NULL: no memory. */
static struct opens_inode *
enter_locked(struct opens *o, uint64_t ino)
{
	struct opens_inode **at = find_locked(o, ino);

	if (*at == NULL) {
		*at = calloc(1, sizeof(**at));
		if (*at == NULL)
			return NULL;
		(*at)->ino = ino;
	}
	(*at)->count++;
	return *at;
}

static void
leave_locked(struct opens *o, uint64_t ino)
{
	struct opens_inode **at = find_locked(o, ino), *i = *at;

	if (i == NULL || --i->count > 0)
		return;
	if (i->backing != 0)
		(void)backing_close(o, i->backing);
	if (i->marked)
		cache_lend_mark(o->cache, &i->pack, false);
	*at = i->next;
	free(i);
}

/* ---- entries ---- */

/* Room to note every entry as free. */
static bool
make_room_locked(struct opens *o, uint32_t entries)
{
	uint32_t room = o->room == 0 ? 1024 : o->room * 2;
	uint32_t *free_entries;

	if (entries <= o->room)
		return true;
	if (room < entries)
		room = entries;
	free_entries = realloc(o->free, room * sizeof(*free_entries));
	if (free_entries == NULL)
		return false;
	o->free = free_entries;
	o->room = room;
	return true;
}

static bool
take_locked(struct opens *o, uint32_t *entry)
{
	uint32_t n = atomic_load(&o->shared->nopens);

	if (o->nfree > 0) {
		*entry = o->free[--o->nfree];
		return true;
	}
	if (n == SHARED_OPENS || !make_room_locked(o, n + 1))
		return false;
	*entry = n;
	atomic_store(&o->shared->nopens, n + 1);
	return true;
}

static uint64_t
handle_of(const struct opens *o, uint32_t entry)
{
	return (uint64_t)o->shared->opens[entry].turn << 32 | entry;
}

/* The entry that an earlier worker made for this request, if any. */
static bool
find_entry(const struct opens *o, uint64_t unique, uint32_t *entry)
{
	uint32_t n = atomic_load(&o->shared->nopens);

	for (uint32_t i = 0; i < n; i++)
		if (atomic_load(&o->shared->opens[i].unique) == unique) {
			*entry = i;
			return true;
		}
	return false;
}

static void
note_locked(struct opens *o, uint32_t entry, const struct opens_ask *ask,
    const struct opens_inode *i)
{
	struct shared_open *e = &o->shared->opens[entry];

	e->ino = ask->ino;
	e->file = i->file;
	e->state = i->state;
	e->backing = i->backing;
	e->slot = ask->slot;
	e->turn++;
	o->shared->notes[ask->slot].opened = ask->unique;
	atomic_store(&e->unique, ask->unique);
}

/* ---- all ---- */

/* Give back numbers that no entry has. */
static void
close_lost_locked(struct opens *o)
{
	uint32_t last = atomic_load(&o->shared->io_last), n = o->shared->nopens;
	bool noted = false;

	for (uint32_t i = 0; i < n; i++)
		if (atomic_load(&o->shared->opens[i].unique) != 0 &&
		    o->shared->opens[i].backing == (int32_t)last)
			noted = true;
	if (last > 0 && !noted)
		(void)backing_close(o, (int32_t)last);
	if (backing_close(o, (int32_t)last + 1))
		atomic_store(&o->shared->io_last, last + 1);
}

static bool
count_locked(struct opens *o)
{
	uint32_t n = atomic_load(&o->shared->nopens);

	if (!make_room_locked(o, n))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		const struct shared_open *e = &o->shared->opens[i];
		struct opens_inode *inode;

		if (atomic_load(&e->unique) == 0) {
			o->free[o->nfree++] = i;
			continue;
		}
		inode = enter_locked(o, e->ino);
		if (inode == NULL)
			return false;
		inode->backing = e->backing;
		inode->file = e->file;
		inode->state = e->state;
	}
	return true;
}

int
opens_init(struct opens *o, int fuse_fd, struct shared *s, struct cache *cache,
    struct dm_err *err)
{
	bool counted;

	memset(o, 0, sizeof(*o));
	dm_mutex_init(&o->mu, DM_RANK_OPENS);
	o->fuse_fd = fuse_fd;
	o->shared = s;
	o->cache = cache;
	if (atomic_load(&s->io) != SHARED_IO_PASSTHROUGH)
		return 0;
	dm_lock(&o->mu);
	counted = count_locked(o);
	if (counted)
		close_lost_locked(o);
	dm_unlock(&o->mu);
	return counted ? 0 : dm_fail(err, DM_NOMEM, "open files");
}

/* What is passed through stays so: the kernel has it. */
void
opens_release(struct opens *o)
{
	if (o->shared == NULL)
		return;
	for (int i = 0; i < OPENS_BUCKETS; i++)
		for (struct opens_inode *n = o->bucket[i], *next; n != NULL;
		     n = next) {
			next = n->next;
			free(n);
		}
	free(o->free);
	dm_mutex_destroy(&o->mu);
}

enum opens_mode
opens_mode(struct opens *o, uint64_t ino, struct cache_lent *out)
{
	enum opens_mode mode = OPENS_NONE;
	const struct opens_inode *i;

	*out = (struct cache_lent){ .fd = -1 };
	dm_lock(&o->mu);
	i = *find_locked(o, ino);
	if (i != NULL) {
		mode = i->backing != 0 ? OPENS_PASSED : OPENS_DAEMON;
		out->file = i->file;
		out->state = i->state;
	}
	dm_unlock(&o->mu);
	return mode;
}

/* The inode's first open file says how all are read. */
static void
decide_locked(struct opens *o, struct opens_inode *i,
    const struct opens_ask *ask)
{
	if (ask->lent == NULL)
		return;
	if (i->count == 1 && i->backing == 0)
		i->backing = backing_open_locked(o, ask->lent->fd);
	else if (i->file != ask->lent->file)
		return; /* the cache has another file by now */
	if (i->backing == 0)
		return;
	i->file = ask->lent->file;
	i->state = ask->lent->state;
	if (!i->marked) {
		i->marked = true;
		i->pack = *ask->pack;
		cache_lend_mark(o->cache, &i->pack, true);
	}
}

static bool
add_locked(struct opens *o, const struct opens_ask *ask, uint32_t *entry)
{
	struct opens_inode *i;

	if (!take_locked(o, entry))
		return false;
	i = enter_locked(o, ask->ino);
	if (i == NULL) {
		o->free[o->nfree++] = *entry;
		return false;
	}
	decide_locked(o, i, ask);
	note_locked(o, *entry, ask, i);
	return true;
}

static void
answer_locked(const struct opens *o, uint32_t entry, struct opens_answer *out)
{
	*out = (struct opens_answer){
		.fh = handle_of(o, entry),
		.backing = o->shared->opens[entry].backing,
	};
}

bool
opens_find(struct opens *o, uint64_t unique, struct opens_answer *out)
{
	uint32_t entry = 0;
	bool found;

	dm_lock(&o->mu);
	found = find_entry(o, unique, &entry);
	if (found)
		answer_locked(o, entry, out);
	dm_unlock(&o->mu);
	return found;
}

bool
opens_add(struct opens *o, const struct opens_ask *ask,
    struct opens_answer *out)
{
	uint32_t entry = 0;
	bool added;

	dm_lock(&o->mu);
	added = add_locked(o, ask, &entry);
	if (added)
		answer_locked(o, entry, out);
	dm_unlock(&o->mu);
	return added;
}

void
opens_remove(struct opens *o, uint64_t fh)
{
	uint32_t entry = (uint32_t)fh;
	struct shared_note *note;
	struct shared_open *e;
	uint64_t unique;

	if (entry >= atomic_load(&o->shared->nopens))
		return;
	e = &o->shared->opens[entry];
	dm_lock(&o->mu);
	/* Else an earlier worker was killed when it had done this. */
	unique = atomic_load(&e->unique);
	if (e->turn == (uint32_t)(fh >> 32) && unique != 0) {
		/* Once the slot has another open, no worker is owed this one;
		 * and that one may be closed already, and not done with. */
		note = &o->shared->notes[e->slot];
		if (note->opened == unique)
			note->closed = unique;
		leave_locked(o, e->ino);
		atomic_store(&e->unique, 0);
		o->free[o->nfree++] = entry;
	}
	dm_unlock(&o->mu);
}
