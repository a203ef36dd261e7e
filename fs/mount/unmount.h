/* fs/mount/unmount.h - take a mount point off, as root or by fusermount3. */
#ifndef DM_MOUNT_UNMOUNT_H
#define DM_MOUNT_UNMOUNT_H

#include <stdbool.h>

#include "cache/base/attr.h"

struct dm_err;

/* Unmount what lies topmost at dir; lazy: even if it is in use.  DM_STALE: it
 * is in use.  DM_NOTFOUND: not mounted, or no fusermount3.  Never touches the
 * mounted files, so a dead daemon does no harm.  One thread only. */
int unmount_dir(const char *dir, bool lazy, struct dm_err *err) DM_MUST_CHECK;

#endif
