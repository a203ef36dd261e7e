/* fs/version/trace_lines.h - the lines of a file, however long it is. */
#ifndef DM_VERSION_TRACE_LINES_H
#define DM_VERSION_TRACE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"

/*
 * Reads a file from its begin, a block at a time.  What is behind the last
 * newline is not given: a writer may have been killed there.  A line that is
 * longer than any line of a trace is cut off where it is too long already.
 *
 * Threads: one.
 */
enum { TRACE_LINES_BLOCK = 64 << 10 };

struct trace_lines {
	int fd;       /* borrowed */
	uint64_t off; /* of what was not read yet */
	size_t begin, end;
	char block[TRACE_LINES_BLOCK];
};

void trace_lines_init(struct trace_lines *l, int fd);

/* The next line, without its newline, good until the next call; false: there
 * is none, or the file cannot be read. */
bool trace_lines_next(struct trace_lines *l, const char **line,
    size_t *size) DM_MUST_CHECK;

#endif
