/* cache/store/store.h - the blobs that this process uses, by key. */
#ifndef DM_STORE_STORE_H
#define DM_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct blob;
struct digest;
struct dm_err;
struct shelf;

/*
 * A blob, once asked for, stays in the table until the end, because its
 * verified bits do; its descriptors and its directory are bounded: those of
 * blobs that were not used lately are closed and freed.
 *
 * Threads: any call from any thread.  Locks itself (DM_RANK_BLOBS).
 */
struct store;

/* As shelf_open().  limit: of the cache's size, for us; 0: as the cache has it
 * (quota.h).  A thread of its own closes what was removed, counts and evicts.
 */
int store_open(struct store **out, const char *dir, uint64_t limit,
    struct dm_err *err) DM_MUST_CHECK;
void store_close(struct store *s);

struct shelf *store_shelf(struct store *s);

/* The keys of all blobs that were asked for; the caller frees. */
int store_keys(struct store *s, struct digest **out, size_t *n,
    struct dm_err *err) DM_MUST_CHECK;

/* The blob of that key; NULL: no memory.  Good until store_close(). */
struct blob *store_blob(struct store *s, const struct digest *key);

#endif
