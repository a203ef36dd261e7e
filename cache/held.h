/* cache/held.h - what a waiting read was given, so that it need not ask twice.
 */
#ifndef DM_CACHE_HELD_H
#define DM_CACHE_HELD_H

#include <stdint.h>

#include "cache/base/attr.h"

struct blob;
struct directory;

/* Verified bytes of one piece that several readers may hold; immutable once
 * they are shared. */
struct held_bytes {
	_Atomic unsigned refs;
	uint32_t size;
	uint8_t data[];
};
struct held_bytes *held_bytes_new(uint32_t size); /* NULL: no memory */
struct held_bytes *held_bytes_get(struct held_bytes *b);
void held_bytes_put(struct held_bytes *b); /* NULL is fine */

/* One thing that came for a read: a piece, or a directory. */
struct cache_held {
	struct cache_held *next;
	const struct blob *blob;
	uint32_t piece; /* or FETCH_DIR */
	struct held_bytes *bytes;
	struct directory *dir;
};

/* Put another before list; counts bytes and dir (NULL: none) for itself.
 * Returns the new list, or NULL: no memory, list is unchanged. */
struct cache_held *held_add(struct cache_held *list, const struct blob *blob,
    uint32_t piece, struct held_bytes *bytes, struct directory *dir);

/* The entry for that piece, or NULL. */
struct cache_held *held_find(struct cache_held *list, const struct blob *blob,
    uint32_t piece);

void held_free(struct cache_held *list);

#endif
