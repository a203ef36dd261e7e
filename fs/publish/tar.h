/* fs/publish/tar.h - a tar stream, read once from its begin to its end. */
#ifndef DM_PUBLISH_TAR_H
#define DM_PUBLISH_TAR_H

#include <stddef.h>

#include "cache/base/attr.h"

struct dm_err;
struct ignore;
struct members;
struct work;

/*
 * Reads ustar, pax and GNU tar, plain or compressed (gzip, bzip2, xz, zstd),
 * with libarchive.  Members go to the table of members, contents are handed
 * out as they come by: WORK_SMALL with data and WORK_LARGE_END have in .count
 * the number that members_content is to be told about.
 *
 * What no version can hold is refused by name (DM_INVALID), or, if it is a
 * pipe or device, left out with a warning.
 */
struct tar_options {
	int fd;
	struct members *members;

	/* What is left out, as far as it is known by now. */
	const struct ignore *(*ignore)(void *arg);

	/* The archive's .datamountignore comes by. */
	int (*ignore_text)(void *arg, const char *text, size_t size,
	    struct dm_err *err);

	/* Takes w over. */
	int (*put)(void *arg, struct work *w, struct dm_err *err);

	/* Nothing has come for a while: keep nobody waiting. */
	void (*idle)(void *arg);

	/* One line for the user. */
	void (*warn)(void *arg, const char *text);
	void *arg;
};

int tar_read(const struct tar_options *opt, struct dm_err *err) DM_MUST_CHECK;

#endif
