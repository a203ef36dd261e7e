/*
 * Who uses a mount: processes that stand in it, have a file of it open or
 * mapped.  Only paths are compared, so nothing here can hang on the mount.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/io.h"
#include "fs/mount/mount.h"
#include "fs/mount/mount_table.h"
#include "fs/mount/scout.h"

enum { MOUNT_USERS_SHOWN = 5, USER_NAME = 64 };

static bool
link_below(int dirfd, const char *name, const char *dir)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);

	if (n <= 0)
		return false;
	target[n] = '\0';
	return mount_table_below(target, dir);
}

static bool
fd_below(int proc, const char *dir)
{
	int fd = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	bool below = false;

	if (d == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return false;
	}
	/* This thread's own stream. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while (!below && (e = readdir(d)) != NULL)
		below = link_below(dirfd(d), e->d_name, dir);
	(void)closedir(d);
	return below;
}

static bool
map_below(int proc, const char *dir)
{
	int fd = openat(proc, "maps", O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[PATH_MAX + 128];
	bool below = false;

	if (f == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return false;
	}
	while (!below && fgets(line, sizeof(line), f) != NULL) {
		const char *path = strchr(line, '/');

		line[strcspn(line, "\n")] = '\0';
		below = path != NULL && mount_table_below(path, dir);
	}
	(void)fclose(f);
	return below;
}

static bool
uses(int proc, const char *dir)
{
	return link_below(proc, "cwd", dir) || link_below(proc, "root", dir) ||
	    link_below(proc, "exe", dir) || fd_below(proc, dir) ||
	    map_below(proc, dir);
}

static void
read_name(int proc, char out[USER_NAME])
{
	int fd = openat(proc, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t got;

	(void)snprintf(out, USER_NAME, "?");
	if (fd < 0)
		return;
	got = dm_read_full(fd, out, USER_NAME - 1);
	out[got > 0 ? got : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	(void)close(fd);
}

/* A daemon's own, which lets go at once. */
static bool
is_scout(int proc)
{
	char comm[USER_NAME];

	read_name(proc, comm);
	return strcmp(comm, SCOUT_NAME) == 0;
}

/* Append "name (pid)". */
static void
name_user(int proc, const char *pid, char *out, size_t size)
{
	char comm[USER_NAME];
	size_t n = strlen(out);

	read_name(proc, comm);
	(void)snprintf(out + n, size - n, "%s%s (%s)", n > 0 ? ", " : "", comm,
	    pid);
}

/* May this user not know what the process has open?  One that has gone by now
 * is not hidden. */
static bool
is_hidden(int proc)
{
	char target[1];

	return readlinkat(proc, "cwd", target, sizeof(target)) < 0 &&
	    errno == EACCES;
}

unsigned
mount_users(const char *dir, char *out, size_t size)
{
	DIR *d = opendir("/proc");
	const struct dirent *e;
	unsigned shown = 0;
	bool hidden = false;

	out[0] = '\0';
	if (d == NULL)
		return 0;
	/* This thread's own stream. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while ((e = readdir(d)) != NULL && shown < MOUNT_USERS_SHOWN) {
		int proc;

		if (!isdigit((unsigned char)e->d_name[0]) ||
		    strtol(e->d_name, NULL, 10) == getpid())
			continue;
		proc = openat(dirfd(d), e->d_name,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (proc < 0)
			continue;
		if (uses(proc, dir) && !is_scout(proc)) {
			name_user(proc, e->d_name, out, size);
			shown++;
		} else if (is_hidden(proc)) {
			hidden = true;
		}
		(void)close(proc);
	}
	(void)closedir(d);
	if (shown == 0 && hidden)
		(void)snprintf(out, size, "processes of others");
	return shown;
}
