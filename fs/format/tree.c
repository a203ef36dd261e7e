/*
 * Tree pages and indexes: decoding and searching.
 *
 * A decoded tree is its bytes: records are found by multiplication, names by
 * the offsets that tree_decode has compared with running sums.  Whatever a
 * sum can say is recomputed, so no later step needs to doubt a record.
 */
#include "fs/format/tree.h"

#include <string.h>

#include "cache/base/err.h"
#include "cache/base/le.h"
#include "fs/format/header.h"
#include "fs/format/limits.h"
#include "fs/format/tree_layout.h"

/* Sums over the records before the present one. */
struct sums {
	uint64_t children, entries, files, bytes;
	uint32_t heap;
	const char *last; /* name */
	uint16_t last_len;
};

size_t
tree_record_size(uint8_t level)
{
	return level == 0 ? TREE_RECORD : TREE_INDEX_RECORD;
}

int
tree_name_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int c = memcmp(a, b, a_len < b_len ? a_len : b_len);

	if (c != 0)
		return c;
	return a_len < b_len ? -1 : a_len > b_len;
}

static const uint8_t *
record_at(const struct tree *t, uint32_t i)
{
	return t->records + i * tree_record_size(t->level);
}

void
tree_entry_at(const struct tree *t, uint32_t i, struct tree_entry *out)
{
	const uint8_t *r = record_at(t, i);
	uint64_t next = i + 1 < t->count ?
	    le64_get(r + TREE_RECORD + AT_BEFORE) :
	    t->entries;

	out->name = t->heap + le32_get(r + AT_NAME_OFF);
	out->name_len = le16_get(r + AT_NAME_LEN);
	out->kind = (enum tree_kind)r[AT_ENTRY_KIND];
	out->how = r[AT_HOW];
	out->size = le64_get(r + AT_SIZE);
	out->before = le64_get(r + AT_BEFORE);
	out->entries = next - out->before - 1;
	out->files = le64_get(r + AT_FILES);
	memcpy(out->id.bytes, r + AT_ID, DIGEST_SIZE);
	out->target =
	    out->kind == TREE_SYMLINK ? out->name + out->name_len : NULL;
}

void
tree_child_at(const struct tree *t, uint32_t i, struct tree_child *out)
{
	const uint8_t *r = record_at(t, i), *next = r + TREE_INDEX_RECORD;
	bool last = i + 1 == t->count;

	out->name = t->heap + le32_get(r + AT_NAME_OFF);
	out->name_len = le16_get(r + AT_NAME_LEN);
	out->children_before = le64_get(r + AT_CHILDREN_BEFORE);
	out->entries_before = le64_get(r + AT_ENTRIES_BEFORE);
	out->children =
	    (last ? t->children : le64_get(next + AT_CHILDREN_BEFORE)) -
	    out->children_before;
	out->entries =
	    (last ? t->entries : le64_get(next + AT_ENTRIES_BEFORE)) -
	    out->entries_before;
	out->files = le64_get(r + AT_INDEX_FILES);
	out->bytes = le64_get(r + AT_INDEX_BYTES);
	memcpy(out->id.bytes, r + AT_INDEX_ID, DIGEST_SIZE);
}

/* The record's name: behind all others, valid, above the last one. */
static const char *
name_fault(const struct tree *t, const uint8_t *r, uint32_t heap_size,
    struct sums *s)
{
	uint32_t off = le32_get(r + AT_NAME_OFF);
	uint16_t len = le16_get(r + AT_NAME_LEN);

	if (off != s->heap || len > heap_size - s->heap)
		return "name is not where it belongs";
	if (!tree_name_valid(t->heap + off, len))
		return "bad name";
	if (s->last != NULL &&
	    tree_name_compare(s->last, s->last_len, t->heap + off, len) >= 0)
		return "names are not in order";
	s->last = t->heap + off;
	s->last_len = len;
	s->heap += len;
	return NULL;
}

/* Add what one record covers. */
static const char *
sums_add(struct sums *s, uint64_t children, uint64_t entries, uint64_t files,
    uint64_t bytes)
{
	if (children > DM_DIR_ENTRIES_MAX - s->children ||
	    entries > DM_ENTRIES_MAX - s->entries || files > entries ||
	    bytes > DM_BYTES_MAX - s->bytes || (files == 0 && bytes > 0))
		return "impossible sum";
	s->children += children;
	s->entries += entries;
	s->files += files;
	s->bytes += bytes;
	return NULL;
}

const char *
tree_entry_fault(const struct tree_entry *e)
{
	bool is_file = e->kind == TREE_FILE || e->kind == TREE_EXEC;
	bool has_object = is_file ? e->size > 0 : e->kind == TREE_DIR;

	if (e->kind < TREE_FILE || e->kind > TREE_SYMLINK)
		return "unknown kind";
	if (digest_is_zero(&e->id) == has_object)
		return "bad id";
	switch (e->kind) {
	case TREE_FILE:
	case TREE_EXEC:
		if (e->how > (has_object ? TREE_FOREIGN : TREE_SHA256))
			return "unknown kind of id";
		return e->size <= DM_FILE_MAX && e->files == 1 &&
			e->entries == 0 ?
		    NULL :
		    "bad sums of a file";
	case TREE_DIR:
		if (e->how > DM_LEVEL_MAX)
			return "bad level";
		return e->entries < DM_ENTRIES_MAX && e->files <= e->entries &&
			(e->size == 0 || e->files > 0) ?
		    NULL :
		    "impossible sum";
	case TREE_SYMLINK:
		if (e->size == 0 || e->size > DM_TARGET_MAX || e->how != 0 ||
		    e->files != 0 || e->entries != 0)
			return "bad symlink";
		return memchr(e->target, '\0', e->size) == NULL ?
		    NULL :
		    "bad symlink target";
	}
	return "unknown kind";
}

/* A level-0 record and, through the next one's, its subtree. */
static const char *
check_entry(const struct tree *t, uint32_t i, uint32_t heap_size,
    struct sums *s)
{
	const uint8_t *r = record_at(t, i);
	uint64_t next = i + 1 < t->count ?
	    le64_get(r + TREE_RECORD + AT_BEFORE) :
	    t->entries;
	const char *fault = name_fault(t, r, heap_size, s);
	struct tree_entry e;

	if (fault != NULL)
		return fault;
	if (le64_get(r + AT_BEFORE) != s->entries || next <= s->entries)
		return "bad sum of entries";
	if (r[AT_ENTRY_KIND] == TREE_SYMLINK &&
	    le64_get(r + AT_SIZE) > heap_size - s->heap)
		return "symlink target is cut short";
	tree_entry_at(t, i, &e);
	fault = tree_entry_fault(&e);
	if (fault != NULL)
		return fault;
	if (e.kind == TREE_SYMLINK) {
		s->heap += (uint32_t)e.size;
		return sums_add(s, 1, 1, 0, 0);
	}
	return sums_add(s, 1, e.entries + 1, e.files, e.size);
}

/* An index record and, through the next one's, its child. */
static const char *
check_child(const struct tree *t, uint32_t i, uint32_t heap_size,
    struct sums *s)
{
	const uint8_t *r = record_at(t, i);
	const char *fault = name_fault(t, r, heap_size, s);
	struct tree_child c;

	if (fault != NULL)
		return fault;
	if (le16_get(r + AT_INDEX_ZERO) != 0 || le64_get(r + AT_INDEX_ZERO8))
		return "reserved bytes are not zero";
	tree_child_at(t, i, &c);
	if (c.children_before != s->children || c.entries_before != s->entries)
		return "bad sum of entries";
	fault = tree_child_fault(&c);
	if (fault != NULL)
		return fault;
	return sums_add(s, c.children, c.entries, c.files, c.bytes);
}

const char *
tree_child_fault(const struct tree_child *c)
{
	if (digest_is_zero(&c->id))
		return "bad id";
	if (c->children == 0 || c->children > DM_DIR_ENTRIES_MAX ||
	    c->entries < c->children || c->entries > DM_ENTRIES_MAX ||
	    c->files > c->entries || (c->files == 0 && c->bytes > 0))
		return "impossible sum";
	return NULL;
}

/* Header and totals; whether the records keep their promise comes later. */
static int
open_tree(struct tree *t, uint32_t *heap_size, const void *data, size_t size,
    struct dm_err *err)
{
	const uint8_t *p = data;
	struct header h;
	size_t records;

	if (header_decode(&h, OBJECT_TREE, data, size, TREE_RECORDS, err) < 0)
		return -1;
	if (h.level > DM_LEVEL_MAX ||
	    h.count > (h.level == 0 ? TREE_PAGE_MAX : TREE_INDEX_MAX) ||
	    (h.level > 0 && h.count == 0))
		return dm_fail(err, DM_CORRUPT, "bad number of records");
	records = h.count * tree_record_size(h.level);
	if (h.heap > TREE_HEAP_MAX ||
	    size != TREE_RECORDS + records + (size_t)h.heap)
		return dm_fail(err, DM_CORRUPT, "bad size");
	*t = (struct tree){
		.data = p,
		.size = size,
		.level = h.level,
		.count = h.count,
		.children = le64_get(p + AT_TOTAL_CHILDREN),
		.entries = le64_get(p + AT_TOTAL_ENTRIES),
		.files = le64_get(p + AT_TOTAL_FILES),
		.bytes = le64_get(p + AT_TOTAL_BYTES),
		.records = p + TREE_RECORDS,
		.heap = (const char *)p + TREE_RECORDS + records,
	};
	*heap_size = h.heap;
	return 0;
}

int
tree_decode(struct tree *out, const void *data, size_t size, struct dm_err *err)
{
	struct sums s = { 0 };
	uint32_t heap_size = 0;
	struct tree t = { 0 };

	if (open_tree(&t, &heap_size, data, size, err) < 0)
		return dm_wrap(err, "tree");
	for (uint32_t i = 0; i < t.count; i++) {
		const char *fault = t.level == 0 ?
		    check_entry(&t, i, heap_size, &s) :
		    check_child(&t, i, heap_size, &s);

		if (fault != NULL)
			return dm_fail(err, DM_CORRUPT, "tree: record %u: %s",
			    i, fault);
	}
	if (s.heap != heap_size || s.children != t.children ||
	    s.entries != t.entries || s.files != t.files || s.bytes != t.bytes)
		return dm_fail(err, DM_CORRUPT, "tree: wrong totals");
	*out = t;
	return 0;
}

/* The number of records whose name is not above the given one. */
static uint32_t
not_above(const struct tree *t, const char *name, size_t name_len)
{
	uint32_t lo = 0, hi = t->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const uint8_t *r = record_at(t, mid);

		if (tree_name_compare(t->heap + le32_get(r + AT_NAME_OFF),
			le16_get(r + AT_NAME_LEN), name, name_len) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
tree_find(const struct tree *t, const char *name, size_t name_len, uint32_t *i,
    bool *found)
{
	uint32_t n = not_above(t, name, name_len);
	const uint8_t *r;

	*found = false;
	if (n == 0)
		return;
	r = record_at(t, n - 1);
	if (t->level == 0 &&
	    tree_name_compare(t->heap + le32_get(r + AT_NAME_OFF),
		le16_get(r + AT_NAME_LEN), name, name_len) != 0)
		return;
	*i = n - 1;
	*found = true;
}

/* The last record whose running sum, at that offset, is not above value; the
 * first one's is 0. */
static uint32_t
by_sum(const struct tree *t, size_t at, uint64_t value)
{
	uint32_t lo = 1, hi = t->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (le64_get(record_at(t, mid) + at) <= value)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - 1;
}

uint32_t
tree_by_entry(const struct tree *t, uint64_t pos)
{
	return by_sum(t, t->level == 0 ? AT_BEFORE : AT_ENTRIES_BEFORE, pos);
}

uint32_t
tree_by_child(const struct tree *t, uint64_t n)
{
	return t->level == 0 ? (uint32_t)n : by_sum(t, AT_CHILDREN_BEFORE, n);
}
