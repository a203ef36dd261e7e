#include "fs/format/header.h"

#include <string.h>

#include "cache/base/err.h"
#include "cache/base/le.h"

#define MAGIC "DMo1"
enum {
	MAGIC_SIZE = 4,
	AT_KIND = 4,
	AT_LEVEL = 5,
	AT_ZERO = 6,
	AT_COUNT = 8,
	AT_HEAP = 12
};

int
header_decode(struct header *out, enum object_kind kind, const void *data,
    size_t size, size_t least, struct dm_err *err)
{
	const uint8_t *p = data;

	if (size < HEADER_SIZE || size < least)
		return dm_fail(err, DM_CORRUPT, "object is cut short");
	if (size > OBJECT_STRUCT_MAX)
		return dm_fail(err, DM_CORRUPT, "object is too large");
	if (memcmp(p, MAGIC, MAGIC_SIZE) != 0 || p[AT_KIND] != kind ||
	    le16_get(p + AT_ZERO) != 0)
		return dm_fail(err, DM_CORRUPT,
		    "not an object of the expected kind");
	out->level = p[AT_LEVEL];
	out->count = le32_get(p + AT_COUNT);
	out->heap = le32_get(p + AT_HEAP);
	return 0;
}

void
header_encode(void *p, enum object_kind kind, const struct header *h)
{
	uint8_t *b = p;

	memcpy(b, MAGIC, MAGIC_SIZE);
	b[AT_KIND] = (uint8_t)kind;
	b[AT_LEVEL] = h->level;
	le16_put(b + AT_ZERO, 0);
	le32_put(b + AT_COUNT, h->count);
	le32_put(b + AT_HEAP, h->heap);
}
