#include "fs/publish/cache_file.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/cache.h"

static int
find_folder(char out[PATH_MAX], const char *dir, struct dm_err *err)
{
	char usual[PATH_MAX];
	const char *why = NULL;
	struct stat st;

	if (dir == NULL &&
	    cache_dir_default(usual, sizeof(usual), &why, err) < 0)
		return -1;
	if (snprintf(out, PATH_MAX, "%s/publish", dir != NULL ? dir : usual) >=
	    PATH_MAX)
		return dm_fail(err, DM_INVALID,
		    "the path of the cache directory is too long");
	if (dm_mkdirs(out, 0700, err) < 0)
		return -1;
	if (lstat(out, &st) < 0)
		return dm_fail_errno(err, "%s", out);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return dm_fail(err, DM_DENIED,
		    "%s is not used: others can write to it", out);
	return 0;
}

int
cache_file_path(char out[PATH_MAX], const char *dir, const char *prefix,
    const char *name, struct dm_err *err)
{
	char folder[PATH_MAX];

	if (find_folder(folder, dir, err) < 0)
		return dm_wrap(err, "cache directory");
	if (snprintf(out, PATH_MAX, "%s/%s%s.sqlite", folder, prefix, name) >=
	    PATH_MAX)
		return dm_fail(err, DM_INVALID, "%s: path too long", folder);
	return 0;
}

int
cache_file_set_aside(const char *path, struct dm_err *err)
{
	char aside[PATH_MAX];

	if (snprintf(aside, sizeof(aside), "%s.damaged", path) >=
	    (int)sizeof(aside))
		return dm_fail(err, DM_INVALID, "%s: path too long", path);
	if (rename(path, aside) < 0)
		return dm_fail_errno(err, "rename %s", path);
	return 0;
}

void
cache_file_tmp_dir(char out[PATH_MAX], const char *dir)
{
	struct dm_err ignored = { 0 };

	if (find_folder(out, dir, &ignored) < 0)
		(void)snprintf(out, PATH_MAX, "/var/tmp");
}
