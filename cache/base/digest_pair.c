/*
 * Where it pays, both digests are made here, with the padding that ends them;
 * elsewhere OpenSSL makes one after the other.
 */
#include "cache/base/digest_pair.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "cache/base/sha_two.h"

enum { LENGTH = 8 };

struct digest_pair {
	struct digest_hasher *other; /* not NULL: OpenSSL does the work */
	uint32_t state[8];           /* of the whole file, as all below */
	uint64_t size;
	uint8_t rest[SHA_BLOCK]; /* size % SHA_BLOCK: they fill none yet */
};

static const uint32_t first[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372,
	0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

/* Add n blocks to one digest. */
static void
hash_one(uint32_t state[8], const uint8_t *data, size_t n)
{
	uint32_t unused[8] = { 0 };

	sha_two(state, data, unused, data, n);
}

/* The stream ends with rest, which fills no block, after size bytes in all. */
static void
hash_end(uint32_t state[8], const uint8_t *rest, uint64_t size,
    struct digest *out)
{
	uint8_t end[2 * SHA_BLOCK] = { 0 };
	size_t n = size % SHA_BLOCK,
	       blocks = n + 1 + LENGTH > SHA_BLOCK ? 2 : 1;

	if (n > 0)
		memcpy(end, rest, n);
	end[n] = 0x80;
	for (size_t i = 0; i < LENGTH; i++)
		end[blocks * SHA_BLOCK - 1 - i] = (uint8_t)(size * 8 >> 8 * i);
	hash_one(state, end, blocks);
	for (size_t i = 0; i < 8; i++)
		for (size_t k = 0; k < 4; k++)
			out->bytes[4 * i + k] =
			    (uint8_t)(state[i] >> (24 - 8 * k));
}

/* Fill up the file's last block; returns how many bytes that takes. */
static size_t
fill_rest(struct digest_pair *p, const uint8_t *data, size_t size)
{
	size_t have = p->size % SHA_BLOCK, n = SHA_BLOCK - have;

	if (have == 0)
		return 0;
	if (n > size)
		n = size;
	memcpy(p->rest + have, data, n);
	if (have + n == SHA_BLOCK)
		hash_one(p->state, p->rest, 1);
	return n;
}

/* The file's blocks begin elsewhere than the part's; of each there are at
 * least as many as the file has. */
static void
add_native(struct digest_pair *p, const uint8_t *data, size_t size,
    struct digest *part)
{
	size_t used = fill_rest(p, data, size);
	size_t file_blocks = (size - used) / SHA_BLOCK,
	       blocks = size / SHA_BLOCK;
	size_t end = used + file_blocks * SHA_BLOCK;
	uint32_t state[8];

	memcpy(state, first, sizeof(state));
	if (part == NULL)
		hash_one(p->state, data + used, file_blocks);
	else
		sha_two(p->state, data + used, state, data, file_blocks);
	if (end < size)
		memcpy(p->rest, data + end, size - end);
	p->size += size;
	if (part == NULL)
		return;
	hash_one(state, data + file_blocks * SHA_BLOCK, blocks - file_blocks);
	hash_end(state, data + blocks * SHA_BLOCK, size, part);
}

static void
begin(struct digest_pair *p)
{
	memcpy(p->state, first, sizeof(p->state));
	p->size = 0;
}

static void
get_native(struct digest_pair *p, struct digest *whole)
{
	hash_end(p->state, p->rest, p->size, whole);
	begin(p);
}

struct digest_pair *
digest_pair_new(void)
{
	struct digest_pair *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	if (digest_pair_pays()) {
		begin(p);
		return p;
	}
	p->other = digest_hasher_new();
	if (p->other == NULL)
		digest_pair_free(dm_steal(&p));
	return p;
}

void
digest_pair_free(struct digest_pair *p)
{
	if (p == NULL)
		return;
	digest_hasher_free(p->other);
	free(p);
}

void
digest_pair_add(struct digest_pair *p, const void *data, size_t size,
    struct digest *part)
{
	if (p->other == NULL) {
		add_native(p, data, size, part);
		return;
	}
	digest_hasher_add(p->other, data, size);
	if (part != NULL)
		digest_of(part, data, size);
}

void
digest_pair_get(struct digest_pair *p, struct digest *whole)
{
	if (p->other == NULL)
		get_native(p, whole);
	else
		digest_hasher_get(p->other, whole);
}

bool
digest_pair_pays(void)
{
	return sha_two_pays();
}
