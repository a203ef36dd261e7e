/* store/around: when small pieces are read with their neighbours. */
#include "cache/store/around.h"
#include "tests/unit/check.h"

#include <stdlib.h>

enum { W = AROUND_WINDOW, SIZE = 10240 };

/* Enough for so many windows. */
static struct around
credit_for(uint64_t windows)
{
	struct around a;

	around_init(&a, windows * W * 6);
	return a;
}

static bool
due(struct around *a, struct around_blob *b, uint64_t off, uint32_t now)
{
	uint64_t from, n;

	return around_due(a, b, off, SIZE, now, &from, &n);
}

static void
test_the_first_piece_of_a_blob_is_read_alone(void **state)
{
	struct around a = credit_for(100);
	struct around_blob b = { 0 };
	uint64_t from = 0, n = 0;

	(void)state;
	assert_false(around_due(&a, &b, 5 * W + 7, SIZE, 1, &from, &n));
	assert_true(around_due(&a, &b, 3 * W + 7, SIZE, 1, &from, &n));
	assert_int_equal(from, 3 * W);
	assert_int_equal(n, W);
}

static void
test_a_piece_at_the_end_of_a_window_is_read_whole(void **state)
{
	struct around a = credit_for(100);
	struct around_blob b = { 0 };
	uint64_t from = 0, n = 0;

	(void)state;
	assert_false(due(&a, &b, 0, 1));
	assert_true(around_due(&a, &b, 4 * W - 10, SIZE, 1, &from, &n));
	assert_int_equal(from, 3 * W);
	assert_int_equal(n, W - 10 + SIZE);
}

static void
test_a_window_is_read_once_in_a_while(void **state)
{
	struct around a = credit_for(100);
	struct around_blob b = { 0 };

	(void)state;
	assert_false(due(&a, &b, 0, 1));
	assert_true(due(&a, &b, 0, 1));
	assert_false(due(&a, &b, W / 2, 1));
	assert_false(due(&a, &b, W / 2, AROUND_S));
	/* What was read so long ago may be gone. */
	assert_false(due(&a, &b, W / 2, AROUND_S + 1));
	assert_true(due(&a, &b, W / 2, AROUND_S + 1));
}

/* Read random pieces of n blobs of 64 windows; how many read around. */
static unsigned
shuffled(struct around *a, unsigned n, unsigned reads)
{
	struct around_blob *b = calloc(n, sizeof(*b));
	unsigned around = 0;
	uint64_t x = 88172645463325252u;

	assert_non_null(b);
	for (unsigned i = 0; i < reads; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		around += due(a, &b[x % n], x / n % 64 * W, 1);
	}
	free(b);
	return around;
}

static void
test_what_fits_half_of_the_memory_is_read_by_windows(void **state)
{
	enum { BLOBS = 100 };
	struct around a;

	(void)state;
	around_init(&a, (uint64_t)2 * BLOBS * 64 * W);
	assert_int_equal(shuffled(&a, BLOBS, BLOBS * 64 * 25), BLOBS * 64);
}

static void
test_what_does_not_come_back_soon_is_read_alone(void **state)
{
	struct around a = credit_for(100);

	(void)state;
	assert_true(shuffled(&a, 10000, 100000) < 400);
}

static void
test_credit_comes_back_by_itself(void **state)
{
	struct around a = credit_for(2048);
	struct around_blob b = { 0 };
	uint64_t window = 0;

	(void)state;
	(void)shuffled(&a, 10000, 100000);
	while (due(&a, &b, window++ * W, 1) || window < 3)
		continue;
	assert_true(due(&a, &b, window * W, 2));
	assert_true(due(&a, &b, (window + 1) * W, 2));
	assert_false(due(&a, &b, (window + 2) * W, 2));
}

static void
test_credit_is_no_more_after_a_long_pause(void **state)
{
	struct around a = credit_for(1024);
	struct around_blob b[40] = { 0 };
	unsigned around = 0;

	(void)state;
	(void)due(&a, &b[0], 0, 1);
	assert_true(due(&a, &b[0], 0, 1));
	(void)due(&a, &b[0], 0, 100000);
	for (unsigned i = 0; i < 40 * 64; i++)
		around += due(&a, &b[i / 64], i % 64 * W, 100000);
	assert_in_range(around, 1000, 1025);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_piece_of_a_blob_is_read_alone),
		cmocka_unit_test(
		    test_a_piece_at_the_end_of_a_window_is_read_whole),
		cmocka_unit_test(test_a_window_is_read_once_in_a_while),
		cmocka_unit_test(
		    test_what_fits_half_of_the_memory_is_read_by_windows),
		cmocka_unit_test(
		    test_what_does_not_come_back_soon_is_read_alone),
		cmocka_unit_test(test_credit_comes_back_by_itself),
		cmocka_unit_test(test_credit_is_no_more_after_a_long_pause),
	};

	return cmocka_run_group_tests_name("around", tests, NULL, NULL);
}
