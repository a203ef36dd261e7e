/* fs/version/known.h - directories that were found of late, by number. */
#ifndef DM_VERSION_KNOWN_H
#define DM_VERSION_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/lock.h"
#include "fs/version/version.h"

/*
 * Whoever walks asks for entry after entry of the same few directories, so a
 * descent begins at the nearest one that is known, and not at the root.  A
 * node is immutable: it may be forgotten, and is never wrong.
 *
 * Threads: any call from any thread.  Locks itself (DM_RANK_VERSION).
 */
enum { KNOWN = 128 };

struct known {
	struct dm_mutex mu; /* guards all below */
	uint64_t uses;
	uint64_t first[KNOWN], last[KNOWN]; /* its number, and the last below
					     * it; first 0: none */
	uint64_t used[KNOWN];
	struct version_node dir[KNOWN];
};

void known_init(struct known *k);
void known_release(struct known *k);

/* The entry of that number, if it is a directory that is known. */
bool known_get(struct known *k, uint64_t ino, struct version_node *out);

/* The nearest known directory above the entry of that number. */
bool known_above(struct known *k, uint64_t ino, struct version_node *out);

/* Anything but a directory is passed over. */
void known_add(struct known *k, const struct version_node *node);

#endif
