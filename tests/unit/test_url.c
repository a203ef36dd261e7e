/* cache/net/url: which URLs are taken, and what becomes of them. */
#include "cache/net/url.h"
#include "tests/unit/check.h"

static void
test_good_urls_are_normalised(void **state)
{
	static const struct {
		const char *text, *root, *host, *query;
	} cases[] = {
		{ "http://h", "http://h", "h", "" },
		{ "HTTPS://H.example/", "https://H.example", "H.example", "" },
		{ "http://h:8000/a/b//", "http://h:8000/a/b", "h", "" },
		{ "http://[::1]:80/x", "http://[::1]:80/x", "::1", "" },
		{ "http://127.0.0.1", "http://127.0.0.1", "127.0.0.1", "" },
		{ "http://h/a b/\xc3\xa9\"", "http://h/a%20b/%C3%A9%22", "h",
		    "" },
		{ "http://h/a%20b", "http://h/a%20b", "h", "" },
		{ "http://h/@x", "http://h/@x", "h", "" },
		{ "http://h/p/?sig=a/b&c=%2F", "http://h/p", "h",
		    "sig=a/b&c=%2F" },
		{ "http://h?q", "http://h", "h", "q" },
	};
	struct url u;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		OK(url_parse(&u, cases[i].text, &err));
		assert_string_equal(u.root, cases[i].root);
		assert_string_equal(u.host, cases[i].host);
		assert_string_equal(u.query, cases[i].query);
		assert_int_equal(u.is_https, u.root[4] == 's');
	}
}

static void
test_bad_urls_are_refused_with_the_reason(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "http://", "names no host" },
		{ "http:///path", "names no host" },
		{ "http://:80/", "names no host" },
		{ "http://[]/", "names no host" },
		{ "http://[::1/", "no \"]\"" },
		{ "http://[::1]x/", "malformed" },
		{ "http://h:/", "port" },
		{ "http://h:0/", "port" },
		{ "http://h:65536/", "port" },
		{ "http://h:99999999999999999999/", "port" },
		{ "http://h:8a/", "port" },
		{ "http://h\\x/", "malformed" },
		{ "http://a b/", "malformed" },
		{ "http://u@h/", "user or a password" },
		{ "http://u:p@h/", "user or a password" },
		{ "http://h/#f", "fragment" },
		{ "http://h/?q#f", "fragment" },
		{ "http://h/\n", "control" },
		{ "http://h/?\x7f", "control" },
		{ "ftp://h/", "ftp: neither" },
		{ "s3://h/", "s3: neither" },
	};
	struct url u;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		FAILS(DM_INVALID, cases[i].says,
		    url_parse(&u, cases[i].text, &err));
}

static void
test_a_url_that_is_too_long_is_refused(void **state)
{
	char text[2 * URL_MAX] = "http://h/";
	struct url u;

	(void)state;
	memset(text + 9, 'a', sizeof(text) - 10);
	FAILS(DM_INVALID, "too long", url_parse(&u, text, &err));
	memset(text + 9, ' ', URL_MAX / 2);
	text[9 + URL_MAX / 2] = '\0';
	FAILS(DM_INVALID, "too long", url_parse(&u, text, &err));
	memset(text + 7, 'h', 300);
	FAILS(DM_INVALID, "too long", url_parse(&u, text, &err));
	text[8] = '?';
	FAILS(DM_INVALID, "too long", url_parse(&u, text, &err));
}

static void
test_an_error_shows_neither_query_nor_password(void **state)
{
	struct dm_err err = { 0 };
	struct url u;

	(void)state;
	assert_int_equal(url_parse(&u, "http://h:0/?SECRET", &err), -1);
	assert_null(strstr(err.text, "SECRET"));
	assert_int_equal(url_parse(&u, "http://u:SECRET@h/", &err), -1);
	assert_null(strstr(err.text, "SECRET"));
	assert_int_equal(url_parse(&u, "http://h:0/?SECRET#f", &err), -1);
	assert_null(strstr(err.text, "SECRET"));
}

static void
joins(const char *root, const char *path, const char *extra, const char *want)
{
	struct dm_buf out = DM_BUF(1 << 16);
	struct url u;

	OK(url_parse(&u, root, &err));
	OK(url_join(&out, &u, path, extra, &err));
	assert_string_equal(out.data, want);
	dm_buf_release(&out);
}

static void
test_paths_are_joined_and_encoded(void **state)
{
	(void)state;
	joins("http://h", "a/b", NULL, "http://h/a/b");
	joins("http://h/r/", "a", "dm=1", "http://h/r/a?dm=1");
	joins("http://h/r?s=1", "a", NULL, "http://h/r/a?s=1");
	joins("http://h/r?s=1", "a", "dm=1", "http://h/r/a?s=1&dm=1");
	joins("http://h", "a?b#c%20\xff", NULL, "http://h/a%3Fb%23c%2520%FF");
}

static void
test_paths_stay_below_their_root(void **state)
{
	(void)state;
	assert_true(url_path_valid("a"));
	assert_true(url_path_valid("a/..b/...c"));
	assert_false(url_path_valid(""));
	assert_false(url_path_valid("/a"));
	assert_false(url_path_valid("a/"));
	assert_false(url_path_valid("a//b"));
	assert_false(url_path_valid("../a"));
	assert_false(url_path_valid("a/.."));
	assert_false(url_path_valid("a/./b"));
	assert_false(url_path_valid("a\nb"));
}

static void
test_what_has_a_scheme_is_no_folder(void **state)
{
	(void)state;
	assert_true(url_has_scheme("http://h"));
	assert_true(url_has_scheme("s3+x://h"));
	assert_false(url_has_scheme("/a://b"));
	assert_false(url_has_scheme("a:b"));
	assert_false(url_has_scheme("://"));
	assert_false(url_has_scheme(""));
}

static void
test_redirects_lead_to_web_servers_only(void **state)
{
	(void)state;
	OK(url_check_redirect(false, "http://h/?secret", &err));
	OK(url_check_redirect(false, "https://h/", &err));
	OK(url_check_redirect(true, "https://h/#fragment", &err));
	FAILS(DM_DENIED, "from https to http://h/",
	    url_check_redirect(true, "http://h/", &err));
	FAILS(DM_DENIED, "neither",
	    url_check_redirect(false, "file:///x", &err));
	FAILS(DM_DENIED, "neither", url_check_redirect(false, "ftp://h", &err));
	FAILS(DM_DENIED, "malformed",
	    url_check_redirect(false, "http://u:p@h/", &err));
	FAILS(DM_DENIED, "malformed",
	    url_check_redirect(false, "http:///x", &err));
}

static void
test_file_urls_are_decoded(void **state)
{
	char out[32];

	(void)state;
	OK(url_file_path(out, sizeof(out), "file:///a%20b/%41", &err));
	assert_string_equal(out, "/a b/A");
	OK(url_file_path(out, sizeof(out), "file://localhost/x", &err));
	assert_string_equal(out, "/x");
	FAILS(DM_INVALID, "full path",
	    url_file_path(out, sizeof(out), "file://host/x", &err));
	FAILS(DM_INVALID, "full path",
	    url_file_path(out, sizeof(out), "file://", &err));
	FAILS(DM_INVALID, "malformed",
	    url_file_path(out, sizeof(out), "file:///%", &err));
	FAILS(DM_INVALID, "malformed",
	    url_file_path(out, sizeof(out), "file:///%4", &err));
	FAILS(DM_INVALID, "malformed",
	    url_file_path(out, sizeof(out), "file:///%00", &err));
	FAILS(DM_INVALID, "query",
	    url_file_path(out, sizeof(out), "file:///a?b", &err));
	FAILS(DM_INVALID, "too long",
	    url_file_path(out, 4, "file:///abcd", &err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_urls_are_normalised),
		cmocka_unit_test(test_bad_urls_are_refused_with_the_reason),
		cmocka_unit_test(test_a_url_that_is_too_long_is_refused),
		cmocka_unit_test(
		    test_an_error_shows_neither_query_nor_password),
		cmocka_unit_test(test_paths_are_joined_and_encoded),
		cmocka_unit_test(test_paths_stay_below_their_root),
		cmocka_unit_test(test_what_has_a_scheme_is_no_folder),
		cmocka_unit_test(test_redirects_lead_to_web_servers_only),
		cmocka_unit_test(test_file_urls_are_decoded),
	};

	return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
