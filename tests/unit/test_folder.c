/* fs/publish/folder: what is put into a repository lasts. */
#include "fs/publish/folder.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/scratch.h"

/* The linker knows these.  Calls of ours come here first. */
int __real_fsync(int fd);
int __wrap_fsync(int fd);

static struct stat synced[32];
static size_t nsynced;

int
__wrap_fsync(int fd)
{
	if (nsynced < sizeof(synced) / sizeof(synced[0]) &&
	    fstat(fd, &synced[nsynced]) == 0)
		nsynced++;
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(
		    test_a_directory_that_another_made_is_made_to_last),
	};

	return cmocka_run_group_tests_name("folder", tests, NULL, NULL);
}
