/* fs/mount/attr.h - what stat(2) says of a node. */
#ifndef DM_MOUNT_ATTR_H
#define DM_MOUNT_ATTR_H

#include <fuse3/fuse_lowlevel.h>

struct version_node;
struct worker;

/* Nothing ever changes: the kernel may keep it for as long as it likes. */
#define ATTR_TIMEOUT 1e15

void attr_fill(const struct worker *w, const struct version_node *node,
    struct stat *out);
void attr_entry(const struct worker *w, const struct version_node *node,
    struct fuse_entry_param *out);

#endif
