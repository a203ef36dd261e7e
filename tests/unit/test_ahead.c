/* ahead: who reads files in the order of the tree. */
#include "tests/unit/check.h"

#include "fs/version/ahead.h"

enum { SIZE = 10 << 10 };

/* How often it is time to look, of n files from first on. */
static unsigned
looks(struct ahead *a, uint64_t first, uint64_t n, uint64_t step)
{
	unsigned due = 0;
	uint64_t ino;

	for (uint64_t i = 0; i < n; i++)
		due += ahead_read(a, first + i * step, SIZE, &ino);
	return due;
}

static void
test_who_reads_in_order_is_looked_ahead_for(void **state)
{
	struct ahead a;

	(void)state;
	ahead_init(&a);
	assert_int_equal(looks(&a, 2, 10, 1), 0);
	assert_true(looks(&a, 12, 80, 1) >= 8);
	ahead_release(&a);
}

static void
test_who_reads_here_and_there_is_not(void **state)
{
	struct ahead a;

	(void)state;
	ahead_init(&a);
	assert_int_equal(looks(&a, 2, 1000, 1000), 0);
	assert_int_equal(looks(&a, 500, 1000, 0), 0);
	ahead_release(&a);
}

static void
test_readers_do_not_disturb_each_other(void **state)
{
	unsigned due[2] = { 0, 0 };
	struct ahead a;

	(void)state;
	ahead_init(&a);
	for (uint64_t i = 0; i < 100; i++) {
		due[0] += looks(&a, 2 + i, 1, 1);
		due[1] += looks(&a, 100000 + i, 1, 1);
		(void)looks(&a, 200000 + i * 100, 1, 1);
	}
	assert_true(due[0] >= 8);
	assert_int_equal(due[0], due[1]);
	ahead_release(&a);
}

static void
test_the_larger_the_files_the_nearer_the_look(void **state)
{
	struct ahead a;
	uint64_t ino;

	(void)state;
	ahead_init(&a);
	(void)ahead_read(&a, 100, 10, &ino);
	assert_int_equal(ino, 612);
	(void)ahead_read(&a, 101, 1 << 20, &ino);
	assert_int_equal(ino, 117);
	ahead_release(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
		T(test_who_reads_in_order_is_looked_ahead_for),
		T(test_who_reads_here_and_there_is_not),
		T(test_readers_do_not_disturb_each_other),
		T(test_the_larger_the_files_the_nearer_the_look),
	};

	return cmocka_run_group_tests_name("ahead", tests, NULL, NULL);
}
