/* cache/store/hashing.h - a piece is hashed part by part, by one thread. */
#ifndef DM_STORE_HASHING_H
#define DM_STORE_HASHING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/lock.h"

struct blob_piece;
struct digest_hasher;

/* What is wanted of a piece, and where it goes. */
struct hashing_span {
	uint32_t off, size;
	uint8_t *buf;
	bool further; /* what follows will be wanted next */
};

/*
 * Read all of a piece, hash it, and copy what is wanted of it: part by part, so
 * that a part is still in the processor's cache when it is hashed and copied,
 * and the disk reads on meanwhile.  False: it cannot be read or does not match,
 * and what is in want->buf is worth nothing.
 */
bool hashing_read(int fd, const struct blob_piece *p, struct digest_hasher *h,
    const struct hashing_span *want);

/* The pieces of a blob that are hashed right now.  Guarded by the lock of the
 * blob, which all of these are called with. */
struct hashing_one {
	struct hashing_one *next;
	uint32_t n;
};
struct hashing {
	struct hashing_one *all;
	pthread_cond_t ended;
};

bool hashing_has(const struct hashing *h, uint32_t n);

/* Wait as long as others hash the piece of one. */
void hashing_wait(struct hashing *h, const struct hashing_one *one,
    struct dm_mutex *mu) DM_REQUIRES(*mu);
void hashing_begin(struct hashing *h, struct hashing_one *one);
void hashing_end(struct hashing *h, const struct hashing_one *one);

#endif
