/*
 * The path of an order comes from a worker, which a stranger may have got hold
 * of: it leads to nothing but the mount.
 */
#include "fs/mount/scout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/format/limits.h"
#include "fs/mount/mount.h"
#include "fs/mount/ops.h"
#include "fs/mount/shared.h"

enum {
	SCOUT_LIST = 8192, /* bytes of names asked for at a time */
	SCOUT_STOP_MS = 1000,
};

/* An order is one write, and one read. */
_Static_assert(sizeof(struct scout_order) <= PIPE_BUF, "an order is too long");

struct work {
	struct scout_mount mount;
	struct shared *shared;
};

/* The root of the mount, if it is still ours that lies there; or -1. */
static int
open_root(const struct scout_mount *m)
{
	int fd = open(m->dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statx is;

	if (fd < 0)
		return -1;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &is) == 0 &&
	    is.stx_dev_major == m->major && is.stx_dev_minor == m->minor)
		return fd;
	(void)close(fd);
	return -1;
}

static int
open_below(int dir, const char *path, int flags)
{
	const struct open_how how = {
		.flags = (unsigned)(flags | O_RDONLY | O_CLOEXEC),
		.resolve =
		    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	path += strspn(path, "/");
	return (int)syscall(SYS_openat2, dir, path[0] == '\0' ? "." : path,
	    &how, sizeof(how));
}

/* Have the kernel begin to read the file, if it is not too large for what is
 * left. */
static void
read_ahead(int dir, const char *name, off_t *left)
{
	int fd = open_below(dir, name, O_NONBLOCK | O_NOCTTY);
	struct stat is;

	if (fd < 0)
		return;
	if (fstat(fd, &is) == 0 && S_ISREG(is.st_mode) &&
	    is.st_size <= DM_SMALL_FILE_MAX && is.st_size <= *left &&
	    readahead(fd, 0, (size_t)is.st_size) == 0)
		*left -= is.st_size;
	(void)close(fd);
}

/* Look at the entries that one call listed; false: the last that was ordered
 * was among them. */
static bool
look(int dir, const struct scout_order *o, const char *list, size_t size,
    off_t *left)
{
	const struct dirent64 *e;

	for (size_t at = 0; at < size; at += e->d_reclen) {
		uint64_t number;

		e = (const void *)(list + at);
		number = (uint64_t)e->d_off - 1 - OPS_DOTS;
		if (number - o->first >= o->count)
			return false;
		if (number - o->first < o->files && e->d_type == DT_REG)
			read_ahead(dir, e->d_name, left);
	}
	return true;
}

static void
list_entries(int root, const struct scout_order *o)
{
	_Alignas(struct dirent64) char list[SCOUT_LIST];
	DM_AUTO(dm_closep) int dir = open_below(root, o->path, O_DIRECTORY);
	off_t left = SCOUT_BYTES;
	ssize_t n;

	if (dir < 0 || o->first > INT64_MAX - OPS_DOTS ||
	    lseek(dir, (off_t)(o->first + OPS_DOTS), SEEK_SET) < 0)
		return;
	do
		n = getdents64(dir, list, sizeof(list));
	while (n > 0 && look(dir, o, list, (size_t)n, &left));
}

static void
read_paths(int root, const struct scout_order *o)
{
	const char *path = o->path, *end = o->path + sizeof(o->path), *nul;
	off_t left = SCOUT_BYTES;

	for (uint64_t i = 0; i < o->paths; i++) {
		nul = memchr(path, '\0', (size_t)(end - path));
		if (nul == NULL)
			return;
		read_ahead(root, path, &left);
		path = nul + 1;
	}
}

static void
follow(const struct scout_mount *m, const struct scout_order *o)
{
	DM_AUTO(dm_closep) int root = open_root(m);

	if (root < 0)
		return;
	if (o->paths > 0)
		read_paths(root, o);
	else
		list_entries(root, o);
}

static void
serve(int fd, const void *arg)
{
	const struct work *w = arg;
	struct scout_order o;

	(void)prctl(PR_SET_NAME, SCOUT_NAME);
	/* Before it asks for anything. */
	atomic_store(&w->shared->scout, (uint32_t)getpid());
	for (;;) {
		ssize_t n = read(fd, &o, sizeof(o));

		if (n == 0 || (n < 0 && errno != EINTR))
			return;
		if (n == (ssize_t)sizeof(o) &&
		    memchr(o.path, '\0', sizeof(o.path)) != NULL)
			follow(&w->mount, &o);
	}
}

bool
scout_wanted(const struct mount_spec *spec, const struct shared *shared)
{
	return atomic_load(&shared->io) == SHARED_IO_DAEMON &&
	    spec->record_trace[0] == '\0';
}

int
scout_open(struct scout *s, struct dm_err *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_DIRECT) < 0)
		return dm_fail_errno(err, "pipe");
	s->read_fd = fds[0];
	s->write_fd = fds[1];
	if (fcntl(s->write_fd, F_SETFL, O_DIRECT | O_NONBLOCK) < 0)
		return dm_fail_errno(err, "fcntl");
	return 0;
}

void
scout_close(struct scout *s)
{
	dm_closep(&s->read_fd);
	dm_closep(&s->write_fd);
	s->read_fd = s->write_fd = -1;
}

int
scout_start(struct scout *s, const struct scout_mount *m, struct shared *shared,
    struct dm_err *err)
{
	struct work w = { *m, shared };

	if (apart_start(&s->apart, serve, s->read_fd, &w, err) < 0)
		return dm_wrap(err, "start the scout");
	return 0;
}

void
scout_stop(struct scout *s, struct shared *shared)
{
	apart_kill(&s->apart, SCOUT_STOP_MS);
	if (shared != NULL)
		atomic_store(&shared->scout, 0);
}

void
scout_leave(struct scout *s)
{
	dm_closep(&s->read_fd);
	s->read_fd = -1;
	apart_forget(&s->apart);
}

bool
scout_send(int write_fd, const struct scout_order *order)
{
	return write(write_fd, order, sizeof(*order)) ==
	    (ssize_t)sizeof(*order);
}
