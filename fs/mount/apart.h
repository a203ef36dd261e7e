/* fs/mount/apart.h - a process beside the supervisor that is nobody's child. */
#ifndef DM_MOUNT_APART_H
#define DM_MOUNT_APART_H

#include <stdint.h>
#include <sys/types.h>

#include "cache/base/attr.h"

struct dm_err;

/*
 * It has a copy of the supervisor's memory that it hardly touches, standard
 * error, and two descriptors more; it can be neither looked into nor ended by
 * a signal but SIGKILL, since what is meant for the supervisor's group is for
 * the supervisor.  It is nobody's child, and so none that the supervisor has
 * to tell from its workers.
 */
struct apart {
	pid_t pid;
	int gone_fd; /* ends when the process does; -1: none */
};

/* What it does, with the descriptor that it keeps; when that returns, it
 * ends. */
typedef void (*apart_main_fn)(int fd, const void *arg);

int apart_start(struct apart *a, apart_main_fn fn, int fd, const void *arg,
    struct dm_err *err) DM_MUST_CHECK;

/* Kill it, and wait for its end, but for so long only. */
void apart_kill(struct apart *a, uint64_t ms);

/* Wait for its end. */
void apart_join(struct apart *a);

/* In a child of the supervisor, or when it has ended. */
void apart_forget(struct apart *a);

#endif
