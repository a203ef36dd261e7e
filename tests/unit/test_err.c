/* cache/base/err: a code to act on, a text to read. */
#include "tests/unit/check.h"

#include <errno.h>

static void
test_a_failure_has_code_and_text(void **state)
{
	struct dm_err err = { 0 };

	(void)state;
	assert_int_equal(dm_fail(&err, DM_CORRUPT, "bad %s %d", "byte", 7), -1);
	assert_int_equal(err.code, DM_CORRUPT);
	assert_string_equal(err.text, "bad byte 7");
}

static void
test_errno_chooses_the_code_and_ends_the_text(void **state)
{
	static const struct {
		int e;
		enum dm_code code;
	} cases[] = { { ENOENT, DM_NOTFOUND }, { EACCES, DM_DENIED },
		{ ENOSPC, DM_NOSPACE }, { EDQUOT, DM_NOSPACE },
		{ ENOMEM, DM_NOMEM }, { EINVAL, DM_INVALID }, { EIO, DM_IO } };
	struct dm_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errno = cases[i].e;
		assert_int_equal(dm_fail_errno(&err, "open %s", "x"), -1);
		assert_int_equal(err.code, cases[i].code);
	}
	errno = ENOENT;
	(void)dm_fail_errno(&err, "open %s", "x");
	assert_string_equal(err.text, "open x: No such file or directory");
}

static void
test_a_wrap_puts_its_context_in_front(void **state)
{
	struct dm_err err = { 0 };

	(void)state;
	(void)dm_fail(&err, DM_IO, "cause");
	assert_int_equal(dm_wrap(&err, "inner %d", 1), -1);
	(void)dm_wrap(&err, "outer");
	assert_string_equal(err.text, "outer: inner 1: cause");
	assert_int_equal(err.code, DM_IO);
}

static void
test_a_wrap_that_does_not_fit_keeps_the_cause(void **state)
{
	struct dm_err err = { 0 };
	char long_text[2 * DM_ERR_TEXT];
	size_t n;

	(void)state;
	memset(long_text, 'c', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	(void)dm_fail(&err, DM_IO, "the cause");
	(void)dm_wrap(&err, "%s", long_text);
	n = strlen(err.text);
	assert_int_equal(n, DM_ERR_TEXT - 1);
	assert_string_equal(err.text + n - 11, ": the cause");
	(void)dm_wrap(&err, "no room");
	assert_string_equal(err.text + n - 11, ": the cause");
	errno = EIO;
	(void)dm_fail_errno(&err, "%s", long_text);
	n = strlen(err.text);
	assert_string_equal(err.text + n - 20, ": Input/output error");
}

static void
test_every_code_has_an_errno(void **state)
{
	struct dm_err err = { 0 };

	(void)state;
	for (int c = DM_OK; c <= DM_IO; c++) {
		err.code = (enum dm_code)c;
		assert_true(dm_err_errno(&err) > 0);
	}
	err.code = DM_OFFLINE;
	assert_int_equal(dm_err_errno(&err), ETIMEDOUT);
	err.code = DM_NOTFOUND;
	assert_int_equal(dm_err_errno(&err), EIO);
}

static void
test_no_control_character_gets_into_a_text(void **state)
{
	struct dm_err err = { 0 };

	(void)state;
	(void)dm_fail(&err, DM_CORRUPT, "a\x1b[2J\n\x7f\xc2\x9b%s",
	    "\r\xc3\xa9");
	assert_string_equal(err.text, "a?[2J?????\xc3\xa9");
	(void)dm_wrap(&err, "b\t");
	assert_string_equal(err.text, "b?: a?[2J?????\xc3\xa9");
	errno = ENOENT;
	(void)dm_fail_errno(&err, "c\n");
	assert_string_equal(err.text, "c?: No such file or directory");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_control_character_gets_into_a_text),
		cmocka_unit_test(test_a_failure_has_code_and_text),
		cmocka_unit_test(test_errno_chooses_the_code_and_ends_the_text),
		cmocka_unit_test(test_a_wrap_puts_its_context_in_front),
		cmocka_unit_test(test_a_wrap_that_does_not_fit_keeps_the_cause),
		cmocka_unit_test(test_every_code_has_an_errno),
	};

	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
