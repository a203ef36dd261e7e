/* What publishing remembers on this machine, and what may have become of it:
 * whatever it says, a commit has all its objects. */
#include <glob.h>
#include <sqlite3.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "fs/format/commit.h"
#include "fs/publish/folder.h"
#include "fs/publish/marks.h"
#include "fs/publish/object_index.h"
#include "fs/publish/publish.h"
#include "fs/publish/reach.h"
#include "tests/unit/scratch.h"

static unsigned warnings;

static void
no_progress(void *arg, uint64_t files, uint64_t bytes)
{
	(void)arg;
	(void)files;
	(void)bytes;
}

static void
warn(void *arg, const char *text)
{
	(void)arg;
	(void)text;
	warnings++;
}

static void
commit(struct publish_result *r)
{
	struct publish_options o = {
		.dir = "d",
		.repo = "r",
		.branch = "main",
		.message = "m",
		.progress = no_progress,
		.warn = warn,
	};

	OK(publish_commit(&o, r, &err));
}

/* Every object of the commit is in the repository. */
static void
is_whole(const struct digest *id, const char *what)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	struct reach *r = NULL;
	struct folder *f = NULL;
	struct dm_err why = { 0 };
	struct commit c;
	bool found = false;

	OK(folder_open(&f, "r", &err));
	OK(folder_commit_read(f, id, &text, &c, &found, &err));
	assert_true(found);
	OK(reach_open(&r, f, NULL, &err));
	if (reach_commit(r, &c, &why) < 0)
		fail_msg("%s: %s", what, why.text);
	reach_close(r);
	folder_close(f);
}

static void
put_numbered(int n, const char *text)
{
	char path[32], content[64];

	(void)snprintf(path, sizeof(path), "d/%d/%d", n % 3, n);
	(void)snprintf(content, sizeof(content), "%d %s", n, text);
	put_file(path, content);
}

static int
setup(void **state)
{
	char id[REPO_ID_HEX + 1], cache[96];
	struct publish_result r;

	if (scratch_setup(state) < 0)
		return -1;
	(void)snprintf(cache, sizeof(cache), "%s/cache", scratch);
	assert_int_equal(setenv("DATAMOUNT_CACHE", cache, 1), 0);
	warnings = 0;
	OK(publish_init("r", id, &err));
	assert_int_equal(
	    system("mkdir -p d/0 d/1 d/2 && head -c 3000000 /dev/zero >d/big"),
	    0);
	for (int i = 0; i < 60; i++)
		put_numbered(i, "at first");
	commit(&r);
	return 0;
}

/* The file that remembers; it is there. */
static const char *
remembers(const char *pattern)
{
	static char path[128];
	glob_t g;

	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	(void)snprintf(path, sizeof(path), "%s", g.gl_pathv[0]);
	globfree(&g);
	return path;
}

#define INDEX remembers("cache/publish/index-v2-*.sqlite")
#define FILES remembers("cache/publish/files-v1.sqlite")

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

/* Whatever it was that was done: what is published next is whole. */
static void
publishes(int round, const char *what)
{
	struct publish_result r;

	put_numbered(round % 60, what);
	put_numbered(100 + round, what);
	put_file("d/1/twice", "at first");
	commit(&r);
	is_whole(&r.commit, what);
	commit(&r);
	if (!r.unchanged)
		fail_msg("%s: the same is another", what);
}

static void
test_an_index_that_lies_makes_no_commit_that_lacks_objects(void **state)
{
	static const char *const lies[] = {
		"UPDATE object SET ordinal = ordinal + 1;",
		"UPDATE object SET ordinal = 0;",
		"UPDATE object SET ordinal = 1000000;",
		"UPDATE object SET pack = 1;",
		"UPDATE object SET pack = 99;",
		"UPDATE object SET pack = -1, ordinal = -1;",
		"UPDATE object SET pack = 'x', ordinal = zeroblob(9);",
		"UPDATE object SET pack = 4294967297;",
		"UPDATE OR IGNORE object SET kind = 3 - kind;",
		"UPDATE pack SET off = off + 56;",
		"UPDATE pack SET off = -off, len = -len, count = -count;",
		"UPDATE pack SET count = count + 1;",
		"UPDATE pack SET len = 16;",
		"UPDATE pack SET rows = 0;",
		"UPDATE pack SET rows = 1000000000000;",
		"UPDATE pack SET no = no + 100;",
		"UPDATE pack SET id = zeroblob(32) WHERE no = 1;",
		"UPDATE pack SET id = zeroblob(31 + no);",
		/* the packs' ids go round */
		"CREATE TEMP TABLE t AS SELECT * FROM pack; DELETE FROM pack;"
		"INSERT INTO pack SELECT no, coalesce((SELECT id FROM t AS u"
		" WHERE u.no > t.no ORDER BY u.no LIMIT 1), (SELECT id FROM t"
		" ORDER BY no LIMIT 1)), off, len, count, rows FROM t;",
		"DELETE FROM object;",
		"DELETE FROM pack;",
		"DELETE FROM object WHERE ordinal % 2 = 1;",
		"CREATE TRIGGER t AFTER INSERT ON object BEGIN"
		" UPDATE object SET ordinal = 7; END;",
		"DROP TABLE object; CREATE VIEW object AS SELECT id, 1 AS kind,"
		" no AS pack, 0 AS ordinal FROM pack;",
		"DROP TABLE object;",
		"DROP TABLE pack; CREATE TABLE pack (n);",
		"CREATE TABLE bookmarks (url);",
		"CREATE UNIQUE INDEX i ON object (kind) WHERE kind > 7;",
		"INSERT INTO object VALUES (zeroblob(9000000), 1, 1, 1);",
		"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET"
		" rootpage = 3;",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		run_sql(INDEX, lies[i]);
		publishes((int)i, lies[i]);
	}
}

/* The content is new, and the index knows where it is said to lie. */
static void
test_an_object_that_only_the_index_knows_is_stored(void **state)
{
	static const char text[] = "never stored";
	struct publish_result r;
	char sql[200], hex[DIGEST_HEX + 1];
	struct digest id;

	(void)state;
	digest_of(&id, text, strlen(text));
	digest_hex(&id, hex);
	(void)snprintf(sql, sizeof(sql),
	    "INSERT INTO object SELECT x'%s', 1, min(no), 0 FROM pack;", hex);
	run_sql(INDEX, sql);
	put_file("d/new", text);
	commit(&r);
	assert_true(warnings > 0);
	is_whole(&r.commit, text);
}

static void
test_what_is_no_database_in_their_place_stops_no_commit(void **state)
{
	static const char *const make[] = {
		"rm -f $1 && mkdir $1",
		"rm -rf $1 && mkdir $1 && touch $1/in",
		"rm -rf $1 && mkfifo $1",
		"rm -rf $1 && ln -s nowhere $1",
		"rm -rf $1 && ln -s /dev/zero $1",
		"rm -rf $1 && mkdir -p $1-journal/in",
		"rm -rf $1 && head -c 8192 /dev/urandom >$1",
		"head -c 8192 /dev/urandom >$1-journal",
		"truncate -s 5000 $1",
		"chmod 400 $1",
	};
	char path[2][128], command[500];
	int round = 0;

	(void)state;
	(void)snprintf(path[0], sizeof(path[0]), "%s", INDEX);
	(void)snprintf(path[1], sizeof(path[1]), "%s", FILES);
	for (size_t i = 0; i < sizeof(make) / sizeof(make[0]); i++)
		for (int k = 0; k < 2; k++) {
			(void)snprintf(command, sizeof(command),
			    "set -- %s; %s", path[k], make[i]);
			assert_int_equal(system(command), 0);
			publishes(round++, command);
		}
}

static void
test_a_list_of_files_that_is_hostile_stops_no_commit(void **state)
{
	static const char *const lies[] = {
		"UPDATE file SET id = randomblob(32);",
		"UPDATE file SET id = zeroblob(31);",
		"UPDATE file SET path = CAST(path AS TEXT) || char(0) || 'x';",
		"UPDATE root SET no = 7;"
		" UPDATE OR REPLACE file SET path = zeroblob(9000);",
		"CREATE TRIGGER t AFTER INSERT ON file BEGIN"
		" DELETE FROM file; END;",
		"DROP TABLE file; CREATE VIEW file AS WITH RECURSIVE"
		" c(root, path, dev, ino, size, mtime, ctime, id) AS (SELECT 1,"
		" x'61', 1, 1, 1, 1, 1, x'' UNION ALL SELECT * FROM c)"
		" SELECT * FROM c;",
		"DROP TABLE root;",
		/* more rows than files: it is gone through */
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM"
		" n LIMIT 9000) INSERT OR REPLACE INTO file SELECT no,"
		" CAST('a' || char(0) || i AS BLOB), 1, 1, 1, 1, 1, x''"
		" FROM n, root;",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		run_sql(FILES, lies[i]);
		publishes((int)i, lies[i]);
	}
}

static void
damage(const char *path, unsigned *seed)
{
	enum { PAGE = 4096 };
	int fd = open(path, O_RDWR);
	char page[PAGE];
	off_t pages, at;

	assert_true(fd >= 0);
	pages = lseek(fd, 0, SEEK_END) / PAGE;
	at = rand_r(seed) % pages * PAGE;
	assert_int_equal(pread(fd, page, PAGE, at), PAGE);
	if (rand_r(seed) % 3 == 0)
		memset(page, 0, PAGE);
	for (int i = rand_r(seed) % 20; i >= 0; i--)
		page[rand_r(seed) % (i % 2 == 0 ? 100 : PAGE)] =
		    (char)rand_r(seed);
	assert_int_equal(pwrite(fd, page, PAGE, at), PAGE);
	(void)close(fd);
}

static void
test_damaged_pages_stop_no_commit(void **state)
{
	int times = getenv("DM_FEW") != NULL ? 6 : 30;
	unsigned seed = 3;

	(void)state;
	for (int i = 0; i < times; i++) {
		damage(i % 3 == 2 ? FILES : INDEX, &seed);
		publishes(i, "damage");
	}
}

/* A number that one publisher has found, another must not give to another
 * pack. */
static void
test_numbers_of_packs_are_not_used_again(void **state)
{
	struct object_index *one = NULL, *two = NULL;
	static const struct marks none;
	struct digest id;
	struct place at;
	struct pack_name was, is;
	struct publish_result r;
	char path[128], command[300], hex[DIGEST_HEX + 1];
	bool found = false;
	struct dm_err why = { 0 };

	(void)state;
	put_file("d/last", "in the last pack");
	commit(&r);
	(void)snprintf(path, sizeof(path), "%s", INDEX);
	OK(object_index_open(&one, path, "r/packs", &none, NULL, &err));
	digest_of(&id, "in the last pack", strlen("in the last pack"));
	OK(object_index_find(one, &id, OBJECT_DATA, &at, &found, &err));
	assert_true(found);
	OK(object_index_pack(one, at.pack, &was, &err));
	OK(object_index_rest(one, &err));
	digest_hex(&was.id, hex);
	(void)snprintf(command, sizeof(command),
	    "find r/packs -newer r/packs/%.2s/%s -type f -delete;"
	    " rm r/packs/%.2s/%s",
	    hex, hex, hex, hex);
	assert_int_equal(system(command), 0);
	put_file("d/last", "in another pack");
	OK(object_index_open(&two, path, "r/packs", &none, NULL, &err));
	object_index_close(two);
	commit(&r);
	if (object_index_pack(one, at.pack, &is, &why) == 0)
		assert_true(digest_equal(&is.id, &was.id));
	object_index_close(one);
}

/* The first column of the first row, as text. */
static void
ask_sql(const char *path, const char *sql, char out[100])
{
	sqlite3 *db = NULL;
	sqlite3_stmt *q = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	(void)snprintf(out, 100, "%s", (const char *)sqlite3_column_text(q, 0));
	(void)sqlite3_finalize(q);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* One that is read again gets another number. */
static void
test_when_a_pack_is_lost_the_others_are_not_read_again(void **state)
{
	static const struct marks none;
	struct object_index *ix = NULL;
	struct publish_result r;
	char path[128], hex[100], before[100], after[100], file[200];

	(void)state;
	put_file("d/last", "in the last pack");
	commit(&r);
	(void)snprintf(path, sizeof(path), "%s", INDEX);
	OK(object_index_open(&ix, path, "r/packs", &none, NULL, &err));
	object_index_close(dm_steal(&ix));
	ask_sql(path, "SELECT lower(hex(id)) FROM pack ORDER BY no DESC", hex);
	ask_sql(path,
	    "SELECT count(*) || ' ' || max(no) FROM pack WHERE"
	    " no < (SELECT max(no) FROM pack)",
	    before);
	(void)snprintf(file, sizeof(file), "r/packs/%.2s/%s", hex, hex);
	assert_int_equal(unlink(file), 0);
	OK(object_index_open(&ix, path, "r/packs", &none, NULL, &err));
	object_index_close(ix);
	ask_sql(path, "SELECT count(*) || ' ' || max(no) FROM pack", after);
	assert_string_equal(after, before);
}

/* As when what lies below it was lost, and it was stored again as it was. */
static void
test_an_object_that_was_forgotten_is_known_again_with_its_pack(void **state)
{
	static const struct marks none;
	struct object_index *ix = NULL;
	struct pack_object o = { .kind = OBJECT_DATA };
	struct pack_name name;
	struct publish_result r;
	struct place at, now;
	char path[128];
	bool found = false;

	(void)state;
	put_file("d/last", "in the last pack");
	commit(&r);
	(void)snprintf(path, sizeof(path), "%s", INDEX);
	OK(object_index_open(&ix, path, "r/packs", &none, NULL, &err));
	digest_of(&o.id, "in the last pack", strlen("in the last pack"));
	OK(object_index_find(ix, &o.id, o.kind, &at, &found, &err));
	assert_true(found);
	OK(object_index_pack(ix, at.pack, &name, &err));
	OK(object_index_forget(ix, &o.id, o.kind, &err));
	OK(object_index_find(ix, &o.id, o.kind, &now, &found, &err));
	assert_false(found);
	/* it is the pack's first and only object */
	assert_int_equal(at.ordinal, 0);
	OK(object_index_add(ix, &name, 0, &o, 1, &err));
	OK(object_index_flush(ix, &err));
	OK(object_index_find(ix, &o.id, o.kind, &now, &found, &err));
	assert_true(found);
	assert_int_equal(now.pack, at.pack);
	object_index_close(ix);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_an_index_that_lies_makes_no_commit_that_lacks_objects),
		T(test_an_object_that_only_the_index_knows_is_stored),
		T(test_what_is_no_database_in_their_place_stops_no_commit),
		T(test_a_list_of_files_that_is_hostile_stops_no_commit),
		T(test_damaged_pages_stop_no_commit),
		T(test_numbers_of_packs_are_not_used_again),
		T(test_when_a_pack_is_lost_the_others_are_not_read_again),
		T(test_an_object_that_was_forgotten_is_known_again_with_its_pack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
