/* cache/plan: what is worth fetching along with a missing piece. */
#include "cache/plan.h"
#include "tests/unit/check.h"

enum { N = 100, KB = 1000 };

static struct pack_object object[N];
static uint8_t skip[N];

/* A hundred pieces of size stored bytes, all missing. */
static struct plan
missing(uint32_t size)
{
	for (uint32_t i = 0; i < N; i++) {
		object[i] = (struct pack_object){
			.stored_off = (uint64_t)i * size,
			.stored_size = size,
			.plain_size = size,
		};
		skip[i] = 0;
	}
	return (struct plan){ .n = N, .object = object, .skip = skip };
}

static void
expect(const struct plan *p, uint32_t at, uint64_t window, bool back,
    uint32_t lo, uint32_t hi)
{
	uint32_t is_lo, is_hi;

	plan_range(p, at, window, UINT64_MAX, back, &is_lo, &is_hi);
	assert_int_equal(is_lo, lo);
	assert_int_equal(is_hi, hi);
}

static void
test_a_range_goes_forward_as_far_as_its_window(void **state)
{
	struct plan p = missing(10 * KB);

	(void)state;
	expect(&p, 5, 100 * KB, true, 5, 15);
	expect(&p, 5, 109 * KB, true, 5, 15);
	expect(&p, 5, 1, true, 5, 6);
}

static void
test_a_range_goes_back_only_if_it_may_and_has_room(void **state)
{
	struct plan p = missing(10 * KB);

	(void)state;
	expect(&p, 95, 100 * KB, true, 90, 100);
	expect(&p, 95, 100 * KB, false, 95, 100);
	expect(&p, 0, 5000 * KB, true, 0, 100);
	expect(&p, 99, 5000 * KB, true, 0, 100);
}

static void
test_small_gaps_are_fetched_over_and_large_ones_end_the_range(void **state)
{
	struct plan p = missing(10 * KB);

	(void)state;
	memset(skip + 7, 1, 6); /* 60 KB that are here */
	expect(&p, 5, 200 * KB, false, 5, 25);
	memset(skip + 7, 1, 7); /* 70 KB: more than a gap */
	expect(&p, 5, 200 * KB, false, 5, 7);
	expect(&p, 20, 200 * KB, true, 20, 40);
	expect(&p, 95, 200 * KB, true, 80, 100);
}

static void
test_a_range_never_ends_in_what_is_here(void **state)
{
	struct plan p = missing(10 * KB);

	(void)state;
	memset(skip + 8, 1, N - 8);
	memset(skip, 1, 3);
	expect(&p, 5, 500 * KB, true, 3, 8);
}

static void
test_memory_bounds_a_range_but_not_its_first_piece(void **state)
{
	struct plan p = missing(10 * KB);
	uint32_t lo, hi;

	(void)state;
	for (uint32_t i = 0; i < N; i++) {
		object[i].codec = PACK_ZSTD;
		object[i].plain_size = 1000 * KB;
	}
	plan_range(&p, 5, 500 * KB, 3030 * KB, true, &lo, &hi);
	assert_int_equal(lo, 5);
	assert_int_equal(hi, 8);
	plan_range(&p, 5, 500 * KB, 1, true, &lo, &hi);
	assert_int_equal(lo, 5);
	assert_int_equal(hi, 6);
	assert_int_equal(plan_cost(&object[0]), 1010 * KB);
}

static void
test_the_first_piece_of_a_tree_brings_little_along(void **state)
{
	struct pack_object o = { .stored_size = 50 * KB, .kind = OBJECT_TREE };

	(void)state;
	assert_int_equal(plan_first(&o, false, 0), 50 * KB + PLAN_ROOT);
	assert_int_equal(plan_first(&o, true, 0), PLAN_MISS);
	o.kind = OBJECT_DATA;
	assert_int_equal(plan_first(&o, false, 0), PLAN_MISS);
	o.stored_size = 500 * KB;
	assert_int_equal(plan_first(&o, true, 0), 500 * KB);
}

static void
test_small_files_that_keep_being_missed_bring_more_along(void **state)
{
	struct pack_object o = { .stored_size = 10 * KB, .kind = OBJECT_DATA };

	(void)state;
	assert_int_equal(plan_first(&o, true, 1), 2 * PLAN_MISS);
	assert_int_equal(plan_first(&o, true, 2), 4 * PLAN_MISS);
	assert_int_equal(plan_first(&o, true, 1000), PLAN_MOST);
	o.stored_size = 500 * KB;
	assert_int_equal(plan_first(&o, true, 9), 500 * KB);
	o = (struct pack_object){ .stored_size = KB, .kind = OBJECT_TREE };
	assert_int_equal(plan_first(&o, true, 9), PLAN_MISS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
		T(test_a_range_goes_forward_as_far_as_its_window),
		T(test_a_range_goes_back_only_if_it_may_and_has_room),
		T(test_small_gaps_are_fetched_over_and_large_ones_end_the_range),
		T(test_a_range_never_ends_in_what_is_here),
		T(test_memory_bounds_a_range_but_not_its_first_piece),
		T(test_the_first_piece_of_a_tree_brings_little_along),
		T(test_small_files_that_keep_being_missed_bring_more_along),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
