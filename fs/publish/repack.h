/* fs/publish/repack.h - what is needed of packs goes into new ones. */
#ifndef DM_PUBLISH_REPACK_H
#define DM_PUBLISH_REPACK_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct dm_err;
struct folder;
struct reach;
struct reach_pack;

/* Is less than half of its plain bytes needed, but something is? */
bool repack_worthy(const struct reach_pack *p);

struct repack_counts {
	uint64_t packs, bytes;         /* that are not needed any more */
	uint64_t new_packs, new_bytes; /* that stand in for them */
};

/*
 * Write new packs with what r needs of the packs that are worth it, in the
 * order of the walk, and then moved/AA/ID for each of those.  Nothing is
 * removed.  Killed at any moment, it leaves packs that nothing refers to.
 */
int repack(struct folder *f, struct reach *r, struct repack_counts *out,
    struct dm_err *err) DM_MUST_CHECK;

#endif
