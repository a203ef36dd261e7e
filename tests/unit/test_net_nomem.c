/* cache/net when memory runs out, at each allocation in turn.  The Makefile
 * links this test so that allocations of ours go through __wrap_*. */
#include "cache/net/origin.h"
#include "tests/unit/check.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "tests/lib/httpd.h"

/* Allocations until one fails; 0: none will. */
static _Atomic long left;

static bool
fails_now(void)
{
	return atomic_load(&left) > 0 && atomic_fetch_sub(&left, 1) == 1;
}

/* The linker knows these names; headers do not. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
CURL *__real_curl_easy_init(void);
CURLM *__real_curl_multi_init(void);
struct curl_slist *__real_curl_slist_append(struct curl_slist *list,
    const char *line);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
CURL *__wrap_curl_easy_init(void);
CURLM *__wrap_curl_multi_init(void);
struct curl_slist *__wrap_curl_slist_append(struct curl_slist *list,
    const char *line);

void *
__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
	return fails_now() ? NULL : __real_realloc(p, size);
}

char *
__wrap_strdup(const char *s)
{
	return fails_now() ? NULL : __real_strdup(s);
}

CURL *
__wrap_curl_easy_init(void)
{
	return fails_now() ? NULL : __real_curl_easy_init();
}

CURLM *
__wrap_curl_multi_init(void)
{
	return fails_now() ? NULL : __real_curl_multi_init();
}

struct curl_slist *
__wrap_curl_slist_append(struct curl_slist *list, const char *line)
{
	return fails_now() ? NULL : __real_curl_slist_append(list, line);
}

struct fixture {
	char root[64];
	char url[64];
	pid_t server; /* a process of its own: its memory never runs out */
};

/* Serve root until killed. */
static void
serve(const char *root, int out)
{
	struct dm_err err = { 0 };
	struct httpd *h;
	unsigned port;

	if (httpd_start(&h, root, &err) < 0 ||
	    httpd_rule(h, "/moved * redirect=/file", &err) < 0)
		_exit(1);
	port = httpd_port(h);
	if (write(out, &port, sizeof(port)) != sizeof(port))
		_exit(1);
	for (;;)
		(void)pause();
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char path[80];
	unsigned port = 0;
	int ends[2];
	FILE *file;

	if (f == NULL || pipe(ends) < 0)
		return -1;
	(void)snprintf(f->root, sizeof(f->root), "/tmp/dm-nomem.XXXXXX");
	if (mkdtemp(f->root) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/file", f->root);
	file = fopen(path, "w");
	if (file == NULL || fputs("hello", file) < 0 || fclose(file) != 0)
		return -1;
	f->server = fork();
	if (f->server == 0)
		serve(f->root, ends[1]);
	(void)close(ends[1]);
	if (read(ends[0], &port, sizeof(port)) != sizeof(port))
		return -1;
	(void)close(ends[0]);
	(void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u", port);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char path[80];

	(void)kill(f->server, SIGKILL);
	(void)waitpid(f->server, NULL, 0);
	(void)snprintf(path, sizeof(path), "%s/file", f->root);
	(void)unlink(path);
	(void)rmdir(f->root);
	free(f);
	return 0;
}

/* From nothing to the file's bytes, and back to nothing. */
static int
read_once(const char *url, const char *path, struct dm_err *err)
{
	static const struct net_options opt = { 0 };
	struct dm_buf out = DM_BUF(100);
	struct origin *o = NULL;
	struct net *net = NULL;
	bool found = false;
	int rc = net_open(&net, &opt, err);

	if (rc == 0)
		rc = origin_open(&o, net, url, err);
	if (rc == 0)
		rc = origin_read(o, path, dm_deadline_ms(10000), &out, &found,
		    err);
	atomic_store(&left, 0);
	if (rc == 0) {
		assert_true(found);
		assert_string_equal(out.data, "hello");
	}
	net_close(net);
	origin_close(o);
	dm_buf_release(&out);
	return rc;
}

/* Returns how many allocations there are. */
static long
fail_each(const char *url, const char *path)
{
	for (long n = 1;; n++) {
		struct dm_err err = { 0 };

		atomic_store(&left, n);
		if (read_once(url, path, &err) == 0)
			return n - 1;
		if (err.code != DM_NOMEM)
			fail_msg("allocation %ld: %s", n, err.text);
	}
}

static void
test_a_read_of_a_folder_fails_cleanly_wherever_memory_ends(void **state)
{
	struct fixture *f = *state;

	assert_true(fail_each(f->root, "file") >= 7);
}

static void
test_a_read_over_http_fails_cleanly_wherever_memory_ends(void **state)
{
	struct fixture *f = *state;

	assert_true(fail_each(f->url, "file") >= 11);
	assert_true(fail_each(f->url, "moved") >= 13);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_a_read_of_a_folder_fails_cleanly_wherever_memory_ends),
		cmocka_unit_test(
		    test_a_read_over_http_fails_cleanly_wherever_memory_ends),
	};

	return cmocka_run_group_tests_name("net_nomem", tests, setup, teardown);
}
