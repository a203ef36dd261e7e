/* cache/pack/codec.h - an object's stored bytes from its plain ones, and back.
 */
#ifndef DM_PACK_CODEC_H
#define DM_PACK_CODEC_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/base/attr.h"
#include "cache/pack/pack_dir.h"

struct dm_err;

/* Compression and decompression contexts for one thread at a time; they are
 * worth keeping between objects. */
struct codec;
struct codec *codec_new(void); /* NULL: no memory */
void codec_free(struct codec *c);

/*
 * Compress size bytes if that saves at least a tenth (a sample of larger
 * objects is tried first).  *stored then points into memory of c, good until
 * its next use, and *how is PACK_ZSTD; else *stored is data and *how is
 * PACK_PLAIN.
 */
int codec_encode(struct codec *c, const void *data, size_t size,
    const void **stored, size_t *stored_size, enum pack_codec *how,
    struct dm_err *err) DM_MUST_CHECK;

/* Fill exactly plain_size bytes at plain from size stored bytes; DM_CORRUPT
 * if they do not make exactly that many.  Pure but for the context. */
int codec_decode(struct codec *c, enum pack_codec how, const void *stored,
    size_t size, void *plain, size_t plain_size,
    struct dm_err *err) DM_MUST_CHECK;

#endif
