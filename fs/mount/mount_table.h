/* fs/mount/mount_table.h - what is mounted where, as the kernel says. */
#ifndef DM_MOUNT_MOUNT_TABLE_H
#define DM_MOUNT_MOUNT_TABLE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "cache/base/attr.h"

struct dm_err;

/* The type under which our mounts stand in the table. */
#define MOUNT_TABLE_TYPE "fuse.datamount"

struct mount_entry {
	unsigned major, minor; /* of the device number of its files */
	char dir[PATH_MAX];
	char type[64];
};

/* Decode the line of proc(5)'s mountinfo at *text, which is *size bytes long,
 * and move both behind it.  False at the end.  Lines that cannot be understood
 * are skipped. */
bool mount_table_next(struct mount_entry *out, const char **text, size_t *size);

/* The topmost mount whose mount point is exactly dir, or *found = false. */
int mount_table_at(const char *dir, struct mount_entry *out, bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/* The topmost mount of ours whose mount point is path or a directory above. */
int mount_table_above(const char *path, struct mount_entry *out, bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/* Call each for the mount points of ours, in no order, dead or alive. */
int mount_table_each(int (*each)(void *arg, const char *dir,
			 struct dm_err *err),
    void *arg, struct dm_err *err) DM_MUST_CHECK;

/* Is path dir, or below it? */
bool mount_table_below(const char *path, const char *dir);

/* Write the name under which dir stands in the table, whatever is mounted
 * there and in whatever state it is: links in it resolved, the last component
 * never opened if a dead daemon's mount hides it.  A directory that does not
 * exist resolves to where it would be created. */
int mount_table_resolve(const char *dir, char out[PATH_MAX],
    struct dm_err *err) DM_MUST_CHECK;

#endif
