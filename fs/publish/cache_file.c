#include "fs/publish/cache_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"

static const char *
environment(const char *name)
{
	const char *value = secure_getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

static int
find_folder(char out[PATH_MAX], struct dm_err *err)
{
	const char *dir = environment("DATAMOUNT_CACHE");
	const char *rest = "publish";
	struct stat st;

	if (dir == NULL && geteuid() == 0) {
		dir = "/var/cache/datamount";
	} else if (dir == NULL && (dir = environment("XDG_CACHE_HOME"))) {
		rest = "datamount/publish";
	} else if (dir == NULL) {
		dir = environment("HOME");
		rest = ".cache/datamount/publish";
	}
	if (dir == NULL || dir[0] != '/')
		return dm_fail(err, DM_INVALID,
		    "no cache directory: set HOME or DATAMOUNT_CACHE");
	if (snprintf(out, PATH_MAX, "%s/%s", dir, rest) >= PATH_MAX)
		return dm_fail(err, DM_INVALID, "%s: path too long", dir);
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
cache_file_path(char out[PATH_MAX], const char *prefix, const char *name,
    struct dm_err *err)
{
	char folder[PATH_MAX];

	if (find_folder(folder, err) < 0)
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
cache_file_tmp_dir(char out[PATH_MAX])
{
	struct dm_err ignored = { 0 };

	if (find_folder(out, &ignored) < 0)
		(void)snprintf(out, PATH_MAX, "/var/tmp");
}
