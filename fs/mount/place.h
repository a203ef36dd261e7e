/* fs/mount/place.h - where a mount's control socket and log lie. */
#ifndef DM_MOUNT_PLACE_H
#define DM_MOUNT_PLACE_H

#include <limits.h>
#include <stddef.h>

#include "cache/base/attr.h"

struct dm_err;

/* 32 hex digits that stand for a mount point (the beginning of its SHA-256),
 * and a NUL. */
enum { PLACE_NAME = 32 + 1, PLACE_DIRS_MAX = 3 };
void place_name(const char *dir, char out[PLACE_NAME]);

/*
 * Directories in which this user's control sockets may lie; the first is where
 * new ones are made: $XDG_RUNTIME_DIR/datamount if that is set, else for root
 * /run/datamount, for others datamount in the state directory.  The others,
 * and that of a login session, are for looking only, so that mounts are found
 * from where XDG_RUNTIME_DIR is not set or another one.
 */
struct place_dirs {
	char dir[PLACE_DIRS_MAX][PATH_MAX];
	unsigned n;
};
int place_control_dirs(struct place_dirs *out,
    struct dm_err *err) DM_MUST_CHECK;

/* Make dir (and those above) if missing and open it; it must belong to this
 * user and nobody else may write to it (DM_DENIED).  The caller closes *fd. */
int place_open_private(const char *dir, int *fd,
    struct dm_err *err) DM_MUST_CHECK;

/* Write the path of the state directory, $XDG_STATE_HOME/datamount or
 * ~/.local/state/datamount; it need not exist. */
int place_state(char out[PATH_MAX], struct dm_err *err) DM_MUST_CHECK;

/* Write the path of the log of the mount at dir: log/NAME.log in the state
 * directory. */
int place_log(const char *dir, char out[PATH_MAX],
    struct dm_err *err) DM_MUST_CHECK;

#endif
