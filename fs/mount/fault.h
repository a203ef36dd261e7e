/* fs/mount/fault.h - tell a reader, the log and the status what failed. */
#ifndef DM_MOUNT_FAULT_H
#define DM_MOUNT_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dm_err;
struct shared;
struct task;
struct worker;

/* Answer t with the errno of err.  Unless its caller went away, log it (at
 * most 20 lines in 10 s, then their number) and remember it under the inode
 * number: the last 128 failures, until the file is read well again. */
void fault_reply(struct task *t, const struct dm_err *err);

/* The inode was read well. */
void fault_clear(struct worker *w, uint64_t ino);

/* Copy out why the inode's last operation failed; false if it did not. */
bool fault_text(struct worker *w, uint64_t ino, char *out, size_t size);

/* Copy out the last failure of all; false if there was none.  Any process. */
bool fault_last(const struct shared *s, char *out, size_t size, int64_t *time);

#endif
