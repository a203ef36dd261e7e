/* cache/base/database.h - SQLite files that anyone could have written. */
#ifndef DM_BASE_DATABASE_H
#define DM_BASE_DATABASE_H

#include <stdbool.h>
#include <stddef.h>

struct sqlite3;

/*
 * All databases of this program are hints, kept where a broken disk, another
 * program or an enemy may have left anything at all.  A guarded connection runs
 * no trigger and no view of theirs, calls no function of the schema that has an
 * effect, and takes no value larger than DM_DATABASE_VALUE_MAX; and a schema
 * that is not to the letter the program's own makes the file a damaged one.
 * What the rows say is for the caller to doubt.
 */
enum { DM_DATABASE_VALUE_MAX = 64 << 10 };

/* Open path, a regular file or none yet (NULL: a database in memory), with
 * SQLite's flags, and guard it.  SQLITE_OK, or the code for why not; *out is to
 * be closed in either case, and may be NULL. */
int dm_database_open(struct sqlite3 **out, const char *path, int flags);

/* Make these n tables ("CREATE TABLE name (...)") where they are missing, and
 * see that there is nothing else.  SQLITE_OK, or SQLite's code for why not;
 * SQLITE_NOTADB: it is not ours. */
int dm_database_make(struct sqlite3 *db, const char *const *sql, size_t n);

/* Is that code one of a file that fails again and again, while another in its
 * place would do better? */
bool dm_database_is_damage(int code);

/* Rename the closed file and what SQLite keeps beside it, so that a new one can
 * be made; false if that failed. */
bool dm_database_put_aside(const char *path, const char *aside);

#endif
