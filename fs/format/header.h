/* fs/format/header.h - the 16 bytes that begin every structured object. */
#ifndef DM_FORMAT_HEADER_H
#define DM_FORMAT_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/object.h"

struct dm_err;

/* "DMo1" · kind u8 · level u8 · 0 u16 · count u32 · heap u32 */
enum { HEADER_SIZE = 16 };
struct header {
	uint8_t level;
	uint32_t count, heap;
};

/* Read the header of an object of that kind, of at least least bytes in all.
 * DM_CORRUPT if it is anything else, or larger than OBJECT_STRUCT_MAX. */
int header_decode(struct header *out, enum object_kind kind, const void *data,
    size_t size, size_t least, struct dm_err *err) DM_MUST_CHECK;

/* Write it to the HEADER_SIZE bytes at p. */
void header_encode(void *p, enum object_kind kind, const struct header *h);

#endif
