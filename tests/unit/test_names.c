/* fs/publish/names: a directory's names in order, however many. */
#include "fs/publish/names.h"
#include "tests/unit/scratch.h"

static int
keep_all(void *arg, const char *name, unsigned char type, struct dm_err *err)
{
	(void)arg;
	(void)type;
	return strcmp(name, "bad") == 0 ? dm_fail(err, DM_INVALID, "no") :
					  strcmp(name, "skip") != 0;
}

static struct names *
read_here(void)
{
	struct names *n = NULL;
	int fd = open(".", O_RDONLY | O_DIRECTORY);

	OK(names_read(&n, fd, "/tmp", keep_all, NULL, &err));
	(void)close(fd);
	return n;
}

static void
expect(struct names *n, const char *want)
{
	const char *name;

	OK(names_next(n, &name, &err));
	if (want == NULL)
		assert_null(name);
	else
		assert_string_equal(name, want);
}

static void
test_names_come_in_the_order_of_their_bytes(void **state)
{
	struct names *n;

	(void)state;
	put_file("b", "");
	put_file("a.x", "");
	put_file("a", "");
	put_file("\xff", "");
	put_file("B", "");
	put_file("skip", "");
	n = read_here();
	assert_int_equal(names_count(n), 5);
	expect(n, "B");
	expect(n, "a");
	expect(n, "a.x");
	expect(n, "b");
	expect(n, "\xff");
	expect(n, NULL);
	expect(n, NULL);
	names_free(n);
}

static void
test_an_empty_directory_has_no_names(void **state)
{
	struct names *n;

	(void)state;
	n = read_here();
	assert_int_equal(names_count(n), 0);
	expect(n, NULL);
	names_free(n);
}

static void
test_a_refusal_ends_the_reading(void **state)
{
	struct names *n = NULL;
	int fd = open(".", O_RDONLY | O_DIRECTORY);

	(void)state;
	put_file("bad", "");
	FAILS(DM_INVALID, "no",
	    names_read(&n, fd, "/tmp", keep_all, NULL, &err));
	(void)close(fd);
}

static void
test_more_names_than_a_run_are_merged_in_order(void **state)
{
	enum { COUNT = 2 * NAMES_RUN + 100 };
	struct names *n;
	const char *name;
	char last[16] = "";

	(void)state;
	for (unsigned i = 0; i < COUNT; i++) {
		char path[16];

		(void)snprintf(path, sizeof(path), "%x", i * 2654435761U);
		if (i == 0)
			put_file("0", "");
		else
			assert_int_equal(link("0", path), 0);
		/* a file has no more names than its file system allows */
		if (i % 30000 == 29999) {
			assert_int_equal(unlink("0"), 0);
			put_file("0", "");
		}
	}
	n = read_here();
	assert_int_equal(names_count(n), COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		OK(names_next(n, &name, &err));
		assert_true(strcmp(last, name) < 0);
		(void)snprintf(last, sizeof(last), "%s", name);
	}
	expect(n, NULL);
	expect(n, NULL);
	names_free(n);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRATCH_TEST(test_names_come_in_the_order_of_their_bytes),
		SCRATCH_TEST(test_an_empty_directory_has_no_names),
		SCRATCH_TEST(test_a_refusal_ends_the_reading),
		SCRATCH_TEST(test_more_names_than_a_run_are_merged_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
