/* cache/base/digest: SHA-256. */
#include "tests/unit/check.h"

/* From FIPS 180-2, appendix B. */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define TWO "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define TWO_TEXT "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"

static void
is(const struct digest *d, const char *hex)
{
	char text[DIGEST_HEX + 1];

	digest_hex(d, text);
	assert_string_equal(text, hex);
}

static void
test_known_digests_come_out(void **state)
{
	struct digest d;

	(void)state;
	digest_of(&d, "abc", 3);
	is(&d, ABC);
	digest_of(&d, TWO_TEXT, strlen(TWO_TEXT));
	is(&d, TWO);
	digest_of(&d, "", 0);
	is(&d, EMPTY);
}

static void
test_parts_give_the_same_as_the_whole_twice(void **state)
{
	struct digest_hasher *h = digest_hasher_new();
	struct digest d;

	(void)state;
	assert_non_null(h);
	digest_hasher_add(h, "a", 1);
	digest_hasher_add(h, "bc", 2);
	digest_hasher_get(h, &d);
	is(&d, ABC);
	digest_hasher_get(h, &d);
	is(&d, EMPTY);
	digest_hasher_add(h, "abc", 3);
	digest_hasher_get(h, &d);
	is(&d, ABC);
	digest_hasher_free(h);
	digest_hasher_free(NULL);
}

static void
test_only_64_lower_case_digits_parse(void **state)
{
	static const char *const bad[] = { "", "ba", ABC "0",
		"BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015"
		"ad",
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015"
		"ag" };
	struct digest d, e;

	(void)state;
	assert_true(digest_parse(&d, ABC, DIGEST_HEX));
	is(&d, ABC);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(digest_parse(&e, bad[i], strlen(bad[i])));
	assert_false(digest_parse(&e, ABC, DIGEST_HEX - 1));
}

static void
test_digests_compare_and_zero_is_known(void **state)
{
	struct digest a = id_of(0), b = id_of(0);

	(void)state;
	assert_true(digest_equal(&a, &b));
	assert_true(digest_is_zero(&a));
	b.bytes[31] = 1;
	assert_false(digest_equal(&a, &b));
	assert_false(digest_is_zero(&b));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_digests_come_out),
		cmocka_unit_test(test_parts_give_the_same_as_the_whole_twice),
		cmocka_unit_test(test_only_64_lower_case_digits_parse),
		cmocka_unit_test(test_digests_compare_and_zero_is_known),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
