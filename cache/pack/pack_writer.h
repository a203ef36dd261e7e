/* cache/pack/pack_writer.h - objects become a pack file in one pass. */
#ifndef DM_PACK_PACK_WRITER_H
#define DM_PACK_PACK_WRITER_H

#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/pack/pack_dir.h"

struct dm_err;

/* Where a finished pack and its directory lie. */
struct pack_name {
	struct digest id;
	uint64_t dir_off;
	uint32_t dir_len; /* without the trailer */
	uint32_t count;
};

/*
 * Writes objects, in the order of the calls, to a nameless file (O_TMPFILE;
 * a hidden temporary name where the file system has none) below packs_dir,
 * so that a writer that dies leaves nothing under a pack's name.  Memory: 56
 * bytes an object.  One writer, one thread at a time, but as pack_writer_put
 * says.  What lies far behind the beginning is not kept in the page cache.
 */
struct pack_writer;

int pack_writer_open(struct pack_writer **out, const char *packs_dir,
    struct dm_err *err) DM_MUST_CHECK;

/* Discards what was not finished.  NULL is fine. */
void pack_writer_close(struct pack_writer *w);

/* Append one object; o->plain_size, stored_size, kind, codec and id count,
 * its offsets are ignored.  *ordinal is its number in the pack. */
int pack_writer_add(struct pack_writer *w, const struct pack_object *o,
    const void *stored, uint32_t *ordinal, struct dm_err *err) DM_MUST_CHECK;

/* The same in two steps: first the object has its place, and then come its
 * bytes, of one or more objects, in the order of the places.  Another thread
 * may call the second meanwhile, and until the pack is sealed. */
int pack_writer_place(struct pack_writer *w, const struct pack_object *o,
    uint32_t *ordinal, struct dm_err *err) DM_MUST_CHECK;
int pack_writer_put(struct pack_writer *w, const void *stored, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

uint32_t pack_writer_count(const struct pack_writer *w);
uint64_t pack_writer_plain_size(const struct pack_writer *w);

/* All bytes were put.  Write directory and trailer, fsync, and give the file
 * its name packs_dir/AA/ID; one that is there already stays, if its length and
 * its directory are right.  The writer is spent: close it.  DM_NOSPACE: nothing
 * was named. */
int pack_writer_finish(struct pack_writer *w, struct pack_name *name,
    struct dm_err *err) DM_MUST_CHECK;

/* The same in two steps: the first says what the name will be, the second does
 * all the rest. */
int pack_writer_end(struct pack_writer *w, struct pack_name *name,
    struct dm_err *err) DM_MUST_CHECK;
int pack_writer_seal(struct pack_writer *w, struct dm_err *err) DM_MUST_CHECK;

#endif
