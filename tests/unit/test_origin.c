/* cache/net/origin: opening, folders, and the call that waits. */
#include "cache/net/origin.h"
#include "tests/unit/check.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "tests/lib/httpd.h"
#include "tests/lib/served.h"

struct fixture {
	struct served s;
	struct origin *folder;
	struct got got;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct dm_err err = { 0 };

	if (f == NULL || served_open(&f->s, &err) < 0 ||
	    origin_open(&f->folder, f->s.net, f->s.root, &err) < 0)
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
	origin_close(f->folder);
	got_release(&f->got);
	free(f);
	return 0;
}

static const struct got_range middle = { .off = 1000, .size = 150000 };
static const struct got_range whole = { .limit = SERVED_SIZE };

static void
named(struct fixture *f, const char *url, const char *name, const char *folder)
{
	struct origin *o = NULL;

	OK(origin_open(&o, f->s.net, url, &err));
	assert_string_equal(origin_name(o), name);
	if (folder == NULL)
		assert_null(origin_folder(o));
	else
		assert_string_equal(origin_folder(o), folder);
	origin_close(o);
}

static void
test_an_origin_is_named_without_its_query(void **state)
{
	struct fixture *f = *state;

	named(f, "http://h/a/?sig=SECRET", "http://h/a", NULL);
	named(f, "HTTPS://h:8443", "https://h:8443", NULL);
	named(f, "/srv/data/", "/srv/data", "/srv/data");
	named(f, "/", "/", "/");
	named(f, "file:///srv/a%20b/", "/srv/a b", "/srv/a b");
}

static void
test_a_folder_stays_the_same_when_the_process_moves(void **state)
{
	struct fixture *f = *state;
	char here[4096];
	struct origin *o = NULL;

	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir(f->s.root), 0);
	OK(origin_open(&o, f->s.net, ".", &err));
	assert_int_equal(chdir(here), 0);
	OK(got_fetch(&f->got, o, "file", &middle, &err));
	assert_true(got_is_right(&f->got, middle.off, middle.size));
	origin_close(o);
}

static void
test_what_is_no_origin_is_refused(void **state)
{
	struct fixture *f = *state;
	struct origin *o = NULL;

	FAILS(DM_INVALID, "empty", origin_open(&o, f->s.net, "", &err));
	FAILS(DM_INVALID, "names no host",
	    origin_open(&o, f->s.net, "http://", &err));
	FAILS(DM_INVALID, "password",
	    origin_open(&o, f->s.net, "https://u:p@h/", &err));
	FAILS(DM_INVALID, "neither",
	    origin_open(&o, f->s.net, "ftp://h/", &err));
	FAILS(DM_INVALID, "full path",
	    origin_open(&o, f->s.net, "file://x", &err));
	assert_null(o);
}

static void
test_a_folder_gives_ranges_and_whole_files(void **state)
{
	struct fixture *f = *state;
	struct origin_counts counts;

	OK(got_fetch(&f->got, f->folder, "file", &middle, &err));
	assert_true(got_is_right(&f->got, middle.off, middle.size));
	OK(got_fetch(&f->got, f->folder, "file", &whole, &err));
	assert_true(got_is_right(&f->got, 0, SERVED_SIZE));
	origin_counts(f->folder, &counts);
	assert_int_equal(counts.requests, 2);
	assert_int_equal(counts.bytes, middle.size + SERVED_SIZE);
	assert_int_equal(counts.failures, 0);
}

static void
test_a_folder_is_no_more_trusted_than_a_server(void **state)
{
	struct fixture *f = *state;
	struct got_range small = { .limit = SERVED_SIZE - 1 };
	struct got_range beyond = { .off = SERVED_SIZE - 10, .size = 20 };
	char path[128];

	FAILS(DM_CORRUPT, "larger than 199999 bytes",
	    got_fetch(&f->got, f->folder, "file", &small, &err));
	FAILS(DM_CORRUPT, "ends at byte 200000 of 200010",
	    got_fetch(&f->got, f->folder, "file", &beyond, &err));
	FAILS(DM_NOTFOUND, "gone",
	    got_fetch(&f->got, f->folder, "gone", &whole, &err));
	FAILS(DM_NOTFOUND, "file/x",
	    got_fetch(&f->got, f->folder, "file/x", &whole, &err));
	FAILS(DM_INVALID, "bad path",
	    got_fetch(&f->got, f->folder, "../file", &whole, &err));
	(void)snprintf(path, sizeof(path), "%s/pipe", f->s.root);
	assert_int_equal(mkfifo(path, 0600), 0);
	FAILS(DM_CORRUPT, "not a regular file",
	    got_fetch(&f->got, f->folder, "pipe", &whole, &err));
}

static void
test_a_file_without_permission_is_denied(void **state)
{
	struct fixture *f = *state;
	char path[128];

	bool root = geteuid() == 0;

	(void)snprintf(path, sizeof(path), "%s/file", f->s.root);
	assert_int_equal(chmod(path, 0), 0);
	if (root) /* who may read all, becomes nobody, in every thread */
		assert_int_equal(seteuid(65534), 0);
	FAILS(DM_DENIED, "/file",
	    got_fetch(&f->got, f->folder, "file", &whole, &err));
	if (root)
		assert_int_equal(seteuid(0), 0);
}

static void
test_a_reader_of_a_folder_may_stop(void **state)
{
	struct fixture *f = *state;

	f->got.stop_after = 1000;
	FAILS(DM_CANCELLED, "not wanted",
	    got_fetch(&f->got, f->folder, "file", &whole, &err));
}

static void
test_ranges_that_make_no_sense_are_refused(void **state)
{
	struct fixture *f = *state;
	struct got_range huge = { .off = UINT64_MAX, .size = 10 };
	struct got_range late = { .off = INT64_MAX, .size = 10 };
	struct got_range part = { .off = 10, .limit = 10 };

	FAILS(DM_INVALID, "bad range",
	    got_fetch(&f->got, f->s.o, "file", &huge, &err));
	FAILS(DM_INVALID, "bad range",
	    got_fetch(&f->got, f->s.o, "file", &late, &err));
	FAILS(DM_INVALID, "bad range",
	    got_fetch(&f->got, f->s.o, "file", &part, &err));
	assert_int_equal(httpd_count(f->s.h, "*"), 0);
}

/* The same for either kind of origin. */
static void
reads(struct origin *o, size_t max, bool *found, struct dm_buf *out)
{
	out->max = max;
	OK(origin_read(o, "file", dm_deadline_ms(5000), out, found, &err));
}

static void
test_a_small_file_is_read_in_one_call(void **state)
{
	struct fixture *f = *state;
	struct dm_buf out = DM_BUF(0);
	bool found = false;

	reads(f->folder, SERVED_SIZE, &found, &out);
	assert_true(found);
	assert_int_equal(out.size, SERVED_SIZE);
	dm_buf_clear(&out);
	reads(f->s.o, SERVED_SIZE, &found, &out);
	assert_true(found);
	assert_int_equal(out.size, SERVED_SIZE);
	dm_buf_release(&out);
}

static void
test_a_file_that_is_not_there_is_not_found(void **state)
{
	struct fixture *f = *state;
	struct dm_buf out = DM_BUF(100);
	bool found = true;

	OK(origin_read(f->folder, "gone", DM_NEVER_MS, &out, &found, &err));
	assert_false(found);
	found = true;
	OK(origin_read(f->s.o, "gone", DM_NEVER_MS, &out, &found, &err));
	assert_false(found);
	assert_int_equal(httpd_count(f->s.h, "*"), 1);
}

static void
test_a_read_that_fails_leaves_the_buffer_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct dm_buf out = DM_BUF(SERVED_SIZE);
	bool found;

	OK(dm_buf_append(&out, "before", 6, &err));
	FAILS(DM_CORRUPT, "larger than 199994 bytes",
	    origin_read(f->folder, "file", DM_NEVER_MS, &out, &found, &err));
	assert_int_equal(out.size, 6);
	FAILS(DM_CORRUPT, "larger than 199994 bytes",
	    origin_read(f->s.o, "file", DM_NEVER_MS, &out, &found, &err));
	assert_int_equal(out.size, 6);
	dm_buf_release(&out);
}

static void
test_the_query_of_a_signed_folder_is_sent_and_never_shown(void **state)
{
	struct fixture *f = *state;
	struct dm_buf log = DM_BUF(1 << 20);
	struct origin *o = NULL;
	char url[128];

	(void)snprintf(url, sizeof(url), "%s?sig=SECRET", httpd_url(f->s.h));
	OK(origin_open(&o, f->s.net, url, &err));
	assert_null(strstr(origin_name(o), "SECRET"));
	OK(got_fetch(&f->got, o, "file", &whole, &err));
	OK(httpd_log(f->s.h, &log, &err));
	assert_non_null(strstr(log.data, "GET /file?sig=SECRET "));
	FAILS(DM_NOTFOUND, "/gone: HTTP 404",
	    got_fetch(&f->got, o, "gone", &whole, &err));
	assert_null(strstr(f->got.err.text, "SECRET"));
	origin_close(o);
	dm_buf_release(&log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_origin_is_named_without_its_query),
		TEST(test_a_folder_stays_the_same_when_the_process_moves),
		TEST(test_what_is_no_origin_is_refused),
		TEST(test_a_folder_gives_ranges_and_whole_files),
		TEST(test_a_folder_is_no_more_trusted_than_a_server),
		TEST(test_a_file_without_permission_is_denied),
		TEST(test_a_reader_of_a_folder_may_stop),
		TEST(test_ranges_that_make_no_sense_are_refused),
		TEST(test_a_small_file_is_read_in_one_call),
		TEST(test_a_file_that_is_not_there_is_not_found),
		TEST(test_a_read_that_fails_leaves_the_buffer_as_it_was),
		TEST(test_the_query_of_a_signed_folder_is_sent_and_never_shown),
	};

	return cmocka_run_group_tests_name("origin", tests, NULL, NULL);
}
