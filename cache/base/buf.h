/* cache/base/buf.h - a byte string that grows, up to a limit. */
#ifndef DM_BASE_BUF_H
#define DM_BASE_BUF_H

#include <stddef.h>

#include "cache/base/attr.h"

struct dm_err;

/*
 * Start from DM_BUF(max): no byte is allocated before the first append, and no
 * append makes it larger than max (DM_INVALID).  data is NUL-terminated
 * behind its last byte once anything was appended, for use as text.
 */
struct dm_buf {
	char *data;
	size_t size; /* bytes in use */
	size_t room; /* bytes allocated */
	size_t max;  /* size never exceeds it */
};
#define DM_BUF(limit)          \
	{                      \
		.max = (limit) \
	}

int dm_buf_append(struct dm_buf *b, const void *data, size_t size,
    struct dm_err *err) DM_MUST_CHECK;
int dm_buf_printf(struct dm_buf *b, struct dm_err *err, const char *fmt, ...)
    DM_PRINTF(3, 4) DM_MUST_CHECK;

/* Append size bytes of zeros and return where they begin, or NULL. */
void *dm_buf_extend(struct dm_buf *b, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

/* Forget the contents, keep the memory. */
void dm_buf_clear(struct dm_buf *b);

/* Free the memory; the buffer may be used again. */
void dm_buf_release(struct dm_buf *b);

#endif
