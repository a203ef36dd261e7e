/* fs/publish/object_batch.h - objects of new packs, until they are indexed. */
#ifndef DM_PUBLISH_OBJECT_BATCH_H
#define DM_PUBLISH_OBJECT_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "cache/pack/pack_writer.h"
#include "fs/publish/object_index.h"

struct dm_err;
struct pack_object;

/*
 * Ids are as good as random, so in a table that is in order of them a pack's
 * objects lie on as many pages; thousands of packs would write each page
 * hundreds of times.  Here they gather, to be written in order, many at once.
 *
 * One thread at a time.  Zeros are an empty batch.
 */
struct object_batch {
	struct batch_pack *pack;
	uint32_t npacks, pack_room;
	struct batch_row *row;
	uint32_t n, room;
	uint32_t *slot; /* position in row + 1, or 0; 2 * room of them */
};

enum {
	BATCH_ROWS = 1 << 18, /* are enough: about 14 MiB */
};

struct batch_pack {
	struct pack_name name;
	uint32_t rows; /* objects of it but wheres, here or not */
	int64_t no;    /* for who writes the batch */
};

struct batch_row {
	struct digest id;
	uint8_t kind;
	uint32_t pack;   /* position in the batch's packs */
	struct place at; /* what a find says */
};

/* The objects but for wheres, which are found beside their owners.  number is
 * what a find says of the pack.  On failure the batch may lack some. */
int object_batch_add(struct object_batch *b, const struct pack_name *name,
    uint32_t number, const struct pack_object *objects, uint32_t count,
    struct dm_err *err) DM_MUST_CHECK;

bool object_batch_find(const struct object_batch *b, const struct digest *id,
    enum object_kind kind, struct place *at);

/* Put the rows in order of their ids; from then on it can only be read and
 * cleared. */
void object_batch_sort(struct object_batch *b);

/* Forget all, and keep the memory. */
void object_batch_clear(struct object_batch *b);
void object_batch_release(struct object_batch *b);

#endif
