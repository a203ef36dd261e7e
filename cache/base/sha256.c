/*
 * SHA-256 (FIPS 180-4) by the instructions of x86-64.  They take the state as
 * two registers, words a b e f and c d g h, and do two rounds each; 16 words of
 * the message schedule live in four registers.
 */
#include "cache/base/sha256.h"

#include <stdlib.h>
#include <string.h>

#include "cache/base/digest.h"

enum {
	BLOCK = 64,
	LENGTH_AT = BLOCK - 8, /* in the last block: the message's bits */
};

static void hash_blocks(uint32_t state[8], const uint8_t *data, size_t blocks);
static void hash_both(uint32_t s[8], const uint8_t *from_s, uint32_t t[8],
    const uint8_t *from_t, size_t blocks);

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

#define SHA_CODE __attribute__((target("sha,sse4.1")))
#define SHA_INLINE SHA_CODE __attribute__((always_inline)) static inline

/* The first 32 bits behind the point of the cube roots of the first 64
 * primes. */
static const uint32_t round_constant[64] = { 0x428a2f98, 0x71374491, 0xb5c0fbcf,
	0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
	0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7,
	0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
	0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
	0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e,
	0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
	0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c,
	0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee,
	0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2 };

struct lane {
	__m128i abef, cdgh;
	__m128i word[4];
};

bool
sha256_usable(void)
{
	unsigned a = 0, b = 0, c = 0, d = 0;

	if (__get_cpuid(1, &a, &b, &c, &d) == 0 ||
	    (c & (bit_SSSE3 | bit_SSE4_1)) != (bit_SSSE3 | bit_SSE4_1))
		return false;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 &&
	    (b & bit_SHA) != 0;
}

SHA_INLINE void
get_state(struct lane *l, const uint32_t state[8])
{
	__m128i cdab =
	    _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)
				      state),
		0xb1);
	__m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i
						 *)(const void *)(state + 4)),
	    0x1b);

	l->abef = _mm_alignr_epi8(cdab, efgh, 8);
	l->cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
}

SHA_INLINE void
put_state(const struct lane *l, uint32_t state[8])
{
	__m128i feba = _mm_shuffle_epi32(l->abef, 0x1b);
	__m128i dchg = _mm_shuffle_epi32(l->cdgh, 0xb1);

	_mm_storeu_si128((__m128i *)(void *)state,
	    _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *)(void *)(state + 4),
	    _mm_alignr_epi8(dchg, feba, 8));
}

SHA_INLINE void
get_words(struct lane *l, const uint8_t *block)
{
	const __m128i big_endian =
	    _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);

	for (int i = 0; i < 4; i++)
		l->word[i] =
		    _mm_shuffle_epi8(_mm_loadu_si128((const __m128i
					     *)(const void *)(block + 16L * i)),
			big_endian);
}

/* Four rounds, with word i. */
SHA_INLINE void
four_rounds(struct lane *l, int i, const uint32_t *constant)
{
	__m128i w = _mm_add_epi32(l->word[i],
	    _mm_loadu_si128((const __m128i *)(const void *)constant));

	l->cdgh = _mm_sha256rnds2_epu32(l->cdgh, l->abef, w);
	l->abef =
	    _mm_sha256rnds2_epu32(l->abef, l->cdgh, _mm_shuffle_epi32(w, 0x0e));
}

/* What word i is 16 rounds later. */
SHA_INLINE void
next_word(struct lane *l, int i)
{
	__m128i last = l->word[(i + 3) & 3];
	__m128i w = _mm_sha256msg1_epu32(l->word[i], l->word[(i + 1) & 3]);

	w = _mm_add_epi32(w, _mm_alignr_epi8(last, l->word[(i + 2) & 3], 4));
	l->word[i] = _mm_sha256msg2_epu32(w, last);
}

/* t may be NULL: here and below, which is known when this is compiled. */
SHA_INLINE void
step(struct lane *s, struct lane *t, int i, const uint32_t *constant, bool more)
{
	four_rounds(s, i, constant + 4L * i);
	if (t != NULL)
		four_rounds(t, i, constant + 4L * i);
	if (more)
		next_word(s, i);
	if (more && t != NULL)
		next_word(t, i);
}

SHA_INLINE void
sixteen_rounds(struct lane *s, struct lane *t, const uint32_t *constant,
    bool more)
{
	step(s, t, 0, constant, more);
	step(s, t, 1, constant, more);
	step(s, t, 2, constant, more);
	step(s, t, 3, constant, more);
}

SHA_INLINE void
one_block(struct lane *s, struct lane *t)
{
	sixteen_rounds(s, t, round_constant, true);
	sixteen_rounds(s, t, round_constant + 16, true);
	sixteen_rounds(s, t, round_constant + 32, true);
	sixteen_rounds(s, t, round_constant + 48, false);
}

SHA_INLINE void
add_state(struct lane *l, const struct lane *was)
{
	l->abef = _mm_add_epi32(l->abef, was->abef);
	l->cdgh = _mm_add_epi32(l->cdgh, was->cdgh);
}

SHA_CODE static void
hash_blocks(uint32_t state[8], const uint8_t *data, size_t blocks)
{
	struct lane s;

	get_state(&s, state);
	for (; blocks > 0; blocks--, data += BLOCK) {
		struct lane was = s;

		get_words(&s, data);
		one_block(&s, NULL);
		add_state(&s, &was);
	}
	put_state(&s, state);
}

SHA_CODE static void
hash_both(uint32_t s[8], const uint8_t *from_s, uint32_t t[8],
    const uint8_t *from_t, size_t blocks)
{
	struct lane a, b;

	get_state(&a, s);
	get_state(&b, t);
	for (; blocks > 0; blocks--, from_s += BLOCK, from_t += BLOCK) {
		struct lane was_a = a, was_b = b;

		get_words(&a, from_s);
		get_words(&b, from_t);
		one_block(&a, &b);
		add_state(&a, &was_a);
		add_state(&b, &was_b);
	}
	put_state(&a, s);
	put_state(&b, t);
}

#else /* elsewhere sha256_usable() keeps all from being called */

bool
sha256_usable(void)
{
	return false;
}

static void
hash_blocks(uint32_t state[8], const uint8_t *data, size_t blocks)
{
	(void)state;
	(void)data;
	(void)blocks;
	abort();
}

static void
hash_both(uint32_t s[8], const uint8_t *from_s, uint32_t t[8],
    const uint8_t *from_t, size_t blocks)
{
	hash_blocks(s, from_s, blocks);
	hash_blocks(t, from_t, blocks);
}

#endif

void
sha256_begin(struct sha256 *s)
{
	/* the same of the square roots of the first eight */
	static const struct sha256 begin = {
		.state = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 }
	};

	*s = begin;
}

/* What is still to be added. */
struct rest {
	const uint8_t *data;
	size_t size;
};

/* Complete the block that was begun, or take all into it. */
static void
fill_block(struct sha256 *s, struct rest *r)
{
	size_t have = s->size % BLOCK, n = BLOCK - have;

	if (have == 0)
		return;
	if (n > r->size)
		n = r->size;
	if (n > 0)
		memcpy(s->block + have, r->data, n);
	s->size += n;
	r->data += n;
	r->size -= n;
	if (s->size % BLOCK == 0)
		hash_blocks(s->state, s->block, 1);
}

static void
skip(struct sha256 *s, struct rest *r, size_t blocks)
{
	s->size += blocks * BLOCK;
	r->data += blocks * BLOCK;
	r->size -= blocks * BLOCK;
}

/* Whole blocks, and what begins one. */
static void
add_rest(struct sha256 *s, struct rest *r)
{
	size_t blocks = r->size / BLOCK;

	hash_blocks(s->state, r->data, blocks);
	skip(s, r, blocks);
	if (r->size > 0)
		memcpy(s->block, r->data, r->size);
	s->size += r->size;
}

void
sha256_add(struct sha256 *s, const void *data, size_t size)
{
	struct rest r = { .data = data, .size = size };

	fill_block(s, &r);
	if (r.size > 0)
		add_rest(s, &r);
}

void
sha256_add_both(struct sha256 *s, struct sha256 *t, const void *data,
    size_t size)
{
	struct rest a = { .data = data, .size = size }, b = a;
	size_t blocks;

	fill_block(s, &a);
	fill_block(t, &b);
	blocks = (a.size < b.size ? a.size : b.size) / BLOCK;
	hash_both(s->state, a.data, t->state, b.data, blocks);
	skip(s, &a, blocks);
	skip(t, &b, blocks);
	if (a.size > 0)
		add_rest(s, &a);
	if (b.size > 0)
		add_rest(t, &b);
}

void
sha256_end(struct sha256 *s, struct digest *out)
{
	uint8_t pad[2 * BLOCK] = { 0x80 };
	uint64_t bits = s->size * 8;
	size_t have = s->size % BLOCK;
	size_t n = (have < LENGTH_AT ? LENGTH_AT : BLOCK + LENGTH_AT) - have;

	for (int i = 0; i < 8; i++)
		pad[n + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
	sha256_add(s, pad, n + 8);
	for (int i = 0; i < DIGEST_SIZE; i++)
		out->bytes[i] =
		    (uint8_t)(s->state[i / 4] >> (24 - 8 * (i % 4)));
}
