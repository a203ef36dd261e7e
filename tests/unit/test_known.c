/* fs/version/known: the nearest directory that was found of late. */
#include "fs/version/known.h"
#include "tests/unit/check.h"

static struct known k;

static int
setup(void **state)
{
	(void)state;
	known_init(&k);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	known_release(&k);
	return 0;
}

static void
add(uint64_t ino, uint64_t entries)
{
	struct version_node n = {
		.ino = ino, .kind = TREE_DIR, .entries = entries
	};

	known_add(&k, &n);
}

/* The number of what is known above, or 0. */
static uint64_t
above(uint64_t ino)
{
	struct version_node n;

	return known_above(&k, ino, &n) ? n.ino : 0;
}

static void
test_the_nearest_one_is_found(void **state)
{
	struct version_node n;

	(void)state;
	assert_int_equal(above(5), 0);
	add(10, 100); /* 11 to 110 */
	add(20, 30);  /* 21 to 50 */
	add(60, 1);
	assert_int_equal(above(10), 0);
	assert_int_equal(above(11), 10);
	assert_int_equal(above(20), 10);
	assert_int_equal(above(21), 20);
	assert_int_equal(above(50), 20);
	assert_int_equal(above(51), 10);
	assert_int_equal(above(61), 60);
	assert_int_equal(above(110), 10);
	assert_int_equal(above(111), 0);
	assert_true(known_get(&k, 20, &n));
	assert_int_equal(n.ino, 20);
	assert_false(known_get(&k, 21, &n));
	assert_false(known_get(&k, 0, &n));
}

static void
test_files_and_empty_directories_are_passed_over(void **state)
{
	struct version_node n = { .ino = 7, .kind = TREE_FILE };

	(void)state;
	known_add(&k, &n);
	add(8, 0);
	assert_false(known_get(&k, 7, &n));
	assert_false(known_get(&k, 8, &n));
}

static void
test_the_one_unused_longest_is_forgotten(void **state)
{
	struct version_node n;

	(void)state;
	add(1000000, 1000000);
	for (uint64_t i = 1; i < KNOWN; i++)
		add(i * 10, 5);
	assert_true(known_get(&k, 10, &n));
	assert_int_equal(above(1500000), 1000000);
	add(5000, 5);
	assert_true(known_get(&k, 5000, &n));
	assert_true(known_get(&k, 10, &n));
	assert_true(known_get(&k, 1000000, &n));
	assert_false(known_get(&k, 20, &n));
	assert_true(known_get(&k, 30, &n));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_the_nearest_one_is_found),
		TEST(test_files_and_empty_directories_are_passed_over),
		TEST(test_the_one_unused_longest_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
