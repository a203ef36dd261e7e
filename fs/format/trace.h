/* fs/format/trace.h - the order in which the files of a version were read. */
#ifndef DM_FORMAT_TRACE_H
#define DM_FORMAT_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "fs/format/limits.h"

struct dm_buf;
struct dm_err;

/*
 * A text: the line TRACE_HEADER, then for each part of a file, in the order in
 * which they were first asked for, "OFFSET PATH".  A part is TRACE_PART bytes
 * from OFFSET (a multiple of it) on, or what the file has of them; PATH begins
 * below what was mounted, without a slash, and has "\n" for a newline and "\\"
 * for a backslash.  So it is also true of other versions of the same files.
 *
 * It may have been written by anybody.  Everything here is pure.
 */
enum {
	TRACE_PART = 8 << 20,
	/* of a line, without its newline: an offset, a space, a path of which
	 * every byte stands for two */
	TRACE_LINE_MAX = 20 + 1 + 2 * DM_PATH_MAX,
};
#define TRACE_HEADER "datamount trace 1"

struct trace_entry {
	uint64_t off;
	size_t path_len;
	char path[DM_PATH_MAX + 1]; /* NUL-terminated */
};

/* Is that first line, without its newline, the header?  DM_INVALID: it is of
 * no trace, or of a later version's. */
int trace_check_header(const char *line, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

/* The same of what may be another list; also true for a later version's. */
bool trace_is_header(const char *line, size_t size);

/* Decode one of the other lines, without its newline.  DM_CORRUPT. */
int trace_decode(struct trace_entry *out, const char *line, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

/* Append the line of an entry and its newline. */
int trace_encode(const struct trace_entry *e, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

#endif
