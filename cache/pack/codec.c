/*
 * Object codec: zstd where it pays.
 *
 * The destination of a compression is given only as much room as would still
 * be a gain, so what does not compress is given up early.  Decompression is
 * one call into a buffer of exactly the size that the pack's directory says;
 * zstd then needs no window of its own, so a frame cannot make it allocate.
 */
#include "cache/pack/codec.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "cache/base/err.h"

enum {
	LEVEL = 3,
	SAMPLE_ABOVE = 128 << 10, /* larger objects are tried on a sample */
	SAMPLE_PARTS = 4,
	SAMPLE_PART = 16 << 10,
	SAMPLE = SAMPLE_PARTS * SAMPLE_PART,
};

struct codec {
	ZSTD_CCtx *cctx;
	ZSTD_DCtx *dctx;
	char *room; /* of the last compression */
	size_t room_size;
	char sample[SAMPLE];
};

struct codec *
codec_new(void)
{
	struct codec *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->cctx = ZSTD_createCCtx();
	c->dctx = ZSTD_createDCtx();
	if (c->cctx == NULL || c->dctx == NULL ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(c->cctx,
		ZSTD_c_compressionLevel, LEVEL))) {
		codec_free(c);
		return NULL;
	}
	return c;
}

void
codec_free(struct codec *c)
{
	if (c == NULL)
		return;
	ZSTD_freeCCtx(c->cctx);
	ZSTD_freeDCtx(c->dctx);
	free(c->room);
	free(c);
}

/* What is saved must be a tenth at least. */
static size_t
worth(size_t size)
{
	return size / 10 * 9;
}

static int
reserve(struct codec *c, size_t size, struct dm_err *err)
{
	char *p;

	if (size <= c->room_size)
		return 0;
	p = realloc(c->room, size);
	if (p == NULL)
		return dm_fail(err, DM_NOMEM, "%zu bytes to compress", size);
	c->room = p;
	c->room_size = size;
	return 0;
}

/* Compress into room; 0 bytes if it does not pay. */
static size_t
compress(struct codec *c, const void *data, size_t size)
{
	size_t n = ZSTD_compress2(c->cctx, c->room, worth(size), data, size);

	return ZSTD_isError(n) ? 0 : n;
}

/* Do four parts of it, spread from beginning to end, compress well enough? */
static bool
sample_pays(struct codec *c, const char *data, size_t size)
{
	size_t step = (size - SAMPLE_PART) / (SAMPLE_PARTS - 1);

	for (size_t i = 0; i < SAMPLE_PARTS; i++)
		memcpy(c->sample + i * SAMPLE_PART, data + i * step,
		    SAMPLE_PART);
	return compress(c, c->sample, SAMPLE) > 0;
}

int
codec_encode(struct codec *c, const void *data, size_t size,
    const void **stored, size_t *stored_size, enum pack_codec *how,
    struct dm_err *err)
{
	size_t n = 0;

	if (size > OBJECT_DATA_MAX)
		return dm_fail(err, DM_INVALID, "object of %zu bytes", size);
	if (reserve(c, worth(size), err) < 0)
		return -1;
	if (worth(size) > 0 &&
	    (size <= SAMPLE_ABOVE || sample_pays(c, data, size)))
		n = compress(c, data, size);
	*stored = n > 0 ? c->room : data;
	*stored_size = n > 0 ? n : size;
	*how = n > 0 ? PACK_ZSTD : PACK_PLAIN;
	return 0;
}

static int
decompress(struct codec *c, const void *stored, size_t size, void *plain,
    size_t plain_size, struct dm_err *err)
{
	unsigned long long said = ZSTD_getFrameContentSize(stored, size);
	size_t n = ZSTD_findFrameCompressedSize(stored, size);

	if (ZSTD_isError(n) || n != size)
		return dm_fail(err, DM_CORRUPT, "object is not a zstd frame");
	if (said != plain_size)
		return dm_fail(err, DM_CORRUPT,
		    "zstd frame of another size than the directory says");
	n = ZSTD_decompressDCtx(c->dctx, plain, plain_size, stored, size);
	if (ZSTD_isError(n) || n != plain_size)
		return dm_fail(err, DM_CORRUPT, "damaged zstd frame: %s",
		    ZSTD_isError(n) ? ZSTD_getErrorName(n) : "too short");
	return 0;
}

int
codec_decode(struct codec *c, enum pack_codec how, const void *stored,
    size_t size, void *plain, size_t plain_size, struct dm_err *err)
{
	if (plain_size > OBJECT_DATA_MAX)
		return dm_fail(err, DM_CORRUPT, "object of %zu bytes",
		    plain_size);
	switch (how) {
	case PACK_ZSTD:
		return decompress(c, stored, size, plain, plain_size, err);
	case PACK_PLAIN:
		break;
	default:
		return dm_fail(err, DM_CORRUPT, "unknown codec %u",
		    (unsigned)how);
	}
	if (size != plain_size)
		return dm_fail(err, DM_CORRUPT,
		    "plain object of another size than the directory says");
	if (size > 0)
		memcpy(plain, stored, size);
	return 0;
}
