/* fs/publish/cache_file.h - where publishing keeps what it may lose. */
#ifndef DM_PUBLISH_CACHE_FILE_H
#define DM_PUBLISH_CACHE_FILE_H

#include <limits.h>
#include <sqlite3.h>
#include <stddef.h>

#include "cache/base/attr.h"

struct dm_err;

/* The path of a file in the folder publish/ of the cache directory dir (NULL:
 * cache_dir_default()), which is made if need be: PREFIX, NAME, ".sqlite".
 * Fails if the folder cannot be made, or others can write to it. */
int cache_file_path(char out[PATH_MAX], const char *dir, const char *prefix,
    const char *name, struct dm_err *err) DM_MUST_CHECK;

/* Rename a damaged file, so that a new one can be made. */
int cache_file_set_aside(const char *path, struct dm_err *err) DM_MUST_CHECK;

/* What all such databases have in common, and what this one is; path NULL: in
 * memory.  The connection waits 30 s for others.  On failure *db is closed and
 * NULL, and the error as cache_file_fail() says. */
struct cache_file {
	const char *what; /* for messages */
	const char *path;
	const char *const *tables; /* database.h */
	size_t ntables;
	int memory; /* bytes of its pages that are kept in memory */
};
int cache_file_open(sqlite3 **db, const struct cache_file *f,
    struct dm_err *err) DM_MUST_CHECK;

/* Report the last failure of such a file's database: "WHAT: DOING: cause".
 * DM_CORRUPT: it is damaged, or not one of ours; set it aside.  Returns -1. */
int cache_file_fail(sqlite3 *db, const char *what, const char *doing,
    struct dm_err *err);

/* A directory for large temporary files: that folder, or /var/tmp. */
void cache_file_tmp_dir(char out[PATH_MAX], const char *dir);

#endif
