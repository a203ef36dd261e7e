/* fs/cmd/shown.h - the version that a directory, a file or a name stands for.
 */
#ifndef DM_CMD_SHOWN_H
#define DM_CMD_SHOWN_H

#include <limits.h>
#include <stdbool.h>

#include "cache/base/attr.h"
#include "fs/cmd/cmd.h"
#include "fs/cmd/look.h"
#include "fs/format/limits.h"

struct dm_err;

enum { SHOWN_TEXT = 512 };

/*
 * What an operand of a command means: DIR, a mount or what a .source file
 * beside it pins; FILE.source; or, where names are allowed, a name
 * REPO@REF[:PATH].
 */
struct shown {
	struct session session;
	struct digest commit;
	char path[DM_PATH_MAX + 1]; /* what of it is shown; "" all */
	char dir[PATH_MAX]; /* of DIR, absolute, symlinks resolved; else "" */
	char text[SHOWN_TEXT]; /* REPO@REF[:PATH], for people */
	struct look look;      /* once loaded; of path alone */
};

/* Find out which version it is, in a session with the mount's options or those
 * of the command line; nothing is asked of anybody but a ref's name. */
int shown_find(struct shown *out, const struct cmd_args *a, const char *operand,
    bool names, struct dm_err *err) DM_MUST_CHECK;

/* Open it; all its symlinks are shown. */
int shown_load(struct shown *s, struct dm_err *err) DM_MUST_CHECK;

/* After a find that succeeded. */
void shown_close(struct shown *s);

#endif
