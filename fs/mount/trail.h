/* fs/mount/trail.h - the scout goes ahead of who reads what a trace says. */
#ifndef DM_MOUNT_TRAIL_H
#define DM_MOUNT_TRAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "fs/version/replay.h"

struct cache;
struct dm_err;
struct scout_order;
struct version;

/*
 * Who reads files in an order that no directory tells may have told it by a
 * trace, which is replayed.  That brings their bytes into the cache
 * (replay.h); this tells the scout (scout.h) to ask the kernel for them: the
 * small ones whose bytes have come, a batch at a time.  The last of a batch is
 * left to the reader, as in scouting.h: by that, and by whatever else of the
 * batches he asks for, he is followed.  A few batches are ahead of him.  Who
 * reads something else has had these few asked for in vain, and no more.
 *
 * A large file is not asked for, the kernel reads ahead in it by itself; but
 * its parts have their place in the line.
 *
 * Threads: trail_run in one, trail_note and trail_stop from any other.
 */
struct trail;

struct trail_options {
	/* borrowed */
	struct version *version;
	struct cache *cache;
	int fd; /* of the trace, a regular file */
	struct replay_readers readers;
	/* Give it to the scout; false: he cannot take it, and need not. */
	bool (*order)(void *arg, const struct scout_order *order);
	void *arg;
};

int trail_open(struct trail **out, const struct trail_options *opt,
    struct dm_err *err) DM_MUST_CHECK;

/* Returns when the trace has ended, or trail_stop was called. */
void trail_run(struct trail *t);
void trail_stop(struct trail *t);

/* trail_run has returned.  NULL is fine. */
void trail_close(struct trail *t);

/* A reader, not the scout, asks for bytes of the file from off on: is that
 * something which the trace says is to come?  *ordered: the scout was told of
 * it. */
bool trail_note(struct trail *t, uint64_t ino, uint64_t off, bool *ordered);

#endif
