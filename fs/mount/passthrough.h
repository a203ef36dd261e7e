/* fs/mount/passthrough.h - files that the kernel reads without the daemon. */
#ifndef DM_MOUNT_PASSTHROUGH_H
#define DM_MOUNT_PASSTHROUGH_H

#include <fuse3/fuse_lowlevel.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct dm_err;
struct worker;

/* In the operation init: whether to pass through or not is decided, if it was
 * not; and the kernel is told. */
void passthrough_init(struct worker *w, struct fuse_conn_info *conn);

/* Afterwards: the mount that was asked for is the one that it became. */
int passthrough_check(const struct worker *w, struct dm_err *err) DM_MUST_CHECK;

/* The operations open and release. */
void passthrough_open(fuse_req_t req, fuse_ino_t ino,
    struct fuse_file_info *fi);
void passthrough_release(fuse_req_t req, fuse_ino_t ino,
    struct fuse_file_info *fi);

#endif
