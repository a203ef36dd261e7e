/* fs/publish/ignore: the patterns of .datamountignore and --exclude. */
#include "fs/publish/ignore.h"
#include "tests/unit/check.h"

/* Lines, a path, and whether it is left out. */
struct row {
	const char *lines, *path;
	bool is_dir, left_out;
};

static void
check(const struct row *row, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct ignore *ig = ignore_new();

		OK(ignore_add_lines(ig, row[i].lines, strlen(row[i].lines),
		    &err));
		if (ignore_match(ig, row[i].path, row[i].is_dir) !=
		    row[i].left_out)
			fail_msg("'%s' on %s", row[i].lines, row[i].path);
		ignore_free(ig);
	}
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof((rows)[0]))

static void
test_a_bare_name_matches_at_any_depth(void **state)
{
	static const struct row rows[] = {
		{ "x", "x", false, true },
		{ "x", "a/b/x", false, true },
		{ "x", "a/b/xy", false, false },
		{ "*.tmp", "a/b.tmp", false, true },
		{ "*.tmp", "a/b.tmp/c", false, false },
		{ "[ab]?", "q/a1", false, true },
		{ "[!ab]?", "q/a1", false, false },
		{ "*", ".hidden", false, true },
	};

	(void)state;
	CHECK(rows);
}

static void
test_a_slash_ties_a_pattern_to_the_root(void **state)
{
	static const struct row rows[] = {
		{ "/x", "x", false, true },
		{ "/x", "a/x", false, false },
		{ "a/x", "a/x", false, true },
		{ "a/x", "b/a/x", false, false },
		{ "a/*", "a/b", false, true },
		{ "a/*", "a/b/c", false, false },
	};

	(void)state;
	CHECK(rows);
}

static void
test_a_slash_at_the_end_means_directories_only(void **state)
{
	static const struct row rows[] = {
		{ "x/", "x", true, true },
		{ "x/", "x", false, false },
		{ "x/", "a/x", true, true },
		{ "/x/", "a/x", true, false },
	};

	(void)state;
	CHECK(rows);
}

static void
test_two_stars_stand_for_directories(void **state)
{
	static const struct row rows[] = {
		{ "**/x", "x", false, true },
		{ "**/x", "a/b/x", false, true },
		{ "a/**/x", "a/x", false, true },
		{ "a/**/x", "a/b/c/x", false, true },
		{ "a/**/x", "b/a/x", false, false },
		{ "a/**", "a", true, false },
		{ "a/**", "a/b/c", false, true },
		{ "a/**/b/**/c", "a/1/b/2/b/3/c", false, true },
		{ "a/**/b/**/c", "a/1/2/3/c", false, false },
		{ "***/x", "a/b/x", false, true },
		{ "a/***", "a/b/x", false, true },
	};

	(void)state;
	CHECK(rows);
}

static void
test_the_last_match_decides(void **state)
{
	static const struct row rows[] = {
		{ "*.log\n!keep.log", "keep.log", false, false },
		{ "*.log\n!keep.log", "a.log", false, true },
		{ "!keep.log\n*.log", "keep.log", false, true },
	};

	(void)state;
	CHECK(rows);
}

static void
test_comments_blanks_and_spaces_are_no_patterns(void **state)
{
	static const struct row rows[] = {
		{ "# x\n\n   \n/\n", "x", false, false },
		{ "/", "x", true, false },
		{ "//", "x", true, false },
		{ "x\n!", "x", false, true },
		{ "x\n!/", "x", true, true },
		{ "x//", "x", true, false },
		{ "a//x", "a/x", false, false },
		{ "\\#x", "#x", false, true },
		{ "\\!x", "!x", false, true },
		{ "x  ", "x", false, true },
		{ "x\\ ", "x ", false, true },
		{ "x\r\n", "x", false, true },
		{ "x", "x", false, true },
	};

	(void)state;
	CHECK(rows);
}

static void
test_a_pattern_of_too_many_parts_is_refused(void **state)
{
	struct ignore *ig = ignore_new();
	char deep[2 * 200 + 1];

	(void)state;
	for (size_t i = 0; i < 200; i++)
		memcpy(deep + 2 * i, "a/", 2);
	deep[400] = '\0';
	FAILS(DM_INVALID, "slashes", ignore_add(ig, deep, &err));
	ignore_free(ig);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_bare_name_matches_at_any_depth),
		cmocka_unit_test(test_a_slash_ties_a_pattern_to_the_root),
		cmocka_unit_test(
		    test_a_slash_at_the_end_means_directories_only),
		cmocka_unit_test(test_two_stars_stand_for_directories),
		cmocka_unit_test(test_the_last_match_decides),
		cmocka_unit_test(
		    test_comments_blanks_and_spaces_are_no_patterns),
		cmocka_unit_test(test_a_pattern_of_too_many_parts_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
