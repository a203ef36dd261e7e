/*
 * tests/unit/faults.h - the Nth call of a kind fails.
 *
 * Tests that include this are linked with $(FAULTS) of the Makefile, so that
 * these calls of ours, but not of libraries, come here first.
 */
#ifndef DM_TEST_FAULTS_H
#define DM_TEST_FAULTS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum fault {
	FAULT_MEMORY,
	FAULT_THREAD,
	FAULT_WRITE, /* write, pwrite */
	FAULT_SYNC,
	FAULT_NAME, /* rename, link, unlink, mkdir */
	FAULT_OPEN,
	FAULT_READ, /* read, pread, readlink, readdir */
	FAULT_STAT,
	FAULTS,
};

static const char *const fault_names[FAULTS] = {
	[FAULT_MEMORY] = "allocation",
	[FAULT_THREAD] = "thread",
	[FAULT_WRITE] = "write",
	[FAULT_SYNC] = "fsync",
	[FAULT_NAME] = "change of a directory",
	[FAULT_OPEN] = "open",
	[FAULT_READ] = "read",
	[FAULT_STAT] = "stat",
};

static _Atomic int fault_kind;
static _Atomic long fault_left; /* calls until one fails; 0: none will */

/* From now on, the nth call of that kind fails, once. */
static inline void
fault_arm(enum fault kind, long n)
{
	atomic_store(&fault_kind, (int)kind);
	atomic_store(&fault_left, n);
}

/* No call fails any more.  Did one? */
static inline bool
fault_disarm(void)
{
	return atomic_exchange(&fault_left, 0) == 0;
}

static inline bool
fault_now(enum fault kind, int error)
{
	long left = atomic_load(&fault_left);

	if (atomic_load(&fault_kind) != (int)kind)
		return false;
	while (left > 0)
		if (atomic_compare_exchange_weak(&fault_left, &left,
			left - 1)) {
			if (left == 1)
				errno = error;
			return left == 1;
		}
	return false;
}

/* The linker knows __real_* and __wrap_*; headers do not. */
#define FAULT_WRAP(type, name, params, args, kind, error, failed)              \
	type __real_##name params;                                             \
	type __wrap_##name params;                                             \
	type __wrap_##name params                                              \
	{                                                                      \
		return fault_now(kind, error) ? (failed) : __real_##name args; \
	}

FAULT_WRAP(void *, malloc, (size_t size), (size), FAULT_MEMORY, ENOMEM, NULL)
FAULT_WRAP(void *, calloc, (size_t n, size_t size), (n, size), FAULT_MEMORY,
    ENOMEM, NULL)
FAULT_WRAP(void *, realloc, (void *p, size_t size), (p, size), FAULT_MEMORY,
    ENOMEM, NULL)
FAULT_WRAP(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size),
    FAULT_MEMORY, ENOMEM, NULL)
FAULT_WRAP(char *, strdup, (const char *s), (s), FAULT_MEMORY, ENOMEM, NULL)
FAULT_WRAP(char *, strndup, (const char *s, size_t n), (s, n), FAULT_MEMORY,
    ENOMEM, NULL)
FAULT_WRAP(int, pthread_create,
    (pthread_t * t, const pthread_attr_t *a, void *(*f)(void *), void *arg),
    (t, a, f, arg), FAULT_THREAD, EAGAIN, EAGAIN)
FAULT_WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n),
    FAULT_WRITE, ENOSPC, -1)
FAULT_WRAP(ssize_t, pwrite64, (int fd, const void *p, size_t n, off_t off),
    (fd, p, n, off), FAULT_WRITE, ENOSPC, -1)
FAULT_WRAP(ssize_t, pwritev64v2,
    (int fd, const struct iovec *v, int n, off_t off, int flags),
    (fd, v, n, off, flags), FAULT_WRITE, ENOSPC, -1)
FAULT_WRAP(int, ftruncate64, (int fd, off_t size), (fd, size), FAULT_WRITE,
    ENOSPC, -1)
FAULT_WRAP(int, rename, (const char *a, const char *b), (a, b), FAULT_NAME, EIO,
    -1)
FAULT_WRAP(int, renameat, (int x, const char *a, int y, const char *b),
    (x, a, y, b), FAULT_NAME, EIO, -1)
FAULT_WRAP(int, unlink, (const char *path), (path), FAULT_NAME, EIO, -1)
FAULT_WRAP(int, unlinkat, (int dir, const char *path, int flags),
    (dir, path, flags), FAULT_NAME, EIO, -1)
FAULT_WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode),
    FAULT_NAME, ENOSPC, -1)
FAULT_WRAP(int, mkdirat, (int dir, const char *path, mode_t mode),
    (dir, path, mode), FAULT_NAME, ENOSPC, -1)
FAULT_WRAP(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n), FAULT_READ,
    EIO, -1)
FAULT_WRAP(ssize_t, pread64, (int fd, void *p, size_t n, off_t off),
    (fd, p, n, off), FAULT_READ, EIO, -1)
FAULT_WRAP(ssize_t, readlinkat, (int dir, const char *path, char *p, size_t n),
    (dir, path, p, n), FAULT_READ, EIO, -1)
FAULT_WRAP(DIR *, fdopendir, (int fd), (fd), FAULT_MEMORY, ENOMEM, NULL)
FAULT_WRAP(DIR *, opendir, (const char *path), (path), FAULT_OPEN, EMFILE, NULL)
FAULT_WRAP(struct dirent64 *, readdir64, (DIR * d), (d), FAULT_READ, EIO, NULL)
FAULT_WRAP(int, fstat64, (int fd, struct stat *st), (fd, st), FAULT_STAT, EIO,
    -1)
FAULT_WRAP(int, fstatat64,
    (int dir, const char *path, struct stat *st, int flags),
    (dir, path, st, flags), FAULT_STAT, EIO, -1)

/* No power fails during a test: nothing is gained by a real one. */
int __wrap_fsync(int fd);

int
__wrap_fsync(int fd)
{
	(void)fd;
	return fault_now(FAULT_SYNC, EIO) ? -1 : 0;
}

/* What the file system cannot do. */
enum { LACKS_NAMELESS = 1, LACKS_LINKS = 2, LACKS_NOREPLACE = 4 };
static _Atomic int fault_lacks;

static inline bool
fault_lacking(int what, int error)
{
	bool lacks = (atomic_load(&fault_lacks) & what) != 0;

	if (lacks)
		errno = error;
	return lacks;
}

int __real_linkat(int x, const char *a, int y, const char *b, int flags);
int __wrap_linkat(int x, const char *a, int y, const char *b, int flags);
int __real_renameat2(int x, const char *a, int y, const char *b,
    unsigned flags);
int __wrap_renameat2(int x, const char *a, int y, const char *b,
    unsigned flags);

int
__wrap_linkat(int x, const char *a, int y, const char *b, int flags)
{
	return fault_now(FAULT_NAME, EIO) || fault_lacking(LACKS_LINKS, EPERM) ?
	    -1 :
	    __real_linkat(x, a, y, b, flags);
}

int
__wrap_renameat2(int x, const char *a, int y, const char *b, unsigned flags)
{
	return fault_now(FAULT_NAME, EIO) ||
		fault_lacking(LACKS_NOREPLACE, EINVAL) ?
	    -1 :
	    __real_renameat2(x, a, y, b, flags);
}

/* These two take a mode if they may create. */
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __real_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...);

int
__wrap_open64(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	return fault_now(FAULT_OPEN, EMFILE) ? -1 :
					       __real_open64(path, flags, mode);
}

int
__wrap_openat64(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	return fault_now(FAULT_OPEN, EMFILE) ||
		((flags & O_TMPFILE) == O_TMPFILE &&
		    fault_lacking(LACKS_NAMELESS, EOPNOTSUPP)) ?
	    -1 :
	    __real_openat64(dir, path, flags, mode);
}

#endif
