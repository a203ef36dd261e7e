/* fs/mount/control, fs/mount/place: the socket of a mount's daemon. */
#include "fs/mount/control.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fs/mount/place.h"
#include "tests/unit/scratch.h"

/* A daemon in a thread that answers n requests with what it was asked. */
struct daemon {
	struct control_server server;
	unsigned n;
	pthread_t thread;
};

static void *
serve(void *arg)
{
	static const char *const names[] = { "none", "status", "dir", "unmount",
		"detach" };
	struct daemon *d = arg;

	while (d->n > 0) {
		enum control_request request = CONTROL_NONE;
		int fd = control_accept(&d->server, &request);
		struct dm_err err = { 0 };

		if (fd < 0)
			continue;
		if (request == CONTROL_DETACH)
			(void)dm_fail(&err, DM_STALE, "in\nuse");
		control_reply(fd, &err, names[request], strlen(names[request]));
		(void)close(fd);
		d->n--;
	}
	return NULL;
}

static void
start(struct daemon *d, const char *dir, unsigned n)
{
	d->n = n;
	OK(control_listen(&d->server, dir, &err));
	assert_int_equal(pthread_create(&d->thread, NULL, serve, d), 0);
}

static void
end(struct daemon *d)
{
	assert_int_equal(pthread_join(d->thread, NULL), 0);
	control_close(&d->server);
}

static int
setup(void **state)
{
	char run[80];

	if (scratch_setup(state) != 0)
		return -1;
	(void)snprintf(run, sizeof(run), "%s/run", scratch);
	return setenv("XDG_RUNTIME_DIR", run, 1);
}

static void
test_requests_are_whole_words(void **state)
{
	(void)state;
	assert_int_equal(control_request_parse("status", 6), CONTROL_STATUS);
	assert_int_equal(control_request_parse("dir", 3), CONTROL_DIR);
	assert_int_equal(control_request_parse("unmount", 7), CONTROL_UNMOUNT);
	assert_int_equal(control_request_parse("detach", 6), CONTROL_DETACH);
	assert_int_equal(control_request_parse("statu", 5), CONTROL_NONE);
	assert_int_equal(control_request_parse("status ", 7), CONTROL_NONE);
	assert_int_equal(control_request_parse("", 0), CONTROL_NONE);
	assert_int_equal(control_request_parse("dir\0x", 5), CONTROL_NONE);
}

static void
test_replies_are_ok_or_an_error(void **state)
{
	const char *body = NULL;

	(void)state;
	OK(control_reply_parse("ok\nbody", 7, &body, &err));
	assert_string_equal(body, "body");
	FAILS(DM_STALE, "in use",
	    control_reply_parse("error 10 in use\n", 16, &body, &err));
	FAILS(DM_IO, "what",
	    control_reply_parse("error 99 what\n", 14, &body, &err));
	FAILS(DM_IO, "what",
	    control_reply_parse("error 0 what\n", 13, &body, &err));
	FAILS(DM_CORRUPT, "broke off",
	    control_reply_parse("ok", 2, &body, &err));
	FAILS(DM_CORRUPT, "broke off",
	    control_reply_parse(NULL, 0, &body, &err));
	FAILS(DM_CORRUPT, "nonsense",
	    control_reply_parse("okay\n", 5, &body, &err));
	FAILS(DM_CORRUPT, "nonsense",
	    control_reply_parse("\n", 1, &body, &err));
}

static void
test_a_daemon_is_found_by_its_mount_point(void **state)
{
	struct dm_buf b = DM_BUF(100);
	struct daemon d;
	bool found;

	(void)state;
	start(&d, "/some/dir", 2);
	OK(control_ask("/some/dir", CONTROL_STATUS, 5000, &b, &found, &err));
	assert_true(found);
	assert_string_equal(b.data, "status");
	FAILS(DM_STALE, "in?use",
	    control_ask("/some/dir", CONTROL_DETACH, 5000, &b, &found, &err));
	end(&d);
	dm_buf_clear(&b);
	OK(control_ask("/some/dir", CONTROL_STATUS, 5000, &b, &found, &err));
	assert_false(found);
	dm_buf_release(&b);
}

static void
test_two_daemons_cannot_serve_one_mount_point(void **state)
{
	struct control_server one, two;

	(void)state;
	OK(control_listen(&one, "/d", &err));
	FAILS(DM_INVALID, "already", control_listen(&two, "/d", &err));
	control_close(&one);
	OK(control_listen(&two, "/d", &err));
	control_close(&two);
}

static void
test_the_socket_of_a_dead_daemon_is_replaced(void **state)
{
	struct control_server one, two;

	(void)state;
	OK(control_listen(&one, "/d", &err));
	(void)close(one.fd); /* as by a crash: the name stays */
	OK(control_listen(&two, "/d", &err));
	control_close(&two);
	(void)close(one.dir_fd);
}

static int
note(void *arg, const char *dir, struct dm_err *err)
{
	char *seen = arg;

	(void)err;
	(void)snprintf(seen + strlen(seen), 32, "%s ", dir);
	return 0;
}

static void
test_each_finds_daemons_and_removes_dead_sockets(void **state)
{
	char seen[100] = "", path[PATH_MAX];
	struct control_server dead;
	struct daemon d;

	(void)state;
	start(&d, "/one", 1);
	OK(control_listen(&dead, "/dead", &err));
	(void)close(dead.fd);
	(void)snprintf(path, sizeof(path), "%s/run/datamount/%s", scratch,
	    dead.name);
	assert_int_equal(access(path, F_OK), 0);
	OK(control_each(note, seen, &err));
	assert_non_null(strstr(seen, "dir "));
	assert_int_equal(access(path, F_OK), -1);
	end(&d);
	(void)close(dead.dir_fd);
}

static void
test_the_directory_must_be_ones_own(void **state)
{
	struct control_server s;
	char dir[PATH_MAX];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/run", scratch);
	assert_int_equal(mkdir(dir, 0700), 0);
	(void)snprintf(dir, sizeof(dir), "%s/run/datamount", scratch);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(chmod(dir, 0777), 0);
	FAILS(DM_DENIED, "others may write", control_listen(&s, "/d", &err));
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(symlink("/tmp", dir), 0);
	FAILS(DM_NOTFOUND, "datamount", control_listen(&s, "/d", &err));
}

static void
test_the_socket_is_for_its_owner_only(void **state)
{
	struct control_server s;
	char path[PATH_MAX];
	struct stat st;

	(void)state;
	OK(control_listen(&s, "/d", &err));
	(void)snprintf(path, sizeof(path), "%s/run/datamount/%s", scratch,
	    s.name);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void)snprintf(path, sizeof(path), "%s/run/datamount", scratch);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	control_close(&s);
}

static void
test_a_client_that_sends_no_end_is_given_up(void **state)
{
	enum control_request request = CONTROL_STATUS;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct control_server s;
	char text[200];
	int client, fd;

	(void)state;
	OK(control_listen(&s, "/d", &err));
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path),
	    "run/datamount/%.60s", s.name);
	assert_int_equal(connect(client, (struct sockaddr *)&addr,
			     sizeof(addr)),
	    0);
	memset(text, 'x', sizeof(text));
	assert_int_equal(send(client, text, sizeof(text), 0), sizeof(text));
	fd = control_accept(&s, &request);
	assert_true(fd >= 0);
	assert_int_equal(request, CONTROL_NONE);
	(void)close(fd);
	(void)close(client);
	control_close(&s);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, setup, scratch_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_are_whole_words),
		cmocka_unit_test(test_replies_are_ok_or_an_error),
		TEST(test_a_daemon_is_found_by_its_mount_point),
		TEST(test_two_daemons_cannot_serve_one_mount_point),
		TEST(test_the_socket_of_a_dead_daemon_is_replaced),
		TEST(test_each_finds_daemons_and_removes_dead_sockets),
		TEST(test_the_directory_must_be_ones_own),
		TEST(test_the_socket_is_for_its_owner_only),
		TEST(test_a_client_that_sends_no_end_is_given_up),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
