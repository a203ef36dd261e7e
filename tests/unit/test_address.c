/* cache/net/address: where no redirect may lead. */
#include "cache/net/address.h"
#include "tests/unit/check.h"

static void
test_internal_addresses_are_known_in_all_their_forms(void **state)
{
	static const char *const cases[] = {
		"169.254.169.254",
		"169.254.0.1",
		"100.100.100.200",
		"168.63.129.16",
		"192.0.0.192",
		"fe80::1",
		"fe80::1%eth0",
		"febf:ffff::",
		"fd00:ec2::254",
		"::ffff:169.254.169.254",
		"64:ff9b::169.254.169.254",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!address_is_private_service(cases[i]))
			fail_msg("not known: %s", cases[i]);
}

static void
test_other_addresses_are_not_refused(void **state)
{
	static const char *const cases[] = {
		"127.0.0.1",
		"10.0.0.1",
		"169.253.255.255",
		"169.255.0.1",
		"::1",
		"fec0::1",
		"2001:db8::1",
		"::ffff:127.0.0.1",
		"fd00::1",
		"",
		"nonsense",
		"169.254.169.254.example.org",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (address_is_private_service(cases[i]))
			fail_msg("refused: %s", cases[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_internal_addresses_are_known_in_all_their_forms),
		cmocka_unit_test(test_other_addresses_are_not_refused),
	};

	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
