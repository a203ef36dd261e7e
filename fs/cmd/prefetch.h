/* fs/cmd/prefetch.h - bring a whole version into the cache. */
#ifndef DM_CMD_PREFETCH_H
#define DM_CMD_PREFETCH_H

#include <stdbool.h>

#include "cache/base/attr.h"

struct cache;
struct dm_err;
struct version;

/* Read all of v, through c; says on standard error how much that was, and what
 * could not be read.  DM_CORRUPT: some of it; DM_NOSPACE: it was not kept. */
int prefetch_version(struct version *v, struct cache *c, bool quiet,
    struct dm_err *err) DM_MUST_CHECK;

#endif
