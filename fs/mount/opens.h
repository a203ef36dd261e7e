/* fs/mount/opens.h - open files, where the kernel asks for each. */
#ifndef DM_MOUNT_OPENS_H
#define DM_MOUNT_OPENS_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/lock.h"
#include "cache/cache.h"
#include "fs/mount/shared.h"

/*
 * All open files of an inode are read in the same way: either through the
 * daemon and the kernel's pages of this mount, or from one file of the cache
 * that the kernel knows by a number.  To an open that does not fit the others
 * the kernel says EIO; so this counts them, by inode, and tells what fits.
 *
 * The truth is in the shared mapping, an entry for each open file, written
 * before its request is answered.  A worker that comes after another counts
 * them again, and gives a request that is begun again the entry that it has.
 *
 * A number is given back with the last open file that uses it.
 *
 * Threads: any call from any thread.  Locks itself (DM_RANK_OPENS).
 */
enum opens_mode { OPENS_NONE, OPENS_DAEMON, OPENS_PASSED };

struct dm_err;

struct opens_inode {
	struct opens_inode *next;
	uint64_t ino;
	uint32_t count;       /* open files */
	int32_t backing;      /* 0: read through the daemon */
	uint64_t file, state; /* as struct cache_lent */
	bool marked;          /* cache_lend_mark(): the pack is pack */
	struct digest pack;
};

enum { OPENS_BUCKETS = 4096 };

struct opens {
	int fuse_fd;           /* immutable */
	struct shared *shared; /* immutable */
	struct cache *cache;   /* immutable; NULL: nothing new is passed */

	struct dm_mutex mu; /* guards all below */
	struct opens_inode *bucket[OPENS_BUCKETS];
	uint32_t *free; /* entries below shared->nopens that are free */
	uint32_t nfree, room;
};

/* Count what is open already. */
int opens_init(struct opens *o, int fuse_fd, struct shared *s,
    struct cache *cache, struct dm_err *err) DM_MUST_CHECK;
void opens_release(struct opens *o);

/* How the inode is open now; *out is what is passed through, if so. */
enum opens_mode opens_mode(struct opens *o, uint64_t ino,
    struct cache_lent *out);

/* A request to open, and what may be passed through for it, or nothing. */
struct opens_ask {
	uint64_t ino, unique;
	uint32_t slot; /* of the shared mapping */
	const struct cache_lent *lent;
	const struct digest *pack; /* that is lent */
};

struct opens_answer {
	uint64_t fh;
	int32_t backing; /* 0: through the daemon */
};

/* Did an earlier worker note this request? */
bool opens_find(struct opens *o, uint64_t unique, struct opens_answer *out);

/* Note an open file.  What is lent is passed through if the inode's other open
 * files are, or if there are none.  False: too many are open. */
bool opens_add(struct opens *o, const struct opens_ask *ask,
    struct opens_answer *out);

/* The open file is closed. */
void opens_remove(struct opens *o, uint64_t fh);

#endif
