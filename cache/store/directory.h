/* cache/store/directory.h - a pack's directory, proven, in memory or on disk.
 */
#ifndef DM_STORE_DIRECTORY_H
#define DM_STORE_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/pack/pack_dir.h"

struct dm_err;
struct shelf;

/*
 * A directory that was hashed against its pack's id in this run and whose
 * every record was checked.  One of at most DIRECTORY_WHOLE bytes (any small
 * pack's) is kept in memory whole; of a larger one, records are read from the
 * cache's file, as long as that stays as it was when it was hashed.  Without
 * a disk, it is in memory whatever its size.
 *
 * Counted; immutable.  Threads: any call from any thread.
 */
struct directory;

enum { DIRECTORY_WHOLE = 256 << 10 };

/* What the cache's disk has under key, or NULL; what is damaged is removed. */
struct directory *directory_load(struct shelf *s, const struct digest *key);

/* Prove size bytes (malloc'ed; taken over, also on failure) that came for key,
 * and keep them on disk.  DM_CORRUPT, DM_NOMEM. */
int directory_make(struct directory **out, struct shelf *s,
    const struct digest *key, void *data, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

struct directory *directory_get(struct directory *d);
void directory_put(struct directory *d); /* NULL is fine */

uint32_t directory_count(const struct directory *d);
uint64_t directory_plain_size(const struct directory *d);

/* Bytes of memory that it counts for: a descriptor for as many as a directory
 * that is kept whole, so that one bound holds for both. */
size_t directory_memory(const struct directory *d);

/* Records first to first + n - 1, which exist.  False: its file has changed;
 * load it again. */
bool directory_objects(struct directory *d, uint32_t first, uint32_t n,
    struct pack_object *out);

#endif
