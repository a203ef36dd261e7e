/* fs/mount/stand_in.h - who answers when no worker can be had. */
#ifndef DM_MOUNT_STAND_IN_H
#define DM_MOUNT_STAND_IN_H

#include <stdbool.h>

struct shared;

/*
 * When memory or processes are so short that no worker comes up, readers are
 * not to wait for ever.  What is owed, and what has come since, is told EIO,
 * by whoever holds the connection; that takes no memory.  What nobody waits
 * for, or what was perhaps answered otherwise, is left to the next worker.
 *
 * There is no worker meanwhile.  Never waits.  False: there is no room to read
 * more, because so much is left.
 */
bool stand_in_refuse(struct shared *s, int fuse_fd);

#endif
