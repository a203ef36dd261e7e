#include "cache/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"

/* Make room for size more bytes and the NUL behind them. */
static int
reserve(struct dm_buf *b, size_t size, struct dm_err *err)
{
	size_t want, room;
	char *p;

	if (size > b->max - b->size)
		return dm_fail(err, DM_INVALID, "larger than %zu bytes",
		    b->max);
	want = b->size + size + 1;
	if (want <= b->room)
		return 0;
	/* by half, or to what is wanted: many are filled in one go */
	room = b->room + b->room / 2;
	if (room < want)
		room = want < 64 ? 64 : want;
	p = realloc(b->data, room);
	if (p == NULL)
		return dm_fail(err, DM_NOMEM, "%zu bytes", room);
	b->data = p;
	b->room = room;
	return 0;
}

void *
dm_buf_extend(struct dm_buf *b, size_t size, struct dm_err *err)
{
	char *p;

	if (reserve(b, size, err) < 0)
		return NULL;
	p = b->data + b->size;
	memset(p, 0, size + 1);
	b->size += size;
	return p;
}

int
dm_buf_append(struct dm_buf *b, const void *data, size_t size,
    struct dm_err *err)
{
	if (reserve(b, size, err) < 0)
		return -1;
	if (size > 0)
		memcpy(b->data + b->size, data, size);
	b->size += size;
	b->data[b->size] = '\0';
	return 0;
}

int
dm_buf_printf(struct dm_buf *b, struct dm_err *err, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return dm_fail_errno(err, "format text");
	if (reserve(b, (size_t)n, err) < 0)
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(b->data + b->size, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->size += (size_t)n;
	return 0;
}

void
dm_buf_clear(struct dm_buf *b)
{
	b->size = 0;
}

void
dm_buf_release(struct dm_buf *b)
{
	free(b->data);
	b->data = NULL;
	b->size = 0;
	b->room = 0;
}
