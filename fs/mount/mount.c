#include "fs/mount/mount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/base/log.h"
#include "fs/mount/control.h"
#include "fs/mount/mount_table.h"
#include "fs/mount/place.h"
#include "fs/mount/supervisor.h"
#include "fs/mount/unmount.h"

enum {
	MOUNT_LOG_MAX = 4 << 20, /* a longer log is set aside as .old */
	MOUNT_ASK_MS = 5000,
	MOUNT_LOOK_MS = 2000,     /* a daemon that lives takes microseconds */
	MOUNT_UNMOUNT_MS = 60000, /* the kernel forgets file by file */
	MOUNT_NOBODY_MS = 3000,   /* busy, and nobody uses it */
	MOUNT_STACK_MAX = 64,     /* dead mounts on top of each other */
};

/* ---- before mounting ---- */

static bool
is_ours(const struct mount_entry *e)
{
	return strcmp(e->type, MOUNT_TABLE_TYPE) == 0;
}

/* In a process of its own, that holds nothing of ours open: if the daemon lives
 * and does not answer, this waits for it, and perhaps nothing can end it. */
static _Noreturn void
look(const char *dir, int to)
{
	struct statfs st;
	bool dead;

	if (fork() != 0)
		_exit(0);
	(void)dup2(to, 0);
	(void)close_range(1, ~0U, 0);
	/* Not by stat(2): the kernel may answer that by itself. */
	dead = statfs(dir, &st) < 0 && errno == ENOTCONN;
	(void)!write(0, &dead, sizeof(dead));
	_exit(0);
}

/* A mount whose daemon does not answer in time is not dead. */
static bool
is_dead(const char *dir)
{
	struct pollfd p = { .events = POLLIN };
	bool dead = false;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	pid = fork();
	if (pid == 0)
		look(dir, fds[1]);
	(void)close(fds[1]);
	p.fd = fds[0];
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	if (pid < 0 || poll(&p, 1, MOUNT_LOOK_MS) <= 0 ||
	    read(fds[0], &dead, sizeof(dead)) != sizeof(dead))
		dead = false;
	(void)close(fds[0]);
	return dead;
}

/* Something is mounted at dir: take it off if it is ours and dead. */
static int
replace_stale(const char *dir, const struct mount_entry *e, struct dm_err *err)
{
	if (!is_ours(e))
		return dm_fail(err, DM_INVALID,
		    "%s: a file system (%s) is mounted there: choose another "
		    "directory, or unmount it",
		    dir, e->type);
	if (!is_dead(dir))
		return dm_fail(err, DM_INVALID,
		    "%s: a version is mounted there: `datamount umount` it "
		    "first, or `datamount update` it",
		    dir);
	dm_log(DM_LOG_INFO, "mount", "%s: replacing the mount of a dead daemon",
	    dir);
	return unmount_dir(dir, true, err);
}

static int
is_empty(const char *dir, struct dm_err *err)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	bool empty = true, is_work_tree = false;

	if (d == NULL)
		return dm_fail_errno(err, "%s", dir);
	/* Our own stream. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while (!is_work_tree && (e = readdir(d)) != NULL) {
		is_work_tree = strcmp(e->d_name, ".git") == 0;
		empty = empty &&
		    (strcmp(e->d_name, ".") == 0 ||
			strcmp(e->d_name, "..") == 0);
	}
	(void)closedir(d);
	if (is_work_tree)
		return dm_fail(err, DM_INVALID,
		    "%s is a Git work tree: mount on a directory in it", dir);
	if (!empty)
		return dm_fail(err, DM_INVALID,
		    "%s is not empty: mount on an empty or a new directory",
		    dir);
	return 0;
}

static int
check_directory(const char *dir, bool *created, struct dm_err *err)
{
	struct stat st;

	if (stat(dir, &st) < 0) {
		if (errno != ENOENT)
			return dm_fail_errno(err, "%s", dir);
		if (dm_mkdirs(dir, 0777, err) < 0)
			return -1;
		*created = true;
		return 0;
	}
	if (!S_ISDIR(st.st_mode))
		return dm_fail(err, DM_INVALID,
		    "%s is not a directory: mount on an empty or a new one",
		    dir);
	return is_empty(dir, err);
}

/* A mount point in a mount would keep that from being unmounted. */
static int
check_outside(const char *path, struct dm_err *err)
{
	struct mount_entry e;
	bool found = false;

	if (mount_table_above(path, &e, &found, err) < 0)
		return -1;
	if (!found || strcmp(e.dir, path) == 0)
		return 0;
	return dm_fail(err, DM_INVALID,
	    "%s lies in the version that is mounted at %s: choose a directory "
	    "outside of it",
	    path, e.dir);
}

int
mount_point_prepare(const char *dir, bool *created, struct dm_err *err)
{
	struct mount_entry e;
	char path[PATH_MAX];
	bool found = true;

	*created = false;
	/* mkdir first: what does not exist cannot be resolved. */
	if (mount_table_resolve(dir, path, err) < 0) {
		if (err->code != DM_NOTFOUND)
			return -1;
		return check_directory(dir, created, err);
	}
	if (check_outside(path, err) < 0)
		return -1;
	for (int i = 0; found && i < MOUNT_STACK_MAX; i++) {
		if (mount_table_at(path, &e, &found, err) < 0)
			return -1;
		if (found && replace_stale(path, &e, err) < 0)
			return -1;
	}
	return check_directory(path, created, err);
}

/* ---- mounting ---- */

static bool
in_path(const char *program)
{
	const char *path = secure_getenv("PATH");
	char file[PATH_MAX];

	if (access("/usr/bin/fusermount3", X_OK) == 0)
		return true;
	while (path != NULL && *path != '\0') {
		size_t n = strcspn(path, ":");

		if (snprintf(file, sizeof(file), "%.*s/%s", (int)n, path,
			program) < (int)sizeof(file) &&
		    access(file, X_OK) == 0)
			return true;
		path += n + (path[n] == ':');
	}
	return false;
}

/* Is everything there that mounting takes? */
static int
check_fuse(struct dm_err *err)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		(void)close(fd);
		if (geteuid() == 0 || in_path("fusermount3"))
			return 0;
		return dm_fail(err, DM_NOTFOUND,
		    "fusermount3 is not there: install the package fuse3 (or "
		    "use `datamount export`)");
	}
	if (errno == EACCES || errno == EPERM)
		return dm_fail(err, DM_DENIED,
		    "/dev/fuse: no permission: its mode should be 666 (or use "
		    "`datamount export`)");
	return dm_fail(err, DM_NOTFOUND,
	    "/dev/fuse is not there: install the package fuse3, `modprobe "
	    "fuse`, or in a container --device /dev/fuse (or use `datamount "
	    "export`)");
}

/* Open the log of the mount, for appending; an overlong one is set aside. */
static int
open_log(const char *path, struct dm_err *err)
{
	char dir[PATH_MAX], old[PATH_MAX];
	struct stat st;
	int fd;

	(void)snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	if (place_open_private(dir, &fd, err) < 0)
		return -1;
	(void)close(fd);
	if (stat(path, &st) == 0 && st.st_size > MOUNT_LOG_MAX &&
	    snprintf(old, sizeof(old), "%s.old", path) < (int)sizeof(old) &&
	    rename(path, old) < 0)
		return dm_fail_errno(err, "rename %s", path);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (fd < 0)
		return dm_fail_errno(err, "open %s", path);
	return fd;
}

/* In the new process: keep nothing of the caller's but what the mount needs,
 * so that whoever waits for a pipe of its to close does not wait for us. */
static void
detach(int result_fd, int notify_fd, int log_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int low = result_fd < notify_fd ? result_fd : notify_fd,
	    high = result_fd < notify_fd ? notify_fd : result_fd;

	(void)setsid();
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(null, STDOUT_FILENO);
	(void)dup2(log_fd, STDERR_FILENO);
	if (low < 3)
		low = high;
	(void)close_range(3, (unsigned)low - 1, 0);
	if (high > low + 1)
		(void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	(void)close_range((unsigned)high + 1, ~0U, 0);
	if (chdir("/") < 0)
		dm_log(DM_LOG_WARN, "mount", "chdir /: %m");
}

static int
run_background(const struct mount_spec *spec, struct dm_err *err)
{
	struct dm_err result = { 0 };
	char log[PATH_MAX];
	int fds[2], log_fd;
	pid_t pid;
	ssize_t n;

	if (place_log(spec->dir, log, err) < 0)
		return -1;
	log_fd = open_log(log, err);
	if (log_fd < 0)
		return -1;
	if (pipe2(fds, O_CLOEXEC) < 0) {
		(void)close(log_fd);
		return dm_fail_errno(err, "pipe");
	}
	pid = fork();
	if (pid == 0) {
		detach(fds[1], spec->notify_fd, log_fd);
		_exit(supervisor_run(spec, fds[1], log, &result) < 0);
	}
	(void)close(fds[1]);
	(void)close(log_fd);
	n = pid < 0 ? 0 : dm_read_full(fds[0], &result, sizeof(result));
	(void)close(fds[0]);
	if (pid < 0)
		return dm_fail_errno(err, "fork");
	if (n != (ssize_t)sizeof(result))
		return dm_fail(err, DM_IO,
		    "the daemon died while it started: see %s", log);
	if (result.code == DM_OK)
		return 0;
	*err = result;
	return -1;
}

static void
close_notify(const struct mount_spec *spec)
{
	if (spec->notify_fd >= 0)
		(void)close(spec->notify_fd);
}

int
mount_run(const struct mount_spec *spec, struct dm_err *err)
{
	enum dm_log_level level = spec->debug ? DM_LOG_DEBUG : DM_LOG_INFO;
	int rc;

	if (check_fuse(err) < 0) {
		close_notify(spec);
		return -1;
	}
	dm_log_setup(level, !spec->foreground);
	if (!spec->foreground) {
		rc = run_background(spec, err);
		close_notify(spec);
		return rc;
	}
	return supervisor_run(spec, -1, "", err);
}

/* ---- mounts that run ---- */

int
mount_status(const char *dir, struct dm_buf *json, bool *found,
    struct dm_err *err)
{
	char path[PATH_MAX];

	*found = false;
	if (mount_table_resolve(dir, path, err) < 0)
		return -1;
	return control_ask(path, CONTROL_STATUS, MOUNT_ASK_MS, json, found,
	    err);
}

/* Mount points, to be sorted. */
struct dirs {
	char **dir;
	size_t n;
};

static int
collect(void *arg, const char *dir, struct dm_err *err)
{
	struct dirs *d = arg;
	char **more = realloc(d->dir, (d->n + 1) * sizeof(*more));

	if (more == NULL)
		return dm_fail(err, DM_NOMEM, "list of mounts");
	d->dir = more;
	d->dir[d->n] = strdup(dir);
	if (d->dir[d->n] == NULL)
		return dm_fail(err, DM_NOMEM, "list of mounts");
	d->n++;
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Call each in order, unless rc says that collecting failed; free them. */
static int
call_each(struct dirs *d, int rc,
    int (*each)(void *arg, const char *dir, struct dm_err *err), void *arg,
    struct dm_err *err)
{
	if (d->n > 0)
		qsort(d->dir, d->n, sizeof(*d->dir), by_name);
	for (size_t i = 0; i < d->n; i++) {
		if (rc == 0)
			rc = each(arg, d->dir[i], err);
		free(d->dir[i]);
	}
	free(d->dir);
	return rc;
}

int
mount_each(int (*each)(void *arg, const char *dir, struct dm_err *err),
    void *arg, struct dm_err *err)
{
	struct dirs d = { 0 };
	int rc = control_each(collect, &d, err);

	return call_each(&d, rc, each, arg, err);
}

static int
collect_dead(void *arg, const char *dir, struct dm_err *err)
{
	return is_dead(dir) ? collect(arg, dir, err) : 0;
}

int
mount_each_dead(int (*each)(void *arg, const char *dir, struct dm_err *err),
    void *arg, struct dm_err *err)
{
	struct dirs d = { 0 };
	int rc = mount_table_each(collect_dead, &d, err);

	return call_each(&d, rc, each, arg, err);
}

/* No daemon of ours answers for dir: it is dead, or another user's. */
static int
unmount_without_daemon(const char *dir, bool lazy, struct dm_err *err)
{
	struct mount_entry e;
	bool found;

	if (mount_table_at(dir, &e, &found, err) < 0)
		return -1;
	if (!found || !is_ours(&e))
		return dm_fail(err, DM_NOTFOUND,
		    "nothing of datamount is mounted at %s", dir);
	return unmount_dir(dir, lazy || is_dead(dir), err);
}

static int
try_unmount(const char *path, bool lazy, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf b = DM_BUF(PATH_MAX);
	bool found;

	if (control_ask(path, lazy ? CONTROL_DETACH : CONTROL_UNMOUNT,
		MOUNT_UNMOUNT_MS, &b, &found, err) < 0)
		return -1;
	return found ? 0 : unmount_without_daemon(path, lazy, err);
}

int
mount_unmount(const char *dir, bool lazy, struct dm_err *err)
{
	const struct timespec step = { .tv_nsec = 50000000 };
	uint64_t end = dm_deadline_ms(MOUNT_NOBODY_MS);
	char path[PATH_MAX], users[300];

	if (mount_table_resolve(dir, path, err) < 0)
		return -1;
	while (try_unmount(path, lazy, err) < 0) {
		if (err->code != DM_STALE)
			return -1;
		/* The kernel lets go of what a process had open somewhat later
		 * than the process is gone. */
		if (mount_users(path, users, sizeof(users)) > 0 ||
		    dm_now_ms() >= end)
			return dm_fail(err, DM_STALE,
			    "%s is in use%s%s: end that, or `datamount umount "
			    "--lazy`",
			    dir, users[0] != '\0' ? " by " : "", users);
		(void)nanosleep(&step, NULL);
	}
	return 0;
}

int
mount_of(const char *path, char dir[PATH_MAX], bool *found, struct dm_err *err)
{
	struct mount_entry e;
	char real[PATH_MAX];

	if (mount_table_resolve(path, real, err) < 0 ||
	    mount_table_above(real, &e, found, err) < 0)
		return -1;
	if (*found)
		(void)snprintf(dir, PATH_MAX, "%s", e.dir);
	return 0;
}
