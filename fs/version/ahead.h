/* fs/version/ahead.h - who reads files in the order of the tree. */
#ifndef DM_VERSION_AHEAD_H
#define DM_VERSION_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/lock.h"

/*
 * Some readers, each known by the number of the file that it read last.  Those
 * who have read a few files in a row go on, it is thought.
 *
 * Threads: any call from any thread.  Locks itself (DM_RANK_VERSION).
 */
enum { AHEAD_READERS = 16 };

struct ahead {
	struct dm_mutex mu; /* guards all below */
	struct ahead_reader {
		uint64_t ino;  /* read last */
		uint64_t seen; /* files in a row */
		uint64_t used;
	} reader[AHEAD_READERS];
	uint64_t uses;
};

void ahead_init(struct ahead *a);
void ahead_release(struct ahead *a);

/* A file of that number and size is read: is it time to look after those that
 * come next?  Then *ino is the number of one that lies so far ahead that what
 * it needs may still arrive in time. */
bool ahead_read(struct ahead *a, uint64_t file, uint64_t size, uint64_t *ino);

/* Have the pack that entry ino lies in begin to come, if it is another one than
 * that of file.  What its place is read from comes first, if need be: then the
 * next look gets further.  Waits for nothing. */
struct cache;
struct origin;
struct version;
struct version_node;
void ahead_look(struct version *v, struct cache *c, struct origin *o,
    const struct version_node *file, uint64_t ino);

#endif
