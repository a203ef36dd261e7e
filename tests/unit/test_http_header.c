/* cache/net/http_header: what is read from header fields, and what is not. */
#include "cache/net/http_header.h"
#include "tests/unit/check.h"

static void
test_ranges_are_read(void **state)
{
	static const struct {
		const char *value;
		uint64_t first, last, total;
		bool has_total, is_unsatisfied;
	} cases[] = {
		{ "bytes 0-0/1", 0, 0, 1, true, false },
		{ "bytes 5-9/10", 5, 9, 10, true, false },
		{ "  Bytes  5-9/10 ", 5, 9, 10, true, false },
		{ "bytes 5-9/*", 5, 9, 0, false, false },
		{ "bytes */10", 0, 0, 10, true, true },
		{ "bytes 9223372036854775805-9223372036854775806"
		  "/9223372036854775807",
		    INT64_MAX - 2, INT64_MAX - 1, INT64_MAX, true, false },
	};
	struct http_range r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(http_header_range(&r, cases[i].value));
		assert_int_equal(r.first, cases[i].first);
		assert_int_equal(r.last, cases[i].last);
		assert_int_equal(r.total, cases[i].total);
		assert_int_equal(r.has_total, cases[i].has_total);
		assert_int_equal(r.is_unsatisfied, cases[i].is_unsatisfied);
	}
}

static void
test_malformed_ranges_are_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"bytes",
		"bytes ",
		"bytes=0-1/2",
		"items 0-1/2",
		"bytes 1-0/2",
		"bytes 0-2/2",
		"bytes 0-1",
		"bytes 0-1/",
		"bytes 0-1/2x",
		"bytes 0-1/**",
		"bytes -1/2",
		"bytes 0-/2",
		"bytes +0-1/2",
		"bytes 0 - 1/2",
		"bytes */*",
		"bytes 0-9223372036854775808/*",
		"bytes 0-99999999999999999999/*",
		"bytes 0-1/99999999999999999999",
	};
	struct http_range r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (http_header_range(&r, cases[i]))
			fail_msg("accepted: %s", cases[i]);
}

static void
test_retry_after_is_read(void **state)
{
	static const struct {
		const char *value;
		uint64_t ms;
	} cases[] = {
		{ "0", 0 },
		{ "7", 7000 },
		{ " 7 ", 7000 },
		{ "86400", 86400000 },
		{ "86401", 86400000 },
		{ "99999999999999999999999", 86400000 },
		{ "7s", 0 },
		{ "-7", 0 },
		{ "soon", 0 },
		{ "", 0 },
		/* 1445412480 */
		{ "Wed, 21 Oct 2015 07:28:00 GMT", 480000 },
		{ "Wed, 21 Oct 2015 07:19:00 GMT", 0 },
		{ "Wed, 21 Oct 2099 07:28:00 GMT", 86400000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(http_header_retry_after_ms(cases[i].value,
				     1445412000),
		    cases[i].ms);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_are_read),
		cmocka_unit_test(test_malformed_ranges_are_refused),
		cmocka_unit_test(test_retry_after_is_read),
	};

	return cmocka_run_group_tests_name("http_header", tests, NULL, NULL);
}
