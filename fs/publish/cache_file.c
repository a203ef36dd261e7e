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

int
cache_file_fail(sqlite3 *db, const char *what, const char *doing,
    struct dm_err *err)
{
	enum dm_code code = DM_IO;

	switch (sqlite3_errcode(db)) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a schema that is not ours */
		code = DM_CORRUPT;
		break;
	case SQLITE_FULL:
		code = DM_NOSPACE;
		break;
	case SQLITE_NOMEM:
		code = DM_NOMEM;
		break;
	default:
		break;
	}
	return dm_fail(err, code, "%s: %s: %s", what, doing,
	    sqlite3_errmsg(db));
}
