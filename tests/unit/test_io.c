/* cache/base/io: whole reads and writes, and files that appear whole. */
#include "cache/base/io.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char dir[] = "/tmp/dm-io-XXXXXX";
static int at = -1;

static int
setup(void **state)
{
	(void)state;
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	if (mkdtemp(dir) == NULL)
		return -1;
	at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return at < 0 ? -1 : 0;
}

static int
teardown(void **state)
{
	char command[64];

	(void)state;
	(void)close(at);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void
assert_holds(const char *name, const char *text)
{
	struct dm_buf b = DM_BUF(100);
	bool found;

	OK(dm_file_read(at, name, &b, &found, &err));
	assert_true(found);
	assert_int_equal(b.size, strlen(text));
	assert_memory_equal(b.data, text, b.size);
	dm_buf_release(&b);
}

static void
test_a_replaced_file_is_whole_and_alone(void **state)
{
	char command[96];
	struct stat st;

	(void)state;
	OK(dm_file_replace(at, "f", "old", 3, 0600, &err));
	assert_holds("f", "old");
	OK(dm_file_replace(at, "f", "new text", 8, 0600, &err));
	assert_holds("f", "new text");
	assert_int_equal(fstatat(at, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void)snprintf(command, sizeof(command), "test $(ls -A %s) = f", dir);
	assert_int_equal(system(command), 0);
}

static void
test_a_file_below_a_directory_is_replaced(void **state)
{
	char path[64];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/a/b", dir);
	OK(dm_mkdirs(path, 0755, &err));
	OK(dm_mkdirs(path, 0755, &err));
	OK(dm_file_replace(at, "a/b/c", "x", 1, 0644, &err));
	assert_holds("a/b/c", "x");
}

static void
test_directories_that_are_to_last_are_made_once(void **state)
{
	char path[64];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/a/b/c/", dir);
	OK(dm_mkdirs_lasting(path, 0755, &err));
	OK(dm_mkdirs_lasting(path, 0755, &err));
	OK(dm_file_replace(at, "a/b/c/d", "x", 1, 0644, &err));
	assert_holds("a/b/c/d", "x");
	(void)snprintf(path, sizeof(path), "%s/a/b/c/d/e", dir);
	FAILS(DM_NOTFOUND, "a/b/c/d", dm_mkdirs_lasting(path, 0755, &err));
}

static void
test_a_replacement_that_fails_leaves_nothing(void **state)
{
	char command[96];

	(void)state;
	OK(dm_file_replace(at, "f", "x", 1, 0644, &err));
	FAILS(DM_NOTFOUND, "none/f",
	    dm_file_replace(at, "none/f", "x", 1, 0644, &err));
	assert_int_equal(mkdirat(at, "d", 0755), 0);
	FAILS(DM_IO, "rename to d",
	    dm_file_replace(at, "d", "x", 1, 0644, &err));
	(void)snprintf(command, sizeof(command),
	    "test \"$(ls -A %s)\" = 'd\nf'", dir);
	assert_int_equal(system(command), 0);
}

static void
test_a_missing_file_is_an_answer(void **state)
{
	struct dm_buf b = DM_BUF(10);
	bool found = true;

	(void)state;
	OK(dm_file_read(at, "none", &b, &found, &err));
	assert_false(found);
	assert_int_equal(b.size, 0);
}

static void
test_a_file_above_the_limit_is_refused(void **state)
{
	struct dm_buf b = DM_BUF(3);
	bool found;

	(void)state;
	OK(dm_file_replace(at, "f", "1234", 4, 0644, &err));
	FAILS(DM_INVALID, "f: larger than 3",
	    dm_file_read(at, "f", &b, &found, &err));
	OK(dm_file_replace(at, "f", "123", 3, 0644, &err));
	OK(dm_file_read(at, "f", &b, &found, &err));
	dm_buf_release(&b);
}

static void
test_mkdirs_names_what_is_in_the_way(void **state)
{
	char path[64];

	(void)state;
	OK(dm_file_replace(at, "f", "x", 1, 0644, &err));
	(void)snprintf(path, sizeof(path), "%s/f/g", dir);
	FAILS(DM_NOTFOUND, "/f/g", dm_mkdirs(path, 0755, &err));
}

static void
test_short_reads_end_at_the_end_of_the_file(void **state)
{
	char got[10];
	int fd = openat(at, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(dm_write_full(fd, "abcdef", 6), 0);
	assert_int_equal(dm_pwrite_full(fd, "XY", 2, 2), 0);
	assert_int_equal(dm_pread_full(fd, got, 10, 1), 5);
	assert_memory_equal(got, "bXYef", 5);
	assert_int_equal(dm_pread_full(fd, got, 10, 6), 0);
	assert_int_equal(lseek(fd, 4, SEEK_SET), 4);
	assert_int_equal(dm_read_full(fd, got, 10), 2);
	assert_int_equal(close(fd), 0);
	errno = 0;
	assert_int_equal(dm_pread_full(fd, got, 1, 0), -1);
	assert_int_equal(errno, EBADF);
}

static void
write_parts(int fd, bool cached, int want)
{
	char a[] = "abc", b[] = "defghi", c[] = "jkl";
	struct iovec part[] = {
		{ .iov_base = a, .iov_len = 3 },
		{ .iov_base = b, .iov_len = 0 },
		{ .iov_base = b, .iov_len = 6 },
		{ .iov_base = c, .iov_len = 3 },
	};

	assert_int_equal(dm_pwritev_full(fd, part, 4, 1, cached), want);
}

static void
test_parts_are_written_one_behind_the_other(void **state)
{
	struct rlimit all, few;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	few = all;
	few.rlim_cur = 8;
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	for (int cached = 0; cached <= 1; cached++) {
		int fd = openat(at, cached ? "g" : "f",
		    O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		char got[16];

		assert_true(fd >= 0);
		/* The first write is short, and what is left fails. */
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
		write_parts(fd, cached, -1);
		assert_int_equal(errno, EFBIG);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
		assert_int_equal(dm_pread_full(fd, got, 16, 1), 7);
		assert_memory_equal(got, "abcdefg", 7);
		write_parts(fd, cached, 0);
		assert_int_equal(dm_pread_full(fd, got, 16, 1), 12);
		assert_memory_equal(got, "abcdefghijkl", 12);
		assert_int_equal(close(fd), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_replaced_file_is_whole_and_alone),
		TEST(test_a_file_below_a_directory_is_replaced),
		TEST(test_directories_that_are_to_last_are_made_once),
		TEST(test_a_replacement_that_fails_leaves_nothing),
		TEST(test_a_missing_file_is_an_answer),
		TEST(test_a_file_above_the_limit_is_refused),
		TEST(test_mkdirs_names_what_is_in_the_way),
		TEST(test_parts_are_written_one_behind_the_other),
		TEST(test_short_reads_end_at_the_end_of_the_file),
	};

	return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
