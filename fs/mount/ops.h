/* fs/mount/ops.h - the operations that libfuse calls. */
#ifndef DM_MOUNT_OPS_H
#define DM_MOUNT_OPS_H

#include <fuse3/fuse_lowlevel.h>

/* . and .. come before the children: entry number n of a directory is at the
 * offset n + OPS_DOTS of its listing. */
enum { OPS_DOTS = 2 };

/* The session's userdata is the struct worker. */
extern const struct fuse_lowlevel_ops ops_table;

#endif
