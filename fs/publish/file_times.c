#include "fs/publish/file_times.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/romfs_fs.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "cache/base/io.h"
#include "fs/format/limits.h"

static bool
is_image(const struct statfs *fs)
{
	static const uint32_t images[] = { CRAMFS_MAGIC, EROFS_SUPER_MAGIC_V1,
		ISOFS_SUPER_MAGIC, ROMFS_MAGIC, SQUASHFS_MAGIC,
		UDF_SUPER_MAGIC };

	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++)
		if ((uint32_t)fs->f_type == images[i])
			return true;
	return false;
}

/* Move *fd up to the root of its file system. */
static int
climb(int *fd)
{
	struct stat st, above;
	int up;

	for (int i = 0; i < DM_PATH_MAX; i++) {
		up = openat(*fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (up < 0)
			return -1;
		if (fstat(*fd, &st) < 0 || fstat(up, &above) < 0) {
			dm_closep(&up);
			return -1;
		}
		if (above.st_dev != st.st_dev || above.st_ino == st.st_ino) {
			dm_closep(&up);
			return 0;
		}
		dm_closep(fd);
		*fd = up;
	}
	return -1;
}

/* Is the directory the root of a version, or might it be one? */
static bool
is_version(int fd)
{
	char self[32];

	/* what is open for its path only has no attributes */
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return getxattr(self, "user.datamount.commit", NULL, 0) >= 0 ||
	    (errno != ENODATA && errno != EOPNOTSUPP);
}

static bool
look(int root, const char *path)
{
	const char *slash = strrchr(path, '/');
	char parent[DM_PATH_MAX + 1] = ".";
	DM_AUTO(dm_closep) int fd = -1;
	struct statfs fs;

	if (slash != NULL)
		(void)snprintf(parent, sizeof(parent), "%.*s",
		    (int)(slash - path), path);
	fd =
	    openat(root, parent, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstatfs(fd, &fs) < 0 || is_image(&fs))
		return false;
	if ((uint32_t)fs.f_type != FUSE_SUPER_MAGIC)
		return true;
	return climb(&fd) == 0 && !is_version(fd);
}

bool
file_times_tell(struct file_times *t, int root, const char *path,
    const struct stat *st)
{
	if (!t->known || t->dev != st->st_dev) {
		t->known = true;
		t->dev = st->st_dev;
		t->tell = look(root, path);
	}
	return t->tell;
}
