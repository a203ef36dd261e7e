#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"

/* Linux 6.14 has it; headers may be older. */
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif

ssize_t
dm_pread_full(int fd, void *data, size_t size, uint64_t off)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, (char *)data + done, size - done,
		    (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t
dm_read_full(int fd, void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (char *)data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int
dm_pwrite_full(int fd, const void *data, size_t size, uint64_t off)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pwrite(fd, (const char *)data + done, size - done,
		    (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

/* Take size bytes off the front of the parts; returns how many parts that
 * were. */
static int
take_off(struct iovec *part, int n, size_t size)
{
	int whole = 0;

	while (whole < n && size >= part[whole].iov_len)
		size -= part[whole++].iov_len;
	if (whole < n) {
		part[whole].iov_base = (char *)part[whole].iov_base + size;
		part[whole].iov_len -= size;
	}
	return whole;
}

int
dm_pwritev_full(int fd, struct iovec *part, int n, uint64_t off, bool cached)
{
	int flags = cached ? 0 : RWF_DONTCACHE;

	while (n > 0) {
		ssize_t size = pwritev2(fd, part, n, (off_t)off, flags);
		int whole;

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && flags != 0 &&
		    (errno == EOPNOTSUPP || errno == ENOSYS)) {
			flags = 0;
			continue;
		}
		if (size < 0)
			return -1;
		if (!cached && flags == 0) /* only speed depends on it */
			(void)sync_file_range(fd, (off_t)off, size,
			    SYNC_FILE_RANGE_WRITE);
		off += (uint64_t)size;
		whole = take_off(part, n, (size_t)size);
		part += whole;
		n -= whole;
	}
	return 0;
}

int
dm_write_full(int fd, const void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, (const char *)data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

int
dm_file_read(int dirfd, const char *path, struct dm_buf *out, bool *found,
    struct dm_err *err)
{
	DM_AUTO(dm_closep) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	char part[16384];
	ssize_t n;

	*found = false;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return dm_fail_errno(err, "open %s", path);
	while ((n = dm_read_full(fd, part, sizeof(part))) > 0)
		if (dm_buf_append(out, part, (size_t)n, err) < 0)
			return dm_wrap(err, "%s", path);
	if (n < 0)
		return dm_fail_errno(err, "read %s", path);
	*found = true;
	return 0;
}

/* fsync the directory that holds path, so that a rename in it lasts. */
static int
sync_parent(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];
	DM_AUTO(dm_closep) int fd = -1;

	if (slash == NULL)
		(void)snprintf(parent, sizeof(parent), ".");
	else
		(void)snprintf(parent, sizeof(parent), "%.*s",
		    slash == path ? 1 : (int)(slash - path), path);
	fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : fsync(fd);
}

static int
write_and_sync(int fd, const void *data, size_t size)
{
	return dm_write_full(fd, data, size) < 0 ? -1 : fsync(fd);
}

int
dm_file_replace(int dirfd, const char *path, const void *data, size_t size,
    mode_t mode, struct dm_err *err)
{
	char temp[PATH_MAX];
	uint64_t unique = 0;
	int fd, rc;

	if (getrandom(&unique, sizeof(unique), 0) != sizeof(unique))
		return dm_fail_errno(err, "getrandom");
	if (snprintf(temp, sizeof(temp), "%s.%016llx.tmp", path,
		(unsigned long long)unique) >= (int)sizeof(temp))
		return dm_fail(err, DM_INVALID, "%s: path too long", path);
	fd = openat(dirfd, temp,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return dm_fail_errno(err, "create %s", temp);
	rc = write_and_sync(fd, data, size);
	if (rc < 0)
		(void)dm_fail_errno(err, "write %s", path);
	if (close(fd) < 0 && rc == 0)
		rc = dm_fail_errno(err, "close %s", path);
	if (rc == 0 && renameat(dirfd, temp, dirfd, path) < 0)
		rc = dm_fail_errno(err, "rename to %s", path);
	if (rc < 0) {
		(void)unlinkat(dirfd, temp, 0); /* the first error counts */
		return -1;
	}
	if (sync_parent(dirfd, path) < 0)
		return dm_fail_errno(err, "fsync directory of %s", path);
	return 0;
}

/* Where one may write and not look, all of the file system is synced. */
static int
sync_name(const char *path)
{
	DM_AUTO(dm_closep) int fd = -1;

	if (sync_parent(AT_FDCWD, path) == 0)
		return 0;
	if (errno != EACCES)
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : syncfs(fd);
}

static int
make_all(const char *path, mode_t mode, bool lasting, struct dm_err *err)
{
	char part[PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(part))
		return dm_fail(err, DM_INVALID, "%s: path too long", path);
	memcpy(part, path, n + 1);
	for (size_t i = 1; i <= n; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, mode) == 0) {
			if (lasting && sync_name(part) < 0)
				return dm_fail_errno(err, "fsync above %s",
				    part);
		} else if (errno != EEXIST) {
			return dm_fail_errno(err, "mkdir %s", part);
		}
		part[i] = path[i];
	}
	return 0;
}

int
dm_mkdirs(const char *path, mode_t mode, struct dm_err *err)
{
	return make_all(path, mode, false, err);
}

int
dm_mkdirs_lasting(const char *path, mode_t mode, struct dm_err *err)
{
	return make_all(path, mode, true, err);
}

/* From the deepest up.  What cannot be synced is kept by other means, or not at
 * all. */
int
dm_names_sync(int dirfd, struct dm_err *err)
{
	DM_AUTO(dm_closep) int fd = openat(dirfd, ".", O_PATH | O_CLOEXEC);
	struct stat st, above;

	for (int i = 0; fd >= 0 && fstat(fd, &st) == 0 && i < PATH_MAX; i++) {
		int up = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		/* Where one may not look, all of the file system is synced. */
		if (up < 0 && errno == EACCES && syncfs(dirfd) == 0)
			return 0;
		dm_closep(&fd);
		fd = up;
		if (up < 0 || fstat(up, &above) < 0)
			break;
		if (above.st_dev != st.st_dev || above.st_ino == st.st_ino)
			return 0;
		if (fsync(up) < 0 && errno != EINVAL && errno != EROFS)
			break;
	}
	return dm_fail_errno(err, "fsync the directories above");
}

/* The cleanup attribute passes a pointer to the variable as it is. */
void
dm_closep(int *fd) /* NOLINT(readability-non-const-parameter) */
{
	if (*fd >= 0)
		(void)close(*fd);
}

void
dm_freep(void *p)
{
	free(*(void **)p);
}
