/* cache/net/origin: pieces of files, and what answers say of a server. */
#include "cache/net/origin.h"
#include "tests/unit/check.h"

#include <time.h>

#include "cache/base/clock.h"
#include "tests/lib/httpd.h"
#include "tests/lib/served.h"

enum { PIECE = 1000, FROM = 5000 };

struct fixture {
	struct served s;
	struct dm_buf out;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct dm_err err = { 0 };

	if (f == NULL || served_open(&f->s, &err) < 0)
		return -1;
	f->out.max = PIECE + 1;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	served_close(&f->s);
	dm_buf_release(&f->out);
	free(f);
	return 0;
}

static void
rule(struct fixture *f, const char *text)
{
	OK(httpd_rule(f->s.h, text, &err));
}

static int
read_piece(struct fixture *f, const char *path, uint64_t off,
    struct dm_err *err)
{
	return origin_read_range(f->s.o, path, off, PIECE, dm_deadline_ms(5000),
	    &f->out, err);
}

static void
assert_piece(const struct fixture *f)
{
	assert_int_equal(f->out.size, PIECE);
	for (unsigned i = 0; i < PIECE; i++)
		assert_int_equal((unsigned char)f->out.data[i],
		    served_byte(FROM + i));
}

static void
test_a_piece_of_a_file_comes_by_a_range(void **state)
{
	struct fixture *f = *state;
	struct origin_server server;

	OK(read_piece(f, "file", FROM, &err));
	assert_piece(f);
	origin_server(f->s.o, &server);
	assert_int_equal(server.ranges, 1);
	assert_int_equal(server.wholes, 0);
	assert_false(server.has_date);
}

static void
test_a_server_that_sends_whole_files_is_seen(void **state)
{
	struct fixture *f = *state;
	struct origin_server server;

	rule(f, "/* * norange");
	OK(read_piece(f, "file", FROM, &err));
	assert_piece(f);
	origin_server(f->s.o, &server);
	assert_int_equal(server.ranges, 0);
	assert_int_equal(server.wholes, 1);
}

static void
test_whole_files_say_nothing_about_ranges(void **state)
{
	struct fixture *f = *state;
	struct origin_server server;
	bool found = false;

	OK(served_add(&f->s, "small", PIECE, &err));
	OK(origin_read(f->s.o, "small", dm_deadline_ms(5000), &f->out, &found,
	    &err));
	assert_true(found);
	origin_server(f->s.o, &server);
	assert_int_equal(server.ranges + server.wholes, 0);
}

static void
test_a_piece_that_is_not_there_is_an_error(void **state)
{
	struct fixture *f = *state;

	FAILS(DM_NOTFOUND, "404", read_piece(f, "none", FROM, &err));
	assert_int_equal(f->out.size, 0);
	FAILS(DM_CORRUPT, "", read_piece(f, "file", SERVED_SIZE - 10, &err));
	assert_int_equal(f->out.size, 0);
}

static void
test_the_clock_of_a_server_is_compared_with_ours(void **state)
{
	struct fixture *f = *state;
	struct origin_server server;
	/* 2000-01-01, and how long ago that is */
	const int64_t then = 946684800, ago = (int64_t)time(NULL) - then;

	rule(f, "/* * header=Date:Sat,_01_Jan_2000_00:00:00_GMT");
	OK(read_piece(f, "file", FROM, &err));
	origin_server(f->s.o, &server);
	assert_true(server.has_date);
	assert_in_range(-server.ahead_s, ago, ago + 20);
}

static void
test_a_date_that_is_none_is_ignored(void **state)
{
	struct fixture *f = *state;
	struct origin_server server;

	rule(f, "/* * header=Date:yesterday,_perhaps");
	OK(read_piece(f, "file", FROM, &err));
	origin_server(f->s.o, &server);
	assert_false(server.has_date);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_piece_of_a_file_comes_by_a_range),
		TEST(test_a_server_that_sends_whole_files_is_seen),
		TEST(test_whole_files_say_nothing_about_ranges),
		TEST(test_a_piece_that_is_not_there_is_an_error),
		TEST(test_the_clock_of_a_server_is_compared_with_ours),
		TEST(test_a_date_that_is_none_is_ignored),
	};

	return cmocka_run_group_tests_name("origin_server", tests, NULL, NULL);
}
