#include "fs/mount/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"

enum { UNMOUNT_TEXT = 300 };

/* Run fusermount3 with its standard error on fd, and all signals free. */
static int
spawn_tool(const char *dir, bool lazy, int fd, pid_t *pid)
{
	char tool[] = "fusermount3", flag_lazy[] = "-uz", flag[] = "-u",
	     end[] = "--";
	char *path = strdup(dir), **env = environ;
	char *argv[] = { tool, lazy ? flag_lazy : flag, end, path, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int rc;

	if (path == NULL)
		return ENOMEM;
	(void)sigemptyset(&none);
	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawn_file_actions_adddup2(&files, fd, STDERR_FILENO);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	rc = posix_spawnp(pid, tool, &files, &attr, argv, env);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&files);
	free(path);
	return rc;
}

static int
run_tool(const char *dir, bool lazy, struct dm_err *err)
{
	char text[UNMOUNT_TEXT];
	int fds[2], status = 0, rc;
	pid_t pid = -1;
	ssize_t n;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return dm_fail_errno(err, "pipe");
	rc = spawn_tool(dir, lazy, fds[1], &pid);
	(void)close(fds[1]);
	n = rc == 0 ? dm_read_full(fds[0], text, sizeof(text) - 1) : 0;
	(void)close(fds[0]);
	if (rc != 0) {
		errno = rc;
		if (rc == ENOENT)
			return dm_fail(err, DM_NOTFOUND,
			    "fusermount3 is not there: install the package "
			    "fuse3");
		return dm_fail_errno(err, "run fusermount3");
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (status == 0)
		return 0;
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (strstr(text, "busy") != NULL)
		return dm_fail(err, DM_STALE, "%s is in use", dir);
	if (strstr(text, "not found in") != NULL)
		return dm_fail(err, DM_NOTFOUND, "%s is not mounted", dir);
	return dm_fail(err, DM_IO, "unmount %s: %s", dir,
	    text[0] != '\0' ? text : "fusermount3 failed");
}

int
unmount_dir(const char *dir, bool lazy, struct dm_err *err)
{
	if (umount2(dir, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	if (errno == EPERM)
		return run_tool(dir, lazy, err);
	if (errno == EBUSY)
		return dm_fail(err, DM_STALE, "%s is in use", dir);
	if (errno == EINVAL)
		return dm_fail(err, DM_NOTFOUND, "%s is not mounted", dir);
	return dm_fail_errno(err, "unmount %s", dir);
}
