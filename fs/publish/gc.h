/* fs/publish/gc.h - free what no ref of a repository reaches. */
#ifndef DM_PUBLISH_GC_H
#define DM_PUBLISH_GC_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "fs/publish/marks.h"

struct digest;
struct dm_err;

/*
 * What the refs reach through commits, their parents, trees and lists is kept.
 * The rest is marked (marks.h); what was marked grace ago, and is not reached
 * still, is deleted, and so are temporary files that old (leftovers.h).  So a
 * publisher has that long to finish.
 *
 * If anything that is needed is damaged or missing, nothing is done: the
 * error says what.  Killed at any moment, nothing that is needed is gone, and
 * the next run goes on.
 */
enum gc_act { GC_MARK, GC_DELETE, GC_REPACK };

struct gc_options {
	const char *repo;
	bool dry_run; /* say what would be done; change nothing */
	bool repack;  /* gather what is needed of packs half of it is not */
	uint64_t grace_s;

	/* Of each thing; bytes of its file.  left: of a temporary file that is
	 * deleted.  Not NULL. */
	void (*say)(void *arg, enum gc_act act, enum mark_kind kind,
	    const struct digest *id, uint64_t bytes);
	void (*left)(void *arg, const char *path, uint64_t bytes);
	void (*warn)(void *arg, const char *text);
	void *arg;
};

struct gc_result {
	uint64_t packs, bytes;           /* that are kept, and not marked */
	uint64_t marked, marked_bytes;   /* packs that wait, now and before */
	uint64_t deleted, deleted_bytes; /* packs */
	uint64_t commits;                /* that were deleted */
	uint64_t temps, temp_bytes;      /* temporary files, deleted */
	uint64_t repacked, repacked_bytes, new_packs, new_bytes;
};

int gc_run(const struct gc_options *opt, struct gc_result *out,
    struct dm_err *err) DM_MUST_CHECK;

#endif
