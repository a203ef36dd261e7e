/* cache/net over TLS: whom it trusts.  The server is openssl's. */
#include "cache/net/origin.h"
#include "tests/unit/check.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/base/io.h"
#include "tests/lib/served.h"

/* A certificate for localhost alone, signed by an authority of our own.  With
 * -HTTP the server sends files that are whole answers. */
static const char make_files[] =
    "exec >log 2>&1; set -e\n"
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    " -keyout ca.key -out ca.pem -days 2 -subj '/CN=Test authority'\n"
    "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    " -keyout key.pem -out csr.pem -subj /CN=localhost\n"
    "echo subjectAltName=DNS:localhost >ext\n"
    "openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -days 2"
    " -set_serial 1 -extfile ext -out cert.pem\n"
    "printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello' >hello\n"
    "printf 'HTTP/1.0 302 Found\\r\\nLocation: http://127.0.0.1:1/\\r\\n"
    "\\r\\n' >down\n";

struct fixture {
	struct served s;
	struct got got;
	pid_t pid;
	int out; /* the server's standard output */
	unsigned port;
	char authority[128];
};

static void
sh(struct fixture *f, const char *script)
{
	char *line = NULL;

	assert_true(asprintf(&line, "cd %s && %s", f->s.root, script) > 0);
	assert_int_equal(system(line), 0);
	free(line);
}

/* Read the line "ACCEPT 127.0.0.1:PORT". */
static unsigned
read_port(int fd)
{
	char text[512] = "";
	unsigned port = 0;

	for (size_t n = 0; n + 1 < sizeof(text); n++) {
		const char *at;

		if (read(fd, text + n, 1) != 1)
			return 0;
		at = text[n] == '\n' ? strstr(text, "ACCEPT ") : NULL;
		if (at != NULL && sscanf(at, "ACCEPT %*[0-9.]:%u", &port) == 1)
			return port;
	}
	return 0;
}

static int
setup(void **state)
{
	char script[300];
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct fixture *f = calloc(1, sizeof(*f));
	struct dm_err err = { 0 };
	posix_spawn_file_actions_t actions;
	int ends[2];

	if (f == NULL || served_open(&f->s, &err) < 0 ||
	    pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	got_init(&f->got);
	sh(f, make_files);
	(void)snprintf(f->authority, sizeof(f->authority), "%s/ca.pem",
	    f->s.root);
	(void)snprintf(script, sizeof(script),
	    "cd %s && exec openssl s_server -HTTP -accept 127.0.0.1:0"
	    " -cert cert.pem -key key.pem",
	    f->s.root);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&f->pid, "/bin/sh", &actions, NULL,
		(char *const *)(uintptr_t)argv, environ) != 0)
		return -1;
	posix_spawn_file_actions_destroy(&actions);
	(void)close(ends[1]);
	f->out = ends[0];
	f->port = read_port(f->out);
	*state = f;
	return f->port == 0 ? -1 : 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	(void)kill(f->pid, SIGKILL);
	(void)waitpid(f->pid, NULL, 0);
	(void)close(f->out);
	(void)unsetenv("SSL_CERT_FILE");
	served_close(&f->s);
	got_release(&f->got);
	free(f);
	return 0;
}

static const struct got_range whole = { .limit = 100 };

static int
get(struct fixture *f, const char *host, const char *path, struct dm_err *err)
{
	struct origin *o = NULL;
	char url[128];
	int rc;

	(void)snprintf(url, sizeof(url), "https://%s:%u", host, f->port);
	if (origin_open(&o, f->s.net, url, err) < 0)
		return -1;
	rc = got_fetch(&f->got, o, path, &whole, err);
	origin_close(o);
	return rc;
}

static void
test_an_unknown_authority_is_not_trusted(void **state)
{
	struct fixture *f = *state;

	/* a short list: under a sanitizer the system's takes a second */
	sh(f,
	    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256"
	    " -nodes -keyout other.key -out ca.pem -subj /CN=other 2>>log");
	assert_int_equal(setenv("SSL_CERT_FILE", f->authority, 1), 0);
	FAILS(DM_DENIED, "the certificate is not trusted (",
	    get(f, "localhost", "hello", &err));
	FAILS(DM_DENIED, "SSL_CERT_FILE", get(f, "localhost", "hello", &err));
	assert_int_equal(f->got.bytes.size, 0);
}

static void
test_an_authority_of_ones_own_is_trusted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setenv("SSL_CERT_FILE", f->authority, 1), 0);
	OK(get(f, "localhost", "hello", &err));
	assert_string_equal(f->got.bytes.data, "hello");
}

static void
test_a_certificate_of_another_host_is_not_trusted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setenv("SSL_CERT_FILE", f->authority, 1), 0);
	FAILS(DM_DENIED, "not for this host",
	    get(f, "127.0.0.1", "hello", &err));
	assert_int_equal(f->got.bytes.size, 0);
}

static void
test_authorities_that_cannot_be_read_are_named(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setenv("SSL_CERT_FILE", "/nonexistent", 1), 0);
	FAILS(DM_DENIED, "check SSL_CERT_FILE",
	    get(f, "localhost", "hello", &err));
}

static void
test_https_never_leads_to_http(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setenv("SSL_CERT_FILE", f->authority, 1), 0);
	FAILS(DM_DENIED, "refused a redirect from https to http://127.0.0.1:1/",
	    get(f, "localhost", "down", &err));
}

static void
test_a_server_without_tls_is_told_apart(void **state)
{
	struct fixture *f = *state;
	struct origin *o = NULL;
	struct got_range soon = { .limit = 100, .timeout_ms = 1500 };
	char url[128];

	/* a short list of authorities: valgrind is slow to read the system's */
	assert_int_equal(setenv("SSL_CERT_FILE", f->authority, 1), 0);
	(void)snprintf(url, sizeof(url), "https%s",
	    origin_name(f->s.o) + strlen("http"));
	OK(origin_open(&o, f->s.net, url, &err));
	FAILS(DM_OFFLINE, "SSL", got_fetch(&f->got, o, "file", &soon, &err));
	origin_close(o);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_unknown_authority_is_not_trusted),
		TEST(test_an_authority_of_ones_own_is_trusted),
		TEST(test_a_certificate_of_another_host_is_not_trusted),
		TEST(test_authorities_that_cannot_be_read_are_named),
		TEST(test_https_never_leads_to_http),
		TEST(test_a_server_without_tls_is_told_apart),
	};

	return cmocka_run_group_tests_name("tls", tests, NULL, NULL);
}
