/* fs/cmd/compare.h - is what is on disk what the version holds? */
#ifndef DM_CMD_COMPARE_H
#define DM_CMD_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/buf.h"
#include "fs/version/version.h"

struct dm_err;

/* Whether the bytes of the open file, from where it stands, are the node's. */
int compare_content(struct version *v, const struct version_node *node, int fd,
    bool *same, struct dm_err *err) DM_MUST_CHECK;

/*
 * Compare the open directory with dir and everything below: names, kinds,
 * executable bits, link targets, sizes, digests; what is too many, too.
 * differs is called for each difference with its path and what it is.  No
 * link is followed.
 */
struct compare {
	struct version *version;
	void (*differs)(void *arg, const struct dm_buf *path, const char *what);
	void *arg;
	struct dm_buf path;
	uint64_t files, bytes; /* looked at */
};
int compare_dir(struct compare *c, const struct version_node *dir, int fd,
    struct dm_err *err) DM_MUST_CHECK;

#endif
