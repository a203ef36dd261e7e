/* fs/publish/publish: a directory becomes a version of a repository. */
#include "fs/publish/publish.h"

#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "tests/unit/scratch.h"

enum { HOUR_MS = 3600 * 1000 };

/* The linker knows these.  Calls from publish.c come here first: what one that
 * takes hours would see. */
uint64_t __real_dm_now_ms(void);
uint64_t __wrap_dm_now_ms(void);

static uint64_t hours_later;
static unsigned slow_tries; /* that take so long */
static unsigned warnings;
static char warned[DM_ERR_TEXT];

uint64_t
__wrap_dm_now_ms(void)
{
	return __real_dm_now_ms() + hours_later * HOUR_MS;
}

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
	(void)snprintf(warned, sizeof(warned), "%s", text);
	if (++warnings == slow_tries)
		hours_later = 0;
}

static int
setup(void **state)
{
	char cache[96];

	hours_later = 0;
	slow_tries = 0;
	warnings = 0;
	if (scratch_setup(state) < 0)
		return -1;
	(void)snprintf(cache, sizeof(cache), "%s/cache", scratch);
	return setenv("DATAMOUNT_CACHE", cache, 1);
}

static int
commit(struct publish_result *r, struct dm_err *err)
{
	struct publish_options o = {
		.dir = "d",
		.repo = "r",
		.branch = "main",
		.message = "m",
		.progress = no_progress,
		.warn = warn,
	};

	return publish_commit(&o, r, err);
}

static void
init(void)
{
	char id[REPO_ID_HEX + 1];

	OK(publish_init("r", id, &err));
	assert_int_equal(strlen(id), REPO_ID_HEX);
	assert_int_equal(mkdir("d", 0755), 0);
}

static void
test_the_same_directory_gives_no_new_version(void **state)
{
	struct publish_result one, two;

	(void)state;
	init();
	put_file("d/a", "a");
	OK(commit(&one, &err));
	assert_false(one.unchanged);
	assert_int_equal(one.files, 1);
	assert_int_equal(one.bytes, 1);
	assert_int_equal(one.packs, 2);
	OK(commit(&two, &err));
	assert_true(two.unchanged);
	assert_int_equal(two.stored, 0);
	assert_true(digest_equal(&one.commit, &two.commit));
}

static void
test_a_changed_file_is_all_that_is_stored(void **state)
{
	struct publish_result r;
	unsigned seed = 1;
	uint64_t first;

	(void)state;
	init();
	for (int i = 0; i < 100; i++) {
		char path[16], text[8000];

		(void)snprintf(path, sizeof(path), "d/%d", i);
		for (size_t k = 0; k + 1 < sizeof(text); k++)
			text[k] = (char)('a' + rand_r(&seed) % 26);
		text[sizeof(text) - 1] = '\0';
		put_file(path, text);
	}
	OK(commit(&r, &err));
	first = r.stored;
	put_file("d/50", "new");
	OK(commit(&r, &err));
	assert_true(r.stored < first / 10);
}

/* Directories first to last - 1, no two of which are the same. */
static void
put_dirs(int first, int last)
{
	for (int i = first; i < last; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "d/%d", i);
		assert_int_equal(mkdir(path, 0755), 0);
		(void)snprintf(path, sizeof(path), "d/%d/%d", i, i);
		put_file(path, "");
	}
}

static void
test_a_pack_of_trees_has_4096_objects_but_few_beside_the_root(void **state)
{
	struct publish_result r;

	(void)state;
	init();
	put_dirs(0, 700);
	OK(commit(&r, &err));
	assert_int_equal(r.packs, 1);
	put_dirs(700, 2400);
	OK(commit(&r, &err));
	assert_int_equal(r.packs, 2);
	put_dirs(2400, 5000);
	OK(commit(&r, &err));
	assert_int_equal(r.packs, 2);
}

static void
test_equal_files_are_stored_once_in_one_commit(void **state)
{
	struct publish_result r;
	uint64_t one;

	(void)state;
	init();
	put_file("d/a", "some content");
	OK(commit(&r, &err));
	one = r.stored;
	for (int i = 0; i < 9; i++) {
		char path[16];

		(void)snprintf(path, sizeof(path), "d/b%d", i);
		put_file(path, "other content");
	}
	OK(commit(&r, &err));
	/* one object of data, and a tree of nine more records */
	assert_true(r.stored < one + 9 * (64 + 2 + 8));
}

static void
test_a_target_ends_at_its_first_at_sign(void **state)
{
	struct publish_target t;

	(void)state;
	OK(publish_target_parse(&t, "a%40b/c@v1", &err));
	assert_string_equal(t.repo, "a@b/c");
	assert_string_equal(t.ref, "v1");
	publish_target_release(&t);
	OK(publish_target_parse(&t, "/x/y", &err));
	assert_string_equal(t.repo, "/x/y");
	assert_string_equal(t.ref, "");
	publish_target_release(&t);
	FAILS(DM_INVALID, "no name of a branch",
	    publish_target_parse(&t, "x@a..b", &err));
	FAILS(DM_INVALID, "no repository",
	    publish_target_parse(&t, "@main", &err));
}

static void
test_a_tag_that_is_there_moves_by_force_alone(void **state)
{
	struct publish_result one, two;
	struct digest id;

	(void)state;
	init();
	put_file("d/a", "1");
	OK(commit(&one, &err));
	OK(publish_ref("r", true, "v1", "", false, &id, &err));
	assert_true(digest_equal(&id, &one.commit));
	put_file("d/a", "22");
	OK(commit(&two, &err));
	OK(publish_ref("r", true, "v1", "v1", false, &id, &err));
	FAILS(DM_INVALID, "--force",
	    publish_ref("r", true, "v1", "main", false, &id, &err));
	OK(publish_ref("r", true, "v1", "main", true, &id, &err));
	assert_true(digest_equal(&id, &two.commit));
	FAILS(DM_NOTFOUND, "no branch, tag or commit",
	    publish_ref("r", true, "v2", "none", false, &id, &err));
}

static void
test_a_publisher_that_takes_less_than_half_the_grace_is_done(void **state)
{
	struct publish_result r;

	(void)state;
	init();
	put_file("d/a", "a");
	hours_later = 11;
	OK(commit(&r, &err));
	assert_int_equal(warnings, 0);
}

static void
test_a_publisher_that_is_older_than_that_begins_again(void **state)
{
	struct publish_result r;

	(void)state;
	init();
	put_file("d/a", "a");
	hours_later = 13;
	slow_tries = 1;
	OK(commit(&r, &err));
	assert_int_equal(warnings, 1);
	assert_non_null(strstr(warned, "more than 12 hours"));
	assert_non_null(strstr(warned, "beginning again"));
	assert_int_equal(r.files, 1);
	assert_int_equal(r.stored, 0); /* the first try has stored it */
}

static void
test_a_publisher_that_is_always_too_slow_is_told(void **state)
{
	struct publish_result r;
	struct digest id;

	(void)state;
	init();
	put_file("d/a", "a");
	hours_later = 13;
	FAILS(DM_REDO,
	    "more than 12 hours, and gc may have removed what it"
	    " found at first: run the command again",
	    commit(&r, &err));
	assert_int_equal(warnings, 2);
	FAILS(DM_NOTFOUND, "no branch",
	    publish_ref("r", true, "v1", "main", false, &id, &err));
}

#define PUBLISH_TEST(f) \
	cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		PUBLISH_TEST(test_the_same_directory_gives_no_new_version),
		PUBLISH_TEST(test_a_changed_file_is_all_that_is_stored),
		PUBLISH_TEST(
		    test_a_pack_of_trees_has_4096_objects_but_few_beside_the_root),
		PUBLISH_TEST(test_equal_files_are_stored_once_in_one_commit),
		PUBLISH_TEST(test_a_target_ends_at_its_first_at_sign),
		PUBLISH_TEST(test_a_tag_that_is_there_moves_by_force_alone),
		PUBLISH_TEST(
		    test_a_publisher_that_takes_less_than_half_the_grace_is_done),
		PUBLISH_TEST(
		    test_a_publisher_that_is_older_than_that_begins_again),
		PUBLISH_TEST(test_a_publisher_that_is_always_too_slow_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
