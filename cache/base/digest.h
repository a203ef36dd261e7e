/* cache/base/digest.h - SHA-256, the only name that bytes have here. */
#ifndef DM_BASE_DIGEST_H
#define DM_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"

enum { DIGEST_SIZE = 32, DIGEST_HEX = 2 * DIGEST_SIZE };

struct dm_err;

/* A SHA-256; a plain value. */
struct digest {
	uint8_t bytes[DIGEST_SIZE];
};

/* SHA-256 of size bytes.  Cannot fail: a library without SHA-256 aborts. */
void digest_of(struct digest *out, const void *data, size_t size);

/* The same in parts: new, add..., get, free.  One hasher, one thread at a
 * time.  digest_hasher_get ends one digest and begins the next. */
struct digest_hasher;
struct digest_hasher *digest_hasher_new(void);
void digest_hasher_add(struct digest_hasher *h, const void *data, size_t size);
void digest_hasher_get(struct digest_hasher *h, struct digest *out);
void digest_hasher_free(struct digest_hasher *h);

bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_is_zero(const struct digest *d);

/* Write 64 lower-case hex digits and a NUL. */
void digest_hex(const struct digest *d, char out[DIGEST_HEX + 1]);

/* Read exactly 64 lower-case hex digits; false if text is anything else. */
bool digest_parse(struct digest *out, const char *text,
    size_t size) DM_MUST_CHECK;

#endif
