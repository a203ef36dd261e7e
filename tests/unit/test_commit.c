/* fs/format/commit: one version as canonical text. */
#include "fs/format/commit.h"
#include "tests/unit/check.h"

#include "fs/format/limits.h"

#define A8 "aaaaaaaa"
#define B8 "bbbbbbbb"
#define A64 A8 A8 A8 A8 A8 A8 A8 A8
#define B64 B8 B8 B8 B8 B8 B8 B8 B8
#define HEAD "format 1\ntree " A64 "\nlevel 1\n"
#define TOTALS "entries 9\nfiles 7\nbytes 12345\n"
#define AT "at " B64 " 100 72 0\n"
#define TIME "time 1700000000\n"
#define ALL HEAD TOTALS AT "parent " A64 "\nparent " B64 "\n" TIME
#define FULL                                                        \
	ALL "author A. U. Thor <a@example.org>\nx-a 1\nx-a-b 2 3\n" \
	    "\nSubject\n\n\tbody\n"

static void
test_every_field_comes_back(void **state)
{
	struct dm_buf b = DM_BUF(DM_COMMIT_MAX);
	struct commit c;

	(void)state;
	OK(commit_decode(&c, FULL, strlen(FULL), &err));
	assert_int_equal(c.level, 1);
	assert_int_equal(c.entries, 9);
	assert_int_equal(c.files, 7);
	assert_int_equal(c.bytes, 12345);
	assert_int_equal(c.at_dir_off, 100);
	assert_int_equal(c.at_dir_len, 72);
	assert_int_equal(c.at_ordinal, 0);
	assert_int_equal(c.nparents, 2);
	assert_int_equal(c.time, 1700000000);
	assert_string_equal(c.author, "A. U. Thor <a@example.org>");
	assert_int_equal(c.keys_size, strlen("x-a 1\nx-a-b 2 3\n"));
	assert_int_equal(c.message_size, strlen("Subject\n\n\tbody\n"));
	OK(commit_encode(&c, &b, &err));
	assert_string_equal(b.data, FULL);
	dm_buf_release(&b);
}

static void
test_the_shortest_commit_passes(void **state)
{
	static const char text[] =
	    "format 1\ntree " A64 "\nlevel 0\nentries 0\nfiles 0\nbytes 0\n" AT
	    "time 0\n\n";
	struct dm_buf b = DM_BUF(DM_COMMIT_MAX);
	struct commit c;

	(void)state;
	OK(commit_decode(&c, text, strlen(text), &err));
	assert_int_equal(c.message_size, 0);
	assert_string_equal(c.author, "");
	OK(commit_encode(&c, &b, &err));
	assert_string_equal(b.data, text);
	dm_buf_release(&b);
}

static void
test_only_the_canonical_text_passes(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "not a commit" },
		{ "<html>", "not a commit" },
		{ "format 01\n", "not a commit" },
		{ "format 0\n", "not a commit" },
		{ "format  1\n", "not a commit" },
		{ "format 1\r\n", "not a commit" },
		{ "format 1\n\n", "bad tree" },
		{ "format 1\ntree " A64 "a\nlevel 0\n", "bad tree" },
		{ "format 1\ntree A" A64 "\n", "bad tree" },
		{ "format 1\ntree " A64 "\nlevel 4\n", "bad level" },
		{ "format 1\ntree " A64 "\nlevel -1\n", "bad level" },
		{ HEAD "entries 01\n", "bad totals" },
		{ HEAD "entries 1\nfiles 2\n", "bad totals" },
		{ HEAD "entries 281474976710657\n", "bad totals" },
		{ HEAD "entries 18446744073709551616\n", "bad totals" },
		{ HEAD "entries 1\nfiles 0\nbytes 1\n", "bad totals" },
		{ HEAD "files 1\nentries 2\n", "bad totals" },
		{ HEAD TOTALS "at " B64 " 1 2\n", "bad place" },
		{ HEAD TOTALS "at " B64 " 1 0 0\n", "bad place" },
		{ HEAD TOTALS "at " B64 " 1 4294967296 0\n", "bad place" },
		{ HEAD TOTALS "at " B64 " 1 72 0 \n", "bad place" },
		{ HEAD TOTALS AT "parent aa\n", "bad parent" },
		{ ALL "parent " B64 "\n\n", "unknown or misplaced" },
		{ HEAD TOTALS AT "parent " A64 "\nparent " A64 "\n" TIME "\n",
		    "bad parent" },
		{ HEAD TOTALS AT "time 1e3\n\n", "bad time" },
		{ HEAD TOTALS AT "time 253402300800\n\n", "bad time" },
		{ HEAD TOTALS AT "\n", "bad time" },
		{ ALL "author \n\n", "bad author" },
		{ ALL "author a\x1b[1m\n\n", "bad author" },
		{ ALL "author a\xc2\x9b\n\n", "bad author" },
		{ ALL "author a\xff\n\n", "bad author" },
		{ ALL "author a\nauthor b\n\n", "unknown or misplaced" },
		{ ALL "x-b 1\nx-a 2\n\n", "bad free key" },
		{ ALL "x-a 1\nx-a 2\n\n", "bad free key" },
		{ ALL "x-a\n\n", "bad free key" },
		{ ALL "x-a \n\n", "bad free key" },
		{ ALL "x-A 1\n\n", "bad free key" },
		{ ALL "x- 1\n\n", "bad free key" },
		{ ALL "x-a 1\nauthor b\n\n", "unknown or misplaced" },
		{ ALL "colour red\n\n", "unknown or misplaced" },
		{ ALL, "unknown or misplaced" },
		{ ALL "\na\rb", "bad message" },
		{ ALL "\n\xed\xa0\x80", "bad message" },
		{ ALL "\n\xc0\x80", "bad message" },
		{ ALL "\n\xe2\x82", "bad message" },
	};
	struct commit c;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		FAILS(DM_CORRUPT, cases[i].says,
		    commit_decode(&c, cases[i].text, strlen(cases[i].text),
			&err));
}

static void
test_a_later_format_asks_for_an_update(void **state)
{
	static const char text[] = "format 2\nwhatever\n";
	struct commit c;

	(void)state;
	FAILS(DM_INVALID, "newer datamount",
	    commit_decode(&c, text, strlen(text), &err));
}

static void
test_a_message_ends_at_64_kib(void **state)
{
	struct dm_buf b = DM_BUF((size_t)2 * DM_COMMIT_MAX);
	struct commit c, d;
	char *message = malloc(DM_MESSAGE_MAX + 1);

	(void)state;
	assert_non_null(message);
	memset(message, 'm', DM_MESSAGE_MAX + 1);
	OK(commit_decode(&c, FULL, strlen(FULL), &err));
	c.message = message;
	c.message_size = DM_MESSAGE_MAX;
	OK(commit_encode(&c, &b, &err));
	OK(commit_decode(&d, b.data, b.size, &err));
	OK(dm_buf_append(&b, "m", 1, &err));
	FAILS(DM_CORRUPT, "bad message",
	    commit_decode(&d, b.data, b.size, &err));
	c.message_size++;
	FAILS(DM_INVALID, "too long", commit_encode(&c, &b, &err));
	free(message);
	dm_buf_release(&b);
}

static void
test_encoders_refuse_fields_that_break_a_rule(void **state)
{
	struct dm_buf b = DM_BUF(DM_COMMIT_MAX);
	struct commit c;

	(void)state;
	OK(commit_decode(&c, FULL, strlen(FULL), &err));
	(void)snprintf(c.author, sizeof(c.author), "a\nx-z 1");
	FAILS(DM_INVALID, "bad author", commit_encode(&c, &b, &err));
	OK(commit_decode(&c, FULL, strlen(FULL), &err));
	c.keys = "x-a 1\n\n";
	c.keys_size = 7;
	FAILS(DM_INVALID, "bad free key", commit_encode(&c, &b, &err));
	OK(commit_decode(&c, FULL, strlen(FULL), &err));
	c.files = c.entries + 1;
	FAILS(DM_INVALID, "bad totals", commit_encode(&c, &b, &err));
	OK(commit_decode(&c, FULL, strlen(FULL), &err));
	c.nparents = COMMIT_PARENTS_MAX + 1;
	FAILS(DM_INVALID, "too many parents", commit_encode(&c, &b, &err));
	dm_buf_release(&b);
}

static void
test_sixteen_parents_pass_and_seventeen_do_not(void **state)
{
	struct dm_buf b = DM_BUF(DM_COMMIT_MAX);
	struct commit c;

	(void)state;
	OK(dm_buf_printf(&b, &err, HEAD TOTALS AT));
	for (int i = 0; i < COMMIT_PARENTS_MAX; i++)
		OK(dm_buf_printf(&b, &err, "parent %064x\n", i));
	OK(dm_buf_printf(&b, &err, TIME "\n"));
	OK(commit_decode(&c, b.data, b.size, &err));
	assert_int_equal(c.nparents, COMMIT_PARENTS_MAX);
	dm_buf_clear(&b);
	OK(dm_buf_printf(&b, &err, HEAD TOTALS AT));
	for (int i = 0; i <= COMMIT_PARENTS_MAX; i++)
		OK(dm_buf_printf(&b, &err, "parent %064x\n", i));
	OK(dm_buf_printf(&b, &err, TIME "\n"));
	FAILS(DM_CORRUPT, "too many parents",
	    commit_decode(&c, b.data, b.size, &err));
	dm_buf_release(&b);
}

static void
test_sixty_four_free_keys_pass_and_one_more_does_not(void **state)
{
	struct dm_buf b = DM_BUF(DM_COMMIT_MAX);
	struct commit c;

	(void)state;
	for (int most = COMMIT_KEYS_MAX; most <= COMMIT_KEYS_MAX + 1; most++) {
		dm_buf_clear(&b);
		OK(dm_buf_printf(&b, &err, ALL));
		for (int i = 0; i < most; i++)
			OK(dm_buf_printf(&b, &err, "x-%03d v\n", i));
		OK(dm_buf_append(&b, "\n", 1, &err));
		if (most == COMMIT_KEYS_MAX)
			OK(commit_decode(&c, b.data, b.size, &err));
		else
			FAILS(DM_CORRUPT, "bad free key",
			    commit_decode(&c, b.data, b.size, &err));
	}
	dm_buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field_comes_back),
		cmocka_unit_test(test_the_shortest_commit_passes),
		cmocka_unit_test(test_only_the_canonical_text_passes),
		cmocka_unit_test(test_a_later_format_asks_for_an_update),
		cmocka_unit_test(test_a_message_ends_at_64_kib),
		cmocka_unit_test(test_encoders_refuse_fields_that_break_a_rule),
		cmocka_unit_test(
		    test_sixteen_parents_pass_and_seventeen_do_not),
		cmocka_unit_test(
		    test_sixty_four_free_keys_pass_and_one_more_does_not),
	};

	return cmocka_run_group_tests_name("commit", tests, NULL, NULL);
}
