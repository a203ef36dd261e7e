/* fs/mount/tracing.h - which parts of files were asked for, and in what order.
 */
#ifndef DM_MOUNT_TRACING_H
#define DM_MOUNT_TRACING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "fs/mount/namer.h"

struct dm_err;
struct mount_spec;
struct replay;
struct trail;
struct version_node;
struct worker;

/*
 * A mount may record a trace (fs/format/trace.h) and replay one.  The
 * supervisor opens both files; workers inherit them, so that none needs the
 * right to open files of the user's.  A line is written as the part is first
 * asked for: whoever is killed then, the kernel has it.  A reader never waits
 * for the name of what it reads: if that is not in memory, a thread names the
 * part behind it, and its line comes later than its turn.
 *
 * What was asked for outlives workers, as bits in a mapping of its own: one
 * for each entry, and for each later part of a large file one that others may
 * have by chance (1 of 32 at most is set; the trace then lacks that part).
 * For more than TRACING_BITS of either, they are shared as well.
 *
 * Threads: tracing_note from any.
 */
enum {
	TRACING_BITS = 1 << 27, /* 16 MiB */
};

struct tracing_marks {
	_Atomic uint64_t bytes;  /* of parts that were asked for */
	_Atomic uint32_t broken; /* the trace cannot be written */
	_Atomic uint32_t lost;   /* a part's file could not be named */
	size_t size;             /* of all this */
	uint64_t entries, parts; /* bits of each */
	struct namer_list unnamed;
	_Atomic uint64_t word[];
};

struct tracing {
	int record_fd, replay_fd;    /* -1: none */
	struct tracing_marks *marks; /* NULL: neither */
	struct namer *namer;         /* of a worker; likewise */
	/* Likewise, each with its thread. */
	struct replay *replay;
	struct trail *trail;
	pthread_t replay_thread, trail_thread;
};

/* Open what spec names, and nothing is changed yet.  DM_INVALID: no trace, or
 * what is to be written over is none. */
int tracing_open(struct tracing *t, const struct mount_spec *spec,
    struct dm_err *err) DM_MUST_CHECK;

/* Begin a new trace, unless spec says to go on with the one that is there. */
int tracing_begin(const struct tracing *t, const struct mount_spec *spec,
    struct dm_err *err) DM_MUST_CHECK;
void tracing_close(struct tracing *t);

/* size bytes of the file from off on are asked for. */
void tracing_note(struct worker *w, const struct version_node *file,
    uint64_t off, uint64_t size);

/* A reader asks for bytes of the file from off on: was the scout told to read
 * them ahead, by the trace that is replayed?  Any thread. */
bool tracing_foretold(struct worker *w, const struct version_node *file,
    uint64_t off);

/* In a worker, before its first request: record, and replay, each in a thread
 * of its own; a replay that cannot begin is said in the log. */
int tracing_start(struct worker *w, struct dm_err *err) DM_MUST_CHECK;
void tracing_stop(struct worker *w);

#endif
