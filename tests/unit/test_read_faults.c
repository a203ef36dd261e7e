/* Reading when calls fail, each in turn: no wrong byte, an honest error or
 * none, a cache that stays sound, and the next attempt works. */
#include "tests/unit/faults.h"

#include <ftw.h>

#include "cache/base/log.h"
#include "cache/cache.h"
#include "cache/net/origin.h"
#include "fs/source/source.h"
#include "fs/version/version.h"
#include "tests/lib/maker.h"
#include "tests/unit/scratch.h"

enum { LARGE = (1 << 20) + 4321, CHUNK = 300000 };

static char large[LARGE];

static int
setup(void **state)
{
	struct maker_entry kids[] = {
		{ .name = "a", .kind = TREE_FILE, .data = "text", .size = 4 },
		{ .name = "large",
		    .kind = TREE_FILE,
		    .data = large,
		    .size = LARGE,
		    .chunk = CHUNK },
		{ .name = "link",
		    .kind = TREE_SYMLINK,
		    .data = "a",
		    .size = 1 },
	};
	struct maker_entry sub = {
		.name = "sub", .kind = TREE_DIR, .kids = kids, .nkids = 3
	};
	struct maker_entry root = {
		.kind = TREE_DIR, .kids = &sub, .nkids = 1
	};
	struct dm_err err = { 0 };
	struct digest id;
	struct commit c;
	unsigned seed = 1;

	if (scratch_setup(state) < 0 || mkdir("r", 0755) < 0)
		return -1;
	dm_log_setup(DM_LOG_ERROR, 0);
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)rand_r(&seed);
	return maker_write("r", &root, 0, 0, &id, &c, &err);
}

struct session {
	struct net *net;
	struct cache *cache;
	struct repo *repo;
	struct version *v;
};

static void
session_close(struct session *s)
{
	version_close(s->v);
	cache_close(s->cache);
	net_close(s->net);
	repo_close(s->repo);
}

static int
session_open(struct session *s, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	struct net_options wire = { 0 };
	struct cache_options opt = { .dir = "c", .timeout_ms = 10000 };
	struct version_options how = { 0 };
	struct resolved at;
	struct commit c;

	if (net_open(&s->net, &wire, err) < 0 ||
	    cache_open(&s->cache, &opt, err) < 0 ||
	    repo_open(&s->repo, s->net, s->cache, "r", 3000, err) < 0 ||
	    repo_resolve(s->repo, "main", &at, err) < 0 ||
	    repo_commit(s->repo, &at.commit, &text, &c, err) < 0)
		return -1;
	return version_open(&s->v, s->cache, s->repo->origin, &c, &how, err);
}

static int
read_file(struct version *v, const char *path, const char *want, size_t size,
    struct dm_err *err)
{
	static char got[LARGE + 1];
	struct version_node node;
	bool found = false;
	size_t n = 0;

	if (version_path(v, path, &node, &found, NULL, err) < 0)
		return -1;
	assert_true(found);
	if (version_read(v, &node, got, size + 1, 0, &n, NULL, err) < 0)
		return -1;
	assert_int_equal(n, size);
	assert_memory_equal(got, want, size);
	return 0;
}

static bool
count_entry(void *arg, uint64_t n, const char *name, size_t name_len,
    const struct version_node *node)
{
	(void)n;
	(void)name;
	(void)name_len;
	(void)node;
	++*(unsigned *)arg;
	return true;
}

static int
look(struct version *v, struct dm_err *err)
{
	char target[DM_TARGET_MAX + 1];
	struct version_node node;
	uint64_t chunks = 0, cached = 0;
	struct digest id;
	unsigned entries = 0;
	bool found = false;

	if (version_path(v, "sub", &node, &found, NULL, err) < 0 ||
	    version_list(v, &node, 0, count_entry, &entries, NULL, err) < 0)
		return -1;
	assert_int_equal(entries, 3);
	if (version_path(v, "sub/link", &node, &found, NULL, err) < 0 ||
	    version_readlink(v, &node, target, NULL, err) < 0)
		return -1;
	assert_string_equal(target, "a");
	if (version_path(v, "sub/large", &node, &found, NULL, err) < 0 ||
	    version_digest(v, &node, &id, NULL, err) < 0)
		return -1;
	return version_file_state(v, &node, &chunks, &cached, NULL, err);
}

/* From nothing to all bytes, and back to nothing. */
static int
read_all(struct dm_err *err)
{
	struct session s = { 0 };
	int rc = session_open(&s, err);

	if (rc == 0)
		rc = look(s.v, err);
	if (rc == 0)
		rc = read_file(s.v, "sub/a", "text", 4, err);
	if (rc == 0)
		rc = read_file(s.v, "sub/large", large, LARGE, err);
	session_close(&s);
	return rc;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void
check_cache(void)
{
	struct cache_check check = { 0 };
	struct cache_usage usage = { 0 };

	OK(cache_fsck("c", &check, NULL, NULL, &err));
	assert_int_equal(check.bad, 0);
	OK(cache_usage("c", &usage, &err));
}

/* Returns how many calls of that kind there are, about; with a cache that is
 * warm, or cold each time. */
static long
fail_each(enum fault kind, bool warm)
{
	for (long n = 1;; n++) {
		struct dm_err err = { 0 };
		bool failed;
		int rc;

		if (!warm)
			(void)nftw("c", remove_one, 16, FTW_DEPTH | FTW_PHYS);
		fault_arm(kind, n);
		rc = read_all(&err);
		failed = fault_disarm();
		if (rc < 0 && (!failed || err.text[0] == '\0'))
			fail_msg("%s %ld: %s", fault_names[kind], n, err.text);
		if (rc < 0 && kind == FAULT_MEMORY && err.code != DM_NOMEM)
			fail_msg("allocation %ld: %s", n, err.text);
		/* the cache's disk is no reason not to read */
		if (rc < 0 && (kind == FAULT_WRITE || kind == FAULT_SYNC))
			fail_msg("%s %ld: %s", fault_names[kind], n, err.text);
		if (rc < 0 && read_all(&err) < 0)
			fail_msg("after %s %ld: %s", fault_names[kind], n,
			    err.text);
		check_cache();
		if (!failed)
			return n - 1;
	}
}

/* The commands on a cache directory, one after the other. */
static int
keep_up(struct dm_err *err)
{
	struct cache_check check = { 0 };
	struct cache_usage usage = { 0 };

	return cache_fsck("c", &check, NULL, NULL, err) < 0 ||
		cache_usage("c", &usage, err) < 0 ||
		cache_clear("c", &usage, err) < 0 ?
	    -1 :
	    0;
}

/* A sound, warm cache, whatever was before. */
static void
recover(void)
{
	OK(keep_up(&err));
	OK(read_all(&err));
}

static void
fail_each_of_upkeep(enum fault kind)
{
	bool failed = true;

	for (long n = 1; failed; n++) {
		struct dm_err err = { 0 };
		int rc;

		recover();
		fault_arm(kind, n);
		rc = keep_up(&err);
		failed = fault_disarm();
		if (rc < 0 && (!failed || err.text[0] == '\0'))
			fail_msg("%s %ld: %s", fault_names[kind], n, err.text);
	}
	recover();
}

static void
test_memory_that_ends_harms_no_read(void **state)
{
	(void)state;
	assert_true(fail_each(FAULT_MEMORY, false) >= 100);
	assert_true(fail_each(FAULT_MEMORY, true) >= 10);
}

static void
test_a_thread_that_does_not_start_harms_no_read(void **state)
{
	(void)state;
	assert_true(fail_each(FAULT_THREAD, false) >= 1);
}

static void
test_a_disk_that_fills_is_no_error(void **state)
{
	(void)state;
	assert_true(fail_each(FAULT_WRITE, false) >= 5);
	assert_true(fail_each(FAULT_WRITE, true) >= 0);
}

static void
test_a_name_that_cannot_be_made_harms_no_read(void **state)
{
	(void)state;
	assert_true(fail_each(FAULT_NAME, false) >= 2);
	assert_true(fail_each(FAULT_NAME, true) >= 0);
}

static void
test_an_open_that_fails_harms_no_read(void **state)
{
	(void)state;
	assert_true(fail_each(FAULT_OPEN, false) >= 5);
	assert_true(fail_each(FAULT_OPEN, true) >= 5);
}

static void
test_a_read_or_stat_that_fails_harms_no_read(void **state)
{
	(void)state;
	assert_true(fail_each(FAULT_READ, false) >= 5);
	assert_true(fail_each(FAULT_READ, true) >= 5);
	assert_true(fail_each(FAULT_STAT, false) >= 5);
	assert_true(fail_each(FAULT_STAT, true) >= 5);
}

static void
test_upkeep_that_fails_leaves_a_cache_that_works(void **state)
{
	(void)state;
	for (int kind = 0; kind < FAULTS; kind++)
		fail_each_of_upkeep((enum fault)kind);
}

/* Fail the nth call of a usage, then of a fsck: they fail, or say what there
 * is, never less.  Returns whether there were so many calls. */
static bool
count_with_fault(enum fault kind, long n)
{
	struct cache_check all = { 0 }, check = { 0 };
	struct cache_usage used = { 0 }, usage = { 0 };
	struct dm_err why = { 0 };
	bool failed;
	int rc;

	recover();
	OK(cache_fsck("c", &all, NULL, NULL, &err));
	OK(cache_usage("c", &used, &err));
	assert_true(all.blobs > 0 && used.blobs > 0);
	fault_arm(kind, n);
	rc = cache_usage("c", &usage, &why);
	failed = fault_disarm();
	if (rc == 0 && usage.blobs != used.blobs)
		fail_msg("%s %ld: usage: %d blobs", fault_names[kind], n,
		    (int)usage.blobs);
	fault_arm(kind, n);
	rc = cache_fsck("c", &check, NULL, NULL, &why);
	failed = fault_disarm() || failed;
	if (rc == 0 && check.bad == 0 &&
	    (check.blobs != all.blobs || check.pieces != all.pieces))
		fail_msg("%s %ld: fsck: %d blobs, %d pieces", fault_names[kind],
		    n, (int)check.blobs, (int)check.pieces);
	if (kind == FAULT_MEMORY && check.bad != 0)
		fail_msg("allocation %ld: %d damaged", n, (int)check.bad);
	return failed;
}

static void
test_no_check_or_count_passes_over_what_it_could_not_see(void **state)
{
	static const enum fault kinds[] = { FAULT_MEMORY, FAULT_OPEN,
		FAULT_READ, FAULT_STAT };

	(void)state;
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (long n = 1; count_with_fault(kinds[k], n); n++)
			continue;
}

#define FAULT_TEST(f) \
	cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FAULT_TEST(test_memory_that_ends_harms_no_read),
		FAULT_TEST(test_a_thread_that_does_not_start_harms_no_read),
		FAULT_TEST(test_a_disk_that_fills_is_no_error),
		FAULT_TEST(test_a_name_that_cannot_be_made_harms_no_read),
		FAULT_TEST(test_an_open_that_fails_harms_no_read),
		FAULT_TEST(test_a_read_or_stat_that_fails_harms_no_read),
		FAULT_TEST(test_upkeep_that_fails_leaves_a_cache_that_works),
		FAULT_TEST(
		    test_no_check_or_count_passes_over_what_it_could_not_see),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
