/* fs/format/chunk_list.h - a large file as a list of chunks. */
#ifndef DM_FORMAT_CHUNK_LIST_H
#define DM_FORMAT_CHUNK_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"

struct dm_buf;
struct dm_err;

/*
 *   header   "DMo1" · kind u8 (OBJECT_CHUNKS) · level u8 · 0 u16 · count u32 ·
 *            0 u32
 *   size u64 (bytes that this object covers) · chunks u64 (that it covers) ·
 *   whole[32] (SHA-256 of the whole file in the top object, else zeros)
 *   records  count of (end u64 · id[32]); end counts from the beginning of
 *            what this object covers, and the last end is size
 * Level 0: a chunk each, at most CHUNK_PAGE.  Level k: an object of level k-1
 * each, all but the last of which are full.
 */
struct chunk_list {
	const uint8_t *records;
	uint8_t level;
	uint32_t count;
	uint64_t size, chunks;
	struct digest whole; /* zero below the top */
};

/* Validate; DM_CORRUPT. */
int chunk_list_decode(struct chunk_list *out, const void *data, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

/* Record i < count: the bytes [*off, *off + *size) of this object, its id. */
void chunk_list_at(const struct chunk_list *l, uint32_t i, uint64_t *off,
    uint64_t *size, struct digest *id);

/* The record that covers byte off < l->size. */
uint32_t chunk_list_find(const struct chunk_list *l, uint64_t off);

/* Encoder: records in order, then finish, which appends the object to out and
 * empties the encoder.  whole is NULL below the top. */
struct chunk_list_encoder;
struct chunk_list_encoder *chunk_list_encoder_new(uint8_t level);
void chunk_list_encoder_free(struct chunk_list_encoder *e);

/* chunks: 1 at level 0, else those that the child covers. */
int chunk_list_encode(struct chunk_list_encoder *e, uint64_t size,
    uint64_t chunks, const struct digest *id, struct dm_err *err) DM_MUST_CHECK;
uint32_t chunk_list_encoder_count(const struct chunk_list_encoder *e);
int chunk_list_encode_finish(struct chunk_list_encoder *e,
    const struct digest *whole, struct dm_buf *out, uint64_t *size,
    uint64_t *chunks, struct dm_err *err) DM_MUST_CHECK;

#endif
