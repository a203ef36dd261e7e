/*
 * The table of decoded pages: chained hashing by the id's first bytes (which
 * are as good as random), and a list from the newest to the oldest use.
 *
 * A page is loaded outside the lock, so two threads may load the same one;
 * the second finds the first's in the table, and drops its own.
 */
#include "fs/version/page.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "cache/base/le.h"
#include "cache/base/lock.h"

enum { BUCKETS = 1 << 14 };

struct page_table {
	/* immutable after open */
	struct cache *cache;
	struct origin *origin;
	uint64_t limit;

	struct dm_mutex mu;
	/* guarded by mu */
	uint64_t bytes;
	struct page *newest, *oldest;
	struct page *buckets[BUCKETS];
};

int
page_table_open(struct page_table **out, struct cache *cache,
    struct origin *origin, uint64_t bytes, struct dm_err *err)
{
	struct page_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return dm_fail(err, DM_NOMEM, "table of pages");
	t->cache = cache;
	t->origin = origin;
	t->limit = bytes;
	dm_mutex_init(&t->mu, DM_RANK_VERSION);
	*out = t;
	return 0;
}

void
page_put(struct page *p)
{
	if (p == NULL || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	dm_buf_release(&p->object);
	dm_buf_release(&p->where_object);
	free(p);
}

static void
putp(struct page **p)
{
	page_put(*p);
}

void
page_table_close(struct page_table *t)
{
	struct page *p, *older;

	if (t == NULL)
		return;
	for (p = t->newest; p != NULL; p = older) {
		older = p->older;
		page_put(p);
	}
	dm_mutex_destroy(&t->mu);
	free(t);
}

static uint64_t
page_bytes(const struct page *p)
{
	return sizeof(*p) + p->object.room + p->where_object.room;
}

static struct page **
bucket_locked(struct page_table *t, const struct digest *id) DM_REQUIRES(t->mu)
{
	return &t->buckets[le64_get(id->bytes) % BUCKETS];
}

static void
unlink_locked(struct page_table *t, struct page *p) DM_REQUIRES(t->mu)
{
	*(p->newer != NULL ? &p->newer->older : &t->newest) = p->older;
	*(p->older != NULL ? &p->older->newer : &t->oldest) = p->newer;
}

static void
link_newest_locked(struct page_table *t, struct page *p) DM_REQUIRES(t->mu)
{
	p->newer = NULL;
	p->older = t->newest;
	*(t->newest != NULL ? &t->newest->newer : &t->oldest) = p;
	t->newest = p;
}

/* The page, with one more reference, or NULL. */
static struct page *
find_locked(struct page_table *t, enum object_kind kind,
    const struct digest *id) DM_REQUIRES(t->mu)
{
	struct page *p;

	for (p = *bucket_locked(t, id); p != NULL; p = p->chain) {
		if (digest_equal(&p->id, id) && p->kind == kind)
			break;
	}
	if (p == NULL)
		return NULL;
	if (p != t->newest) {
		unlink_locked(t, p);
		link_newest_locked(t, p);
	}
	__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

static void
evict_oldest_locked(struct page_table *t) DM_REQUIRES(t->mu)
{
	struct page *p = t->oldest, **link = bucket_locked(t, &p->id);

	while (*link != p)
		link = &(*link)->chain;
	*link = p->chain;
	unlink_locked(t, p);
	t->bytes -= page_bytes(p);
	page_put(p);
}

/* Give the table *p, or take the one that it has by now.  The newest always
 * fits, however small the limit is. */
static struct page *
insert(struct page_table *t, struct page **loaded)
{
	struct page *p = *loaded, *there, **bucket;

	dm_lock(&t->mu);
	there = find_locked(t, p->kind, &p->id);
	if (there == NULL) {
		bucket = bucket_locked(t, &p->id);
		p->chain = *bucket;
		*bucket = p;
		link_newest_locked(t, p);
		p->refs = 2; /* the table's and the caller's */
		t->bytes += page_bytes(p);
		while (t->bytes > t->limit && t->oldest != NULL &&
		    t->oldest != p)
			evict_oldest_locked(t);
		there = dm_steal(loaded);
	}
	dm_unlock(&t->mu);
	return there;
}

static int
decode_tree(struct page *p, struct dm_err *err)
{
	if (tree_decode(&p->tree, p->object.data, p->object.size, err) < 0)
		return -1;
	if (p->where.shape != WHERE_CHILDREN || p->where.nrows != p->tree.count)
		return dm_fail(err, DM_CORRUPT,
		    "its where does not fit it (%u rows for %u entries)",
		    p->where.nrows, p->tree.count);
	return 0;
}

static int
decode_chunks(struct page *p, struct dm_err *err)
{
	if (chunk_list_decode(&p->list, p->object.data, p->object.size, err) <
	    0)
		return -1;
	if (p->list.level == 0 &&
	    (p->where.shape != WHERE_RUNS ||
		where_chunks(&p->where) != p->list.count))
		return dm_fail(err, DM_CORRUPT,
		    "its where does not fit it (another number of chunks)");
	if (p->list.level > 0 &&
	    (p->where.shape != WHERE_CHILDREN ||
		p->where.nrows != p->list.count))
		return dm_fail(err, DM_CORRUPT,
		    "its where does not fit it (another number of pages)");
	return 0;
}

/* Fetch the object and, from behind it in the same pack, its where. */
static int
load(struct page_table *t, struct page *p, struct cache_wait *wait,
    struct dm_err *err)
{
	struct cache_place behind = p->at;

	p->object.max = OBJECT_STRUCT_MAX;
	p->where_object.max = OBJECT_STRUCT_MAX;
	if (cache_object(t->cache, t->origin, &p->at, &p->id, p->kind,
		&p->object, wait, err) < 0)
		return -1;
	if (__builtin_add_overflow(behind.ordinal, 1, &behind.ordinal))
		return dm_fail(err, DM_CORRUPT, "nothing can lie behind it");
	if (cache_object(t->cache, t->origin, &behind, NULL, OBJECT_WHERE,
		&p->where_object, wait, err) < 0)
		return -1;
	if (where_decode(&p->where, p->where_object.data, p->where_object.size,
		err) < 0)
		return -1;
	return p->kind == OBJECT_TREE ? decode_tree(p, err) :
					decode_chunks(p, err);
}

struct page *
page_peek(struct page_table *t, enum object_kind kind, const struct digest *id)
{
	struct page *p;

	dm_lock(&t->mu);
	p = find_locked(t, kind, id);
	dm_unlock(&t->mu);
	return p;
}

int
page_get(struct page_table *t, enum object_kind kind, const struct digest *id,
    const struct cache_place *at, struct page **out, struct cache_wait *wait,
    struct dm_err *err)
{
	DM_AUTO(putp) struct page *p = NULL;
	char hex[DIGEST_HEX + 1];

	*out = page_peek(t, kind, id);
	if (*out != NULL)
		return 0;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return dm_fail(err, DM_NOMEM, "page of a tree");
	p->refs = 1;
	p->id = *id;
	p->kind = kind;
	p->at = *at;
	if (load(t, p, wait, err) < 0) {
		if (err->code == DM_AGAIN)
			return -1;
		digest_hex(id, hex);
		return dm_wrap(err, "%s %.12s",
		    kind == OBJECT_TREE ? "tree" : "chunk list", hex);
	}
	*out = insert(t, &p);
	return 0;
}

/* Turn a where's pack number (0: this pack) and an ordinal into a place. */
static void
place(const struct page *p, uint32_t pack, uint32_t ordinal,
    struct cache_place *out)
{
	struct where_pack row;

	*out = p->at;
	out->ordinal = ordinal;
	if (pack == 0)
		return;
	assert(pack <= p->where.npacks); /* where_decode saw to it */
	where_pack_at(&p->where, pack, &row);
	out->pack = row.id;
	out->dir_off = row.dir_off;
	out->dir_len = row.dir_len;
}

void
page_child_place(const struct page *p, uint32_t i, struct cache_place *out,
    bool *stored)
{
	uint32_t pack, ordinal;

	where_child_at(&p->where, i, &pack, &ordinal);
	*stored = pack != WHERE_NONE;
	if (*stored)
		place(p, pack, ordinal, out);
	else
		memset(out, 0, sizeof(*out));
}

void
page_chunk_place(const struct page *p, uint32_t i, struct cache_place *out)
{
	uint32_t pack, ordinal, n;

	where_run_find(&p->where, i, &pack, &ordinal, &n);
	place(p, pack, ordinal, out);
}
