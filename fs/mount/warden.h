/* fs/mount/warden.h - a process that unmounts when the supervisor cannot. */
#ifndef DM_MOUNT_WARDEN_H
#define DM_MOUNT_WARDEN_H

#include "cache/base/attr.h"
#include "fs/mount/apart.h"

struct dm_err;
struct shared;

/*
 * It waits for the end of the supervisor.  If that was not announced, the
 * supervisor was killed: the warden takes the mount off, so that nobody finds
 * it half there.  The worker cannot: it is confined.
 */
struct warden {
	struct apart apart; /* its gone_fd ends when the warden does */
	int life_fd; /* while it is open, the supervisor lives; -1: no warden */
};

/* Before anything is mounted.  What is mounted at dir is the supervisor's if
 * it has the numbers that are in shared by then. */
int warden_start(struct warden *w, const char *dir, const struct shared *shared,
    struct dm_err *err) DM_MUST_CHECK;

/* There is nothing to take off any more.  Returns when it has gone. */
void warden_dismiss(struct warden *w);

/* In a child of the supervisor: keep only gone_fd. */
void warden_leave(struct warden *w);

#endif
