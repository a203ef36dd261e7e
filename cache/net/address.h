/* cache/net/address.h - addresses that no stranger may send us to. */
#ifndef DM_NET_ADDRESS_H
#define DM_NET_ADDRESS_H

#include <stdbool.h>

/* Whether ip, as text, is link-local or serves a cloud's metadata, also as
 * an IPv4 address within an IPv6 one.  Text that is no address is not. */
bool address_is_private_service(const char *ip);

#endif
