/* fs/mount/attach.h - attach a FUSE session to a directory, or try to. */
#ifndef DM_MOUNT_ATTACH_H
#define DM_MOUNT_ATTACH_H

#include "cache/base/attr.h"

struct dm_err;
struct fuse_session;

/* fuse_session_mount, with what libfuse and fusermount3 print on standard
 * error as the text of the error. */
int attach_session(struct fuse_session *session, const char *dir,
    struct dm_err *err) DM_MUST_CHECK;

#endif
