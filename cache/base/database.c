#include "cache/base/database.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void
guard(struct sqlite3 *db)
{
	static const struct {
		int what, to;
	} set[] = {
		{ SQLITE_DBCONFIG_DEFENSIVE, 1 },
		{ SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
		{ SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
		{ SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
	};

	for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++)
		(void)sqlite3_db_config(db, set[i].what, set[i].to, NULL);
	(void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, DM_DATABASE_VALUE_MAX);
	/* A cell that does not fit its page is found as the page is read. */
	(void)sqlite3_exec(db, "PRAGMA cell_size_check = ON;", NULL, NULL,
	    NULL);
}

/* SQLITE_OPEN_NOFOLLOW would refuse links among the directories, too. */
int
dm_database_open(struct sqlite3 **out, const char *path, int flags)
{
	struct stat st;
	int rc;

	*out = NULL;
	if (path != NULL && lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return SQLITE_CANTOPEN;
	rc =
	    sqlite3_open_v2(path == NULL ? ":memory:" : path, out, flags, NULL);
	if (rc == SQLITE_OK)
		guard(*out);
	return rc;
}

static bool
is_one_of(const char *text, const char *const *sql, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, sql[i]) == 0)
			return true;
	return false;
}

/* The schema is these statements, and what SQLite adds by itself: indexes
 * (without a text) for what is unique, a table for AUTOINCREMENT. */
static int
look(struct sqlite3 *db, const char *const *sql, size_t n)
{
	static const char ask[] =
	    "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL";
	static const char *const added[] = {
		"CREATE TABLE sqlite_sequence(name,seq)",
	};
	sqlite3_stmt *q = NULL;
	size_t known = 0;
	int rc = sqlite3_prepare_v2(db, ask, -1, &q, NULL);

	while (rc == SQLITE_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(q, 0);

		rc = SQLITE_NOTADB;
		if (text != NULL && is_one_of(text, sql, n))
			known++;
		else if (text == NULL || !is_one_of(text, added, 1))
			break;
		rc = SQLITE_OK;
	}
	(void)sqlite3_finalize(q);
	if (rc != SQLITE_DONE)
		return rc;
	return known == n ? SQLITE_OK : SQLITE_NOTADB;
}

int
dm_database_make(struct sqlite3 *db, const char *const *sql, size_t n)
{
	static const char create[] = "CREATE TABLE ";
	char text[1024];
	int rc = SQLITE_OK;

	for (size_t i = 0; rc == SQLITE_OK && i < n; i++) {
		int size = snprintf(text, sizeof(text), "%sIF NOT EXISTS %s",
		    create, sql[i] + strlen(create));

		assert(size > 0 && (size_t)size < sizeof(text));
		rc = sqlite3_exec(db, text, NULL, NULL, NULL);
	}
	return rc == SQLITE_OK ? look(db, sql, n) : rc;
}

bool
dm_database_is_damage(int code)
{
	switch (code & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a schema that is not ours */
	case SQLITE_MISMATCH:
	case SQLITE_CONSTRAINT:
	case SQLITE_TOOBIG:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR: /* also of what lies beside it */
		return true;
	default:
		return false;
	}
}

bool
dm_database_put_aside(const char *path, const char *aside)
{
	static const char *const beside[] = { "", "-journal", "-wal", "-shm" };
	char from[PATH_MAX], to[PATH_MAX];
	bool moved = true;

	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		if (snprintf(from, sizeof(from), "%s%s", path, beside[i]) >=
			(int)sizeof(from) ||
		    snprintf(to, sizeof(to), "%s%s", aside, beside[i]) >=
			(int)sizeof(to))
			return false;
		if (rename(from, to) == 0 || errno == ENOENT)
			continue;
		/* What was put aside before may be of another kind. */
		(void)remove(to);
		if (rename(from, to) < 0)
			moved = false;
	}
	return moved;
}
