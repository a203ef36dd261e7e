/* What a hostile server may answer, and what becomes of it: no byte of it is
 * used, and nobody else learns what was meant for this server. */
#include "tests/unit/check.h"

#include "cache/net/origin.h"
#include "tests/lib/httpd.h"
#include "tests/lib/result.h"
#include "tests/unit/two_servers.h"

static uint64_t tried;

struct answer {
	const char *rule; /* of httpd.h */
	enum dm_code code;
	const char *says;
};

/* Long enough for the tries that wrong answers get, on a slow machine. */
static const struct got_range middle = { .off = 1000, .size = 1000 };

static void
rule(struct httpd *h, const char *text)
{
	httpd_clear(h);
	OK(httpd_rule(h, text, &err));
}

/* Each of the n answers, to every try, ends in its error and no byte. */
static void
refuse(struct fixture *f, const struct answer *a, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct dm_err err = { 0 };

		rule(f->s.h, a[i].rule);
		if (got_fetch(&f->got, f->s.o, "file", &middle, &err) == 0)
			fail_msg("taken: %s", a[i].rule);
		else if (err.code != a[i].code ||
		    strstr(err.text, a[i].says) == NULL)
			fail_msg("%s: %d %s, not %d %s", a[i].rule,
			    (int)err.code, err.text, (int)a[i].code, a[i].says);
		for (const char *p = err.text; *p != '\0'; p++)
			if ((unsigned char)*p < ' ' || *p == '\x7f')
				fail_msg("control bytes said: %s", err.text);
		assert_int_equal(f->got.bytes.size, 0);
		tried++;
	}
}

static void
test_hostile_answers_give_no_byte(void **state)
{
	static const struct answer answers[] = {
		{ "* * status=206", DM_CORRUPT, "Content-Range" },
		{ "* * status=206 header=Content-Range:bytes", DM_CORRUPT,
		    "Content-Range" },
		{ "* * status=206 header=Content-Range:bytes_0-999/200000",
		    DM_CORRUPT, "Content-Range" },
		{ "* * status=206 header=Content-Range:bytes_*/200000",
		    DM_CORRUPT, "Content-Range" },
		{ "* * status=206 header=Content-Range:items_1000-1999/2000",
		    DM_CORRUPT, "Content-Range" },
		{ "* * status=206 header=Content-Range:"
		  "bytes_1000-99999999999999999999/*",
		    DM_CORRUPT, "Content-Range" },
		{ "* * status=206 header=Content-Range:bytes_1999-1000/*",
		    DM_CORRUPT, "Content-Range" },
		{ "* * shift=1", DM_CORRUPT, "from 1000 on, got 1001" },
		{ "* * shift=100000", DM_CORRUPT, "from 1000 on, got" },
		{ "* * status=203", DM_CORRUPT, "203" },
		{ "* * status=205", DM_CORRUPT, "205" },
		{ "* * status=226", DM_CORRUPT, "226" },
		{ "* * status=299", DM_CORRUPT, "299" },
		{ "* * status=300", DM_CORRUPT, "300" },
		{ "* * status=402", DM_DENIED, "402" },
		{ "* * status=407", DM_DENIED, "407" },
		{ "* * status=418", DM_DENIED, "418" },
		{ "* * status=451", DM_DENIED, "451" },
		{ "* * header=Content-Encoding:gzip", DM_CORRUPT,
		    "Content-Encoding gzip" },
		{ "* * header=Content-Encoding:br", DM_CORRUPT,
		    "Content-Encoding br" },
		{ "* * header=Content-Encoding:a\x1b[2J", DM_CORRUPT,
		    "Content-Encoding" },
		{ "* * raw=SSH-2.0-x", DM_CORRUPT, "web server?" },
		{ "* * raw=220_ready", DM_CORRUPT, "web server?" },
		{ "* * raw=\x1b[2J", DM_CORRUPT, "web server?" },
		{ "* * raw=HTTP/9.9_200_OK", DM_CORRUPT, "" },
		{ "* * raw=HTTP/1.1_99999_x", DM_CORRUPT, "" },
		{ "* * status=429 retry-after=86401", DM_OFFLINE, "429" },
		{ "* * status=503 retry-after=99999999999999999999", DM_OFFLINE,
		    "503" },
		{ "* * status=503 "
		  "retry-after=Fri,_31_Dec_9999_23:59:59_GMT",
		    DM_OFFLINE, "503" },
	};

	refuse(*state, answers, sizeof(answers) / sizeof(answers[0]));
}

static void
test_hostile_redirects_lead_nowhere(void **state)
{
	static const struct answer answers[] = {
		{ "* * redirect=file:///etc/passwd", DM_DENIED, "neither" },
		{ "* * redirect=FiLe:///etc/passwd", DM_DENIED, "neither" },
		{ "* * redirect=ftp://127.0.0.1/x", DM_DENIED, "neither" },
		{ "* * redirect=dict://127.0.0.1:1/x", DM_DENIED, "neither" },
		{ "* * redirect=gopher://127.0.0.1:1/x", DM_DENIED, "neither" },
		{ "* * redirect=ldap://127.0.0.1:1/x", DM_DENIED, "neither" },
		{ "* * redirect=javascript:alert(1)", DM_DENIED, "neither" },
		{ "* * redirect=http://u:p@127.0.0.1/", DM_DENIED,
		    "malformed" },
		{ "* * redirect=http://127.0.0.1:0/", DM_DENIED, "malformed" },
		{ "* * redirect=http://127.0.0.1:65536/", DM_DENIED,
		    "malformed" },
		{ "* * redirect=http://169.254.169.254/", DM_DENIED,
		    "internal" },
		{ "* * redirect=http://0xa9fea9fe/", DM_DENIED, "internal" },
		{ "* * redirect=http://0251.0376.0251.0376/", DM_DENIED,
		    "internal" },
		{ "* * redirect=http://169.254.43518/", DM_DENIED, "internal" },
		{ "* * redirect=http://[::ffff:a9fe:a9fe]/", DM_DENIED,
		    "internal" },
		{ "* * redirect=http://[64:ff9b::a9fe:a9fe]/", DM_DENIED,
		    "internal" },
		{ "* * redirect=http://100.100.100.200/", DM_DENIED,
		    "internal" },
		{ "* * redirect=http://168.63.129.16/", DM_DENIED, "internal" },
		{ "* * redirect=http://192.0.0.192/", DM_DENIED, "internal" },
		{ "* * redirect=/file", DM_DENIED, "more than 3" },
		{ "* * redirect=?x", DM_DENIED, "more than 3" },
	};

	refuse(*state, answers, sizeof(answers) / sizeof(answers[0]));
}

/* The one line of the log of h; the caller releases it. */
static void
only_request(struct httpd *h, struct dm_buf *log)
{
	OK(httpd_log(h, log, &err));
	assert_int_equal(httpd_count(h, "*"), 1);
}

static void
lacks(const struct dm_buf *log, const char *part)
{
	if (strstr(log->data, part) != NULL)
		fail_msg("%s in: %s", part, log->data);
}

static void
has(const struct dm_buf *log, const char *part)
{
	if (strstr(log->data, part) == NULL)
		fail_msg("no %s in: %s", part, log->data);
}

/* From an origin with a token in its query, to another port and host. */
static void
leads(struct fixture *f, const char *host)
{
	struct dm_buf log = DM_BUF(1 << 16);
	struct origin *o = NULL;
	char text[256], sees[64];

	httpd_clear(f->s.h);
	httpd_forget(f->s.h);
	httpd_forget(f->other.h);
	(void)snprintf(text, sizeof(text), "%s?sig=CANARY", httpd_url(f->s.h));
	OK(origin_open(&o, f->s.net, text, &err));
	(void)snprintf(sees, sizeof(sees), "%s:%u", host,
	    httpd_port(f->other.h));
	(void)snprintf(text, sizeof(text), "* * redirect=http://%s/file", sees);
	OK(httpd_rule(f->s.h, text, &err));
	OK(httpd_rule(f->s.h, "* * header=Set-Cookie:id=CANARY", &err));
	OK(got_fetch(&f->got, o, "file", &middle, &err));
	assert_true(got_is_right(&f->got, middle.off, middle.size));
	only_request(f->s.h, &log);
	has(&log, "sig=CANARY");
	dm_buf_clear(&log);
	only_request(f->other.h, &log);
	lacks(&log, "CANARY");
	has(&log, "authorization=- ");
	has(&log, "cookie=- ");
	has(&log, "referer=-");
	(void)snprintf(text, sizeof(text), "host=%s ", sees);
	has(&log, text);
	dm_buf_release(&log);
	origin_close(o);
}

static void
test_who_is_redirected_to_learns_nothing_of_who_sent_us(void **state)
{
	leads(*state, "127.0.0.1");
	leads(*state, "localhost");
	tried += 2;
}

static void
test_a_cookie_is_never_given_back(void **state)
{
	struct fixture *f = *state;
	struct dm_buf log = DM_BUF(1 << 16);

	OK(httpd_rule(f->s.h, "* * header=Set-Cookie:id=CANARY;_Path=/", &err));
	OK(got_fetch(&f->got, f->s.o, "file", &middle, &err));
	OK(got_fetch(&f->got, f->s.o, "file", &middle, &err));
	OK(httpd_log(f->s.h, &log, &err));
	assert_int_equal(httpd_count(f->s.h, "*"), 2);
	lacks(&log, "CANARY");
	dm_buf_release(&log);
	tried++;
}

static int
record_result(void **state)
{
	(void)state;
	result_add("hostile-inputs", tried, 0, 0);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hostile_answers_give_no_byte),
		TEST(test_hostile_redirects_lead_nowhere),
		TEST(test_who_is_redirected_to_learns_nothing_of_who_sent_us),
		TEST(test_a_cookie_is_never_given_back),
	};

	return cmocka_run_group_tests_name("hostile http", tests, NULL,
	    record_result);
}
