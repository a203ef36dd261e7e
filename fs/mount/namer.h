/* fs/mount/namer.h - names of files that nobody who reads has to wait for. */
#ifndef DM_MOUNT_NAMER_H
#define DM_MOUNT_NAMER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct cache;
struct dm_err;
struct version;

/*
 * A trace names files by their paths, and the pages that tell a path may have
 * been pushed out of memory, and of the cache.  Then a thread has them come,
 * and tells the path later, in the order in which parts were added.  While the
 * origin does not answer, it asks again now and then.
 *
 * What is to be named lies in a mapping that outlives workers: the next one
 * goes on with it.  Who is killed when a part was told of, and was not crossed
 * out yet, has it told of twice.
 *
 * Threads: namer_add() and namer_more() by one at a time.  The functions of
 * the caller are called by the thread of the namer, with no lock held.
 */
enum { NAMER_PARTS = 1 << 14 };

struct namer_part {
	uint64_t ino, off;
};

struct namer_list {
	_Atomic uint32_t added, done; /* ever, modulo 2^32 */
	struct namer_part part[NAMER_PARTS];
};

/* False: there is no room. */
bool namer_add(struct namer_list *l, const struct namer_part *part);

struct namer;

struct namer_options {
	/* borrowed */
	struct version *version;
	struct cache *cache;
	struct namer_list *list;
	void (*named)(void *arg, const struct namer_part *part,
	    const char *path);
	/* There will be no name. */
	void (*lost)(void *arg, const struct namer_part *part, const char *why);
	void *arg;
};

/* Begins with what the list has. */
int namer_open(struct namer **out, const struct namer_options *opt,
    struct dm_err *err) DM_MUST_CHECK;

/* Something was added. */
void namer_more(struct namer *n);

/* Names what takes no waiting any more.  NULL is fine. */
void namer_close(struct namer *n);

#endif
