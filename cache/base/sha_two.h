/* cache/base/sha_two.h - the rounds of two SHA-256 at once. */
#ifndef DM_BASE_SHA_TWO_H
#define DM_BASE_SHA_TWO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA_BLOCK = 64 };

/* Add n blocks from from_a to the digest a, and n from from_b to b.  Only where
 * sha_two_pays. */
void sha_two(uint32_t a[8], const uint8_t *from_a, uint32_t b[8],
    const uint8_t *from_b, size_t n);

/* Has this processor the instructions, and does it take little longer for two
 * than for one? */
bool sha_two_pays(void);

#endif
