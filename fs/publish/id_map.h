/* fs/publish/id_map.h - numbers by digest. */
#ifndef DM_PUBLISH_ID_MAP_H
#define DM_PUBLISH_ID_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct digest;
struct dm_err;

/* Starts zeroed; release frees.  One thread at a time. */
struct id_map {
	struct digest *key; /* zero: empty */
	uint32_t *value;
	size_t n, room; /* room is a power of two, or 0 */
};

bool id_map_find(const struct id_map *m, const struct digest *id,
    uint32_t *value);
static inline bool
id_map_has(const struct id_map *m, const struct digest *id)
{
	uint32_t ignored;

	return id_map_find(m, id, &ignored);
}

/* Add, or give another value. */
int id_map_put(struct id_map *m, const struct digest *id, uint32_t value,
    struct dm_err *err) DM_MUST_CHECK;
void id_map_release(struct id_map *m);

#endif
