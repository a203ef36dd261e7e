/* cache/store/index.h - when each blob was last used, by any process. */
#ifndef DM_STORE_INDEX_H
#define DM_STORE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct census;
struct digest;
struct dm_err;

/*
 * A hint, in SQLite, shared by all processes of a cache: which blobs there are,
 * how large, when last used, whether pinned.  If it is busy, what was to be
 * written waits; if it is damaged or gone, it is put aside and made again from
 * the directory.  Nobody who reads or writes blobs ever waits for it: the last
 * uses that index_uses() tells are a copy in memory.
 *
 * Threads: index_tick() by one thread; index_uses() by any.
 */
struct index;

/* The schema's version is in the name: a new version starts a new file. */
#define INDEX_FILE "index-v1.sqlite"

/* No I/O.  dir is copied. */
int index_new(struct index **out, const char *dir,
    struct dm_err *err) DM_MUST_CHECK;
void index_free(struct index *ix); /* NULL is fine */

/* Once a second: note that n blobs were used; bring the copy in memory, and now
 * and then the index, up to date.  root is the cache's directory.  Returns
 * whether the uses were noted; if not, tell them again. */
bool index_tick(struct index *ix, int root, const struct digest *used,
    size_t n);

/* Raise the last uses in a census, which is sorted by key, to those that the
 * index knows of. */
void index_uses(struct index *ix, struct census *c);

/* The same from the file path, for who has no index open; if it cannot be read,
 * nothing is raised. */
void index_read_uses(const char *path, struct census *c);

#endif
