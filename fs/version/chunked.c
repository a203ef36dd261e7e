#include "fs/version/chunked.h"

#include <string.h>

#include "cache/base/err.h"
#include "fs/format/limits.h"
#include "fs/version/page.h"

static void
putp(struct page **p)
{
	page_put(*p);
}

/* A chunk, and the list page that holds it. */
struct spot {
	struct page *page; /* of level 0 */
	uint32_t i;        /* the chunk in it */
	uint64_t off;      /* of the page in the file */
};

static int
fail_lie(const struct chunked *f, struct dm_err *err)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&f->id, hex);
	(void)dm_fail(err, DM_CORRUPT,
	    "chunk list %.12s is not what its parent says of it", hex);
	return -1;
}

/* Chunks that a full object of that level covers. */
static uint64_t
full_chunks(unsigned level)
{
	uint64_t n = 1;

	for (; level > 0; level--)
		n *= CHUNK_PAGE;
	return n;
}

/* A list, if it may be fetched or need not be. */
static int
get_list(const struct chunked *f, const struct digest *id,
    const struct cache_place *at, struct page **out, struct cache_wait *wait,
    struct dm_err *err)
{
	struct cache_place where = *at;

	if (f->here) {
		*out = page_peek(f->pages, OBJECT_CHUNKS, id);
		if (*out != NULL)
			return 0;
		where.ordinal++;
		if (cache_present(f->cache, at, 1) == 0 ||
		    cache_present(f->cache, &where, 1) == 0)
			return dm_fail(err, DM_NOTFOUND,
			    "the chunk list is not here");
	}
	return page_get(f->pages, OBJECT_CHUNKS, id, at, out, wait, err);
}

/* The top list, compared with what the tree says of the file. */
static int
get_top(const struct chunked *f, struct page **out, struct cache_wait *wait,
    struct dm_err *err)
{
	DM_AUTO(putp) struct page *p = NULL;

	if (get_list(f, &f->id, &f->at, &p, wait, err) < 0)
		return -1;
	if (p->list.size != f->size || p->list.level > DM_LEVEL_MAX)
		return fail_lie(f, err);
	*out = dm_steal(&p);
	return 0;
}

/* Child i of an index, compared with what the index says of it. */
static int
get_child(const struct chunked *f, const struct page *index, uint32_t i,
    struct page **out, struct cache_wait *wait, struct dm_err *err)
{
	DM_AUTO(putp) struct page *p = NULL;
	const struct chunk_list *l = &index->list;
	uint64_t off, size, chunks, full = full_chunks(l->level);
	struct cache_place at;
	struct digest id;
	bool stored;

	chunk_list_at(l, i, &off, &size, &id);
	page_child_place(index, i, &at, &stored);
	if (!stored)
		return fail_lie(f, err);
	chunks = i + 1 < l->count ? full : l->chunks - i * full;
	if (get_list(f, &id, &at, &p, wait, err) < 0)
		return -1;
	if (p->list.level + 1 != l->level || p->list.size != size ||
	    p->list.chunks != chunks || !digest_is_zero(&p->list.whole))
		return fail_lie(f, err);
	*out = dm_steal(&p);
	return 0;
}

/* Descend to the chunk that holds byte off.  The caller puts spot->page. */
static int
find(const struct chunked *f, uint64_t off, struct spot *out,
    struct cache_wait *wait, struct dm_err *err)
{
	DM_AUTO(putp) struct page *p = NULL;
	struct page *child = NULL;
	uint64_t before, size;
	struct digest id;
	uint32_t i;

	if (get_top(f, &p, wait, err) < 0)
		return -1;
	out->off = 0;
	for (;;) {
		i = chunk_list_find(&p->list, off - out->off);
		if (p->list.level == 0)
			break;
		chunk_list_at(&p->list, i, &before, &size, &id);
		if (get_child(f, p, i, &child, wait, err) < 0)
			return -1;
		page_put(p);
		p = child;
		out->off += before;
	}
	out->i = i;
	out->page = dm_steal(&p);
	return 0;
}

/* What is still to be read. */
struct rest {
	char *buf;
	size_t size;
	uint64_t off;
};

/* Read what the chunks of one list page hold of it. */
static int
read_page(const struct chunked *f, const struct spot *s, struct rest *r,
    struct cache_wait *wait, struct dm_err *err)
{
	const struct chunk_list *l = &s->page->list;
	uint32_t i;

	for (i = s->i; i < l->count && r->size > 0; i++) {
		uint64_t begin, chunk, skip, n;
		struct cache_place at;
		struct digest id;

		chunk_list_at(l, i, &begin, &chunk, &id);
		page_chunk_place(s->page, i, &at);
		skip = r->off - s->off - begin;
		n = chunk - skip < r->size ? chunk - skip : r->size;
		if (cache_read(f->cache, f->origin, &at, &id, (uint32_t)chunk,
			(uint32_t)skip, r->buf, (uint32_t)n, wait, err) < 0)
			return -1;
		r->buf += n;
		r->size -= n;
		r->off += n;
	}
	return 0;
}

int
chunked_read(const struct chunked *f, void *buf, size_t size, uint64_t off,
    struct cache_wait *wait, struct dm_err *err)
{
	struct rest r = { buf, size, off };
	struct spot s;
	int rc;

	while (r.size > 0) {
		if (find(f, r.off, &s, wait, err) < 0)
			return -1;
		rc = read_page(f, &s, &r, wait, err);
		page_put(s.page);
		if (rc < 0)
			return -1;
	}
	return 0;
}

int
chunked_places(const struct chunked *f, uint64_t off, uint64_t size,
    void (*each)(void *arg, const struct cache_place *at, uint32_t size),
    void *arg, struct cache_wait *wait, struct dm_err *err)
{
	uint64_t end = off + size, begin, chunk;
	struct cache_place at;
	struct digest id;
	struct spot s;

	while (off < end) {
		if (find(f, off, &s, wait, err) < 0)
			return -1;
		for (uint32_t i = s.i; i < s.page->list.count && off < end;
		     i++) {
			chunk_list_at(&s.page->list, i, &begin, &chunk, &id);
			page_chunk_place(s.page, i, &at);
			each(arg, &at, (uint32_t)chunk);
			off = s.off + begin + chunk;
		}
		page_put(s.page);
	}
	return 0;
}

int
chunked_stat(const struct chunked *f, struct digest *whole, uint64_t *chunks,
    struct cache_wait *wait, struct dm_err *err)
{
	struct page *p = NULL;

	if (get_top(f, &p, wait, err) < 0)
		return -1;
	*whole = p->list.whole;
	*chunks = p->list.chunks;
	page_put(p);
	return 0;
}

int
chunked_present(const struct chunked *f, uint64_t *bytes,
    struct cache_wait *wait, struct dm_err *err)
{
	uint64_t off = 0, begin, chunk;
	struct cache_place at;
	struct digest id;
	struct spot s;

	*bytes = 0;
	while (off < f->size) {
		if (find(f, off, &s, wait, err) < 0)
			return -1;
		for (; s.i < s.page->list.count; s.i++) {
			chunk_list_at(&s.page->list, s.i, &begin, &chunk, &id);
			page_chunk_place(s.page, s.i, &at);
			*bytes += cache_present(f->cache, &at, (uint32_t)chunk);
		}
		off = s.off + s.page->list.size;
		page_put(s.page);
	}
	return 0;
}

enum { PACK_BATCH = 64 }; /* chunks compared in one go */

/* A file that may be a pack, and how much of it was compared. */
struct match {
	struct digest pack;
	uint32_t objects, next; /* of the pack; the next one to compare */
	uint64_t bytes;         /* of the pack */
};

/* Do these chunks of a list page follow in the pack?  n > 0. */
static bool
match_some(const struct chunked *f, const struct spot *s, uint32_t first,
    uint32_t n, struct match *m)
{
	struct cache_part part[PACK_BATCH];

	if (!cache_parts(f->cache, &m->pack, m->next, n, part, &m->objects,
		&m->bytes))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t off, size;
		struct digest id;

		chunk_list_at(&s->page->list, first + i, &off, &size, &id);
		if (part[i].off != s->off + off || part[i].size != size ||
		    !digest_equal(&part[i].id, &id))
			return false;
	}
	m->next += n;
	return true;
}

static bool
match_page(const struct chunked *f, const struct spot *s, struct match *m)
{
	uint32_t count = s->page->list.count, n;
	struct cache_place at;

	if (s->off == 0) {
		page_chunk_place(s->page, 0, &at);
		m->pack = at.pack;
	}
	for (uint32_t i = 0; i < count; i += n) {
		n = count - i < PACK_BATCH ? count - i : PACK_BATCH;
		if (!match_some(f, s, i, n, m))
			return false;
	}
	return true;
}

int
chunked_pack(const struct chunked *f, struct digest *pack, bool *whole,
    struct cache_wait *wait, struct dm_err *err)
{
	struct chunked here = *f;
	struct match m = { .next = 0 };
	uint64_t off = 0;
	struct spot s;
	bool same;

	*whole = false;
	here.here = true;
	while (off < f->size) {
		if (find(&here, off, &s, wait, err) < 0)
			return err->code == DM_AGAIN ? -1 : 0;
		same = match_page(&here, &s, &m);
		off = s.off + s.page->list.size;
		page_put(s.page);
		if (!same)
			return 0;
	}
	*pack = m.pack;
	*whole = m.next == m.objects && m.bytes == f->size && f->size > 0;
	return 0;
}
