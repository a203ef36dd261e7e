/* fs/publish/leftovers.h - temporary files that nobody goes on with. */
#ifndef DM_PUBLISH_LEFTOVERS_H
#define DM_PUBLISH_LEFTOVERS_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct dm_err;
struct folder;

/*
 * Whoever writes into a repository writes to a file *.tmp first, and leaves
 * that behind when killed; so does a copy that was broken off, which goes on
 * with it later.  One that nobody has written to for age_s is taken for left.
 */
struct leftovers_options {
	uint64_t age_s;
	bool dry_run; /* only say it */

	/* Of each; path is below the repository.  Not NULL. */
	void (*say)(void *arg, const char *path, uint64_t bytes);
	void *arg;
};

/* Remove them; what cannot be removed is an error. */
int leftovers_remove(struct folder *f, const struct leftovers_options *opt,
    struct dm_err *err) DM_MUST_CHECK;

#endif
