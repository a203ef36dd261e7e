/* fs/format/trace, fs/version/trace_lines. */
#include "fs/format/trace.h"
#include "tests/unit/check.h"

#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "fs/version/trace_lines.h"

static void
test_an_entry_is_what_was_encoded(void **state)
{
	static const char text[] = "8388608 a\\\\b/odd\\nname \xff\n";
	struct trace_entry e = { .off = TRACE_PART }, got;
	struct dm_buf b = DM_BUF(1000);

	(void)state;
	e.path_len = (size_t)snprintf(e.path, sizeof(e.path), "%s",
	    "a\\b/odd\nname \xff");
	OK(trace_encode(&e, &b, &err));
	assert_int_equal(b.size, sizeof(text) - 1);
	assert_memory_equal(b.data, text, b.size);
	OK(trace_decode(&got, b.data, b.size - 1, &err));
	assert_int_equal(got.off, e.off);
	assert_int_equal(got.path_len, e.path_len);
	assert_string_equal(got.path, e.path);
	dm_buf_release(&b);
}

static void
test_a_path_may_have_its_greatest_length_and_no_more(void **state)
{
	static char line[TRACE_LINE_MAX + 2];
	struct trace_entry e;

	(void)state;
	memcpy(line, "0 ", 2);
	for (int i = 0; i < DM_PATH_MAX; i++)
		line[2 + i] = i % 2 == 1 ? '/' : 'x';
	OK(trace_decode(&e, line, 2 + DM_PATH_MAX, &err));
	assert_int_equal(e.path_len, DM_PATH_MAX);
	line[2 + DM_PATH_MAX] = 'x';
	FAILS(DM_CORRUPT, "no path",
	    trace_decode(&e, line, 2 + DM_PATH_MAX + 1, &err));
}

static void
test_whatever_else_is_refused(void **state)
{
	static const char *const bad[] = { "", "0", "0 ", " x", "x", "1 x",
		"00 x", "-8388608 x", "0 /x", "0 x/", "0 a//b", "0 .",
		"0 a/../b", "0 ..", "0 \\", "0 a\\", "0 \\x", "0 a\nb",
		"18446744073701163008 x", "1125899906842624 x" };
	struct trace_entry e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		FAILS(DM_CORRUPT, "a line that",
		    trace_decode(&e, bad[i], strlen(bad[i]), &err));
	FAILS(DM_CORRUPT, "no path", trace_decode(&e, "0 a\0b", 5, &err));
}

static void
test_a_header_says_which_version_it_is(void **state)
{
	(void)state;
	OK(trace_check_header(TRACE_HEADER, strlen(TRACE_HEADER), &err));
	assert_true(trace_is_header(TRACE_HEADER, strlen(TRACE_HEADER)));
	assert_true(trace_is_header("datamount trace 2", 17));
	FAILS(DM_INVALID, "another version",
	    trace_check_header("datamount trace 2", 17, &err));
	assert_false(trace_is_header("datamount trace", 15));
	FAILS(DM_INVALID, "no trace", trace_check_header("a/path", 6, &err));
	FAILS(DM_INVALID, "no trace", trace_check_header("", 0, &err));
}

static int
file_of(const char *text, size_t size)
{
	char name[] = "/tmp/dm-trace-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(dm_write_full(fd, text, size), 0);
	return fd;
}

static void
test_lines_of_any_length_are_passed_through(void **state)
{
	static char text[3 * TRACE_LINES_BLOCK];
	static struct trace_lines l;
	const char *line;
	size_t size;
	int fd;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "first\n\n", 7);
	text[2 * TRACE_LINES_BLOCK + 500] = '\n';
	text[2 * TRACE_LINES_BLOCK + 504] = '\n';
	fd = file_of(text, sizeof(text) - 100);
	trace_lines_init(&l, fd);
	assert_true(trace_lines_next(&l, &line, &size));
	assert_int_equal(size, 5);
	assert_memory_equal(line, "first", 5);
	assert_true(trace_lines_next(&l, &line, &size));
	assert_int_equal(size, 0);
	assert_true(trace_lines_next(&l, &line, &size));
	assert_int_equal(size, TRACE_LINE_MAX + 1);
	assert_true(trace_lines_next(&l, &line, &size));
	assert_int_equal(size, 3);
	/* what has no newline is none */
	assert_false(trace_lines_next(&l, &line, &size));
	assert_int_equal(close(fd), 0);
}

static void
test_lines_go_on_over_blocks(void **state)
{
	enum { LINES = 20000 };
	static char text[LINES * 8 + 1];
	static struct trace_lines l;
	char want[16];
	const char *line;
	size_t size;
	int fd;

	(void)state;
	for (int i = 0; i < LINES; i++)
		(void)snprintf(text + 8 * i, 9, "%07d\n", i);
	fd = file_of(text, sizeof(text) - 1);
	trace_lines_init(&l, fd);
	for (int i = 0; i < LINES; i++) {
		(void)snprintf(want, sizeof(want), "%07d", i);
		assert_true(trace_lines_next(&l, &line, &size));
		assert_int_equal(size, 7);
		assert_memory_equal(line, want, 7);
	}
	assert_false(trace_lines_next(&l, &line, &size));
	assert_int_equal(close(fd), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_entry_is_what_was_encoded),
		cmocka_unit_test(
		    test_a_path_may_have_its_greatest_length_and_no_more),
		cmocka_unit_test(test_whatever_else_is_refused),
		cmocka_unit_test(test_a_header_says_which_version_it_is),
		cmocka_unit_test(test_lines_of_any_length_are_passed_through),
		cmocka_unit_test(test_lines_go_on_over_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
