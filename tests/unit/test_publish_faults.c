/* fs/publish when calls fail, each in turn: what is there stays whole, and the
 * next attempt works. */
#include "tests/unit/faults.h"

#include <ftw.h>

#include "cache/base/io.h"
#include "cache/base/log.h"
#include "cache/cache.h"
#include "cache/net/origin.h"
#include "fs/publish/publish.h"
#include "fs/source/source.h"
#include "fs/version/version.h"
#include "tests/unit/scratch.h"

enum { LARGE = (1 << 20) + 4321 }; /* a file of several chunks */

enum step {
	INIT,
	COMMIT,
	CHANGE,
	COMMIT_AGAIN,
	TAG,
	LIST,
	DELETE,
	STEPS,
};

/* How far the life of one repository has come. */
struct life {
	char repo[32], cache[96];
	unsigned done; /* enum step */
	bool stream;
};

static char large[LARGE];
static int tar[2]; /* d as it is first, and as it is then */

static void
no_progress(void *arg, uint64_t files, uint64_t bytes)
{
	(void)arg;
	(void)files;
	(void)bytes;
}

static void
no_warning(void *arg, const char *text)
{
	(void)arg;
	(void)text;
}

static void
put_large(const char *path)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(large, 1, LARGE, f), LARGE);
	assert_int_equal(fclose(f), 0);
}

static int
setup(void **state)
{
	unsigned seed = 1;

	if (scratch_setup(state) < 0)
		return -1;
	dm_log_setup(DM_LOG_ERROR, 0);
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)rand_r(&seed);
	if (mkdir("d", 0755) < 0 || mkdir("d/sub", 0755) < 0 ||
	    symlink("sub/b", "d/link") < 0)
		return -1;
	put_file("d/.datamountignore", "*.o\n");
	put_file("d/left.o", "no");
	put_file("d/sub/a", "text of a");
	put_file("d/sub/b", "text of b");
	put_file("d/none", "");
	put_large("d/large");
	return 0;
}

static int
setup_stream(void **state)
{
	if (setup(state) < 0 || system("tar cf 0.tar -C d .") != 0)
		return -1;
	put_file("d/sub/a", "another text of a");
	if (system("tar cf 1.tar -C d .") != 0)
		return -1;
	tar[0] = open("0.tar", O_RDONLY | O_CLOEXEC);
	tar[1] = open("1.tar", O_RDONLY | O_CLOEXEC);
	return tar[0] < 0 || tar[1] < 0 ? -1 : 0;
}

static int
teardown_stream(void **state)
{
	(void)close(tar[0]);
	(void)close(tar[1]);
	return scratch_teardown(state);
}

static int
commit(const struct life *l, struct dm_err *err)
{
	struct publish_options o = {
		.dir = "d",
		.repo = l->repo,
		.branch = "main",
		.message = "m",
		.author = "somebody",
		.cache_dir = l->cache,
		.stream = l->stream,
		.progress = no_progress,
		.warn = no_warning,
	};
	struct publish_result r;

	if (l->stream) {
		int in = tar[l->done > CHANGE];

		assert_int_equal(lseek(in, 0, SEEK_SET), 0);
		assert_int_equal(dup2(in, STDIN_FILENO), STDIN_FILENO);
	}
	return publish_commit(&o, &r, err);
}

static void
count_ref(void *arg, const struct ref_line *line)
{
	(void)line;
	++*(unsigned *)arg;
}

static int
list_tags(const struct life *l, struct dm_err *err)
{
	unsigned refs = 0;

	if (publish_refs(l->repo, true, count_ref, &refs, err) < 0)
		return -1;
	assert_int_equal(refs, 1);
	return 0;
}

/* Do what is left to do, from the step that failed on. */
static int
live_on(struct life *l, struct dm_err *err)
{
	char id[REPO_ID_HEX + 1];
	struct digest made;
	int rc = 0;

	for (; rc == 0 && l->done < STEPS; l->done += rc == 0)
		switch (l->done) {
		case INIT:
			rc = publish_init(l->repo, id, err);
			break;
		case COMMIT:
		case COMMIT_AGAIN:
			rc = commit(l, err);
			break;
		case CHANGE:
			put_file("d/sub/a", "another text of a");
			break;
		case TAG:
			rc = publish_ref(l->repo, true, "v1", "main", true,
			    &made, err);
			break;
		case LIST:
			rc = list_tags(l, err);
			break;
		default:
			rc = publish_ref_delete(l->repo, true, "v1", err);
		}
	return rc;
}

/* What failed left things as they were or as they were to be: so it works now,
 * or it says that it is done. */
static void
live_on_after(struct life *l, enum fault kind, long n)
{
	struct dm_err err = { 0 };
	unsigned step = l->done;

	if (live_on(l, &err) == 0)
		return;
	if (l->done == step &&
	    ((step == INIT && strstr(err.text, "already") != NULL) ||
		(step == DELETE && err.code == DM_NOTFOUND))) {
		l->done++;
		if (live_on(l, &err) == 0)
			return;
	}
	fail_msg("after %s %ld in step %u, in step %u: %s", fault_names[kind],
	    n, step, l->done, err.text);
}

static void
check_file(struct version *v, const char *path, const char *want, size_t size)
{
	struct version_node node;
	bool found = false;
	char *got = malloc(size + 1);
	size_t n = 0;

	OK(version_path(v, path, &node, &found, NULL, &err));
	assert_true(found);
	OK(version_read(v, &node, got, size + 1, 0, &n, NULL, &err));
	assert_int_equal(n, size);
	assert_memory_equal(got, want, size);
	free(got);
}

/* Read the whole version, as it is at the end of a life. */
static void
check_published(const struct life *l)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	struct net_options wire = { 0 };
	struct cache_options opt = { .dir = l->cache };
	struct version_options how = { 0 };
	char target[DM_TARGET_MAX + 1];
	struct version_node link;
	struct resolved at;
	struct cache *cache;
	struct version *v;
	struct commit c;
	struct repo *r;
	struct net *net;
	bool found = false;

	OK(net_open(&net, &wire, &err));
	OK(cache_open(&cache, &opt, &err));
	OK(repo_open(&r, net, cache, l->repo, 3000, &err));
	OK(repo_resolve(r, "main", &at, &err));
	OK(repo_commit(r, &at.commit, &text, &c, &err));
	assert_int_equal(c.nparents, 1);
	assert_int_equal(c.files, 5);
	OK(version_open(&v, cache, r->origin, &c, &how, &err));
	check_file(v, "sub/a", "another text of a", 17);
	check_file(v, "sub/b", "text of b", 9);
	check_file(v, "none", "", 0);
	check_file(v, "large", large, LARGE);
	OK(version_path(v, "link", &link, &found, NULL, &err));
	OK(version_readlink(v, &link, target, NULL, &err));
	assert_string_equal(target, "sub/b");
	version_close(v);
	cache_close(cache);
	net_close(net);
	repo_close(r);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

/* Returns how many calls of that kind there are, about. */
static long
fail_each(enum fault kind, bool stream)
{
	/* of very many calls, far ones are much like those before */
	for (long n = 1;; n += 1 + n / 50) {
		struct life l = { .stream = stream };
		struct dm_err err = { 0 };
		bool failed;
		int rc;

		(void)snprintf(l.repo, sizeof(l.repo), "r%d.%ld", (int)kind, n);
		(void)snprintf(l.cache, sizeof(l.cache), "%s/c%d.%ld", scratch,
		    (int)kind, n);
		put_file("d/sub/a", "text of a");
		fault_arm(kind, n);
		rc = live_on(&l, &err);
		failed = fault_disarm();
		if (rc < 0 && (!failed || err.text[0] == '\0'))
			fail_msg("%s %ld: %s", fault_names[kind], n, err.text);
		if (kind == FAULT_MEMORY && rc < 0 && err.code != DM_NOMEM)
			fail_msg("allocation %ld: %s", n, err.text);
		if (rc < 0)
			live_on_after(&l, kind, n);
		check_published(&l);
		(void)nftw(l.repo, remove_one, 16, FTW_DEPTH | FTW_PHYS);
		(void)nftw(l.cache, remove_one, 16, FTW_DEPTH | FTW_PHYS);
		if (!failed)
			return n - 1;
	}
}

#define FAIL_TEST(name, kind, least)                            \
	static void name(void **state)                          \
	{                                                       \
		(void)state;                                    \
		assert_true(fail_each(kind, false) >= (least)); \
	}

FAIL_TEST(test_memory_that_ends_leaves_all_whole, FAULT_MEMORY, 100)
FAIL_TEST(test_a_thread_that_does_not_start_leaves_all_whole, FAULT_THREAD, 1)
FAIL_TEST(test_a_full_disk_leaves_all_whole, FAULT_WRITE, 10)
FAIL_TEST(test_an_fsync_that_fails_leaves_all_whole, FAULT_SYNC, 10)
FAIL_TEST(test_a_rename_that_fails_leaves_all_whole, FAULT_NAME, 10)
FAIL_TEST(test_an_open_that_fails_leaves_all_whole, FAULT_OPEN, 10)
FAIL_TEST(test_a_read_that_fails_leaves_all_whole, FAULT_READ, 10)
FAIL_TEST(test_a_stat_that_fails_leaves_all_whole, FAULT_STAT, 4)

static void
test_a_stream_is_read_anew_whatever_failed(void **state)
{
	(void)state;
	assert_true(fail_each(FAULT_MEMORY, true) >= 100);
	assert_true(fail_each(FAULT_WRITE, true) >= 10);
	assert_true(fail_each(FAULT_READ, true) >= 10);
}

#define FAULT_TEST(f) \
	cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FAULT_TEST(test_memory_that_ends_leaves_all_whole),
		FAULT_TEST(test_a_thread_that_does_not_start_leaves_all_whole),
		FAULT_TEST(test_a_full_disk_leaves_all_whole),
		FAULT_TEST(test_an_fsync_that_fails_leaves_all_whole),
		FAULT_TEST(test_a_rename_that_fails_leaves_all_whole),
		FAULT_TEST(test_an_open_that_fails_leaves_all_whole),
		FAULT_TEST(test_a_read_that_fails_leaves_all_whole),
		FAULT_TEST(test_a_stat_that_fails_leaves_all_whole),
		cmocka_unit_test_setup_teardown(
		    test_a_stream_is_read_anew_whatever_failed, setup_stream,
		    teardown_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
