/* cache/base/digest_pair: digests of a file and of its parts. */
#include "cache/base/digest_pair.h"

#include <stdlib.h>

#include "tests/unit/check.h"

enum { BYTES = 1000 };

static uint8_t bytes[BYTES];

static int
setup(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (size_t i = 0; i < BYTES; i++)
		bytes[i] = (uint8_t)rand_r(&seed);
	return 0;
}

static void
check_part(struct digest_pair *p, size_t from, size_t size)
{
	struct digest part, is;

	digest_pair_add(p, bytes + from, size, &part);
	digest_of(&is, bytes + from, size);
	assert_true(digest_equal(&part, &is));
}

static void
check_whole(struct digest_pair *p, size_t size)
{
	struct digest whole, is;

	digest_pair_get(p, &whole);
	digest_of(&is, bytes, size);
	assert_true(digest_equal(&whole, &is));
}

static void
test_two_parts_of_any_size_and_the_whole_have_their_digests(void **state)
{
	struct digest_pair *p = digest_pair_new();

	(void)state;
	assert_non_null(p);
	for (size_t a = 0; a < 200; a++)
		for (size_t b = 0; b < 200; b++) {
			check_part(p, 0, a);
			check_part(p, a, b);
			check_whole(p, a + b);
		}
	digest_pair_free(p);
}

static void
test_many_parts_have_their_digests(void **state)
{
	struct digest_pair *p = digest_pair_new();
	unsigned seed = 2;

	(void)state;
	assert_non_null(p);
	for (int i = 0; i < 100; i++) {
		size_t n, at = 0;

		for (; at < BYTES; at += n) {
			n = (size_t)rand_r(&seed) % 300;
			n = n < BYTES - at ? n : BYTES - at;
			check_part(p, at, n);
		}
		check_whole(p, BYTES);
	}
	digest_pair_free(p);
}

static void
test_a_part_may_do_without_a_digest(void **state)
{
	struct digest_pair *p = digest_pair_new();

	(void)state;
	assert_non_null(p);
	check_part(p, 0, 100);
	digest_pair_add(p, bytes + 100, 300, NULL);
	check_part(p, 400, 70);
	digest_pair_add(p, bytes + 470, 30, NULL);
	check_whole(p, 500);
	check_whole(p, 0);
	digest_pair_free(p);
	digest_pair_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_two_parts_of_any_size_and_the_whole_have_their_digests),
		cmocka_unit_test(test_many_parts_have_their_digests),
		cmocka_unit_test(test_a_part_may_do_without_a_digest),
	};

	return cmocka_run_group_tests_name("digest_pair", tests, setup, NULL);
}
