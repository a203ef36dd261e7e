/*
 * FastCDC, normalised: a cut is harder to come by before CHUNK_NORMAL than
 * after, so that sizes gather around it.  The gear table comes from SHA-256:
 * nobody chose its numbers.
 */
#include "fs/format/chunker.h"

#include <pthread.h>
#include <string.h>

#include "cache/base/digest.h"
#include "cache/base/le.h"
#include "fs/format/limits.h"

#define GEAR_NAME "datamount gear"
#define MASK_EARLY (~(uint64_t)0 << (64 - 21)) /* the top 21 bits */
#define MASK_LATE (~(uint64_t)0 << (64 - 17))

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

/* The first i below end behind which to cut; end if there is none. */
static size_t
scan(const uint8_t *data, size_t i, size_t end, uint64_t mask, uint64_t *hash)
{
	uint64_t h = *hash;

	for (; i < end; i++) {
		h = (h << 1) + gear[data[i]];
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
