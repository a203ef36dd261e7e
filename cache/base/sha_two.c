/*
 * By the processor's instructions for SHA-256.  Each round waits for the one
 * before it; AMD's processors meanwhile do one of another digest for nothing.
 *
 * Measured on a Zen 3: OpenSSL, one stream, 1.55 GB/s; here, two streams of
 * 1.45 GB/s each.
 */
#include "cache/base/sha_two.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>

#define SHA_NI __attribute__((target("sha,avx")))
#define INLINE static inline __attribute__((always_inline)) SHA_NI

static const _Alignas(16) uint32_t constants[64] = { 0x428a2f98, 0x71374491,
	0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
	0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d,
	0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb,
	0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
	0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
	0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb,
	0xbef9a3f7, 0xc67178f2 };

/* A stream, as the instructions want it. */
struct lane {
	__m128i abef, cdgh;
	__m128i was_abef, was_cdgh; /* before the block */
	__m128i m[4];               /* the block's words, then their schedule */
};

INLINE void
lane_load(struct lane *l, const uint32_t state[8])
{
	__m128i abcd = _mm_loadu_si128((const __m128i *)state);
	__m128i efgh = _mm_loadu_si128((const __m128i *)(state + 4));

	abcd = _mm_shuffle_epi32(abcd, 0xb1);
	efgh = _mm_shuffle_epi32(efgh, 0x1b);
	l->abef = _mm_alignr_epi8(abcd, efgh, 8);
	l->cdgh = _mm_blend_epi16(efgh, abcd, 0xf0);
}

INLINE void
lane_store(const struct lane *l, uint32_t state[8])
{
	__m128i feba = _mm_shuffle_epi32(l->abef, 0x1b);
	__m128i dchg = _mm_shuffle_epi32(l->cdgh, 0xb1);

	_mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *)(state + 4),
	    _mm_alignr_epi8(dchg, feba, 8));
}

INLINE void
block_begin(struct lane *l, const uint8_t *data)
{
	const __m128i swap =
	    _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	const __m128i *m = (const __m128i *)data;

	l->m[0] = _mm_shuffle_epi8(_mm_loadu_si128(m), swap);
	l->m[1] = _mm_shuffle_epi8(_mm_loadu_si128(m + 1), swap);
	l->m[2] = _mm_shuffle_epi8(_mm_loadu_si128(m + 2), swap);
	l->m[3] = _mm_shuffle_epi8(_mm_loadu_si128(m + 3), swap);
	l->was_abef = l->abef;
	l->was_cdgh = l->cdgh;
}

INLINE void
block_end(struct lane *l)
{
	l->abef = _mm_add_epi32(l->abef, l->was_abef);
	l->cdgh = _mm_add_epi32(l->cdgh, l->was_cdgh);
}

/* Four rounds with the words m[i]. */
INLINE void
rounds(struct lane *l, size_t i, const uint32_t *k)
{
	__m128i words =
	    _mm_add_epi32(l->m[i], _mm_load_si128((const __m128i *)k));

	l->cdgh = _mm_sha256rnds2_epu32(l->cdgh, l->abef, words);
	l->abef = _mm_sha256rnds2_epu32(l->abef, l->cdgh,
	    _mm_shuffle_epi32(words, 0x0e));
}

/* Words m[i] become those of 16 rounds later. */
INLINE void
schedule(struct lane *l, size_t i)
{
	__m128i *m = l->m, last = m[(i + 3) % 4];
	__m128i words = _mm_sha256msg1_epu32(m[i], m[(i + 1) % 4]);

	words = _mm_add_epi32(words, _mm_alignr_epi8(last, m[(i + 2) % 4], 4));
	m[i] = _mm_sha256msg2_epu32(words, last);
}

/* Four rounds of both streams. */
INLINE void
step(struct lane *x, struct lane *y, size_t i, const uint32_t *k, bool more)
{
	rounds(x, i, k + 4 * i);
	rounds(y, i, k + 4 * i);
	if (more) {
		schedule(x, i);
		schedule(y, i);
	}
}

INLINE void
sixteen(struct lane *x, struct lane *y, const uint32_t *k, bool more)
{
	step(x, y, 0, k, more);
	step(x, y, 1, k, more);
	step(x, y, 2, k, more);
	step(x, y, 3, k, more);
}

/* n blocks of two streams. */
SHA_NI void
sha_two(uint32_t a[8], const uint8_t *from_a, uint32_t b[8],
    const uint8_t *from_b, size_t n)
{
	struct lane x, y;

	lane_load(&x, a);
	lane_load(&y, b);
	for (size_t i = 0; i < n; i++) {
		block_begin(&x, from_a + i * SHA_BLOCK);
		block_begin(&y, from_b + i * SHA_BLOCK);
		sixteen(&x, &y, constants, true);
		sixteen(&x, &y, constants + 16, true);
		sixteen(&x, &y, constants + 32, true);
		sixteen(&x, &y, constants + 48, false);
		block_end(&x);
		block_end(&y);
	}
	lane_store(&x, a);
	lane_store(&y, b);
}

bool
sha_two_pays(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx ||
	    c != signature_AMD_ecx || d != signature_AMD_edx ||
	    __builtin_cpu_supports("avx") == 0)
		return false;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA) != 0;
}

#else

#include <stdlib.h>

void
sha_two(uint32_t a[8], const uint8_t *from_a, uint32_t b[8],
    const uint8_t *from_b, size_t n)
{
	(void)a;
	(void)from_a;
	(void)b;
	(void)from_b;
	(void)n;
	abort();
}

bool
sha_two_pays(void)
{
	return false;
}

#endif
