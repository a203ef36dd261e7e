/* cache/net/relay: immutable files from several places. */
#include "cache/net/origin.h"
#include "tests/unit/check.h"

#include <unistd.h>

#include "cache/base/clock.h"
#include "cache/base/log.h"
#include "tests/lib/httpd.h"
#include "tests/lib/served.h"

/* The origin, s.h, and a mirror of the same folder. */
struct fixture {
	struct served s;
	struct httpd *mirror;
	struct got got;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct dm_err err = { 0 };

	if (f == NULL || served_open(&f->s, &err) < 0 ||
	    httpd_start(&f->mirror, f->s.root, &err) < 0 ||
	    origin_add_mirror(f->s.o, httpd_url(f->mirror), &err) < 0)
		return -1;
	dm_log_setup(DM_LOG_ERROR, 0);
	got_init(&f->got);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	served_close(&f->s);
	httpd_stop(f->mirror);
	got_release(&f->got);
	free(f);
	return 0;
}

static const struct got_range middle = { .off = 1000,
	.size = 150000,
	.immutable = true };
static const struct got_range whole = { .limit = SERVED_SIZE,
	.immutable = true };

static void
get(struct fixture *f, const struct got_range *range)
{
	uint64_t size = range->size != ORIGIN_WHOLE ? range->size : SERVED_SIZE;

	OK(got_fetch(&f->got, f->s.o, "file", range, &err));
	assert_true(got_is_right(&f->got, range->off, size));
}

static struct origin_place
place(const struct fixture *f, unsigned i)
{
	struct origin_place p;

	origin_place(f->s.o, i, &p);
	return p;
}

static uint64_t
asked(struct httpd *h)
{
	return httpd_count(h, "/file");
}

static void
test_the_origin_is_asked_first(void **state)
{
	struct fixture *f = *state;

	get(f, &middle);
	get(f, &whole);
	assert_int_equal(asked(f->s.h), 2);
	assert_int_equal(httpd_count(f->mirror, "*"), 0);
	assert_string_equal(place(f, 0).name, origin_name(f->s.o));
	assert_string_equal(place(f, 1).name, httpd_url(f->mirror));
	assert_int_equal(place(f, 0).counts.requests, 2);
	assert_int_equal(place(f, 1).counts.requests, 0);
}

static void
test_what_may_change_comes_from_the_origin_alone(void **state)
{
	struct fixture *f = *state;
	struct got_range named = { .limit = SERVED_SIZE, .timeout_ms = 300 };

	OK(httpd_rule(f->s.h, "/file * status=503", &err));
	FAILS(DM_OFFLINE, "503",
	    got_fetch(&f->got, f->s.o, "file", &named, &err));
	assert_int_equal(httpd_count(f->mirror, "*"), 0);
}

/* Let the origin fail like this, and see that the mirror goes on with what is
 * missing. */
static void
fails_over(struct fixture *f, const char *rule, uint64_t from)
{
	char range[64];
	struct dm_buf log = DM_BUF(1 << 20);

	OK(httpd_rule(f->s.h, rule, &err));
	OK(httpd_rule(f->s.h, "/datamount * drop", &err));
	get(f, &middle);
	assert_int_equal(asked(f->s.h), 1);
	assert_int_equal(asked(f->mirror), 1);
	(void)snprintf(range, sizeof(range), "range=bytes=%u-150999",
	    (unsigned)(1000 + from));
	OK(httpd_log(f->mirror, &log, &err));
	assert_non_null(strstr(log.data, range));
	dm_buf_release(&log);
	assert_in_range(place(f, 0).counts.failures, 1, 2);
	assert_int_equal(place(f, 1).counts.failures, 0);
	assert_true(place(f, 0).down_ms > 0);
	assert_int_equal(place(f, 1).down_ms, 0);
}

static void
test_a_mirror_goes_on_where_the_origin_died(void **state)
{
	fails_over(*state, "/file * truncate=70000", 70000);
}

static void
test_a_mirror_goes_on_where_the_origin_stalled(void **state)
{
	fails_over(*state, "/file * stall=70000", 70000);
}

static void
test_a_mirror_serves_what_the_origin_refuses(void **state)
{
	fails_over(*state, "/file * status=403", 0);
}

static void
test_a_mirror_serves_while_the_origin_is_overloaded(void **state)
{
	fails_over(*state, "/file * status=503 retry-after=100", 0);
}

static void
test_a_mirror_serves_when_the_origin_makes_no_sense(void **state)
{
	fails_over(*state, "/file * shift=3", 0);
}

static void
test_a_mirror_goes_on_where_the_origin_only_drips(void **state)
{
	struct fixture *f = *state;

	OK(httpd_rule(f->s.h, "/file * drip=100", &err));
	OK(httpd_rule(f->s.h, "/datamount * drop", &err));
	get(f, &middle);
	assert_int_equal(asked(f->s.h), 1);
	assert_int_equal(asked(f->mirror), 1);
	assert_in_range(place(f, 0).counts.bytes, 1, 1024);
	assert_true(place(f, 0).down_ms > 0);
	assert_int_equal(place(f, 1).down_ms, 0);
}

static void
test_a_place_that_is_slow_but_the_only_one_is_waited_for(void **state)
{
	struct fixture *f = *state;
	static const struct got_range some = { .size = 300, .immutable = true };

	OK(httpd_rule(f->s.h, "/file * drip=100", &err));
	OK(httpd_rule(f->mirror, "* * status=404", &err));
	get(f, &some);
	assert_int_equal(asked(f->mirror), 1);
	assert_in_range(asked(f->s.h), 1, 2);
}

static void
test_a_whole_file_goes_on_too(void **state)
{
	struct fixture *f = *state;

	OK(httpd_rule(f->s.h, "/file * truncate=70000", &err));
	get(f, &whole);
	assert_int_equal(httpd_bytes(f->mirror, "/file"), SERVED_SIZE - 70000);
}

static void
test_a_stall_leaves_time_for_a_mirror(void **state)
{
	struct fixture *f = *state;
	struct got_range brief = middle;

	brief.timeout_ms = 900; /* less than a stall takes usually */
	OK(httpd_rule(f->s.h, "/file * stall=0", &err));
	get(f, &brief);
}

static void
test_what_one_place_lacks_says_nothing_of_it(void **state)
{
	struct fixture *f = *state;

	OK(httpd_rule(f->s.h, "/file * status=404", &err));
	get(f, &middle);
	assert_int_equal(asked(f->mirror), 1);
	assert_int_equal(place(f, 0).down_ms, 0);
}

static void
test_what_all_lack_is_not_found(void **state)
{
	struct fixture *f = *state;

	FAILS(DM_NOTFOUND, "nor from 1 other place)",
	    got_fetch(&f->got, f->s.o, "none", &middle, &err));
	assert_int_equal(httpd_count(f->s.h, "*"), 1);
	assert_int_equal(httpd_count(f->mirror, "*"), 1);
}

static void
test_who_may_have_it_is_asked_until_the_deadline(void **state)
{
	struct fixture *f = *state;

	OK(httpd_rule(f->s.h, "/file 1-3 drop", &err));
	OK(httpd_rule(f->mirror, "/file * status=404", &err));
	get(f, &middle);
	assert_int_equal(asked(f->s.h), 4);
	assert_int_equal(asked(f->mirror), 1);
}

static void
test_all_are_asked_again_in_rounds(void **state)
{
	struct fixture *f = *state;

	OK(httpd_rule(f->s.h, "/file 1-3 drop", &err));
	OK(httpd_rule(f->mirror, "/file 1-3 status=500", &err));
	get(f, &middle);
	assert_in_range(asked(f->s.h) + asked(f->mirror), 4, 8);
}

static void
test_rounds_end_at_the_deadline(void **state)
{
	struct fixture *f = *state;
	struct got_range brief = middle;
	uint64_t begun = dm_now_ms();

	brief.timeout_ms = 500;
	OK(httpd_rule(f->s.h, "/file * drop", &err));
	OK(httpd_rule(f->mirror, "/file * status=500", &err));
	FAILS(DM_OFFLINE, "", got_fetch(&f->got, f->s.o, "file", &brief, &err));
	assert_in_range(dm_now_ms() - begun, 0, 5000);
}

static void
test_two_that_break_off_again_and_again_give_each_byte_once(void **state)
{
	struct fixture *f = *state;

	OK(httpd_rule(f->s.h, "/file * truncate=9000", &err));
	OK(httpd_rule(f->mirror, "/file * reset=7000", &err));
	get(f, &middle);
	get(f, &whole);
}

static void
test_a_place_that_is_down_is_passed_over(void **state)
{
	struct fixture *f = *state;

	OK(httpd_rule(f->s.h, "* * drop", &err));
	for (int i = 0; i < 20; i++)
		get(f, &middle);
	assert_int_equal(asked(f->s.h), 1);
	assert_int_equal(asked(f->mirror), 20);
}

static void
test_a_place_that_answers_again_is_asked_again(void **state)
{
	struct fixture *f = *state;
	uint64_t end = dm_deadline_ms(10000);

	OK(httpd_rule(f->s.h, "* * drop", &err));
	get(f, &middle);
	httpd_clear(f->s.h);
	while (place(f, 0).down_ms > 0 && dm_now_ms() < end)
		get(f, &middle);
	assert_int_equal(place(f, 0).down_ms, 0);
	assert_true(httpd_count(f->s.h, "/datamount") >= 1);
	httpd_forget(f->s.h);
	get(f, &middle);
	assert_int_equal(asked(f->s.h), 1);
}

static void
test_a_place_that_gave_wrong_bytes_is_avoided(void **state)
{
	struct fixture *f = *state;
	struct got_range avoiding = middle;

	avoiding.avoid = 1;
	get(f, &avoiding);
	assert_int_equal(asked(f->s.h), 0);
	assert_int_equal(asked(f->mirror), 1);
	avoiding.avoid = 3; /* all: then none */
	get(f, &avoiding);
	assert_int_equal(asked(f->s.h), 1);
	origin_bad(f->s.o, 1, false);
	assert_int_equal(place(f, 0).down_ms, 0);
	origin_bad(f->s.o, 1, true);
	assert_true(place(f, 0).down_ms > 0);
	assert_int_equal(place(f, 0).bad, 2);
	assert_int_equal(place(f, 1).bad, 0);
}

static void
test_a_folder_can_be_a_mirror(void **state)
{
	struct fixture *f = *state;

	OK(origin_add_mirror(f->s.o, f->s.root, &err));
	assert_int_equal(origin_places(f->s.o), 3);
	OK(httpd_rule(f->s.h, "* * reset=500", &err));
	OK(httpd_rule(f->mirror, "* * drop", &err));
	get(f, &middle);
	assert_string_equal(place(f, 2).folder, f->s.root);
	assert_int_equal(place(f, 2).counts.bytes, middle.size - 500);
}

static void
test_nine_places_are_too_many(void **state)
{
	struct fixture *f = *state;

	for (int i = 2; i < ORIGIN_PLACES_MAX; i++)
		OK(origin_add_mirror(f->s.o, "/srv/m", &err));
	FAILS(DM_INVALID, "more than 8",
	    origin_add_mirror(f->s.o, "/srv/m", &err));
	FAILS(DM_INVALID, "", origin_add_mirror(f->s.o, "ftp://h", &err));
}

static void
test_closing_ends_relays(void **state)
{
	struct fixture *f = *state;

	OK(httpd_rule(f->s.h, "/file * barrier=b", &err));
	OK(httpd_rule(f->mirror, "/file * barrier=b", &err));
	got_start(&f->got, f->s.o, "file", &middle);
	OK(httpd_wait(f->s.h, "/file", 1, &err));
	net_close(f->s.net);
	f->s.net = NULL;
	assert_true(got_wait(&f->got));
	assert_int_equal(f->got.err.code, DM_CANCELLED);
	httpd_release(f->s.h, "b");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_the_origin_is_asked_first),
		TEST(test_what_may_change_comes_from_the_origin_alone),
		TEST(test_a_mirror_goes_on_where_the_origin_died),
		TEST(test_a_mirror_goes_on_where_the_origin_stalled),
		TEST(test_a_mirror_serves_what_the_origin_refuses),
		TEST(test_a_mirror_serves_while_the_origin_is_overloaded),
		TEST(test_a_mirror_serves_when_the_origin_makes_no_sense),
		TEST(test_a_whole_file_goes_on_too),
		TEST(test_a_mirror_goes_on_where_the_origin_only_drips),
		TEST(test_a_place_that_is_slow_but_the_only_one_is_waited_for),
		TEST(test_a_stall_leaves_time_for_a_mirror),
		TEST(test_what_one_place_lacks_says_nothing_of_it),
		TEST(test_what_all_lack_is_not_found),
		TEST(test_who_may_have_it_is_asked_until_the_deadline),
		TEST(test_all_are_asked_again_in_rounds),
		TEST(test_rounds_end_at_the_deadline),
		TEST(
		    test_two_that_break_off_again_and_again_give_each_byte_once),
		TEST(test_a_place_that_is_down_is_passed_over),
		TEST(test_a_place_that_answers_again_is_asked_again),
		TEST(test_a_place_that_gave_wrong_bytes_is_avoided),
		TEST(test_a_folder_can_be_a_mirror),
		TEST(test_nine_places_are_too_many),
		TEST(test_closing_ends_relays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
