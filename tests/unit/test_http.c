/* cache/net over HTTP: what servers may do, and what becomes of it. */
#include "cache/net/origin.h"
#include "tests/unit/check.h"

#include "cache/base/clock.h"
#include "tests/lib/httpd.h"
#include "tests/lib/served.h"

struct fixture {
	struct served s;
	struct got got;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct dm_err err = { 0 };

	if (f == NULL || served_open(&f->s, &err) < 0)
		return -1;
	got_init(&f->got);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	served_close(&f->s);
	got_release(&f->got);
	free(f);
	return 0;
}

static void
rule(struct fixture *f, const char *text)
{
	OK(httpd_rule(f->s.h, text, &err));
}

static const struct got_range middle = { .off = 1000, .size = 150000 };
static const struct got_range whole = { .limit = SERVED_SIZE };

static void
get(struct fixture *f, const struct got_range *range)
{
	uint64_t size = range->size != ORIGIN_WHOLE ? range->size : SERVED_SIZE;

	OK(got_fetch(&f->got, f->s.o, "file", range, &err));
	assert_true(got_is_right(&f->got, range->off, size));
}

static uint64_t
requests(struct fixture *f)
{
	return httpd_count(f->s.h, "*");
}

static void
assert_logged(struct fixture *f, const char *part)
{
	struct dm_buf log = DM_BUF(1 << 20);

	OK(httpd_log(f->s.h, &log, &err));
	if (strstr(log.data, part) == NULL)
		fail_msg("no \"%s\" in:\n%s", part, log.data);
	dm_buf_release(&log);
}

static void
test_a_range_comes_in_one_request_and_no_more_bytes(void **state)
{
	struct fixture *f = *state;

	get(f, &middle);
	assert_int_equal(requests(f), 1);
	assert_int_equal(httpd_bytes(f->s.h, "/file"), middle.size);
	assert_logged(f, "range=bytes=1000-150999");
}

static void
test_a_whole_file_comes_in_one_request(void **state)
{
	struct fixture *f = *state;

	get(f, &whole);
	assert_int_equal(requests(f), 1);
	assert_logged(f, "range=-");
}

static void
test_requests_one_after_another_share_a_connection(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++)
		get(f, &middle);
	get(f, &whole);
	assert_int_equal(httpd_connections(f->s.h), 1);
}

static void
test_an_empty_file_is_no_error(void **state)
{
	struct fixture *f = *state;

	OK(served_add(&f->s, "empty", 0, &err));
	OK(got_fetch(&f->got, f->s.o, "empty", &whole, &err));
	assert_int_equal(f->got.bytes.size, 0);
}

static void
test_names_are_encoded(void **state)
{
	struct fixture *f = *state;

	OK(served_add(&f->s, "a b/\xc3\xa9%?#+&", 10, &err));
	OK(got_fetch(&f->got, f->s.o, "a b/\xc3\xa9%?#+&", &whole, &err));
	assert_true(got_is_right(&f->got, 0, 10));
	assert_logged(f, "GET /a%20b/%C3%A9%25%3F%23%2B%26 ");
}

static void
test_a_server_without_ranges_serves_them_all_the_same(void **state)
{
	struct fixture *f = *state;

	rule(f, "* * norange");
	get(f, &middle);
	assert_int_equal(requests(f), 1);
}

static void
test_no_more_is_read_of_an_endless_body_than_was_asked_for(void **state)
{
	struct fixture *f = *state;

	rule(f, "* * norange endless");
	get(f, &middle);
	assert_int_equal(requests(f), 1);
}

static void
test_more_bytes_than_the_limit_are_corrupt(void **state)
{
	struct fixture *f = *state;
	struct got_range small = { .limit = SERVED_SIZE - 1 };

	FAILS(DM_CORRUPT, "larger than 199999 bytes",
	    got_fetch(&f->got, f->s.o, "file", &small, &err));
	assert_int_equal(requests(f), 1);
	rule(f, "* * endless");
	FAILS(DM_CORRUPT, "larger than 200000 bytes",
	    got_fetch(&f->got, f->s.o, "file", &whole, &err));
	assert_int_equal(requests(f), 2);
}

static void
test_bytes_behind_a_range_are_cut_off(void **state)
{
	struct fixture *f = *state;

	rule(f, "* * tail=1000");
	get(f, &middle);
	assert_int_equal(requests(f), 1);
}

static void
test_a_truncated_body_is_continued_where_it_broke(void **state)
{
	struct fixture *f = *state;

	rule(f, "* 1-2 truncate=30000");
	get(f, &middle);
	assert_int_equal(requests(f), 3);
	assert_logged(f, "range=bytes=31000-150999");
	assert_logged(f, "range=bytes=61000-150999");
	assert_int_equal(httpd_bytes(f->s.h, "*"), middle.size);
}

static void
test_a_truncated_whole_file_is_continued(void **state)
{
	struct fixture *f = *state;

	rule(f, "* 1 truncate=30000");
	get(f, &whole);
	assert_logged(f, "range=bytes=30000-");
}

static void
test_a_truncated_file_is_continued_without_ranges_too(void **state)
{
	struct fixture *f = *state;

	rule(f, "* * norange");
	rule(f, "* 1 truncate=30000");
	get(f, &whole);
	get(f, &middle);
}

static void
test_a_file_that_changes_between_tries_is_corrupt(void **state)
{
	struct fixture *f = *state;

	rule(f, "* 1 truncate=30000");
	rule(f, "* 2- header=ETag:other");
	FAILS(DM_CORRUPT, "changed while it was read",
	    got_fetch(&f->got, f->s.o, "file", &whole, &err));
	/* ranges are of files that do not change, on servers of many kinds */
	httpd_clear(f->s.h);
	rule(f, "* 1 truncate=30000");
	rule(f, "* 2- header=ETag:other");
	get(f, &middle);
}

static void
test_a_reset_connection_is_replaced(void **state)
{
	struct fixture *f = *state;

	rule(f, "* 1 reset=40000");
	rule(f, "* 2 reset=0");
	rule(f, "* 3 drop");
	get(f, &middle);
	assert_true(requests(f) >= 4);
}

static void
test_a_connection_closed_while_idle_is_no_failure(void **state)
{
	struct fixture *f = *state;

	rule(f, "* * hangup");
	for (int i = 0; i < 5; i++)
		get(f, &middle);
	assert_int_equal(requests(f), 5);
}

static void
test_trouble_of_the_server_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct origin_counts counts;

	rule(f, "* 1 status=503");
	rule(f, "* 2 status=500");
	rule(f, "* 3 status=429");
	get(f, &middle);
	assert_int_equal(requests(f), 4);
	origin_counts(f->s.o, &counts);
	assert_int_equal(counts.requests, 4);
	assert_int_equal(counts.retries, 3);
	assert_int_equal(counts.failures, 0);
	assert_true(counts.bytes >= middle.size);
}

static void
test_trouble_that_lasts_is_offline_and_says_so(void **state)
{
	struct fixture *f = *state;
	struct got_range soon = { .size = 10, .timeout_ms = 200 };
	uint64_t before = dm_now_ms();

	rule(f, "* * status=503");
	FAILS(DM_OFFLINE, "/file: HTTP 503 (",
	    got_fetch(&f->got, f->s.o, "file", &soon, &err));
	assert_true(dm_now_ms() - before < 5000);
	assert_true(requests(f) >= 3);
}

static void
test_a_wait_that_the_server_asks_for_is_kept(void **state)
{
	struct fixture *f = *state;
	uint64_t before = dm_now_ms();

	rule(f, "* 1 status=503 retry-after=1");
	get(f, &middle);
	assert_true(dm_now_ms() - before >= 1000);
	assert_int_equal(requests(f), 2);
}

static void
test_a_wait_beyond_the_deadline_is_not_begun(void **state)
{
	struct fixture *f = *state;
	struct got_range soon = { .size = 10, .timeout_ms = 5000 };
	uint64_t before = dm_now_ms();

	rule(f, "* * status=429 retry-after=3600");
	FAILS(DM_OFFLINE, "HTTP 429",
	    got_fetch(&f->got, f->s.o, "file", &soon, &err));
	assert_true(dm_now_ms() - before < 4000);
	assert_int_equal(requests(f), 1);
}

static void
refused(struct fixture *f, const char *status, enum dm_code code)
{
	char text[64];

	httpd_clear(f->s.h);
	httpd_forget(f->s.h);
	(void)snprintf(text, sizeof(text), "* * status=%s", status);
	rule(f, text);
	FAILS(code, status, got_fetch(&f->got, f->s.o, "file", &middle, &err));
	assert_int_equal(requests(f), 1);
}

static void
test_a_permanent_answer_is_asked_for_once(void **state)
{
	struct fixture *f = *state;

	refused(f, "400", DM_DENIED);
	refused(f, "401", DM_DENIED);
	refused(f, "403", DM_DENIED);
	refused(f, "404", DM_NOTFOUND);
	refused(f, "405", DM_DENIED);
	refused(f, "410", DM_NOTFOUND);
	refused(f, "416", DM_CORRUPT);
	refused(f, "204", DM_CORRUPT);
	refused(f, "304", DM_CORRUPT);
}

static void
test_a_file_shorter_than_the_range_is_corrupt(void **state)
{
	struct fixture *f = *state;
	struct got_range beyond = { .off = SERVED_SIZE - 10, .size = 20 };
	struct got_range outside = { .off = SERVED_SIZE, .size = 20 };

	FAILS(DM_CORRUPT, "416",
	    got_fetch(&f->got, f->s.o, "file", &beyond, &err));
	FAILS(DM_CORRUPT, "416",
	    got_fetch(&f->got, f->s.o, "file", &outside, &err));
	rule(f, "* * norange");
	FAILS(DM_CORRUPT, "ends at byte 200000",
	    got_fetch(&f->got, f->s.o, "file", &beyond, &err));
}

static void
test_another_range_than_asked_for_is_never_used(void **state)
{
	struct fixture *f = *state;

	rule(f, "* 1 shift=1");
	get(f, &middle);
	assert_int_equal(requests(f), 2);
	rule(f, "* * shift=7");
	FAILS(DM_CORRUPT, "from 1000 on, got 1007",
	    got_fetch(&f->got, f->s.o, "file", &middle, &err));
	assert_int_equal(f->got.bytes.size, 0);
}

static void
test_less_than_the_range_is_completed(void **state)
{
	struct fixture *f = *state;

	rule(f, "* * short=60000");
	get(f, &middle);
	assert_int_equal(requests(f), 3);
}

static void
test_a_206_without_a_range_is_refused(void **state)
{
	struct fixture *f = *state;

	rule(f, "* * status=206");
	FAILS(DM_CORRUPT, "Content-Range",
	    got_fetch(&f->got, f->s.o, "file", &middle, &err));
	assert_int_equal(f->got.bytes.size, 0);
}

static void
test_a_server_of_another_kind_is_told_from_a_web_server(void **state)
{
	struct fixture *f = *state;

	rule(f, "* * raw=SSH-2.0-OpenSSH_9.2");
	FAILS(DM_CORRUPT, "is this a web server?",
	    got_fetch(&f->got, f->s.o, "file", &middle, &err));
	assert_int_equal(requests(f), 3);
}

static void
test_an_encoded_body_is_refused(void **state)
{
	struct fixture *f = *state;

	rule(f, "* * header=Content-Encoding:gzip");
	FAILS(DM_CORRUPT, "Content-Encoding gzip",
	    got_fetch(&f->got, f->s.o, "file", &whole, &err));
	assert_int_equal(f->got.bytes.size, 0);
}

static void
test_a_chunked_body_is_whole(void **state)
{
	struct fixture *f = *state;

	rule(f, "* * chunked");
	get(f, &whole);
	get(f, &middle);
}

static void
test_a_chunked_body_that_breaks_at_its_end_is_whole(void **state)
{
	struct fixture *f = *state;

	rule(f, "* 1 chunked truncate=200000");
	get(f, &whole);
	assert_int_equal(requests(f), 2);
}

static void
test_a_server_that_falls_silent_is_asked_again(void **state)
{
	struct fixture *f = *state;

	rule(f, "* 1 stall=50000");
	rule(f, "* 2 stall=0");
	get(f, &middle);
	assert_int_equal(requests(f), 3);
}

static void
test_a_slow_body_is_no_silence(void **state)
{
	struct fixture *f = *state;
	struct got_range some = { .size = 10000 };

	rule(f, "* * drip=8000"); /* 1.25 s, and a second is silence */
	get(f, &some);
	assert_int_equal(requests(f), 1);
}

static void
test_the_deadline_ends_a_silent_transfer(void **state)
{
	struct fixture *f = *state;
	struct got_range soon = { .size = 1000, .timeout_ms = 100 };
	uint64_t before = dm_now_ms();

	rule(f, "* * stall=10");
	FAILS(DM_OFFLINE, "in time",
	    got_fetch(&f->got, f->s.o, "file", &soon, &err));
	assert_true(dm_now_ms() - before < 5000);
}

static void
test_the_deadline_ends_a_slow_transfer(void **state)
{
	struct fixture *f = *state;
	struct got_range soon = { .size = 100000, .timeout_ms = 200 };
	uint64_t before = dm_now_ms();

	rule(f, "* * drip=1000");
	FAILS(DM_OFFLINE, "in time",
	    got_fetch(&f->got, f->s.o, "file", &soon, &err));
	assert_true(dm_now_ms() - before < 5000);
}

static void
test_a_reader_who_wants_no_more_gets_no_more(void **state)
{
	struct fixture *f = *state;

	rule(f, "* * stall=100000");
	f->got.stop_after = 1000;
	FAILS(DM_CANCELLED, "not wanted",
	    got_fetch(&f->got, f->s.o, "file", &middle, &err));
	assert_int_equal(requests(f), 1);
}

static void
test_caches_are_passed_by_when_told_to(void **state)
{
	struct fixture *f = *state;
	struct got_range again = whole;

	get(f, &whole);
	assert_logged(f,
	    "GET /file status=200 bytes=200000 connection=1"
	    " range=- host=127.0.0.1:");
	again.fresh = ORIGIN_REVALIDATE;
	get(f, &again);
	assert_logged(f, "cache-control=no-cache");
	again.fresh = ORIGIN_UNIQUE;
	get(f, &again);
	assert_logged(f, "GET /file?dm=");
}

static void
test_a_page_of_a_captive_portal_is_given_as_it_is(void **state)
{
	struct fixture *f = *state;

	rule(f, "* * html");
	OK(got_fetch(&f->got, f->s.o, "file", &whole, &err));
	assert_non_null(strstr(f->got.bytes.data, "<html>"));
	FAILS(DM_CORRUPT, "too early",
	    got_fetch(&f->got, f->s.o, "file", &middle, &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_range_comes_in_one_request_and_no_more_bytes),
		TEST(test_a_whole_file_comes_in_one_request),
		TEST(test_requests_one_after_another_share_a_connection),
		TEST(test_an_empty_file_is_no_error),
		TEST(test_names_are_encoded),
		TEST(test_a_server_without_ranges_serves_them_all_the_same),
		TEST(
		    test_no_more_is_read_of_an_endless_body_than_was_asked_for),
		TEST(test_more_bytes_than_the_limit_are_corrupt),
		TEST(test_bytes_behind_a_range_are_cut_off),
		TEST(test_a_truncated_body_is_continued_where_it_broke),
		TEST(test_a_truncated_whole_file_is_continued),
		TEST(test_a_truncated_file_is_continued_without_ranges_too),
		TEST(test_a_file_that_changes_between_tries_is_corrupt),
		TEST(test_a_reset_connection_is_replaced),
		TEST(test_a_connection_closed_while_idle_is_no_failure),
		TEST(test_trouble_of_the_server_is_waited_for),
		TEST(test_trouble_that_lasts_is_offline_and_says_so),
		TEST(test_a_wait_that_the_server_asks_for_is_kept),
		TEST(test_a_wait_beyond_the_deadline_is_not_begun),
		TEST(test_a_permanent_answer_is_asked_for_once),
		TEST(test_a_file_shorter_than_the_range_is_corrupt),
		TEST(test_another_range_than_asked_for_is_never_used),
		TEST(test_less_than_the_range_is_completed),
		TEST(test_a_206_without_a_range_is_refused),
		TEST(test_a_server_of_another_kind_is_told_from_a_web_server),
		TEST(test_an_encoded_body_is_refused),
		TEST(test_a_chunked_body_is_whole),
		TEST(test_a_chunked_body_that_breaks_at_its_end_is_whole),
		TEST(test_a_server_that_falls_silent_is_asked_again),
		TEST(test_a_slow_body_is_no_silence),
		TEST(test_the_deadline_ends_a_silent_transfer),
		TEST(test_the_deadline_ends_a_slow_transfer),
		TEST(test_a_reader_who_wants_no_more_gets_no_more),
		TEST(test_caches_are_passed_by_when_told_to),
		TEST(test_a_page_of_a_captive_portal_is_given_as_it_is),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
