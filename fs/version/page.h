/* fs/version/page.h - decoded tree pages and chunk lists, kept for a while. */
#ifndef DM_VERSION_PAGE_H
#define DM_VERSION_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/buf.h"
#include "cache/base/digest.h"
#include "cache/cache.h"
#include "fs/format/chunk_list.h"
#include "fs/format/tree.h"
#include "fs/format/where.h"

struct dm_err;
struct origin;

/*
 * A structured object with the where behind it, decoded once.  Immutable and
 * counted: whoever got it puts it back.  What it says of itself is checked
 * here; whether its parent told the truth about it is for the reader to see.
 */
struct page {
	struct tree tree;       /* of a tree page or index */
	struct chunk_list list; /* of a chunk list page or index */
	struct where where;     /* of its children, one row each (or runs) */
	struct cache_place at;  /* where it was found */
	/* for page.c only */
	struct digest id;
	enum object_kind kind;
	struct dm_buf object, where_object;
	unsigned refs; /* atomic; the table has one */
	/* guarded by the table's mu */
	struct page *chain, *newer, *older;
};

/*
 * A bounded LRU of pages by id.  A page that is in use outlives its place in
 * the table.  Threads: any call from any thread; no lock is held while the
 * cache is asked.
 */
struct page_table;

/* cache and origin are borrowed.  bytes: kept at most. */
int page_table_open(struct page_table **out, struct cache *cache,
    struct origin *origin, uint64_t bytes, struct dm_err *err) DM_MUST_CHECK;

/* Every page was put back.  NULL is fine. */
void page_table_close(struct page_table *t);

/* The page of that id, which is said to lie at at.  kind: OBJECT_TREE or
 * OBJECT_CHUNKS.  DM_AGAIN with a wait; DM_CORRUPT. */
int page_get(struct page_table *t, enum object_kind kind,
    const struct digest *id, const struct cache_place *at, struct page **out,
    struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* The same if it is in memory; else NULL. */
struct page *page_peek(struct page_table *t, enum object_kind kind,
    const struct digest *id) DM_MUST_CHECK;

/* NULL is fine. */
void page_put(struct page *p);

/* Where child i of the page lies (i < its count); *stored is false if the
 * where knows no place.  Not for a chunk list's page of level 0. */
void page_child_place(const struct page *p, uint32_t i, struct cache_place *out,
    bool *stored);

/* The same for chunk i of a chunk list's page of level 0. */
void page_chunk_place(const struct page *p, uint32_t i,
    struct cache_place *out);

#endif
