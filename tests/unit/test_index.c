/* The index of last uses: a hint, made again whenever it is lost. */
#include "cache/store/index.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/digest.h"
#include "cache/base/log.h"
#include "cache/store/census.h"
#include "tests/unit/check.h"

struct fixture {
	char dir[64];
	int root;
	struct index *ix;
	struct digest key[2];
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	static const char names[] = "mkdir -p %s/blobs/6c && cd %s/blobs/6c &&"
				    " for n in 0 1; do touch -d 2020-01-01"
				    " 6c$(printf %%062d $n); done";
	char command[256];

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/dm-index-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(command, sizeof(command), names, f->dir, f->dir);
	assert_int_equal(system(command), 0);
	f->root = open(f->dir, O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < 2; i++) {
		f->key[i].bytes[0] = 0x6c;
		f->key[i].bytes[31] = (uint8_t)i;
	}
	OK(index_new(&f->ix, f->dir, &err));
	dm_log_setup(DM_LOG_ERROR, 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[96];

	index_free(f->ix);
	(void)close(f->root);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	free(f);
	return system(command);
}

/* As often as it takes to be written and read back. */
static void
tick(struct fixture *f)
{
	for (int i = 0; i < 12; i++)
		(void)index_tick(f->ix, f->root, NULL, 0);
}

static int64_t
last_use(struct fixture *f, int i)
{
	struct census c;
	struct census_blob *b;
	int64_t used_s;

	OK(census_take(&c, f->root, &err));
	index_uses(f->ix, &c);
	b = census_find(&c, &f->key[i]);
	assert_non_null(b);
	used_s = b->used_s;
	census_release(&c);
	return used_s;
}

static void
test_a_use_makes_a_blob_hotter_than_its_file(void **state)
{
	struct fixture *f = *state;

	assert_true(index_tick(f->ix, f->root, &f->key[1], 1));
	tick(f);
	assert_true(last_use(f, 1) > last_use(f, 0));
}

static void
test_who_has_just_begun_knows_the_last_uses_too(void **state)
{
	struct fixture *f = *state;

	assert_true(index_tick(f->ix, f->root, &f->key[1], 1));
	index_free(f->ix);
	OK(index_new(&f->ix, f->dir, &err));
	assert_true(last_use(f, 1) > last_use(f, 0));
}

static void
test_uses_outlive_the_process(void **state)
{
	struct fixture *f = *state;

	assert_true(index_tick(f->ix, f->root, &f->key[1], 1));
	index_free(f->ix);
	OK(index_new(&f->ix, f->dir, &err));
	tick(f);
	assert_true(last_use(f, 1) > last_use(f, 0));
}

static void
test_a_damaged_index_is_put_aside_and_made_again(void **state)
{
	struct fixture *f = *state;
	char path[96], bad[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, INDEX_FILE);
	(void)snprintf(bad, sizeof(bad), "%s.bad", path);
	file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs("this is no database, and long enough to say so", file);
	(void)fclose(file);
	assert_false(index_tick(f->ix, f->root, &f->key[1], 1));
	assert_int_equal(access(bad, F_OK), 0);
	assert_true(index_tick(f->ix, f->root, &f->key[1], 1));
	tick(f);
	assert_true(last_use(f, 1) > last_use(f, 0));
}

static void
test_an_index_that_was_removed_is_made_again(void **state)
{
	struct fixture *f = *state;
	char path[96];

	tick(f);
	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, INDEX_FILE);
	assert_int_equal(unlink(path), 0);
	assert_true(index_tick(f->ix, f->root, &f->key[0], 1));
	tick(f);
	assert_true(last_use(f, 0) > last_use(f, 1));
}

/* ---- what others may have left in its place ---- */

static void
index_path(const struct fixture *f, const char *more, char out[128])
{
	(void)snprintf(out, 128, "%s/%s%s", f->dir, INDEX_FILE, more);
}

static void
run_sql(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	char *why = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Whatever is there: soon uses are noted, and told. */
static void
it_works(struct fixture *f, const char *what)
{
	int64_t now = (int64_t)time(NULL);
	bool noted = false;

	index_free(f->ix);
	OK(index_new(&f->ix, f->dir, &err));
	(void)last_use(f, 1); /* by a connection of its own */
	for (int i = 0; i < 16; i++)
		noted = index_tick(f->ix, f->root, &f->key[1], 1);
	if (!noted)
		fail_msg("%s: uses are not noted", what);
	if (last_use(f, 1) < now)
		fail_msg("%s: uses are not told", what);
}

#define BLOB                                              \
	"CREATE TABLE blob (key BLOB PRIMARY KEY,"        \
	" bytes INTEGER NOT NULL, used INTEGER NOT NULL," \
	" pinned INTEGER NOT NULL) WITHOUT ROWID;"        \
	"CREATE TABLE refreshed (at INTEGER NOT NULL);"

static void
test_a_hostile_database_runs_nothing_and_is_replaced(void **state)
{
	static const char *const hostile[] = {
		BLOB "CREATE TABLE ran (n);"
		     "CREATE TRIGGER t AFTER INSERT ON blob BEGIN"
		     " INSERT INTO ran VALUES (1); DELETE FROM blob; END;",
		BLOB "CREATE TRIGGER t BEFORE UPDATE ON blob BEGIN"
		     " SELECT RAISE(IGNORE); END;",
		"CREATE VIEW blob AS WITH RECURSIVE c(key, used) AS (SELECT"
		" zeroblob(32), 1 UNION ALL SELECT key, used + 1 FROM c)"
		" SELECT * FROM c;",
		"CREATE TABLE blob (key BLOB PRIMARY KEY, bytes, used AS"
		" (printf('%.*c', 100000000, 'x')) VIRTUAL, pinned)"
		" WITHOUT ROWID;",
		"CREATE TABLE blob (key, used, CHECK (length(key) > 40));",
		BLOB "CREATE UNIQUE INDEX i ON blob (used);",
		BLOB "CREATE INDEX i ON blob (key) WHERE used > 3;",
		"CREATE TABLE bookmarks (url TEXT, title TEXT);"
		"INSERT INTO bookmarks VALUES ('http://h/', 'h');",
		BLOB "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET"
		     " sql = 'CREATE TABLE blob (x' WHERE name = 'blob';",
		BLOB "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET"
		     " rootpage = 1;",
		BLOB "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET"
		     " rootpage = 2;",
	};
	struct fixture *f = *state;
	char path[128], bad[128];

	index_path(f, "", path);
	index_path(f, ".bad", bad);
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		(void)unlink(path);
		(void)unlink(bad);
		run_sql(path, hostile[i]);
		it_works(f, hostile[i]);
		if (access(bad, F_OK) < 0)
			fail_msg("it was used: %s", hostile[i]);
	}
}

static void
test_rows_of_the_wrong_kind_harm_nobody(void **state)
{
	static const char *const hostile[] = {
		"INSERT INTO blob VALUES (zeroblob(20000000), 1, 2, 3);",
		"INSERT INTO blob VALUES ('text', 'text', 'text', 'text');",
		"INSERT INTO blob VALUES (1, 2, 3, 4), (x'', 2, 3, 4),"
		" (1.5, 2.5, 1e300, -1e300);",
		"INSERT INTO blob VALUES (zeroblob(32), 'x', zeroblob(32), 1);",
		"INSERT INTO blob VALUES (zeroblob(32), 1,"
		" 9223372036854775807, -9223372036854775807 - 1);",
		"INSERT INTO refreshed VALUES (-9223372036854775807 - 1);",
		"INSERT INTO refreshed VALUES (9223372036854775807);",
		"INSERT INTO refreshed VALUES (zeroblob(9000000));",
		"INSERT INTO refreshed VALUES ('now');",
		"PRAGMA journal_mode = WAL;",
		"PRAGMA user_version = 77; PRAGMA application_id = 78;",
		"PRAGMA auto_vacuum = 1; VACUUM;",
		"PRAGMA encoding = 'UTF-16'; VACUUM;",
	};
	struct fixture *f = *state;
	char path[128];

	index_path(f, "", path);
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		(void)unlink(path);
		run_sql(path, BLOB);
		run_sql(path, hostile[i]);
		it_works(f, hostile[i]);
	}
}

static void
test_a_use_in_the_future_is_not_believed(void **state)
{
	struct fixture *f = *state;
	char path[128];

	index_path(f, "", path);
	run_sql(path,
	    BLOB
	    "INSERT INTO blob VALUES (x'6c00000000000000000000000000000000"
	    "000000000000000000000000000000', 1, 9223372036854775807, 0);");
	assert_true(index_tick(f->ix, f->root, &f->key[1], 1));
	tick(f);
	assert_true(last_use(f, 1) > last_use(f, 0));
}

static void
test_what_is_no_file_in_its_place_harms_nobody(void **state)
{
	static const char *const make[] = {
		"mkdir $1",
		"mkdir $1 && touch $1/in",
		"mkdir $1-journal && touch $1-journal/in",
		"mkdir $1-wal $1-shm",
		"mkfifo $1",
		"mkfifo $1-journal",
		"head -c 9000 /dev/urandom >$1-journal",
		"head -c 9000 /dev/urandom >$1-wal; touch $1-shm",
		": >$1",
		"head -c 512 /dev/zero >$1",
		"printf 'SQLite format 3' >$1",
		"ln -s nowhere $1",
		"ln -s /dev/zero $1",
		"ln -s $1 $1",
	};
	struct fixture *f = *state;
	char path[128], command[500];

	index_path(f, "", path);
	for (size_t i = 0; i < sizeof(make) / sizeof(make[0]); i++) {
		(void)snprintf(command, sizeof(command), "rm -rf %s*", path);
		assert_int_equal(system(command), 0);
		(void)snprintf(command, sizeof(command), "set -- %s; %s", path,
		    make[i]);
		assert_int_equal(system(command), 0);
		it_works(f, make[i]);
	}
}

static void
test_a_link_in_its_place_is_not_written_through(void **state)
{
	struct fixture *f = *state;
	char path[128], other[160], command[900];

	index_path(f, "", path);
	(void)snprintf(other, sizeof(other), "%s/other", f->dir);
	run_sql(other, BLOB);
	(void)snprintf(command, sizeof(command), "cp %s %s.was && ln -s %s %s",
	    other, other, other, path);
	assert_int_equal(system(command), 0);
	it_works(f, "link");
	(void)snprintf(command, sizeof(command), "cmp %s %s.was", other, other);
	assert_int_equal(system(command), 0);
}

static void
test_an_index_below_a_linked_folder_is_used(void **state)
{
	struct fixture *f = *state;
	char link[80], path[128];

	(void)snprintf(link, sizeof(link), "%s/link", f->dir);
	assert_int_equal(symlink(f->dir, link), 0);
	index_free(f->ix);
	OK(index_new(&f->ix, link, &err));
	assert_true(index_tick(f->ix, f->root, &f->key[1], 1));
	index_path(f, "", path);
	assert_int_equal(access(path, F_OK), 0);
}

/* A page of the file, or bytes of it, are something else. */
static void
damage(const char *path, unsigned *seed)
{
	enum { PAGE = 4096 };
	char page[PAGE];
	int fd = open(path, O_RDWR);
	off_t pages, at;

	assert_true(fd >= 0);
	pages = lseek(fd, 0, SEEK_END) / PAGE;
	at = rand_r(seed) % pages * PAGE;
	assert_int_equal(pread(fd, page, PAGE, at), PAGE);
	switch (rand_r(seed) % 5) {
	case 0:
		memset(page, 0, PAGE);
		break;
	case 1:
		for (int i = 0; i < PAGE; i++)
			page[i] = (char)rand_r(seed);
		break;
	case 2: /* that of another one */
		assert_int_equal(pread(fd, page, PAGE,
				     rand_r(seed) % pages * PAGE),
		    PAGE);
		break;
	case 3: /* its head, where the tree is */
		page[rand_r(seed) % 24] = (char)rand_r(seed);
		break;
	default:
		for (int i = 0; i < 8; i++)
			page[rand_r(seed) % PAGE] ^= (char)(1 << i);
		break;
	}
	assert_int_equal(pwrite(fd, page, PAGE, at), PAGE);
	(void)close(fd);
}

static void
test_a_database_with_damaged_pages_harms_nobody(void **state)
{
	struct fixture *f = *state;
	int times = getenv("DM_FEW") != NULL ? 20 : 60;
	char path[128], good[160], command[900], what[40];
	unsigned seed = 1;

	index_path(f, "", path);
	(void)snprintf(good, sizeof(good), "%s.good", path);
	run_sql(good,
	    BLOB "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM"
		 " n LIMIT 4000) INSERT INTO blob SELECT randomblob(32), i,"
		 " 1000000000 + i, 0 FROM n;");
	for (int i = 0; i < times; i++) {
		(void)snprintf(command, sizeof(command),
		    "rm -f %s %s-journal && cp %s %s", path, path, good, path);
		assert_int_equal(system(command), 0);
		damage(path, &seed);
		(void)snprintf(what, sizeof(what), "damage %d", i);
		it_works(f, what);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void
test_what_was_left_unwritten_is_removed_and_nobodys(void **state)
{
	static const char make[] =
	    "cd %s/blobs/6c && for n in a b; do"
	    " yes | head -c 9000 >6c$(printf %%062d 0).dir.$n.tmp; done &&"
	    " touch -d '2 hours ago' 6c*.a.tmp";
	struct fixture *f = *state;
	char command[300];
	struct census c;

	(void)snprintf(command, sizeof(command), make, f->dir);
	assert_int_equal(system(command), 0);
	OK(census_take(&c, f->root, &err));
	assert_int_equal(c.n, 2);
	assert_int_equal(census_find(&c, &f->key[0])->bytes, 0);
	assert_true(c.bytes > 0);
	census_release(&c);
	(void)snprintf(command, sizeof(command),
	    "cd %s/blobs/6c && test ! -e 6c*.a.tmp && test -e 6c*.b.tmp",
	    f->dir);
	assert_int_equal(system(command), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_use_makes_a_blob_hotter_than_its_file),
		T(test_who_has_just_begun_knows_the_last_uses_too),
		T(test_uses_outlive_the_process),
		T(test_a_damaged_index_is_put_aside_and_made_again),
		T(test_an_index_that_was_removed_is_made_again),
		T(test_a_hostile_database_runs_nothing_and_is_replaced),
		T(test_rows_of_the_wrong_kind_harm_nobody),
		T(test_a_use_in_the_future_is_not_believed),
		T(test_what_is_no_file_in_its_place_harms_nobody),
		T(test_a_link_in_its_place_is_not_written_through),
		T(test_an_index_below_a_linked_folder_is_used),
		T(test_a_database_with_damaged_pages_harms_nobody),
		T(test_what_was_left_unwritten_is_removed_and_nobodys),
	};

	return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
