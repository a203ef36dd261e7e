/* fs/publish/stat_cache: which files need not be read again. */
#include "fs/publish/stat_cache.h"
#include "tests/unit/scratch.h"

enum { SECOND = 1000000000 };

static struct stat_cache *
open_cache(const char *root)
{
	struct stat_cache *sc = NULL;

	OK(stat_cache_open(&sc, "cache", root, &err));
	return sc;
}

static struct stat
stat_at(long seconds)
{
	struct stat st = { .st_dev = 1, .st_ino = 2, .st_size = 3 };

	st.st_mtim.tv_sec = st.st_ctim.tv_sec = seconds;
	return st;
}

static bool
has(struct stat_cache *sc, const char *path, const struct stat *st)
{
	struct digest id;
	bool found = false;

	OK(stat_cache_find(sc, path, st, &id, &found, &err));
	return found;
}

static void
note(struct stat_cache *sc, const char *path, const struct stat *st,
    int64_t at_s)
{
	struct digest id = id_of(7);

	OK(stat_cache_note(sc, path, st, at_s * SECOND, &id, &err));
}

static void
save(struct stat_cache *sc, uint64_t files)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY);

	OK(stat_cache_save(sc, fd, files, &err));
	(void)close(fd);
}

static void
test_a_saved_file_is_known_until_its_stat_changes(void **state)
{
	struct stat st = stat_at(100), other;
	struct stat_cache *sc = open_cache("/r");
	struct digest id, want = id_of(7);
	bool found = false;

	(void)state;
	note(sc, "a/b", &st, 200);
	save(sc, 1);
	stat_cache_close(sc);
	sc = open_cache("/r");
	OK(stat_cache_find(sc, "a/b", &st, &id, &found, &err));
	assert_true(found);
	assert_true(digest_equal(&id, &want));
	assert_false(has(sc, "a", &st));
	other = st;
	other.st_size++;
	assert_false(has(sc, "a/b", &other));
	other = st;
	other.st_ino++;
	assert_false(has(sc, "a/b", &other));
	other = st;
	other.st_mtim.tv_nsec++;
	assert_false(has(sc, "a/b", &other));
	other = st;
	other.st_ctim.tv_nsec++;
	assert_false(has(sc, "a/b", &other));
	stat_cache_close(sc);
}

static void
test_a_file_touched_within_two_seconds_is_not_trusted(void **state)
{
	struct stat mtime = stat_at(100), ctime = stat_at(100);
	struct stat_cache *sc = open_cache("/r");

	(void)state;
	mtime.st_ctim.tv_sec = 50;
	ctime.st_mtim.tv_sec = 50;
	note(sc, "m", &mtime, 102);
	note(sc, "c", &ctime, 102);
	note(sc, "future", &mtime, 90);
	note(sc, "old", &mtime, 103);
	save(sc, 4);
	assert_false(has(sc, "m", &mtime));
	assert_false(has(sc, "c", &ctime));
	assert_false(has(sc, "future", &mtime));
	assert_true(has(sc, "old", &mtime));
	stat_cache_close(sc);
}

/* Its nanoseconds are more than an int64_t holds. */
static void
test_a_file_whose_time_is_centuries_away_is_not_trusted(void **state)
{
	struct stat st = stat_at(100);

	(void)state;
	assert_true(stat_cache_trusts(&st, (int64_t)200 * SECOND));
	st.st_mtim.tv_sec = 13569465600; /* in the year 2400 */
	assert_false(stat_cache_trusts(&st, (int64_t)200 * SECOND));
	st.st_mtim.tv_sec = INT64_MAX;
	assert_false(stat_cache_trusts(&st, (int64_t)200 * SECOND));
	st.st_mtim.tv_sec = INT64_MIN;
	assert_true(stat_cache_trusts(&st, (int64_t)200 * SECOND));
}

static void
test_directories_are_kept_apart(void **state)
{
	struct stat st = stat_at(100);
	struct stat_cache *sc = open_cache("/r");

	(void)state;
	note(sc, "x", &st, 200);
	save(sc, 1);
	stat_cache_close(sc);
	sc = open_cache("/s");
	assert_false(has(sc, "x", &st));
	stat_cache_close(sc);
}

static void
test_files_that_are_gone_are_forgotten_in_the_end(void **state)
{
	struct stat st = stat_at(100);
	struct stat_cache *sc = open_cache("/r");
	char path[16];

	(void)state;
	put_file("here", "");
	note(sc, "here", &st, 200);
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(path, sizeof(path), "gone%d", i);
		note(sc, path, &st, 200);
	}
	save(sc, 1);
	assert_true(has(sc, "here", &st));
	assert_false(has(sc, "gone17", &st));
	stat_cache_close(sc);
}

static void
test_a_damaged_file_is_said_to_be(void **state)
{
	struct stat_cache *sc = NULL;

	(void)state;
	put_file("cache", "this is no database, whatever it may be called....");
	FAILS(DM_CORRUPT, "files read before",
	    stat_cache_open(&sc, "cache", "/r", &err));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRATCH_TEST(test_a_saved_file_is_known_until_its_stat_changes),
		SCRATCH_TEST(
		    test_a_file_touched_within_two_seconds_is_not_trusted),
		SCRATCH_TEST(
		    test_a_file_whose_time_is_centuries_away_is_not_trusted),
		SCRATCH_TEST(test_directories_are_kept_apart),
		SCRATCH_TEST(test_files_that_are_gone_are_forgotten_in_the_end),
		SCRATCH_TEST(test_a_damaged_file_is_said_to_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
