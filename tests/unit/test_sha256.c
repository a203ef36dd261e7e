/* cache/base/sha256: two digests at once. */
#include "cache/base/digest.h"
#include "cache/base/sha256.h"
#include "tests/unit/check.h"

enum { SIZE = 1 << 16 };

static uint8_t bytes[SIZE + 1];

static void
fill(void)
{
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		x = x * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(x >> 24);
	}
}

/* Elsewhere there is nothing to test. */
static void
begin(void)
{
	if (!sha256_usable())
		skip();
	fill();
}

static void
ends_as(struct sha256 *s, const void *data, size_t size)
{
	struct digest is, should;

	sha256_end(s, &is);
	digest_of(&should, data, size);
	assert_memory_equal(&is, &should, sizeof(is));
}

static void
test_every_size_has_the_digest_that_openssl_gives_it(void **state)
{
	(void)state;
	begin();
	for (size_t n = 0; n < 600; n++) {
		struct sha256 s;

		sha256_begin(&s);
		sha256_add(&s, bytes + 1, n);
		ends_as(&s, bytes + 1, n);
	}
}

/* The one has begun before: their blocks begin at different bytes. */
static void
test_what_goes_into_two_has_both_digests(void **state)
{
	(void)state;
	begin();
	for (size_t before = 0; before < 130; before++)
		for (size_t n = 0; n < 400; n += n < 260 ? 1 : 7) {
			struct sha256 s, t;

			sha256_begin(&s);
			sha256_begin(&t);
			sha256_add(&s, bytes, before);
			sha256_add_both(&s, &t, bytes + before, n);
			ends_as(&s, bytes, before + n);
			ends_as(&t, bytes + before, n);
		}
}

static void
test_parts_of_any_size_make_a_whole(void **state)
{
	static const size_t part[] = { 1, 4096, 63, 0, 64, 65, 20000, 3,
		30001 };
	struct sha256 whole, one;
	size_t at = 0;

	(void)state;
	begin();
	sha256_begin(&whole);
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		sha256_begin(&one);
		sha256_add_both(&whole, &one, bytes + at, part[i]);
		ends_as(&one, bytes + at, part[i]);
		at += part[i];
	}
	ends_as(&whole, bytes, at);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_every_size_has_the_digest_that_openssl_gives_it),
		cmocka_unit_test(test_what_goes_into_two_has_both_digests),
		cmocka_unit_test(test_parts_of_any_size_make_a_whole),
	};

	return cmocka_run_group_tests_name("sha256", tests, NULL, NULL);
}
