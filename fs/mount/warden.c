#include "fs/mount/warden.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
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

/* Close all but standard error and these two. */
static void
close_others(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)dup2(null, STDIN_FILENO);
	(void)dup2(null, STDOUT_FILENO);
	if (low > 3)
		(void)close_range(3, (unsigned)low - 1, 0);
	if (high > low + 1)
		(void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	(void)close_range((unsigned)high + 1, ~0U, 0);
}

/* No signal but SIGKILL ends it: what is meant for the supervisor's group is
 * for the supervisor. */
static void __attribute__((noreturn))
watch(int life, int gone, const char *dir, const struct shared *shared)
{
	sigset_t all;
	char byte;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, NULL);
	(void)prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
	close_others(life, gone);
	if (dm_read_full(life, &byte, 1) == 0)
		take_off(dir, shared);
	_exit(0);
}

/* Fork it by a child that ends at once: it is nobody's, and so no child that
 * the supervisor has to tell from its workers.  Tells its number by the pipe.
 */
static pid_t
fork_away(int life, int gone, const char *dir, const struct shared *shared)
{
	pid_t child = fork(), pid;

	if (child != 0)
		return child;
	pid = fork();
	if (pid == 0)
		watch(life, gone, dir, shared);
	_exit(pid < 0 || dm_write_full(gone, &pid, sizeof(pid)) < 0);
}

static int
start(struct warden *w, const int life[2], const int gone[2], const char *dir,
    const struct shared *shared, struct dm_err *err)
{
	pid_t child = fork_away(life[0], gone[1], dir, shared);
	int status = 0;

	if (child < 0)
		return dm_fail_errno(err, "fork");
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (status != 0 ||
	    dm_read_full(gone[0], &w->pid, sizeof(w->pid)) !=
		(ssize_t)sizeof(w->pid))
		return dm_fail(err, DM_IO, "start the warden");
	return 0;
}

int
warden_start(struct warden *w, const char *dir, const struct shared *shared,
    struct dm_err *err)
{
	int life[2], gone[2], rc;

	if (pipe2(life, O_CLOEXEC) < 0)
		return dm_fail_errno(err, "pipe");
	if (pipe2(gone, O_CLOEXEC) < 0) {
		(void)dm_fail_errno(err, "pipe");
		(void)close(life[0]);
		(void)close(life[1]);
		return -1;
	}
	rc = start(w, life, gone, dir, shared, err);
	(void)close(life[0]);
	(void)close(gone[1]);
	w->life_fd = life[1];
	w->gone_fd = gone[0];
	if (rc < 0)
		warden_dismiss(w);
	return rc;
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
		(void)dm_read_full(w->gone_fd, &byte, 1);
	warden_leave(w);
	dm_closep(&w->gone_fd);
	w->gone_fd = -1;
}
