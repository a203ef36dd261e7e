/* fs/version/replay.h - bring what a trace says will be read. */
#ifndef DM_VERSION_REPLAY_H
#define DM_VERSION_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct cache;
struct dm_err;
struct origin;
struct version;

/*
 * Goes through a trace (fs/format/trace.h) and has the bytes of its entries
 * come into the cache, in the background and in about their order: a window of
 * entries at a time, and of those, pack by pack.  The first window is small,
 * so that what is read first is there first; the next ones are larger, so that
 * what lies together comes together.
 *
 * It stays ahead of the readers by no more than half of what the cache may
 * hold: else it would push out what was not read yet.
 *
 * The trace is a hint, whoever wrote it: what is not in the version is passed
 * over, and so are lines that are none.  Memory: one window's places.
 *
 * Threads: replay_run in one, replay_stop and replay_counts from any other.
 */
struct replay;

/* What is known of the readers.  Called by the thread of replay_run. */
struct replay_readers {
	/* Was the part of the file that begins at off asked for? */
	bool (*was_read)(void *arg, uint64_t ino, uint64_t off);
	/* Bytes of all the parts that were. */
	uint64_t (*bytes_read)(void *arg);
	void *arg;
};

struct replay_options {
	/* borrowed */
	struct version *version;
	struct cache *cache;
	struct origin *origin;
	const char *name; /* of the trace, for messages */
	int fd;           /* of the trace, a regular file */
	struct replay_readers readers;
	uint64_t ahead; /* bytes at most; 0: by what the cache may hold */
};

int replay_open(struct replay **out, const struct replay_options *opt,
    struct dm_err *err) DM_MUST_CHECK;

/* Returns when all was brought, or replay_stop was called; says in the log
 * how it went. */
void replay_run(struct replay *r);
void replay_stop(struct replay *r);

/* replay_run has returned.  NULL is fine. */
void replay_close(struct replay *r);

struct replay_counts {
	uint64_t brought; /* entries that were asked for, or were here */
	uint64_t absent;  /* entries that the version does not have */
	uint64_t bad;     /* lines that are no entries */
	bool ended;
};
void replay_counts(struct replay *r, struct replay_counts *out);

#endif
