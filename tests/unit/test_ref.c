/* fs/format/ref: refs, their lists, and the file of a repository. */
#include "fs/format/ref.h"
#include "tests/unit/check.h"

#define A8 "aaaaaaaa"
#define B8 "bbbbbbbb"
#define A64 A8 A8 A8 A8 A8 A8 A8 A8
#define B64 B8 B8 B8 B8 B8 B8 B8 B8
#define REF "commit " A64 "\nsequence 3\ntime 1700000000\n"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct bad {
	const char *text, *says;
};

static void
test_a_ref_comes_back(void **state)
{
	struct dm_buf b = DM_BUF(4096);
	struct ref r;

	(void)state;
	OK(ref_decode(&r, REF, strlen(REF), &err));
	assert_int_equal(r.sequence, 3);
	assert_int_equal(r.time, 1700000000);
	OK(ref_encode(&r, &b, &err));
	assert_string_equal(b.data, REF);
	r.sequence = 0;
	FAILS(DM_INVALID, "sequence", ref_encode(&r, &b, &err));
	dm_buf_release(&b);
}

static void
test_only_the_canonical_ref_passes(void **state)
{
	static const char *const cases[] = { "", "<html></html>\n", A64 "\n",
		"commit " A64 "\nsequence 0\ntime 1\n",
		"commit " A64 "\nsequence 03\ntime 1\n",
		"commit " A64 "\nsequence 9223372036854775808\ntime 1\n",
		"commit " A64 "\nsequence 1\ntime 253402300800\n",
		"commit " A64 "\nsequence 1\ntime 1", REF "\n", " " REF,
		"commit " A8 "\nsequence 1\ntime 1\n",
		"commit " A64 "\r\nsequence 1\r\ntime 1\r\n",
		"sequence 1\ncommit " A64 "\ntime 1\n" };
	struct ref r;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		FAILS(DM_CORRUPT, "not a ref",
		    ref_decode(&r, cases[i], strlen(cases[i]), &err));
}

static void
test_names_of_refs_follow_the_rules(void **state)
{
	static const struct {
		const char *name;
		bool valid;
	} cases[] = { { "main", true }, { "v1.0", true }, { "a/b/c", true },
		{ "release-2024_05", true }, { "1", true }, { "abcdef0", true },
		{ "abcdef01", false }, { "ABCDEF01", false }, { A64, false },
		{ A64 "a", true }, { "deadbeef/x", true }, { "", false },
		{ "-a", false }, { ".a", false }, { "_a", false },
		{ "/a", false }, { "a/", false }, { "a//b", false },
		{ "a/.b", false }, { "a./b", false }, { "a.", false },
		{ "a..b", false }, { "a b", false }, { "a@b", false },
		{ "a:b", false }, { "a\n", false }, { "\xc3\xa4", false },
		{ "a.lock", false }, { "a.tmp", false }, { "a.lock/b", true },
		{ "lock", true } };
	char name[DM_REF_NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (ref_name_valid(cases[i].name, strlen(cases[i].name)) !=
		    cases[i].valid)
			fail_msg("%s", cases[i].name);
	memset(name, 'n', sizeof(name));
	assert_true(ref_name_valid(name, DM_REF_NAME_MAX));
	assert_false(ref_name_valid(name, DM_REF_NAME_MAX + 1));
	assert_false(ref_name_valid("a\0b", 3));
}

static void
test_a_repository_file_comes_back(void **state)
{
	static const char text[] = "datamount repository 1\nid "
				   "00112233445566778899aabbccddeeff\n";
	struct dm_buf b = DM_BUF(4096);
	uint8_t id[REPO_ID_SIZE];

	(void)state;
	OK(repo_file_decode(id, text, strlen(text), &err));
	assert_int_equal(id[1], 0x11);
	OK(repo_file_encode(id, &b, &err));
	assert_string_equal(b.data, text);
	dm_buf_release(&b);
}

static void
test_other_files_are_no_repository(void **state)
{
	static const struct bad cases[] = {
		{ "", "not the datamount file" },
		{ "<!DOCTYPE html>\n<html>\n", "not the datamount file" },
		{ "datamount repository 0\n", "not the datamount file" },
		{ "datamount repository 1", "not the datamount file" },
		{ "datamount repository 1\n", "bad id" },
		{ "datamount repository 1\nid 0011\n", "bad id" },
		{ "datamount repository 1\nid " A8 A8 A8 "AAAAAAAA\n",
		    "bad id" },
		{ "datamount repository 1\nid " A8 A8 A8 A8 "\n\n", "bad id" },
	};
	static const char later[] = "datamount repository 2\nid x\n";
	uint8_t id[REPO_ID_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		FAILS(DM_CORRUPT, cases[i].says,
		    repo_file_decode(id, cases[i].text, strlen(cases[i].text),
			&err));
	FAILS(DM_INVALID, "newer datamount",
	    repo_file_decode(id, later, strlen(later), &err));
}

static void
test_a_line_of_all_refs_comes_back(void **state)
{
	static const char *const lines[] = { "heads/main " A64 " 1 0\n",
		"tags/v/1.0 " B64 " 9223372036854775807 253402300799\n" };
	struct dm_buf b = DM_BUF(4096);
	struct ref_line l;

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		dm_buf_clear(&b);
		OK(ref_line_decode(&l, lines[i], strlen(lines[i]) - 1, &err));
		assert_int_equal(l.tag, i == 1);
		OK(ref_line_encode(&l, &b, &err));
		assert_string_equal(b.data, lines[i]);
		OK(ref_line_decode(&l, lines[i], strlen(lines[i]), &err));
	}
	l.name[0] = '\0';
	FAILS(DM_INVALID, "bad ref", ref_line_encode(&l, &b, &err));
	dm_buf_release(&b);
}

static void
test_only_canonical_lines_of_all_refs_pass(void **state)
{
	static const struct bad cases[] = {
		{ "", "not a ref" },
		{ "main " A64 " 1 0", "not a ref" },
		{ "heads/ " A64 " 1 0", "bad line" },
		{ "heads/.x " A64 " 1 0", "bad line" },
		{ "heads/x " A64 " 0 0", "bad line" },
		{ "heads/x " A64 " 1", "bad line" },
		{ "heads/x " A64 " 1 0 ", "bad line" },
		{ "heads/x " A64 "a 1 0", "bad line" },
		{ "heads/x " A64 " 1 0\n\n", "bad line" },
	};
	struct ref_line l;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		FAILS(DM_CORRUPT, cases[i].says,
		    ref_line_decode(&l, cases[i].text, strlen(cases[i].text),
			&err));
}

static void
test_a_line_of_the_log_comes_back(void **state)
{
	static const char *const lines[] = {
		A64 " - 0 main first version\n",
		A64 " " B64 " 1700000000 a/b \n",
		A64 " " B64 "," A64 " 1 main \xc3\xa4  spaces \n",
	};
	struct dm_buf b = DM_BUF(4096);
	struct log_line l;

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		dm_buf_clear(&b);
		OK(log_line_decode(&l, lines[i], strlen(lines[i]) - 1, &err));
		assert_int_equal(l.nparents, i);
		OK(log_line_encode(&l, &b, &err));
		assert_string_equal(b.data, lines[i]);
	}
	dm_buf_release(&b);
}

static void
test_only_canonical_lines_of_the_log_pass(void **state)
{
	static const char *const cases[] = { "", A64, A64 " - 0 main",
		A64 "  0 main x", A64 " " B64 ", 0 main x",
		A64 " ," B64 " 0 main x", A64 " - 00 main x",
		A64 " - 0 .main x", A64 " - 0 main a\tb", A64 " - 0 main \xff",
		A64 " - 0 main " A64 A8 A8 A8 A8 "12345" };
	struct log_line l;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		FAILS(DM_CORRUPT, "bad line",
		    log_line_decode(&l, cases[i], strlen(cases[i]), &err));
}

static void
test_sixteen_parents_pass_in_the_log(void **state)
{
	struct dm_buf b = DM_BUF(4096);
	struct log_line l;

	(void)state;
	for (int n = 16; n <= 17; n++) {
		dm_buf_clear(&b);
		OK(dm_buf_printf(&b, &err, A64 " "));
		for (int i = 0; i < n; i++)
			OK(dm_buf_printf(&b, &err, "%s" B64, i > 0 ? "," : ""));
		OK(dm_buf_printf(&b, &err, " 0 main x"));
		if (n == 16)
			OK(log_line_decode(&l, b.data, b.size, &err));
		else
			FAILS(DM_CORRUPT, "bad line",
			    log_line_decode(&l, b.data, b.size, &err));
	}
	dm_buf_release(&b);
}

static void
test_a_subject_is_cut_between_characters(void **state)
{
	struct log_line l;
	char message[256];

	(void)state;
	log_line_subject(&l, "a\tb\nrest", 8);
	assert_string_equal(l.subject, "a b");
	log_line_subject(&l, "", 0);
	assert_string_equal(l.subject, "");
	memset(message, 'm', sizeof(message));
	log_line_subject(&l, message, 100);
	assert_int_equal(strlen(l.subject), 100);
	log_line_subject(&l, message, 101);
	assert_int_equal(strlen(l.subject), 100);
	memcpy(message + 99, "\xe2\x82\xac", 3);
	log_line_subject(&l, message, sizeof(message));
	assert_int_equal(strlen(l.subject), 99);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_ref_comes_back),
		cmocka_unit_test(test_only_the_canonical_ref_passes),
		cmocka_unit_test(test_names_of_refs_follow_the_rules),
		cmocka_unit_test(test_a_repository_file_comes_back),
		cmocka_unit_test(test_other_files_are_no_repository),
		cmocka_unit_test(test_a_line_of_all_refs_comes_back),
		cmocka_unit_test(test_only_canonical_lines_of_all_refs_pass),
		cmocka_unit_test(test_a_line_of_the_log_comes_back),
		cmocka_unit_test(test_only_canonical_lines_of_the_log_pass),
		cmocka_unit_test(test_sixteen_parents_pass_in_the_log),
		cmocka_unit_test(test_a_subject_is_cut_between_characters),
	};

	return cmocka_run_group_tests_name("ref", tests, NULL, NULL);
}
