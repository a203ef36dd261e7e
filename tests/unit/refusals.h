/* tests/unit/refusals.h - what a decoder of structured objects refuses. */
#ifndef DM_TEST_REFUSALS_H
#define DM_TEST_REFUSALS_H

#include "cache/base/object.h"
#include "tests/unit/check.h"

#define ZERO8 "\0\0\0\0\0\0\0\0"
#define FULL8 "\xff\xff\xff\xff\xff\xff\xff\xff"
#define ZERO32 ZERO8 ZERO8 ZERO8 ZERO8

typedef void (*encode_fn)(struct dm_buf *);
typedef int (*decode_fn)(const void *, size_t, struct dm_err *);

/* Each patch of the good object is refused, with its reason. */
static inline void
refuse_patched(encode_fn encode, decode_fn decode, const struct patch *patches,
    size_t n)
{
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);

	for (size_t i = 0; i < n; i++) {
		dm_buf_clear(&b);
		encode(&b);
		memcpy(b.data + patches[i].at, patches[i].bytes,
		    patches[i].size);
		FAILS(DM_CORRUPT, patches[i].says,
		    decode(b.data, b.size, &err));
	}
	dm_buf_release(&b);
}

/* The good object is refused when it ends anywhere, or goes on. */
static inline void
refuse_other_sizes(encode_fn encode, decode_fn decode)
{
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);

	encode(&b);
	for (size_t n = 0; n < b.size; n++)
		FAILS(DM_CORRUPT, "", decode(b.data, n, &err));
	OK(dm_buf_append(&b, "x", 1, &err));
	FAILS(DM_CORRUPT, "bad size", decode(b.data, b.size, &err));
	dm_buf_release(&b);
}

#endif
