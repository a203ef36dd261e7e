/* Can the cache be used, and is there room in it? */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cache/base/io.h"
#include "cache/cache.h"
#include "fs/cmd/cmd.h"
#include "fs/cmd/doctor.h"

enum { DOCTOR_INODES = 10000 };
#define DOCTOR_ROOM ((uint64_t)1 << 30)

/* The directory, or the one above in which it would be made. */
static void
find_existing(char out[PATH_MAX], const char *dir)
{
	struct stat st;
	char *slash;

	(void)snprintf(out, PATH_MAX, "%s", dir);
	while (stat(out, &st) < 0 && errno == ENOENT &&
	    (slash = strrchr(out, '/')) != NULL && out[1] != '\0')
		slash[slash == out] = '\0';
}

/* Write a file there, read it back, remove it. */
static int
write_and_read(const char *dir, struct dm_err *err)
{
	static const char text[] = "doctor";
	char path[PATH_MAX], back[sizeof(text)] = "";
	DM_AUTO(dm_closep) int fd = -1;
	int rc = 0;

	if (snprintf(path, sizeof(path), "%s/doctor-XXXXXX", dir) >=
	    (int)sizeof(path))
		return dm_fail(err, DM_INVALID, "%s: path too long", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return dm_fail_errno(err, "%s", dir);
	if (dm_pwrite_full(fd, text, sizeof(text), 0) < 0 || fsync(fd) < 0 ||
	    dm_pread_full(fd, back, sizeof(back), 0) != (ssize_t)sizeof(back))
		rc = dm_fail_errno(err, "%s", dir);
	else if (memcmp(text, back, sizeof(text)) != 0)
		rc = dm_fail(err, DM_IO, "%s: gives back other bytes", dir);
	(void)unlink(path);
	return rc;
}

static void
check_existing(struct doctor *d, const char *dir)
{
	struct cache_options opt = { .dir = dir };
	struct cache *cache = NULL;
	struct dm_err err = { 0 };

	/* Owner, modes, and those of the directories above. */
	if (cache_open(&cache, &opt, &err) < 0) {
		doctor_say(d, DOCTOR_FAIL, "cache", "%s", err.text);
		return;
	}
	cache_close(cache);
	if (write_and_read(dir, &err) == 0) {
		doctor_say(d, DOCTOR_OK, "cache", "%s can be written and read",
		    dir);
		return;
	}
	doctor_say(d, DOCTOR_FAIL, "cache", "%s: nothing is kept", err.text);
	doctor_fix(d,
	    "make room, or choose another directory by --cache or "
	    "datamount.conf(5)");
}

static void
check_directory(struct doctor *d, const char *dir, const char *existing)
{
	if (strcmp(dir, existing) == 0) {
		check_existing(d, dir);
	} else if (access(existing, W_OK | X_OK) == 0) {
		doctor_say(d, DOCTOR_OK, "cache",
		    "%s does not exist yet; it can be made", dir);
	} else {
		doctor_say(d, DOCTOR_FAIL, "cache",
		    "%s does not exist, and cannot be made in %s: %m", dir,
		    existing);
		doctor_fix(d,
		    "choose another directory by --cache or "
		    "datamount.conf(5)");
	}
}

static void
check_room(struct doctor *d, const char *existing)
{
	char room[CMD_BYTES_TEXT], want[CMD_BYTES_TEXT];
	struct statvfs fs;
	uint64_t bytes;

	if (statvfs(existing, &fs) < 0) {
		doctor_say(d, DOCTOR_FAIL, "disk", "%s: %m", existing);
		return;
	}
	bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	(void)cmd_bytes(room, bytes);
	if (bytes < DOCTOR_ROOM) {
		doctor_say(d, DOCTOR_WARN, "disk",
		    "%s free for the cache, less than %s", room,
		    cmd_bytes(want, DOCTOR_ROOM));
		doctor_fix(d,
		    "make room, `datamount cache clear`, or choose another "
		    "directory by --cache");
	} else {
		doctor_say(d, DOCTOR_OK, "disk", "%s free for the cache", room);
	}
	/* Some file systems do not count them. */
	if (fs.f_files == 0)
		return;
	if (fs.f_favail < DOCTOR_INODES) {
		doctor_say(d, DOCTOR_WARN, "inodes",
		    "%" PRIu64 " free for the cache, less than %d",
		    (uint64_t)fs.f_favail, DOCTOR_INODES);
		doctor_fix(d,
		    "remove small files, or choose another directory by "
		    "--cache");
	} else {
		doctor_say(d, DOCTOR_OK, "inodes",
		    "%" PRIu64 " free for the cache", (uint64_t)fs.f_favail);
	}
}

void
doctor_cache(struct doctor *d, const char *dir)
{
	const char *unfit = cache_dir_unfit(dir);
	char existing[PATH_MAX];

	find_existing(existing, dir);
	check_directory(d, dir, existing);
	if (unfit != NULL) {
		doctor_say(d, DOCTOR_WARN, "cache-disk",
		    "%s is on %s: slow, or changes of files go unnoticed", dir,
		    unfit);
		doctor_fix(d,
		    "choose a local disk by --cache, DATAMOUNT_CACHE or "
		    "datamount.conf(5)");
	} else {
		doctor_say(d, DOCTOR_OK, "cache-disk",
		    "%s is neither on a network nor on FUSE", existing);
	}
	check_room(d, existing);
}
