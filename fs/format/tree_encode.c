/* Tree pages and indexes: building them, and where one ends. */
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/le.h"
#include "fs/format/limits.h"
#include "fs/format/tree.h"
#include "fs/format/tree_layout.h"

struct tree_encoder {
	uint8_t level;
	bool spent; /* finished; the next entry begins a new object */
	uint32_t count;
	uint64_t children, entries, files, bytes;
	struct dm_buf records, heap;
	uint32_t last_off; /* name of the last record in the heap */
	uint16_t last_len, first_len;
};

struct tree_encoder *
tree_encoder_new(uint8_t level)
{
	struct tree_encoder *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->level = level;
	e->records = (struct dm_buf)DM_BUF(OBJECT_STRUCT_MAX);
	e->heap = (struct dm_buf)DM_BUF(TREE_HEAP_MAX);
	return e;
}

void
tree_encoder_free(struct tree_encoder *e)
{
	if (e == NULL)
		return;
	dm_buf_release(&e->records);
	dm_buf_release(&e->heap);
	free(e);
}

uint32_t
tree_encoder_count(const struct tree_encoder *e)
{
	return e->spent ? 0 : e->count;
}

static void
begin(struct tree_encoder *e)
{
	if (!e->spent)
		return;
	e->spent = false;
	e->count = 0;
	e->children = e->entries = e->files = e->bytes = 0;
	dm_buf_clear(&e->records);
	dm_buf_clear(&e->heap);
	e->last_off = 0;
	e->last_len = e->first_len = 0;
}

/* Room for a record of that name, with the name in the heap. */
static uint8_t *
add_record(struct tree_encoder *e, const char *name, uint16_t name_len,
    struct dm_err *err)
{
	uint32_t max = e->level == 0 ? TREE_PAGE_MAX : TREE_INDEX_MAX;
	uint32_t off = (uint32_t)e->heap.size;
	uint8_t *r;

	if (e->count == max) {
		(void)dm_fail(err, DM_INVALID, "tree page is full");
		return NULL;
	}
	if (!tree_name_valid(name, name_len)) {
		(void)dm_fail(err, DM_INVALID, "bad name of an entry");
		return NULL;
	}
	if (e->count > 0 &&
	    tree_name_compare(e->heap.data + e->last_off, e->last_len, name,
		name_len) >= 0) {
		(void)dm_fail(err, DM_INVALID, "names are not in order");
		return NULL;
	}
	if (dm_buf_append(&e->heap, name, name_len, err) < 0)
		return NULL;
	r = dm_buf_extend(&e->records, tree_record_size(e->level), err);
	if (r == NULL)
		return NULL;
	le32_put(r + AT_NAME_OFF, off);
	le16_put(r + AT_NAME_LEN, name_len);
	e->last_off = off;
	e->last_len = name_len;
	if (e->count == 0)
		e->first_len = name_len;
	e->count++;
	return r;
}

static int
check_sums(const struct tree_encoder *e, uint64_t children, uint64_t entries,
    uint64_t bytes, struct dm_err *err)
{
	if (children > DM_DIR_ENTRIES_MAX - e->children)
		return dm_fail(err, DM_INVALID,
		    "too many entries in one "
		    "directory");
	if (entries > DM_ENTRIES_MAX - e->entries)
		return dm_fail(err, DM_INVALID, "too many entries");
	if (bytes > DM_BYTES_MAX - e->bytes)
		return dm_fail(err, DM_INVALID, "too many bytes");
	return 0;
}

int
tree_encode_entry(struct tree_encoder *e, const struct tree_entry *entry,
    struct dm_err *err)
{
	bool link = entry->kind == TREE_SYMLINK;
	const char *fault = tree_entry_fault(entry);
	uint64_t bytes = link ? 0 : entry->size;
	uint8_t *r;

	begin(e);
	if (fault != NULL)
		return dm_fail(err, DM_INVALID, "entry: %s", fault);
	if (check_sums(e, 1, entry->entries + 1, bytes, err) < 0)
		return -1;
	r = add_record(e, entry->name, entry->name_len, err);
	if (r == NULL)
		return -1;
	if (link &&
	    dm_buf_append(&e->heap, entry->target, entry->size, err) < 0)
		return -1;
	r[AT_ENTRY_KIND] = (uint8_t)entry->kind;
	r[AT_HOW] = entry->how;
	le64_put(r + AT_SIZE, entry->size);
	le64_put(r + AT_BEFORE, e->entries);
	le64_put(r + AT_FILES, entry->files);
	memcpy(r + AT_ID, entry->id.bytes, DIGEST_SIZE);
	e->children++;
	e->entries += entry->entries + 1;
	e->files += entry->files;
	e->bytes += bytes;
	return 0;
}

int
tree_encode_child(struct tree_encoder *e, const struct tree_child *child,
    struct dm_err *err)
{
	const char *fault = tree_child_fault(child);
	uint8_t *r;

	begin(e);
	if (fault != NULL)
		return dm_fail(err, DM_INVALID, "tree page: %s", fault);
	if (check_sums(e, child->children, child->entries, child->bytes, err) <
	    0)
		return -1;
	r = add_record(e, child->name, child->name_len, err);
	if (r == NULL)
		return -1;
	le64_put(r + AT_CHILDREN_BEFORE, e->children);
	le64_put(r + AT_ENTRIES_BEFORE, e->entries);
	le64_put(r + AT_INDEX_FILES, child->files);
	le64_put(r + AT_INDEX_BYTES, child->bytes);
	memcpy(r + AT_INDEX_ID, child->id.bytes, DIGEST_SIZE);
	e->children += child->children;
	e->entries += child->entries;
	e->files += child->files;
	e->bytes += child->bytes;
	return 0;
}

int
tree_encode_finish(struct tree_encoder *e, struct dm_buf *out,
    struct tree_child *summary, struct dm_err *err)
{
	uint8_t head[TREE_RECORDS];
	size_t begins = out->size;

	begin(e);
	if (e->level > 0 && e->count == 0)
		return dm_fail(err, DM_INVALID, "tree index without a page");
	header_encode(head, OBJECT_TREE,
	    &(struct header){ e->level, e->count, (uint32_t)e->heap.size });
	le64_put(head + AT_TOTAL_CHILDREN, e->children);
	le64_put(head + AT_TOTAL_ENTRIES, e->entries);
	le64_put(head + AT_TOTAL_FILES, e->files);
	le64_put(head + AT_TOTAL_BYTES, e->bytes);
	if (dm_buf_append(out, head, sizeof(head), err) < 0 ||
	    dm_buf_append(out, e->records.data, e->records.size, err) < 0 ||
	    dm_buf_append(out, e->heap.data, e->heap.size, err) < 0)
		return -1;
	*summary = (struct tree_child){
		.name = e->heap.data,
		.name_len = e->first_len,
		.children = e->children,
		.entries = e->entries,
		.files = e->files,
		.bytes = e->bytes,
	};
	digest_of(&summary->id, out->data + begins, out->size - begins);
	e->spent = true;
	return 0;
}

bool
tree_split_before(uint8_t level, uint32_t count, uint64_t heap,
    const char *name, size_t name_len, uint64_t more)
{
	uint32_t least = level == 0 ? TREE_PAGE_MIN : TREE_INDEX_MIN;
	uint32_t most = level == 0 ? TREE_PAGE_MAX : TREE_INDEX_MAX;
	uint64_t mod = level == 0 ? TREE_PAGE_MOD : TREE_INDEX_MOD;
	struct digest d;

	if (count >= most || heap + more > TREE_HEAP_MAX)
		return true;
	if (count < least)
		return false;
	digest_of(&d, name, name_len);
	return le64_get(d.bytes + (size_t)8 * level) % mod == 0;
}
