/* fs/format/source_file: which version belongs here, and where from. */
#include "fs/format/source_file.h"
#include "tests/unit/check.h"

#define A8 "aaaaaaaa"
#define A32 A8 A8 A8 A8
#define A64 A32 A32
#define URL "https://example.org/data"
#define V "version = 1\n"
#define REPO "repository = " URL "\n"
#define ID "repository-id = " A32 "\n"
#define COMMIT "commit = " A64 "\n"
#define SHORT V REPO ID COMMIT
#define FULL                                          \
	V REPO "repository = /srv/mirror\n" ID COMMIT \
	       "path = /a/b c\nref = heads/main\nsequence = 12\n"

static struct source_file f;

static void
test_every_field_comes_back(void **state)
{
	struct dm_buf b = DM_BUF(DM_SOURCE_MAX);

	(void)state;
	OK(source_file_decode(&f, FULL, strlen(FULL), &err));
	assert_int_equal(f.nrepositories, 2);
	assert_string_equal(f.repository[0], URL);
	assert_string_equal(f.repository[1], "/srv/mirror");
	assert_int_equal(f.repo_id[0], 0xaa);
	assert_string_equal(f.path, "a/b c");
	assert_string_equal(f.ref, "heads/main");
	assert_int_equal(f.sequence, 12);
	OK(source_file_encode(&f, &b, &err));
	assert_int_equal(b.data[0], '#');
	assert_string_equal(strchr(b.data, '\n') + 1, FULL);
	dm_buf_release(&b);
}

static void
test_the_shortest_file_passes_with_comments(void **state)
{
	static const char text[] =
	    "# one\n\n" V "#two\n" REPO ID "\ncommit = " A64;
	struct dm_buf b = DM_BUF(DM_SOURCE_MAX);

	(void)state;
	OK(source_file_decode(&f, text, strlen(text), &err));
	assert_string_equal(f.path, "");
	assert_string_equal(f.ref, "");
	assert_int_equal(f.sequence, 0);
	OK(source_file_encode(&f, &b, &err));
	assert_string_equal(strchr(b.data, '\n') + 1, SHORT);
	dm_buf_release(&b);
}

static void
test_a_bad_line_is_named_with_its_fault(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "version is missing" },
		{ V, "repository is missing" },
		{ V REPO COMMIT, "repository-id is missing" },
		{ V REPO ID, "commit is missing" },
		{ REPO, "line 1: version must come first" },
		{ "version = 2\n", "line 1: version is not 1" },
		{ V V, "line 2: version is doubled or too late" },
		{ SHORT REPO, "line 5: repository is doubled or too late" },
		{ V REPO ID ID, "line 4: repository-id is doubled" },
		{ SHORT COMMIT, "line 5: commit is doubled" },
		{ SHORT "colour = red\n", "line 5: unknown key" },
		{ SHORT "path=/a\n", "line 5: not \"key = value\"" },
		{ SHORT "path /a\n", "line 5: not \"key = value\"" },
		{ SHORT "nonsense\n", "line 5: not \"key = value\"" },
		{ SHORT " path = /a\n", "line 5" },
		{ SHORT "path = a\n", "line 5: bad path" },
		{ SHORT "path = /\n", "line 5: bad path" },
		{ SHORT "path = /a/\n", "line 5: bad path" },
		{ SHORT "path = /a//b\n", "line 5: bad path" },
		{ SHORT "path = /a/../b\n", "line 5: bad path" },
		{ SHORT "path = /.\n", "line 5: bad path" },
		{ SHORT "ref = a..b\n", "line 5: bad name" },
		{ SHORT "sequence = 1\n", "line 5: sequence without ref" },
		{ SHORT "ref = a\nsequence = 0\n", "line 6: bad sequence" },
		{ SHORT "ref = a\nsequence = 01\n", "line 6: bad sequence" },
		{ V "repository = \n", "line 2: bad repository" },
		{ V "repository = a\tb\n", "line 2: control bytes" },
		{ V "repository = a\x7f\n", "line 2: control bytes" },
		{ V "repository = a\r\n", "line 2: control bytes" },
		{ "# a\x1b\n", "line 1: control bytes" },
		{ V REPO "repository-id = aa\n", "line 3: repository-id" },
		{ V REPO ID "commit = A" A64 "\n", "line 4: commit is not" },
		{ V "<<<<<<< HEAD\n", "line 2: unresolved merge conflict" },
		{ V "=======\n", "line 2: unresolved merge conflict" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		FAILS(DM_INVALID, cases[i].says,
		    source_file_decode(&f, cases[i].text, strlen(cases[i].text),
			&err));
}

static void
test_eight_repositories_pass_and_nine_do_not(void **state)
{
	struct dm_buf b = DM_BUF(DM_SOURCE_MAX);

	(void)state;
	for (int n = SOURCE_MIRRORS_MAX; n <= SOURCE_MIRRORS_MAX + 1; n++) {
		dm_buf_clear(&b);
		OK(dm_buf_printf(&b, &err, V));
		for (int i = 0; i < n; i++)
			OK(dm_buf_printf(&b, &err, REPO));
		OK(dm_buf_printf(&b, &err, ID COMMIT));
		if (n == SOURCE_MIRRORS_MAX)
			OK(source_file_decode(&f, b.data, b.size, &err));
		else
			FAILS(DM_INVALID, "too many repositories",
			    source_file_decode(&f, b.data, b.size, &err));
	}
	dm_buf_release(&b);
}

static void
test_a_repository_ends_at_2000_bytes(void **state)
{
	struct dm_buf b = DM_BUF(DM_SOURCE_MAX);
	char url[SOURCE_URL_MAX + 2];

	(void)state;
	memset(url, 'u', sizeof(url));
	url[SOURCE_URL_MAX + 1] = '\0';
	OK(dm_buf_printf(&b, &err, V "repository = %s\n" ID COMMIT, url));
	FAILS(DM_INVALID, "bad repository",
	    source_file_decode(&f, b.data, b.size, &err));
	dm_buf_clear(&b);
	OK(dm_buf_printf(&b, &err, V "repository = %s\n" ID COMMIT, url + 1));
	OK(source_file_decode(&f, b.data, b.size, &err));
	dm_buf_release(&b);
}

static void
test_a_path_ends_at_its_limits(void **state)
{
	struct dm_buf b = DM_BUF((size_t)2 * DM_SOURCE_MAX);

	(void)state;
	for (int depth = DM_DEPTH_MAX; depth <= DM_DEPTH_MAX + 1; depth++) {
		dm_buf_clear(&b);
		OK(dm_buf_printf(&b, &err, SHORT "path = "));
		for (int i = 0; i <= depth; i++)
			OK(dm_buf_printf(&b, &err, "/a"));
		if (depth == DM_DEPTH_MAX)
			OK(source_file_decode(&f, b.data, b.size, &err));
		else
			FAILS(DM_INVALID, "bad path",
			    source_file_decode(&f, b.data, b.size, &err));
	}
	dm_buf_clear(&b);
	OK(dm_buf_printf(&b, &err, SHORT));
	while (b.size <= DM_SOURCE_MAX)
		OK(dm_buf_printf(&b, &err, "#\n"));
	FAILS(DM_INVALID, "larger than",
	    source_file_decode(&f, b.data, b.size, &err));
	dm_buf_release(&b);
}

static void
test_encoders_refuse_fields_that_break_a_rule(void **state)
{
	struct dm_buf b = DM_BUF(DM_SOURCE_MAX);

	(void)state;
	OK(source_file_decode(&f, FULL, strlen(FULL), &err));
	f.ref[0] = '\0';
	FAILS(DM_INVALID, "bad sequence", source_file_encode(&f, &b, &err));
	(void)snprintf(f.ref, sizeof(f.ref), "a b");
	FAILS(DM_INVALID, "bad name", source_file_encode(&f, &b, &err));
	(void)snprintf(f.path, sizeof(f.path), "../x");
	FAILS(DM_INVALID, "bad path", source_file_encode(&f, &b, &err));
	(void)snprintf(f.repository[0], sizeof(f.repository[0]), "a\nb");
	FAILS(DM_INVALID, "bad repository", source_file_encode(&f, &b, &err));
	f.nrepositories = 0;
	FAILS(DM_INVALID, "one to eight", source_file_encode(&f, &b, &err));
	dm_buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field_comes_back),
		cmocka_unit_test(test_the_shortest_file_passes_with_comments),
		cmocka_unit_test(test_a_bad_line_is_named_with_its_fault),
		cmocka_unit_test(test_eight_repositories_pass_and_nine_do_not),
		cmocka_unit_test(test_a_repository_ends_at_2000_bytes),
		cmocka_unit_test(test_a_path_ends_at_its_limits),
		cmocka_unit_test(test_encoders_refuse_fields_that_break_a_rule),
	};

	return cmocka_run_group_tests_name("source_file", tests, NULL, NULL);
}
