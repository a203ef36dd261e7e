#include "fs/version/trace_lines.h"

#include <string.h>
#include <sys/types.h>

#include "cache/base/io.h"
#include "fs/format/trace.h"

_Static_assert((int)TRACE_LINES_BLOCK > (int)TRACE_LINE_MAX,
    "a block holds any line");

void
trace_lines_init(struct trace_lines *l, int fd)
{
	l->fd = fd;
	l->off = 0;
	l->begin = 0;
	l->end = 0;
}

/* Read on behind what is left in the block; false: nothing came. */
static bool
fill(struct trace_lines *l)
{
	size_t left = l->end - l->begin;
	ssize_t n;

	memmove(l->block, l->block + l->begin, left);
	l->begin = 0;
	l->end = left;
	n = dm_pread_full(l->fd, l->block + left, sizeof(l->block) - left,
	    l->off);
	if (n <= 0)
		return false;
	l->off += (uint64_t)n;
	l->end += (size_t)n;
	return true;
}

/* Pass over the rest of a line that fills the block. */
static void
skip_line(struct trace_lines *l)
{
	char *newline;

	do {
		l->begin = l->end;
		if (!fill(l))
			return;
		newline = memchr(l->block, '\n', l->end);
	} while (newline == NULL);
	l->begin = (size_t)(newline - l->block) + 1;
}

bool
trace_lines_next(struct trace_lines *l, const char **line, size_t *size)
{
	static const char too_long[TRACE_LINE_MAX + 1];

	for (;;) {
		const char *from = l->block + l->begin, *newline;

		newline = memchr(from, '\n', l->end - l->begin);
		if (newline != NULL) {
			*line = from;
			*size = (size_t)(newline - from);
			l->begin += *size + 1;
			return true;
		}
		if (l->begin == 0 && l->end == sizeof(l->block)) {
			skip_line(l);
			*line = too_long;
			*size = sizeof(too_long);
			return true;
		}
		if (!fill(l))
			return false;
	}
}
