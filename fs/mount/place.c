#include "fs/mount/place.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/hex.h"
#include "cache/base/io.h"

void
place_name(const char *dir, char out[PLACE_NAME])
{
	struct digest d;

	digest_of(&d, dir, strlen(dir));
	dm_hex_encode(out, d.bytes, PLACE_NAME / 2);
}

/* A variable that names an absolute path; others do not count, as the XDG
 * base directory specification has it. */
static const char *
absolute(const char *variable)
{
	/* Read only, and nothing here sets the environment. */
	const char *value = secure_getenv(variable);

	return value != NULL && value[0] == '/' ? value : NULL;
}

static int
join(char out[PATH_MAX], const char *a, const char *b, struct dm_err *err)
{
	if (snprintf(out, PATH_MAX, "%s%s", a, b) >= PATH_MAX)
		return dm_fail(err, DM_INVALID, "%s: path too long", a);
	return 0;
}

int
place_state(char out[PATH_MAX], struct dm_err *err)
{
	const char *state = absolute("XDG_STATE_HOME");
	const char *home = absolute("HOME");

	if (state != NULL)
		return join(out, state, "/datamount", err);
	if (home != NULL)
		return join(out, home, "/.local/state/datamount", err);
	if (geteuid() == 0)
		return join(out, "/var/lib", "/datamount", err);
	return dm_fail(err, DM_NOTFOUND,
	    "neither HOME nor XDG_STATE_HOME is set: set one, for the log and "
	    "the control socket");
}

int
place_control_dirs(struct place_dirs *out, struct dm_err *err)
{
	const char *runtime = absolute("XDG_RUNTIME_DIR");
	char session[64];

	out->n = 0;
	if (runtime != NULL &&
	    join(out->dir[out->n++], runtime, "/datamount", err) < 0)
		return -1;
	if (geteuid() == 0 &&
	    join(out->dir[out->n++], "/run", "/datamount", err) < 0)
		return -1;
	if (geteuid() != 0 && place_state(out->dir[out->n++], err) < 0)
		return -1;
	/* Where a login session's are; the environment may not know of it, as
	 * under cron, or mean another place. */
	(void)snprintf(session, sizeof(session), "/run/user/%u/datamount",
	    (unsigned)geteuid());
	if (out->n == 0 || strcmp(out->dir[0], session) != 0)
		(void)snprintf(out->dir[out->n++], PATH_MAX, "%s", session);
	return 0;
}

int
place_open_private(const char *dir, int *fd, struct dm_err *err)
{
	struct stat st;
	int d;

	if (dm_mkdirs(dir, 0700, err) < 0)
		return -1;
	d = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (d < 0)
		return dm_fail_errno(err, "open %s", dir);
	if (fstat(d, &st) == 0 && st.st_uid == geteuid() &&
	    (st.st_mode & 022) == 0) {
		*fd = d;
		return 0;
	}
	(void)close(d);
	return dm_fail(err, DM_DENIED,
	    "%s belongs to somebody else, or others may write to it: "
	    "chown and chmod 700 it, or set XDG_RUNTIME_DIR",
	    dir);
}

int
place_log(const char *dir, char out[PATH_MAX], struct dm_err *err)
{
	char name[PLACE_NAME], state[PATH_MAX];

	if (place_state(state, err) < 0)
		return -1;
	place_name(dir, name);
	if (snprintf(out, PATH_MAX, "%s/log/%s.log", state, name) >= PATH_MAX)
		return dm_fail(err, DM_INVALID, "%s: path too long", state);
	return 0;
}
