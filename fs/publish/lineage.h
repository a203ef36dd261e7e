/* fs/publish/lineage.h - in what order commits may go. */
#ifndef DM_PUBLISH_LINEAGE_H
#define DM_PUBLISH_LINEAGE_H

#include <stddef.h>

#include "cache/base/attr.h"

struct digest;
struct dm_err;
struct folder;

/* Put n commits of the folder in an order in which each comes before its
 * parents: removed one by one, they leave none without its history.  Those
 * that are not there, or do not decode, have no parents. */
int lineage_sort(struct folder *f, struct digest *id, size_t n,
    struct dm_err *err) DM_MUST_CHECK;

#endif
