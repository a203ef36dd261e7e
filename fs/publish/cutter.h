/* fs/publish/cutter.h - a large file's bytes, in any portions, become chunks.
 */
#ifndef DM_PUBLISH_CUTTER_H
#define DM_PUBLISH_CUTTER_H

#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct dm_err;
struct work;

/*
 * Cuts one file after the other.  Zeros that the caller knows of (holes) give
 * the chunks that reading them would give, but nobody reads, copies,
 * compresses or compares them: only the digest of the whole file sees them.
 * One thread at a time.
 */
struct cutter;

/* put takes over a WORK_CHUNK, of no path. */
int cutter_open(struct cutter **out,
    int (*put)(void *arg, struct work *w, struct dm_err *err), void *arg,
    struct dm_err *err) DM_MUST_CHECK;
void cutter_close(struct cutter *c);

/* Room for the file's next bytes, and how much (> 0); cutter_add says how many
 * were written there. */
void *cutter_room(struct cutter *c, size_t *size);
int cutter_add(struct cutter *c, size_t n, struct dm_err *err) DM_MUST_CHECK;

/* The file's next n bytes are zeros. */
int cutter_zeros(struct cutter *c, uint64_t n,
    struct dm_err *err) DM_MUST_CHECK;

/* The file ends; it had *size bytes. */
int cutter_end(struct cutter *c, uint64_t *size,
    struct dm_err *err) DM_MUST_CHECK;

#endif
