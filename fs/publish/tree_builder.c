#include "fs/publish/tree_builder.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "fs/format/limits.h"
#include "fs/publish/packer.h"

/* The page or index of one level that is being filled. */
struct open_page {
	struct tree_encoder *e;
	struct place *rows;
	uint32_t n, room;
	uint64_t heap;
	bool used; /* this directory has a page of this level */
	bool root; /* it is the whole version's topmost */
};

/* A directory under way; kept for the next one of its depth. */
struct open_dir {
	char name[DM_NAME_MAX];
	size_t name_len;
	bool paged; /* more entries than one page takes */
	struct open_page page[DM_LEVEL_MAX + 1];
};

struct tree_builder {
	struct packer *packer;
	struct open_dir *dir[DM_DEPTH_MAX + 1];
	unsigned depth; /* of open directories */
	struct dm_buf object;
	struct tree_child root;
	uint8_t root_level;
};

struct tree_builder *
tree_builder_new(struct packer *p)
{
	struct tree_builder *tb = calloc(1, sizeof(*tb));

	if (tb == NULL)
		return NULL;
	tb->packer = p;
	tb->object = (struct dm_buf)DM_BUF(OBJECT_STRUCT_MAX);
	return tb;
}

void
tree_builder_free(struct tree_builder *tb)
{
	if (tb == NULL)
		return;
	for (int i = 0; i <= DM_DEPTH_MAX; i++) {
		struct open_dir *d = tb->dir[i];

		if (d == NULL)
			continue;
		for (int k = 0; k <= DM_LEVEL_MAX; k++) {
			tree_encoder_free(d->page[k].e);
			free(d->page[k].rows);
		}
		free(d);
	}
	dm_buf_release(&tb->object);
	free(tb);
}

int
tree_builder_begin(struct tree_builder *tb, const char *name, size_t name_len,
    uint64_t count, struct dm_err *err)
{
	struct open_dir *d;

	if (tb->depth > DM_DEPTH_MAX || name_len > DM_NAME_MAX)
		return dm_fail(err, DM_INVALID, "directory is too deep");
	d = tb->dir[tb->depth];
	if (d == NULL) {
		d = tb->dir[tb->depth] = calloc(1, sizeof(*d));
		if (d == NULL)
			return dm_fail(err, DM_NOMEM, "tree");
	}
	memcpy(d->name, name, name_len);
	d->name_len = name_len;
	d->paged = count > TREE_PAGE_SOLE;
	for (int k = 0; k <= DM_LEVEL_MAX; k++)
		d->page[k].used = false;
	tb->depth++;
	return 0;
}

static int
page_open(struct open_dir *d, unsigned level, struct dm_err *err)
{
	struct open_page *pg = &d->page[level];

	pg->used = true;
	if (pg->e == NULL)
		pg->e = tree_encoder_new((uint8_t)level);
	if (pg->e == NULL)
		return dm_fail(err, DM_NOMEM, "tree");
	return 0;
}

static int
page_row(struct open_page *pg, const struct place *at, struct dm_err *err)
{
	if (pg->n == pg->room) {
		uint32_t room = pg->room == 0 ? 64 : 2 * pg->room;
		struct place *rows =
		    reallocarray(pg->rows, room, sizeof(*rows));

		if (rows == NULL)
			return dm_fail(err, DM_NOMEM, "tree");
		pg->rows = rows;
		pg->room = room;
	}
	pg->rows[pg->n++] = *at;
	return 0;
}

/* End a page or index, and give it to the packer. */
static int
page_finish(struct tree_builder *tb, struct open_page *pg, uint8_t level,
    struct tree_child *summary, struct dm_err *err)
{
	struct packer_struct s = { .kind = OBJECT_TREE, .level = level };

	dm_buf_clear(&tb->object);
	if (tree_encode_finish(pg->e, &tb->object, summary, err) < 0)
		return -1;
	s.id = summary->id;
	s.data = tb->object.data;
	s.size = tb->object.size;
	s.rows = pg->rows;
	s.nrows = pg->n;
	s.root = pg->root;
	if (packer_structure(tb->packer, &s, err) < 0)
		return -1;
	pg->n = 0;
	pg->heap = 0;
	return 0;
}

/* Put a finished page under the index of that level, which may be full: then
 * it goes under the index above, and so on. */
static int
add_child(struct tree_builder *tb, struct open_dir *d, uint8_t level,
    const struct tree_child *child, struct dm_err *err)
{
	static const struct place by_id = { .pack = PLACE_BY_ID };
	struct open_page *pg;
	struct tree_child full;

	if (level > DM_LEVEL_MAX)
		return dm_fail(err, DM_INVALID,
		    "too many entries in one directory");
	pg = &d->page[level];
	if (page_open(d, level, err) < 0)
		return -1;
	if (pg->n > 0 &&
	    tree_split_before(level, pg->n, pg->heap, child->name,
		child->name_len, child->name_len) &&
	    (page_finish(tb, pg, level, &full, err) < 0 ||
		add_child(tb, d, (uint8_t)(level + 1), &full, err) < 0))
		return -1;
	pg->heap += child->name_len;
	if (tree_encode_child(pg->e, child, err) < 0)
		return -1;
	return page_row(pg, &by_id, err);
}

/* Must the entry begin a new page? */
static bool
splits(const struct open_dir *d, const struct tree_entry *entry, uint64_t more)
{
	const struct open_page *pg = &d->page[0];

	if (pg->n == 0)
		return false;
	if (!d->paged)
		return pg->heap + more > TREE_HEAP_MAX;
	return tree_split_before(0, pg->n, pg->heap, entry->name,
	    entry->name_len, more);
}

int
tree_builder_add(struct tree_builder *tb, const struct tree_entry *entry,
    const struct place *at, struct dm_err *err)
{
	struct open_dir *d = tb->dir[tb->depth - 1];
	struct open_page *pg = &d->page[0];
	uint64_t more =
	    entry->name_len + (entry->kind == TREE_SYMLINK ? entry->size : 0);
	struct tree_child full;

	if (page_open(d, 0, err) < 0)
		return -1;
	if (splits(d, entry, more) &&
	    (page_finish(tb, pg, 0, &full, err) < 0 ||
		add_child(tb, d, 1, &full, err) < 0))
		return -1;
	pg->heap += more;
	if (tree_encode_entry(pg->e, entry, err) < 0)
		return -1;
	return page_row(pg, at, err);
}

/* End the last page of every level; the topmost one is the directory. */
static int
end_pages(struct tree_builder *tb, struct open_dir *d, uint8_t *level,
    struct tree_child *top, struct dm_err *err)
{
	for (uint8_t k = 0;; k++) {
		if (page_open(d, k, err) < 0)
			return -1;
		d->page[k].root = tb->depth == 1 &&
		    (k == DM_LEVEL_MAX || !d->page[k + 1].used);
		if (page_finish(tb, &d->page[k], k, top, err) < 0)
			return -1;
		if (k == DM_LEVEL_MAX || !d->page[k + 1].used) {
			*level = k;
			return 0;
		}
		if (add_child(tb, d, (uint8_t)(k + 1), top, err) < 0)
			return -1;
	}
}

int
tree_builder_end(struct tree_builder *tb, struct dm_err *err)
{
	static const struct place by_id = { .pack = PLACE_BY_ID };
	struct open_dir *d = tb->dir[tb->depth - 1];
	struct tree_entry entry = { .kind = TREE_DIR };
	struct tree_child top;

	if (end_pages(tb, d, &entry.how, &top, err) < 0)
		return -1;
	tb->depth--;
	if (tb->depth == 0) {
		tb->root = top;
		tb->root.name = NULL;
		tb->root_level = entry.how;
		return 0;
	}
	entry.name = d->name;
	entry.name_len = (uint16_t)d->name_len;
	entry.size = top.bytes;
	entry.entries = top.entries;
	entry.files = top.files;
	entry.id = top.id;
	return tree_builder_add(tb, &entry, &by_id, err);
}

void
tree_builder_root(const struct tree_builder *tb, uint8_t *level,
    struct tree_child *out)
{
	*level = tb->root_level;
	*out = tb->root;
}
