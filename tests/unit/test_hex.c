/* cache/base/hex: bytes as hex digits, and back. */
#include "cache/base/hex.h"
#include "tests/unit/check.h"

static void
test_every_byte_comes_back(void **state)
{
	uint8_t in[256], out[256];
	char text[513];

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		in[i] = (uint8_t)i;
	dm_hex_encode(text, in, sizeof(in));
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text, "000102", 6);
	assert_string_equal(text + 506, "fdfeff");
	assert_true(dm_hex_decode(out, sizeof(out), text));
	assert_memory_equal(in, out, sizeof(in));
}

static void
test_no_other_character_is_a_digit(void **state)
{
	uint8_t out;
	char text[3] = "0";

	(void)state;
	for (int c = 0; c < 256; c++) {
		bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');

		text[1] = (char)c;
		assert_int_equal(dm_hex_decode(&out, 1, text), digit);
		text[1] = '0';
		text[0] = (char)c;
		assert_int_equal(dm_hex_decode(&out, 1, text), digit);
		text[0] = '0';
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_byte_comes_back),
		cmocka_unit_test(test_no_other_character_is_a_digit),
	};

	return cmocka_run_group_tests_name("hex", tests, NULL, NULL);
}
