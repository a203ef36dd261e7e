#include "cache/net/address.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

static bool
is_bad_v4(const uint8_t a[4])
{
	static const uint8_t metadata[][4] = {
		{ 100, 100, 100, 200 }, /* Alibaba Cloud */
		{ 168, 63, 129, 16 },   /* Azure */
		{ 192, 0, 0, 192 },     /* Oracle Cloud */
	};

	if (a[0] == 169 && a[1] == 254)
		return true;
	for (size_t i = 0; i < sizeof(metadata) / sizeof(metadata[0]); i++)
		if (memcmp(a, metadata[i], 4) == 0)
			return true;
	return false;
}

static bool
is_bad_v6(const uint8_t a[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
	/* Amazon's, fd00:ec2::254 and its neighbours */
	static const uint8_t amazon[4] = { 0xfd, 0x00, 0x0e, 0xc2 };

	if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
		return true;
	if (memcmp(a, amazon, sizeof(amazon)) == 0)
		return true;
	return (memcmp(a, mapped, sizeof(mapped)) == 0 ||
		   memcmp(a, nat64, sizeof(nat64)) == 0) &&
	    is_bad_v4(a + 12);
}

bool
address_is_private_service(const char *ip)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t a[16];
	size_t n = strcspn(ip, "%"); /* a zone: fe80::1%eth0 */

	if (n >= sizeof(text))
		return false;
	memcpy(text, ip, n);
	text[n] = '\0';
	if (inet_pton(AF_INET, text, a) == 1)
		return is_bad_v4(a);
	return inet_pton(AF_INET6, text, a) == 1 && is_bad_v6(a);
}
