/* fs/publish/folder: what is put into a repository lasts. */
#include "fs/publish/folder.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "tests/unit/scratch.h"

/* The linker knows these.  Calls of ours come here first. */
int __real_fsync(int fd);
int __wrap_fsync(int fd);

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static struct stat synced[32]; /* guarded by mu, as nsynced */
static size_t nsynced;
static void (*on_fsync)(void); /* called once */

int
__wrap_fsync(int fd)
{
	void (*call)(void) = on_fsync;

	on_fsync = NULL;
	if (call != NULL)
		call();
	(void)pthread_mutex_lock(&mu);
	if (nsynced < sizeof(synced) / sizeof(synced[0]) &&
	    fstat(fd, &synced[nsynced]) == 0)
		nsynced++;
	(void)pthread_mutex_unlock(&mu);
	return __real_fsync(fd);
}

static bool
was_synced(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	for (size_t i = 0; i < nsynced; i++)
		if (synced[i].st_dev == st.st_dev &&
		    synced[i].st_ino == st.st_ino)
			return true;
	return false;
}

static void
test_a_directory_that_another_made_is_made_to_last(void **state)
{
	struct folder *f = NULL;

	(void)state;
	OK(folder_init(&f, "r", &err));
	/* another publisher has come as far as this */
	assert_int_equal(mkdir("r/commits/ab", 0755), 0);
	nsynced = 0;
	OK(folder_put(f, "commits/ab/x", "text", 4, &err));
	assert_true(was_synced("r/commits/ab/x"));
	assert_true(was_synced("r/commits/ab"));
	assert_true(was_synced("r/commits"));
	assert_true(was_synced("r"));
	folder_close(f);
}

static void
test_so_are_those_above_the_repository(void **state)
{
	struct folder *f = NULL;

	(void)state;
	/* made by an init that was killed then */
	assert_int_equal(mkdir("a", 0755), 0);
	assert_int_equal(mkdir("a/r", 0755), 0);
	nsynced = 0;
	OK(folder_init(&f, "a/r", &err));
	assert_true(was_synced("a"));
	assert_true(was_synced("."));
	folder_close(f);
}

static void
test_what_a_killed_init_left_is_no_reason_to_refuse(void **state)
{
	struct folder *f = NULL;

	(void)state;
	assert_int_equal(mkdir("r", 0755), 0);
	put_file("r/datamount.0123456789abcdef.tmp", "datamount repo");
	put_file("r/lock", "");
	OK(folder_init(&f, "r", &err));
	folder_close(f);
	OK(folder_open(&f, "r", &err));
	folder_close(f);
}

static void
test_what_only_looks_like_it_is(void **state)
{
	static const char *const files[] = { "datamount.0123456789abcde.tmp",
		"datamount.0123456789abcdefg.tmp", "datamount.tmp",
		"datamount.0123456789abcdef.tmp2",
		"datamount.0123456789ABCDEF.tmp", "lock", "x" };
	struct folder *f = NULL;

	(void)state;
	assert_int_equal(mkdir("r", 0755), 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "r/%s", files[i]);
		put_file(path, "text");
		FAILS(DM_INVALID, "is not empty", folder_init(&f, "r", &err));
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(mkdir("r/lock", 0755), 0);
	FAILS(DM_INVALID, "is not empty", folder_init(&f, "r", &err));
	/* nor has it written anything there */
	assert_int_equal(rmdir("r/lock"), 0);
	assert_int_equal(rmdir("r"), 0);
}

/* Another that makes the repository r at the same time. */
static struct folder *beside;
static pthread_t thread;

static void *
init_beside(void *arg)
{
	struct dm_err why = { 0 };

	(void)arg;
	if (folder_init(&beside, "r", &why) < 0)
		beside = NULL;
	return NULL;
}

static void
start_beside(void)
{
	(void)pthread_create(&thread, NULL, init_beside, NULL);
}

static void
test_of_two_inits_at_a_time_one_makes_the_repository(void **state)
{
	struct folder *f = NULL, *now = NULL;
	struct dm_err why = { 0 };

	(void)state;
	assert_int_equal(mkdir("r", 0755), 0);
	on_fsync = start_beside; /* this one's file waits for its name */
	if (folder_init(&f, "r", &why) < 0)
		f = NULL;
	assert_null(on_fsync);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true((f == NULL) != (beside == NULL));
	OK(folder_open(&now, "r", &err));
	assert_memory_equal(now->id, (f != NULL ? f : beside)->id,
	    REPO_ID_SIZE);
	folder_close(now);
	folder_close(f);
	folder_close(beside);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(
		    test_a_directory_that_another_made_is_made_to_last),
		SCRATCH_TEST(test_so_are_those_above_the_repository),
		SCRATCH_TEST(
		    test_what_a_killed_init_left_is_no_reason_to_refuse),
		SCRATCH_TEST(test_what_only_looks_like_it_is),
		SCRATCH_TEST(
		    test_of_two_inits_at_a_time_one_makes_the_repository),
	};

	return cmocka_run_group_tests_name("folder", tests, NULL, NULL);
}
