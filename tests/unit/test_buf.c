/* cache/base/buf: a byte string that grows, up to a limit. */
#include "tests/unit/check.h"

static void
test_a_buffer_holds_what_was_appended_as_text(void **state)
{
	struct dm_buf b = DM_BUF(100);

	(void)state;
	OK(dm_buf_append(&b, "one", 3, &err));
	OK(dm_buf_append(&b, NULL, 0, &err));
	OK(dm_buf_printf(&b, &err, " %d %s", 2, "three"));
	assert_int_equal(b.size, 11);
	assert_string_equal(b.data, "one 2 three");
	dm_buf_release(&b);
}

static void
test_no_append_passes_the_limit(void **state)
{
	struct dm_buf b = DM_BUF(4);
	struct dm_err unused;

	(void)state;
	OK(dm_buf_append(&b, "1234", 4, &err));
	FAILS(DM_INVALID, "larger than 4", dm_buf_append(&b, "5", 1, &err));
	FAILS(DM_INVALID, "larger than 4", dm_buf_printf(&b, &err, "5"));
	assert_null(dm_buf_extend(&b, 1, &unused));
	FAILS(DM_INVALID, "larger than", dm_buf_append(&b, "", SIZE_MAX, &err));
	assert_string_equal(b.data, "1234");
	dm_buf_clear(&b);
	OK(dm_buf_printf(&b, &err, "abcd"));
	dm_buf_release(&b);
}

static void
test_an_extension_is_zeros(void **state)
{
	struct dm_buf b = DM_BUF(1000);
	struct dm_err err;
	const char *p;

	(void)state;
	assert_non_null(memset(dm_buf_extend(&b, 500, &err), 'x', 500));
	dm_buf_clear(&b);
	p = dm_buf_extend(&b, 1000, &err);
	assert_non_null(p);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(p[i], 0);
	assert_int_equal(b.size, 1000);
	dm_buf_release(&b);
}

static void
test_a_released_buffer_can_be_used_again(void **state)
{
	struct dm_buf b = DM_BUF(10);

	(void)state;
	OK(dm_buf_printf(&b, &err, "a"));
	dm_buf_release(&b);
	assert_null(b.data);
	OK(dm_buf_printf(&b, &err, "b"));
	assert_string_equal(b.data, "b");
	dm_buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_buffer_holds_what_was_appended_as_text),
		cmocka_unit_test(test_no_append_passes_the_limit),
		cmocka_unit_test(test_an_extension_is_zeros),
		cmocka_unit_test(test_a_released_buffer_can_be_used_again),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
