/* fs/cmd/mount_all.h - mount all that a Git work tree pins. */
#ifndef DM_CMD_MOUNT_ALL_H
#define DM_CMD_MOUNT_ALL_H

#include "cache/base/attr.h"
#include "fs/cmd/cmd.h"

struct dm_err;

/* Mount what the file source pins at dir, both absolute, and leave Git alone.
 * To be called in a process of its own. */
typedef int (*mount_all_fn)(const struct cmd_args *a, const char *source,
    const char *dir, struct dm_err *err);

/*
 * For each .source file of ours that Git tracks in the work tree that we stand
 * in: mount it beside itself, with the options in a, unless it is mounted
 * already, wherever.  Then see that Git ignores the mount points.  An exit
 * status, or -1.
 */
int mount_all(const struct cmd_args *a, mount_all_fn mount_one,
    struct dm_err *err) DM_MUST_CHECK;

#endif
