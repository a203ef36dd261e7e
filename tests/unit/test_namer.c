/* fs/mount/namer: names of files come behind those who read them. */
#include "fs/mount/namer.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/net/origin.h"
#include "fs/version/version.h"
#include "tests/lib/httpd.h"
#include "tests/lib/maker.h"

/* Files a/c (number 3) and a/d, behind a server whose packs wait. */
struct fixture {
	char dir[64], cache_dir[80];
	struct httpd *httpd;
	struct net *net;
	struct cache *cache;
	struct origin *origin;
	struct version *v;
	struct namer_list *list;
	struct namer *namer;
	sem_t told;
	/* written before told is posted */
	char text[64];
	unsigned named, lost;
};

static void
on_named(void *arg, const struct namer_part *part, const char *path)
{
	struct fixture *f = arg;
	size_t n = strlen(f->text);

	(void)snprintf(f->text + n, sizeof(f->text) - n, "%ju %s;",
	    (uintmax_t)part->off, path);
	f->named++;
	(void)sem_post(&f->told);
}

static void
on_lost(void *arg, const struct namer_part *part, const char *why)
{
	struct fixture *f = arg;

	(void)part;
	(void)why;
	f->lost++;
	(void)sem_post(&f->told);
}

static int
open_all(struct fixture *f, struct dm_err *err)
{
	struct maker_entry in[] = {
		{ .kind = TREE_FILE, .name = "c", .data = "1", .size = 1 },
		{ .kind = TREE_FILE, .name = "d", .data = "2", .size = 1 },
	};
	struct maker_entry top[] = {
		{ .kind = TREE_DIR, .name = "a", .kids = in, .nkids = 2 },
	};
	struct maker_entry root = { .kind = TREE_DIR, .kids = top, .nkids = 1 };
	struct cache_options opt = { .dir = f->cache_dir };
	struct version_options how = { 0 };
	struct net_options wire = { 0 };
	struct commit commit;
	struct digest id;

	if (maker_write(f->dir, &root, 0, 0, &id, &commit, err) < 0 ||
	    httpd_start(&f->httpd, f->dir, err) < 0 ||
	    httpd_rule(f->httpd, "/packs/* * barrier=b", err) < 0 ||
	    net_open(&f->net, &wire, err) < 0 ||
	    cache_open(&f->cache, &opt, err) < 0 ||
	    origin_open(&f->origin, f->net, httpd_url(f->httpd), err) < 0)
		return -1;
	return version_open(&f->v, f->cache, f->origin, &commit, &how, err);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct dm_err err = { 0 };

	if (f == NULL)
		return -1;
	*state = f;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/dm-namer-XXXXXX");
	f->list = calloc(1, sizeof(*f->list));
	if (f->list == NULL || sem_init(&f->told, 0, 0) < 0 ||
	    mkdtemp(f->dir) == NULL)
		return -1;
	(void)snprintf(f->cache_dir, sizeof(f->cache_dir), "%s/cache", f->dir);
	if (open_all(f, &err) == 0)
		return 0;
	(void)fprintf(stderr, "%s\n", err.text);
	return -1;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	namer_close(f->namer);
	version_close(f->v);
	cache_close(f->cache);
	net_close(f->net);
	origin_close(f->origin);
	httpd_stop(f->httpd);
	(void)sem_destroy(&f->told);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	free(f->list);
	free(f);
	return system(command);
}

static void
begin(struct fixture *f)
{
	struct namer_options opt = {
		.version = f->v,
		.cache = f->cache,
		.list = f->list,
		.named = on_named,
		.lost = on_lost,
		.arg = f,
	};

	OK(namer_open(&f->namer, &opt, &err));
}

static void
add(struct fixture *f, uint64_t ino, uint64_t off)
{
	const struct namer_part part = { .ino = ino, .off = off };

	assert_true(namer_add(f->list, &part));
}

static void
await_told(struct fixture *f)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	while (sem_timedwait(&f->told, &until) < 0)
		if (errno != EINTR)
			fail_msg("nothing is told");
}

static void
test_parts_are_named_in_order_once_their_pages_have_come(void **state)
{
	struct fixture *f = *state;

	begin(f);
	add(f, 4, 0);
	add(f, 3, 8388608);
	namer_more(f->namer);
	OK(httpd_wait(f->httpd, "/packs/*", 1, &err));
	assert_int_equal(sem_trywait(&f->told), -1);
	httpd_release(f->httpd, "b");
	await_told(f);
	await_told(f);
	assert_string_equal(f->text, "0 a/d;8388608 a/c;");
}

static void
test_who_ends_leaves_what_has_to_wait_to_the_next(void **state)
{
	struct fixture *f = *state;

	add(f, 3, 0);
	begin(f);
	OK(httpd_wait(f->httpd, "/packs/*", 1, &err));
	namer_close(dm_steal(&f->namer));
	assert_int_equal(f->named + f->lost, 0);
	httpd_release(f->httpd, "b");
	begin(f);
	await_told(f);
	assert_string_equal(f->text, "0 a/c;");
	namer_close(dm_steal(&f->namer));
	assert_int_equal(f->list->done, 1);
}

static void
test_what_is_not_in_the_version_is_lost_and_holds_up_nothing(void **state)
{
	struct fixture *f = *state;

	httpd_release(f->httpd, "b");
	add(f, 99, 0);
	add(f, 3, 0);
	begin(f);
	await_told(f);
	await_told(f);
	assert_int_equal(f->lost, 1);
	assert_string_equal(f->text, "0 a/c;");
}

static void
test_a_full_list_takes_no_more_until_something_is_named(void **state)
{
	const struct namer_part part = { .ino = 3 };
	struct fixture *f = *state;

	for (int i = 0; i < NAMER_PARTS; i++)
		assert_true(namer_add(f->list, &part));
	assert_false(namer_add(f->list, &part));
	f->list->done++;
	assert_true(namer_add(f->list, &part));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_parts_are_named_in_order_once_their_pages_have_come),
		TEST(test_who_ends_leaves_what_has_to_wait_to_the_next),
		TEST(
		    test_what_is_not_in_the_version_is_lost_and_holds_up_nothing),
		TEST(test_a_full_list_takes_no_more_until_something_is_named),
	};

	return cmocka_run_group_tests_name("namer", tests, NULL, NULL);
}
