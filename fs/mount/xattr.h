/* fs/mount/xattr.h - user.datamount.*, extended attributes of a version. */
#ifndef DM_MOUNT_XATTR_H
#define DM_MOUNT_XATTR_H

#include "fs/mount/task.h"

/* The operation getxattr: t's ino, name, and size (0: only how long it is).
 *
 * On regular files: digest (SHA-256 of the content, hex), cached (bytes that
 * the cache probably has), chunks; on the root: commit, source (the .source
 * file, if any), repo; on everything: error (why its last operation failed, if
 * it did).  All else does not exist. */
int xattr_run(struct task *t, struct dm_err *err);

#endif
