/* cache/pack/pack_dir.h - what is in a pack, and where: its directory. */
#ifndef DM_PACK_PACK_DIR_H
#define DM_PACK_PACK_DIR_H

#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "cache/base/object.h"

struct dm_buf;
struct dm_err;

/*
 * A pack is its objects' stored bytes end to end, its directory, a trailer.
 * The directory: magic "DMpackd1" (8), flags u32 (0), count u32, then count
 * records of 56 bytes: id[32], plain_end u64, stored_end u64, kind u8,
 * codec u8, 0[6].  The pack's id is the SHA-256 of the directory (trailer not
 * included).  The trailer: dir_len u32, 0 u32, magic "DMpacke1" (8).
 * All numbers little-endian.  See datamount-repository(5).
 *
 * Everything here is pure: no file, no socket, no lock.
 */
enum {
	PACK_DIR_HEADER = 16,
	PACK_RECORD = 56,
	PACK_TRAILER = 16,
	PACK_OBJECTS_MAX = 1 << 20, /* records of any directory */
	PACK_DIR_MAX = PACK_DIR_HEADER + PACK_RECORD * PACK_OBJECTS_MAX,
	PACK_SMALL_BYTES = 16 << 20, /* plain bytes that fill a small pack */
	PACK_SMALL_OBJECTS = 4096,   /* objects that fill a small pack */
};
#define PACK_FILE_BYTES ((uint64_t)16 << 30) /* plain bytes of a file pack */

enum pack_codec {
	PACK_PLAIN = 0,
	PACK_ZSTD = 1, /* one zstd frame */
};

/* One record, with the ends turned into places. */
struct pack_object {
	struct digest id;
	uint64_t plain_off;   /* in the plain space: objects end to end */
	uint64_t stored_off;  /* in the pack file */
	uint32_t plain_size;  /* 1 to OBJECT_DATA_MAX, OBJECT_STRUCT_MAX */
	uint32_t stored_size; /* 1 to plain_size; that if it is PACK_PLAIN */
	enum object_kind kind;
	enum pack_codec codec;
};

/* A validated directory that borrows its bytes. */
struct pack_dir {
	const uint8_t *records;
	uint32_t count;
	uint64_t plain_size;  /* of the whole plain space */
	uint64_t stored_size; /* where the directory begins in the pack file */
};

/* Check all of size bytes at data (the directory without its trailer): only
 * the canonical form passes.  DM_CORRUPT otherwise.  *out borrows data. */
int pack_dir_decode(struct pack_dir *out, const void *data, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

/* Record i of a validated directory; i < dir->count. */
void pack_dir_object(const struct pack_dir *dir, uint32_t i,
    struct pack_object *out);

/*
 * The same from raw bytes of one record and, unless ordinal is 0, of the
 * record before it: for readers that keep the directory in a file.  prev is
 * NULL for the first.  DM_CORRUPT if the two cannot stand in a directory.
 */
int pack_record_decode(struct pack_object *out, const uint8_t *prev,
    const uint8_t *record, struct dm_err *err) DM_MUST_CHECK;

/* Decode a directory's 16-byte header: *count records follow. */
int pack_dir_header_decode(uint32_t *count, const void *data, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

/* Append a directory to out: begin it, put each record, in order, and end it.
 * Offsets in o are ignored: sizes count. */
struct pack_dir_encoder {
	struct dm_buf *out;
	uint64_t plain_end, stored_end;
	uint32_t count;
};
int pack_dir_encode_begin(struct pack_dir_encoder *e, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;
int pack_dir_encode_object(struct pack_dir_encoder *e,
    const struct pack_object *o, struct dm_err *err) DM_MUST_CHECK;
void pack_dir_encode_end(struct pack_dir_encoder *e);

/* The 16 bytes behind a directory of dir_len bytes, and back. */
void pack_trailer_encode(uint8_t out[PACK_TRAILER], uint32_t dir_len);
int pack_trailer_decode(uint32_t *dir_len, const uint8_t data[PACK_TRAILER],
    struct dm_err *err) DM_MUST_CHECK;

#endif
