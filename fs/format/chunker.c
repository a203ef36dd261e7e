/*
 * FastCDC, normalised: a cut is harder to come by before CHUNK_NORMAL than
 * after, so that sizes gather around it.  The gear table comes from SHA-256:
 * nobody chose its numbers.
 */
#include "fs/format/chunker.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "cache/base/digest.h"
#include "cache/base/le.h"
#include "fs/format/limits.h"

#define GEAR_NAME "datamount gear"
#define MASK_EARLY (~(uint64_t)0 << (64 - 21)) /* the top 21 bits */
#define MASK_LATE (~(uint64_t)0 << (64 - 17))

enum { STRETCH = 4096 }; /* bytes; at least 64, and a multiple of 4 */

static uint64_t gear[256];

static void
make_gear(void)
{
	uint8_t text[sizeof(GEAR_NAME)] = GEAR_NAME;
	struct digest d;

	for (unsigned i = 0; i < 256; i++) {
		text[sizeof(text) - 1] = (uint8_t)i; /* in place of the NUL */
		digest_of(&d, text, sizeof(text));
		gear[i] = le64_get(d.bytes);
	}
}

static uint64_t
roll(uint64_t h, uint8_t byte)
{
	return (h << 1) + gear[byte];
}

/* Two stretches at once, one behind the other: a hash waits for the one
 * before it, but what is older than 64 bytes has been shifted out of it.
 * False if there is a cut in them; else *hash is what it is behind them. */
static bool
pass_two(const uint8_t *data, uint64_t mask, uint64_t *hash)
{
	const uint8_t *a = data, *b = data + STRETCH, *end = b;
	uint64_t x = *hash, y = 0;

	for (const uint8_t *p = b - 64; p < b; p++)
		y = roll(y, *p);
	for (; a < end; a += 4, b += 4) {
		if (((x = roll(x, a[0])) & mask) == 0 ||
		    ((y = roll(y, b[0])) & mask) == 0 ||
		    ((x = roll(x, a[1])) & mask) == 0 ||
		    ((y = roll(y, b[1])) & mask) == 0 ||
		    ((x = roll(x, a[2])) & mask) == 0 ||
		    ((y = roll(y, b[2])) & mask) == 0 ||
		    ((x = roll(x, a[3])) & mask) == 0 ||
		    ((y = roll(y, b[3])) & mask) == 0)
			return false;
	}
	*hash = y;
	return true;
}

/* The first i below end behind which to cut; end if there is none. */
static size_t
scan(const uint8_t *data, size_t i, size_t end, uint64_t mask, uint64_t *hash)
{
	uint64_t h = *hash;

	while (end - i >= (size_t)2 * STRETCH && pass_two(data + i, mask, &h))
		i += (size_t)2 * STRETCH;
	for (; i < end; i++) {
		h = roll(h, data[i]);
		if ((h & mask) == 0)
			break;
	}
	*hash = h;
	return i;
}

size_t
chunker_cut(const uint8_t *data, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	size_t normal = size < CHUNK_NORMAL ? size : CHUNK_NORMAL;
	size_t end = size < CHUNK_MAX ? size : CHUNK_MAX;
	uint64_t hash = 0;
	size_t i;

	if (size <= CHUNK_MIN)
		return size;
	(void)pthread_once(&once, make_gear);
	i = scan(data, CHUNK_MIN, normal, MASK_EARLY, &hash);
	if (i == normal)
		i = scan(data, normal, end, MASK_LATE, &hash);
	return i < end ? i + 1 : end;
}
