/* fs/publish/walk.h - a directory tree, entry by entry, in order. */
#ifndef DM_PUBLISH_WALK_H
#define DM_PUBLISH_WALK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "cache/base/attr.h"

struct digest;
struct dm_err;
struct ignore;
struct place;
struct work;

/*
 * Walks a directory in the order of a version: names ascending by bytes, a
 * directory's entries behind its name.  Small files are handed out to be read
 * by others; large ones are read here and handed out as chunks.
 *
 * What no version can hold is refused by name (DM_INVALID), or, if it is a
 * socket, pipe or device, left out with a warning.
 */
struct walk_options {
	int fd;                      /* of the directory */
	const struct ignore *ignore; /* what is left out */
	const char *tmp_dir;         /* for names that do not fit in memory */
	struct stat repo;            /* the repository's root */
	bool all_symlinks;           /* also those that leave the root */

	/* Takes w over. */
	int (*put)(void *arg, struct work *w, struct dm_err *err);

	/* Does the repository have the content of this file, by its stat? */
	int (*known)(void *arg, const char *path, const struct stat *st,
	    struct digest *id, struct place *at, bool *found,
	    struct dm_err *err);

	/* One line for the user. */
	void (*warn)(void *arg, const char *text);
	void *arg;
};

int walk(const struct walk_options *opt, struct dm_err *err) DM_MUST_CHECK;

#endif
