/* fs/publish/leftovers.h - temporary files that nobody goes on with. */
#ifndef DM_PUBLISH_LEFTOVERS_H
#define DM_PUBLISH_LEFTOVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct dm_err;
struct folder;

/*
 * Whoever writes into a repository writes to a file *.tmp first, and leaves
 * that behind when killed; so does a copy that was broken off, which goes on
 * with it later.  One that nobody has written to for age_s, and that nobody
 * has locked, is taken for left.
 *
 * To look for them is a walk over the whole repository, for which publishers
 * need not wait; to remove them is for who has the publishers' lock: then what
 * was about to get its name has it.
 */
struct leftovers {
	char **path; /* below the repository */
	size_t n, room;
};

struct leftovers_options {
	uint64_t age_s;
	bool dry_run; /* only say it */

	/* Of each; path is below the repository.  Not NULL. */
	void (*say)(void *arg, const char *path, uint64_t bytes);
	void *arg;
};

/* Find the temporary files.  *out starts zeroed. */
int leftovers_find(struct leftovers *out, struct folder *f,
    struct dm_err *err) DM_MUST_CHECK;
void leftovers_release(struct leftovers *l);

/* Remove those that are left; what cannot be removed is an error. */
int leftovers_remove(const struct leftovers *l, struct folder *f,
    const struct leftovers_options *opt, struct dm_err *err) DM_MUST_CHECK;

#endif
