#include "fs/mount/warden.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/base/log.h"
#include "fs/mount/mount.h"
#include "fs/mount/mount_table.h"
#include "fs/mount/shared.h"
#include "fs/mount/unmount.h"

/* Killed while it mounted, the supervisor did not get to note the numbers. */
static bool
is_theirs(const struct mount_entry *e, const struct shared *s)
{
	uint32_t major = atomic_load(&s->major), minor = atomic_load(&s->minor);

	return strcmp(e->type, MOUNT_TABLE_TYPE) == 0 &&
	    ((major == 0 && minor == 0) ||
		(e->major == major && e->minor == minor));
}

static void
take_off(const char *dir, const struct shared *shared)
{
	struct dm_err err = { 0 };
	struct mount_entry e;
	bool found = false;

	if (mount_table_at(dir, &e, &found, &err) < 0 || !found ||
	    !is_theirs(&e, shared))
		return;
	dm_log(DM_LOG_ERROR, "mount", "the supervisor died: unmounting %s",
	    dir);
	if (unmount_dir(dir, true, &err) < 0)
		dm_log(DM_LOG_ERROR, "mount", "%s", err.text);
}

/* What it looks after. */
struct watch {
	const char *dir;
	const struct shared *shared;
};

static void
watch(int life, const void *arg)
{
	const struct watch *w = arg;
	char byte;

	if (dm_read_full(life, &byte, 1) == 0)
		take_off(w->dir, w->shared);
}

int
warden_start(struct warden *w, const char *dir, const struct shared *shared,
    struct dm_err *err)
{
	struct watch arg = { dir, shared };
	int life[2], rc;

	if (pipe2(life, O_CLOEXEC) < 0)
		return dm_fail_errno(err, "pipe");
	rc = apart_start(&w->apart, watch, life[0], &arg, err);
	(void)close(life[0]);
	w->life_fd = life[1];
	if (rc < 0) {
		warden_leave(w);
		return dm_wrap(err, "start the warden");
	}
	return 0;
}

void
warden_leave(struct warden *w)
{
	dm_closep(&w->life_fd);
	w->life_fd = -1;
}

void
warden_dismiss(struct warden *w)
{
	char byte = '.';

	if (w->life_fd >= 0 && dm_write_full(w->life_fd, &byte, 1) == 0)
		apart_join(&w->apart);
	warden_leave(w);
	apart_forget(&w->apart);
}
