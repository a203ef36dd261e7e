/* fs/format/where.h - in which packs the children of an object lie. */
#ifndef DM_FORMAT_WHERE_H
#define DM_FORMAT_WHERE_H

#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"

struct dm_buf;
struct dm_err;

/*
 *   header  "DMo1" · kind u8 (OBJECT_WHERE) · level u8 (shape) · 0 u16 ·
 *           count u32 (rows) · 0 u32
 *   npacks u32 · 0 u32 · npacks of (id[32] · dir_off u64 · dir_len u32 · 0 u32)
 *   rows    WHERE_CHILDREN: one a child, (pack u32 · ordinal u32); a child
 *           without an object (empty file, symlink): (WHERE_NONE, 0)
 *           WHERE_RUNS: (first u32 · n u32 · pack u32 · ordinal u32): chunks
 *           first to first + n - 1 lie in that pack from ordinal on; the rows
 *           cover the chunks of the page in order without gaps
 * Pack 0 is the pack that holds this object; 1 to npacks are the table's.
 * Canonical: the table strictly ascending by id, each of its packs in use;
 * runs that could be one are one.
 * A where is a hint.  Its form is checked, its truth only by the digests.
 */
enum where_shape { WHERE_CHILDREN = 0, WHERE_RUNS = 1 };
#define WHERE_NONE UINT32_MAX

struct where_pack {
	struct digest id;
	uint64_t dir_off;
	uint32_t dir_len;
};

struct where {
	enum where_shape shape;
	uint32_t npacks, nrows;
	const uint8_t *packs, *rows;
};

/* Validate; DM_CORRUPT. */
int where_decode(struct where *out, const void *data, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

/* Number n (1 to npacks) of the table. */
void where_pack_at(const struct where *w, uint32_t n, struct where_pack *out);

/* WHERE_CHILDREN: row i < nrows. */
void where_child_at(const struct where *w, uint32_t i, uint32_t *pack,
    uint32_t *ordinal);

/* WHERE_RUNS: where chunk lies, and how many from it on lie in a row behind
 * it (at least 1).  chunk is less than the chunks of the page: the caller has
 * compared where_chunks() with the page. */
void where_run_find(const struct where *w, uint32_t chunk, uint32_t *pack,
    uint32_t *ordinal, uint32_t *n);
uint32_t where_chunks(const struct where *w);

/* Encoder.  where_encode_pack returns through *n the number of a pack, for the
 * calls below (the same pack given again: the same number).  The finished
 * table numbers them anew, in order of ids, and leaves out the unused. */
struct where_encoder;
struct where_encoder *where_encoder_new(enum where_shape shape);
void where_encoder_free(struct where_encoder *e);
int where_encode_pack(struct where_encoder *e, const struct where_pack *pack,
    uint32_t *n, struct dm_err *err) DM_MUST_CHECK;
int where_encode_child(struct where_encoder *e, uint32_t pack, uint32_t ordinal,
    struct dm_err *err) DM_MUST_CHECK;

/* The next chunk lies there; runs are joined by the encoder. */
int where_encode_chunk(struct where_encoder *e, uint32_t pack, uint32_t ordinal,
    struct dm_err *err) DM_MUST_CHECK;

/* Append the object, empty the encoder. */
int where_encode_finish(struct where_encoder *e, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

#endif
