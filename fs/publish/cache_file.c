#include "fs/publish/cache_file.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/database.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/cache.h"

enum { BUSY_MS = 30000 };

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
	if (!dm_database_put_aside(path, aside))
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

static int
fail_code(int rc, const char *what, const char *doing, const char *why,
    struct dm_err *err)
{
	enum dm_code code = DM_IO;

	if (dm_database_is_damage(rc))
		code = DM_CORRUPT;
	else if (rc == SQLITE_FULL)
		code = DM_NOSPACE;
	else if (rc == SQLITE_NOMEM)
		code = DM_NOMEM;
	return dm_fail(err, code, "%s: %s: %s", what, doing, why);
}

int
cache_file_fail(sqlite3 *db, const char *what, const char *doing,
    struct dm_err *err)
{
	return fail_code(sqlite3_errcode(db), what, doing, sqlite3_errmsg(db),
	    err);
}

int
cache_file_open(sqlite3 **db, const struct cache_file *f, struct dm_err *err)
{
	char settings[160];
	int flags =
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int rc = dm_database_open(db, f->path, flags);

	(void)snprintf(settings, sizeof(settings),
	    "PRAGMA journal_mode = TRUNCATE;"
	    "PRAGMA synchronous = NORMAL;"
	    "PRAGMA cache_size = -%d;" /* KiB */
	    "BEGIN IMMEDIATE;",
	    f->memory >> 10);
	if (rc == SQLITE_OK) {
		(void)sqlite3_busy_timeout(*db, BUSY_MS);
		rc = sqlite3_exec(*db, settings, NULL, NULL, NULL);
	}
	if (rc == SQLITE_OK)
		rc = dm_database_make(*db, f->tables, f->ntables);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(*db, "COMMIT", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		return 0;
	(void)sqlite3_close(*db);
	*db = NULL;
	return fail_code(rc, f->what, "open", sqlite3_errstr(rc), err);
}
