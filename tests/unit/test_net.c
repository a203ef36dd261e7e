/* cache/net/net: many transfers at once, and the end of all of them. */
#include "cache/net/origin.h"
#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "tests/lib/httpd.h"
#include "tests/lib/served.h"

enum { MANY = 40 };

struct fixture {
	struct served s;
	struct got got[MANY];
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct dm_err err = { 0 };

	if (f == NULL || served_open(&f->s, &err) < 0)
		return -1;
	for (int i = 0; i < MANY; i++)
		got_init(&f->got[i]);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	served_close(&f->s);
	for (int i = 0; i < MANY; i++)
		got_release(&f->got[i]);
	free(f);
	return 0;
}

static void
start_many(struct fixture *f)
{
	for (unsigned i = 0; i < MANY; i++) {
		struct got_range r = { .off = i * 100, .size = 5000 };

		got_start(&f->got[i], f->s.o, "file", &r);
	}
}

static void
test_transfers_share_the_connections_allowed(void **state)
{
	struct fixture *f = *state;

	OK(httpd_rule(f->s.h, "* * barrier=go", &err));
	start_many(f);
	OK(httpd_wait(f->s.h, "*", 8, &err));
	httpd_release(f->s.h, "go");
	for (unsigned i = 0; i < MANY; i++) {
		assert_true(got_wait(&f->got[i]));
		assert_string_equal(f->got[i].err.text, "");
		assert_true(got_is_right(&f->got[i], i * 100, 5000));
	}
	assert_int_equal(httpd_count(f->s.h, "*"), MANY);
	assert_int_equal(httpd_connections(f->s.h), 8);
}

static void
test_waiting_for_a_connection_is_no_silence(void **state)
{
	struct fixture *f = *state;

	/* 40 requests of 250 ms on 8 connections: the last waits for longer
	 * than a try may be silent */
	OK(httpd_rule(f->s.h, "* * delay=250", &err));
	start_many(f);
	for (unsigned i = 0; i < MANY; i++) {
		assert_true(got_wait(&f->got[i]));
		assert_string_equal(f->got[i].err.text, "");
	}
	assert_int_equal(httpd_count(f->s.h, "*"), MANY);
}

static void
test_connections_that_hang_do_not_hold_up_who_waits_for_them(void **state)
{
	struct fixture *f = *state;

	OK(httpd_rule(f->s.h, "* 1-8 stall=10", &err));
	start_many(f);
	for (unsigned i = 0; i < MANY; i++) {
		assert_true(got_wait(&f->got[i]));
		assert_string_equal(f->got[i].err.text, "");
		assert_true(got_is_right(&f->got[i], i * 100, 5000));
	}
	assert_int_equal(httpd_count(f->s.h, "*"), MANY + 8);
}

static void
test_closing_ends_transfers_of_every_state_at_once(void **state)
{
	struct fixture *f = *state;
	uint64_t before;

	OK(httpd_rule(f->s.h, "* 1-4 stall=100", &err));
	OK(httpd_rule(f->s.h, "* 5-6 status=503 retry-after=5", &err));
	OK(httpd_rule(f->s.h, "* 7- barrier=never", &err));
	start_many(f);
	OK(httpd_wait(f->s.h, "*", 8, &err));
	before = dm_now_ms();
	net_close(f->s.net);
	f->s.net = NULL;
	assert_true(dm_now_ms() - before < 4000);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(f->got[i].ended, 1);
		assert_int_equal(f->got[i].err.code, DM_CANCELLED);
	}
}

static void
test_a_closed_port_is_offline_and_says_so(void **state)
{
	struct fixture *f = *state;
	struct got_range soon = { .size = 10, .timeout_ms = 100 };
	struct origin *o = NULL;

	/* nothing listens on port 1 */
	OK(origin_open(&o, f->s.net, "http://127.0.0.1:1", &err));
	FAILS(DM_OFFLINE,
	    "GET http://127.0.0.1:1/x: connection refused (is the server",
	    got_fetch(&f->got[0], o, "x", &soon, &err));
	origin_close(o);
}

static void
test_an_origin_that_comes_back_is_used(void **state)
{
	struct fixture *f = *state;
	struct got_range some = { .size = 1000 };
	struct origin_counts counts = { 0 };

	/* every connection is dropped until the server is itself again */
	OK(httpd_rule(f->s.h, "* 1-5 drop", &err));
	OK(got_fetch(&f->got[0], f->s.o, "file", &some, &err));
	origin_counts(f->s.o, &counts);
	assert_true(counts.retries >= 3);
}

/* A listening socket whose queue is full: the kernel drops what comes. */
struct deaf {
	int fd, queued[2];
	struct sockaddr_in at;
};

static void
deaf_open(struct deaf *d)
{
	socklen_t len = sizeof(d->at);

	d->at = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	d->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(d->fd >= 0);
	assert_int_equal(bind(d->fd, (const struct sockaddr *)&d->at, len), 0);
	assert_int_equal(listen(d->fd, 0), 0);
	assert_int_equal(getsockname(d->fd, (struct sockaddr *)&d->at, &len),
	    0);
	for (size_t i = 0; i < 2; i++) {
		d->queued[i] = socket(AF_INET,
		    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		assert_true(d->queued[i] >= 0);
		(void)connect(d->queued[i], (const struct sockaddr *)&d->at,
		    len);
	}
}

static void
deaf_close(struct deaf *d)
{
	for (size_t i = 0; i < 2; i++)
		close(d->queued[i]);
	close(d->fd);
}

static void
test_a_server_that_does_not_accept_is_offline(void **state)
{
	struct fixture *f = *state;
	struct got_range soon = { .size = 10, .timeout_ms = 1500 };
	struct origin *o = NULL;
	struct deaf d = { 0 };
	uint64_t before = dm_now_ms();
	char url[64];

	deaf_open(&d);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u",
	    ntohs(d.at.sin_port));
	OK(origin_open(&o, f->s.net, url, &err));
	FAILS(DM_OFFLINE, "Timeout was reached",
	    got_fetch(&f->got[0], o, "x", &soon, &err));
	assert_in_range(dm_now_ms() - before, 1000, 15000);
	origin_close(o);
	deaf_close(&d);
}

static unsigned
open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
test_a_closed_network_leaves_no_descriptor_open(void **state)
{
	struct fixture *f = *state;
	static const struct net_options opt = { 0 };
	unsigned before = open_files();
	struct net *net = NULL;
	struct origin *o = NULL;
	struct got_range some = { .size = 1000 };

	OK(net_open(&net, &opt, &err));
	OK(origin_open(&o, net, f->s.root, &err));
	OK(got_fetch(&f->got[0], o, "file", &some, &err));
	net_close(net);
	origin_close(o);
	assert_int_equal(open_files(), before);
}

/* A transfer whose done starts the next. */
struct chain {
	struct origin_get get;
	struct origin *o;
	struct got *last;
	unsigned left;
};

static int
chain_data(void *arg, const void *data, size_t size)
{
	(void)arg;
	(void)data;
	(void)size;
	return 0;
}

static void
chain_done(void *arg, const struct dm_err *err)
{
	struct chain *c = arg;
	struct got_range some = { .size = 10 };

	if (err == NULL && --c->left > 0)
		origin_start(c->o, &c->get);
	else
		got_start(c->last, c->o, "file", &some);
}

static void
test_a_transfer_may_be_started_when_one_has_ended(void **state)
{
	struct fixture *f = *state;
	struct chain c = { .o = f->s.o, .last = &f->got[0], .left = 20 };

	c.get = (struct origin_get){ .path = "file",
		.size = 10,
		.deadline_ms = dm_deadline_ms(10000),
		.data = chain_data,
		.done = chain_done,
		.arg = &c };
	origin_start(f->s.o, &c.get);
	assert_true(got_wait(&f->got[0]));
	assert_int_equal(c.left, 0);
	assert_int_equal(httpd_count(f->s.h, "*"), 21);
	assert_int_equal(httpd_connections(f->s.h), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_transfers_share_the_connections_allowed),
		TEST(test_waiting_for_a_connection_is_no_silence),
		TEST(
		    test_connections_that_hang_do_not_hold_up_who_waits_for_them),
		TEST(test_closing_ends_transfers_of_every_state_at_once),
		TEST(test_a_closed_port_is_offline_and_says_so),
		TEST(test_an_origin_that_comes_back_is_used),
		TEST(test_a_server_that_does_not_accept_is_offline),
		TEST(test_a_closed_network_leaves_no_descriptor_open),
		TEST(test_a_transfer_may_be_started_when_one_has_ended),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
