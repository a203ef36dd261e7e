/* fs/publish/file_times.h - do the times of files tell that they changed? */
#ifndef DM_PUBLISH_FILE_TIMES_H
#define DM_PUBLISH_FILE_TIMES_H

#include <stdbool.h>
#include <sys/stat.h>

/*
 * Most file systems stamp a file when it changes.  In an image, and in a mount
 * of a version, files have the times that somebody chose: of two that are
 * mounted in turn at one place, files of one name and size may have the same
 * device, inode number and times, and other contents.
 */
struct file_times {
	bool known;
	dev_t dev; /* the last one that was looked at */
	bool tell;
};

/* path, below the directory root, is a file with that stat.  *t starts
 * zeroed. */
bool file_times_tell(struct file_times *t, int root, const char *path,
    const struct stat *st);

#endif
