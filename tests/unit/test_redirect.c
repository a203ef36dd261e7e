/* cache/net: where a server may send us, and where not. */
#include "cache/net/origin.h"
#include "tests/unit/check.h"

#include "tests/lib/httpd.h"
#include "tests/unit/two_servers.h"

static const struct got_range middle = { .off = 1000, .size = 150000 };

/* From now on, which requests for path are redirected to to. */
static void
redirect(struct served *s, const char *path, const char *which, const char *to)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "%s %s redirect=%s", path, which,
	    to);
	OK(httpd_rule(s->h, text, &err));
}

static const char *
at(struct served *s, const char *path)
{
	static char url[128];

	(void)snprintf(url, sizeof(url), "%s%s", httpd_url(s->h), path);
	return url;
}

static void
refused(struct fixture *f, const char *to, const char *says)
{
	httpd_clear(f->s.h);
	httpd_forget(f->s.h);
	redirect(&f->s, "/file", "*", to);
	FAILS(DM_DENIED, says,
	    got_fetch(&f->got, f->s.o, "file", &middle, &err));
	assert_int_equal(httpd_count(f->s.h, "*"), 1);
	assert_int_equal(f->got.bytes.size, 0);
}

static void
test_a_redirect_is_followed_with_the_range(void **state)
{
	struct fixture *f = *state;

	redirect(&f->s, "/file", "*", at(&f->other, "/file"));
	OK(got_fetch(&f->got, f->s.o, "file", &middle, &err));
	assert_true(got_is_right(&f->got, middle.off, middle.size));
	assert_int_equal(httpd_count(f->other.h, "/file"), 1);
	assert_int_equal(httpd_bytes(f->other.h, "/file"), middle.size);
}

static void
test_a_relative_redirect_is_followed(void **state)
{
	struct fixture *f = *state;

	OK(served_add(&f->s, "d/moved", SERVED_SIZE, &err));
	redirect(&f->s, "/file", "*", "d/moved");
	OK(got_fetch(&f->got, f->s.o, "file", &middle, &err));
	assert_true(got_is_right(&f->got, middle.off, middle.size));
}

static void
test_three_redirects_are_followed_and_no_fourth(void **state)
{
	struct fixture *f = *state;

	redirect(&f->s, "/file", "1-3", "/file");
	OK(got_fetch(&f->got, f->s.o, "file", &middle, &err));
	assert_int_equal(httpd_count(f->s.h, "/file"), 4);
	httpd_forget(f->s.h);
	redirect(&f->s, "/file", "*", "/file");
	FAILS(DM_DENIED, "more than 3 redirects",
	    got_fetch(&f->got, f->s.o, "file", &middle, &err));
	assert_int_equal(httpd_count(f->s.h, "/file"), 4);
}

static void
test_a_redirect_to_another_scheme_is_refused(void **state)
{
	struct fixture *f = *state;

	refused(f, "file:///etc/passwd", "neither to http nor https");
	refused(f, "ftp://127.0.0.1/x", "neither to http nor https");
	refused(f, "gopher://127.0.0.1:1/x", "neither to http nor https");
	refused(f, "http://u:p@127.0.0.1/", "malformed");
}

static void
test_a_redirect_to_an_internal_address_is_refused(void **state)
{
	struct fixture *f = *state;

	refused(f, "http://169.254.169.254/latest/meta-data", "internal");
	refused(f, "http://2852039166/", "internal address 169.254.169.254");
	refused(f, "http://[::ffff:169.254.169.254]/", "internal");
	refused(f, "http://[fe80::1]/", "internal");
	refused(f, "http://[fd00:ec2::254]/", "internal");
}

static void
test_a_try_that_failed_elsewhere_begins_here_again(void **state)
{
	struct fixture *f = *state;

	redirect(&f->s, "/file", "*", at(&f->other, "/file"));
	OK(httpd_rule(f->other.h, "* 1 truncate=20000", &err));
	OK(httpd_rule(f->other.h, "* 2 status=503", &err));
	OK(got_fetch(&f->got, f->s.o, "file", &middle, &err));
	assert_true(got_is_right(&f->got, middle.off, middle.size));
	assert_int_equal(httpd_count(f->s.h, "/file"), 3);
	assert_int_equal(httpd_count(f->other.h, "/file"), 3);
}

static void
test_what_is_missing_elsewhere_is_not_found(void **state)
{
	struct fixture *f = *state;

	redirect(&f->s, "/file", "*", at(&f->other, "/gone"));
	FAILS(DM_NOTFOUND, "/gone: HTTP 404",
	    got_fetch(&f->got, f->s.o, "file", &middle, &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_redirect_is_followed_with_the_range),
		TEST(test_a_relative_redirect_is_followed),
		TEST(test_three_redirects_are_followed_and_no_fourth),
		TEST(test_a_redirect_to_another_scheme_is_refused),
		TEST(test_a_redirect_to_an_internal_address_is_refused),
		TEST(test_a_try_that_failed_elsewhere_begins_here_again),
		TEST(test_what_is_missing_elsewhere_is_not_found),
	};

	return cmocka_run_group_tests_name("redirect", tests, NULL, NULL);
}
