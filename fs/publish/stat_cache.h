/* fs/publish/stat_cache.h - which files were read before and are unchanged. */
#ifndef DM_PUBLISH_STAT_CACHE_H
#define DM_PUBLISH_STAT_CACHE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "cache/base/attr.h"

struct digest;
struct dm_err;

/*
 * For the files of one directory tree: what stat said when they were read,
 * and the id that their content had.  A file whose stat is the same is not
 * read again.
 *
 * A file can change without a change of its times, within one tick of the
 * clock that stamps them.  So an entry is only recorded if mtime and ctime lie
 * STAT_RACY_NS before the file was looked at.
 *
 * The cache may be lost at any time.  Threads: one at a time.
 */
struct stat_cache;

#define STAT_RACY_NS ((int64_t)2000000000)

/* path: the SQLite file, or NULL: in memory.  root: the real path of the
 * directory.  DM_CORRUPT: damaged; remove it and call again. */
int stat_cache_open(struct stat_cache **out, const char *path, const char *root,
    struct dm_err *err) DM_MUST_CHECK;

/* What was not saved is lost. */
void stat_cache_close(struct stat_cache *sc);

/* The id of the file's content when its stat was the same. */
int stat_cache_find(struct stat_cache *sc, const char *path,
    const struct stat *st, struct digest *id, bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/* Let go of the file's lock, which finds keep for a while: to be called
 * before a wait that has no end in sight. */
int stat_cache_rest(struct stat_cache *sc, struct dm_err *err) DM_MUST_CHECK;

/* A file was read.  at_ns: the wall clock no later than the look at st. */
int stat_cache_note(struct stat_cache *sc, const char *path,
    const struct stat *st, int64_t at_ns, const struct digest *id,
    struct dm_err *err) DM_MUST_CHECK;

/* Keep what was noted. Files that are gone, looked up below the directory fd,
 * are forgotten once they are more than the files that there are. */
int stat_cache_save(struct stat_cache *sc, int fd, uint64_t files,
    struct dm_err *err) DM_MUST_CHECK;

/* May an entry with this stat, seen at at_ns, be trusted? */
bool stat_cache_trusts(const struct stat *st, int64_t at_ns);

#endif
