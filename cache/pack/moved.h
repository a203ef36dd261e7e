/* cache/pack/moved.h - where the objects of a pack lie that is gone. */
#ifndef DM_PACK_MOVED_H
#define DM_PACK_MOVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "cache/pack/pack_dir.h"

struct dm_buf;
struct dm_err;

/*
 * The file moved/AA/ID:
 *   magic "DMmoved1" (8) · npacks u32 · count u32
 *   npacks of (id[32] · dir_off u64 · dir_len u32 · 0 u32)
 *   count of (old u32 · pack u32 · ordinal u32): object number old of the
 *   pack that is gone is number ordinal of that pack of the table (from 0)
 * All numbers little-endian.  Canonical: the table strictly ascending by id,
 * each of its packs in use; rows strictly ascending by old.
 *
 * It is a hint, as a where is: its form is checked, its truth only by digests.
 * Everything here is pure.
 */
enum {
	MOVED_HEADER = 16,
	MOVED_PACK = 48,
	MOVED_ROW = 12,
	MOVED_MAX = MOVED_HEADER + (MOVED_PACK + MOVED_ROW) * PACK_OBJECTS_MAX,
	MOVED_CHAIN = 4, /* so often may an object have moved */
};

struct moved_place {
	struct digest pack;
	uint64_t dir_off;
	uint32_t dir_len;
	uint32_t ordinal;
};

struct moved {
	const uint8_t *packs, *rows;
	uint32_t npacks, count;
};

/* Validate; *out borrows data.  DM_CORRUPT. */
int moved_decode(struct moved *out, const void *data, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

/* Row i < m->count; returns the old ordinal. */
uint32_t moved_at(const struct moved *m, uint32_t i, struct moved_place *out);

/* Where is object old now?  False: nowhere. */
bool moved_find(const struct moved *m, uint32_t old, struct moved_place *out);

/* Pack i < m->npacks of the table; its ordinal is 0. */
void moved_pack_at(const struct moved *m, uint32_t i, struct moved_place *out);

/* Append the file for n rows, ascending by old; n is at least 1. */
struct moved_row {
	uint32_t old;
	struct moved_place to;
};
int moved_encode(const struct moved_row *row, uint32_t n, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

#endif
