/* cache/base/sha256.h - two SHA-256 at once, where the processor can. */
#ifndef DM_BASE_SHA256_H
#define DM_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct digest;

/*
 * A round of SHA-256 waits for the one before it, so the processor's
 * instructions for it stand idle half of the time.  Two digests, a round of
 * one after a round of the other, take little longer than one.
 *
 * This is for bytes that go into two digests; for all else there is digest.h.
 */

/* Has the processor the instructions?  If not, the rest must not be called. */
bool sha256_usable(void);

/* A digest in the making; a plain value. */
struct sha256 {
	uint32_t state[8];
	uint64_t size;     /* bytes so far */
	uint8_t block[64]; /* the last size % 64 of them */
};

void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t size);
void sha256_end(struct sha256 *s, struct digest *out);

/* Add the same bytes to both. */
void sha256_add_both(struct sha256 *s, struct sha256 *t, const void *data,
    size_t size);

#endif
