/* cache/moved_table.h - what moved/ said of packs that are gone. */
#ifndef DM_CACHE_MOVED_TABLE_H
#define DM_CACHE_MOVED_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/pack/moved.h"

struct dm_buf;
struct dm_err;
struct shelf;

/*
 * Bounded; what is forgotten is asked for again.  Its rows are hints of an
 * origin, true or not: what is read where they point is compared with digests.
 * What was of use is kept on disk, as KEY.moved, for when no origin can be
 * asked; what leads nowhere is asked for again, if it came from there.
 *
 * Threads: any call from any thread (DM_RANK_INDEX).
 */
struct moved_table;

struct moved_table *moved_table_new(void); /* NULL: no memory */
void moved_table_free(struct moved_table *t);

/* The file moved/AA/PACK has come; takes its bytes.  DM_CORRUPT. */
int moved_table_put(struct moved_table *t, const struct digest *pack,
    struct dm_buf *text, struct dm_err *err) DM_MUST_CHECK;

/* Where does it say that the object is?  *known is false if it has not come;
 * false: it does not say. */
bool moved_table_find(struct moved_table *t, const struct digest *pack,
    uint32_t ordinal, struct moved_place *out, bool *known);

/* Has it come, whatever it says? */
bool moved_table_knows(struct moved_table *t, const struct digest *pack);

/* Take what the disk has, unless something came before.  False: it has
 * nothing; what is damaged is removed. */
bool moved_table_load(struct moved_table *t, struct shelf *s,
    const struct digest *pack);

/* Write it to disk, if it is not there yet. */
void moved_table_keep(struct moved_table *t, struct shelf *s,
    const struct digest *pack);

/* This pack is gone too.  What said that objects are in it, and was not just
 * asked for, is forgotten: true if there was something. */
bool moved_table_gone(struct moved_table *t, const struct digest *pack);

#endif
