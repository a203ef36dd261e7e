/* cache/base/digest_pair.h - SHA-256 of a file and of its parts, at once. */
#ifndef DM_BASE_DIGEST_PAIR_H
#define DM_BASE_DIGEST_PAIR_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/base/digest.h"

/*
 * A file is added part by part; each part has a digest of its own.  Each round
 * of SHA-256 waits for the one before it.  AMD's processors meanwhile work at
 * another digest for nothing: there, two take little longer than one.
 *
 * One pair, one thread at a time.
 */
struct digest_pair;
struct digest_pair *digest_pair_new(void);
void digest_pair_free(struct digest_pair *p);

/* The file's next size bytes; *part is their own digest, unless it is NULL. */
void digest_pair_add(struct digest_pair *p, const void *data, size_t size,
    struct digest *part);

/* The digest of the whole file; the next one begins. */
void digest_pair_get(struct digest_pair *p, struct digest *whole);

/* Is this processor such a one?  On others two threads are better. */
bool digest_pair_pays(void);

#endif
