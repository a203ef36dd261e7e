/*
 * Descents.  An entry is found by going down from the root, or from the
 * nearest directory above it that was found of late: through a directory's
 * index pages to the page that holds it, then into that directory, and so on;
 * by name, by inode number, or by position.
 *
 * Every step compares what was loaded with what the parent said of it: level,
 * totals, and that the names of a page lie between its first name and the
 * next page's.  Ids are hashes, so no tree can hold itself; with true totals
 * no tree is larger than its root claims.
 */
#include "fs/version/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "fs/format/tree_layout.h"
#include "fs/version/ahead.h"
#include "fs/version/chunked.h"
#include "fs/version/known.h"
#include "fs/version/page.h"

#define PAGES_DEFAULT ((uint64_t)12 << 20)

/* Immutable after open, but for what locks itself. */
struct version {
	struct ahead ahead;
	struct known known;
	struct cache *cache;   /* borrowed */
	struct origin *origin; /* borrowed */
	struct page_table *pages;
	struct version_node root;
	bool all_symlinks;
};

/* A page of a directory, and what of the directory comes before it. */
struct place {
	struct page *page; /* of level 0 */
	uint64_t children_before, entries_before;
};

/* What a parent says of a page; the name bounds apply to pages of an index. */
struct claim {
	uint64_t entries, files, bytes;
	uint64_t children; /* not known of a directory's top: CHILDREN_ANY */
	unsigned level;
	char first[DM_NAME_MAX], after[DM_NAME_MAX];
	size_t first_len, after_len; /* 0: no bound */
};
#define CHILDREN_ANY UINT64_MAX

enum by { BY_NAME, BY_ENTRY, BY_CHILD };

/* What a descent through a directory looks for. */
struct key {
	enum by by;
	const char *name;
	size_t name_len;
	uint64_t n;  /* position among entries, or among children */
	bool recall; /* only in pages that are in memory */
};

static void
putp(struct page **p)
{
	page_put(*p);
}

int
version_open(struct version **out, struct cache *cache, struct origin *origin,
    const struct commit *c, const struct version_options *opt,
    struct dm_err *err)
{
	struct version *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return dm_fail(err, DM_NOMEM, "open version");
	v->cache = cache;
	v->origin = origin;
	v->all_symlinks = opt->all_symlinks;
	v->root = (struct version_node){
		.ino = 1,
		.parent = 1,
		.kind = TREE_DIR,
		.how = c->level,
		.size = c->bytes,
		.entries = c->entries,
		.files = c->files,
		.id = c->tree,
		.stored = true,
		.at = { .pack = c->at_pack,
		    .dir_off = c->at_dir_off,
		    .dir_len = c->at_dir_len,
		    .ordinal = c->at_ordinal },
	};
	if (page_table_open(&v->pages, cache, origin,
		opt->pages != 0 ? opt->pages : PAGES_DEFAULT, err) < 0) {
		free(v);
		return -1;
	}
	ahead_init(&v->ahead);
	known_init(&v->known);
	*out = v;
	return 0;
}

void
version_close(struct version *v)
{
	if (v == NULL)
		return;
	page_table_close(v->pages);
	ahead_release(&v->ahead);
	known_release(&v->known);
	free(v);
}

static void
closep(struct version **v)
{
	version_close(*v);
}

/* Numbers and depths are relative to the root, and nothing above it is ever
 * asked for: a subtree is a version with another root. */
int
version_open_subtree(struct version **out, struct version *v, const char *path,
    struct dm_err *err)
{
	DM_AUTO(closep) struct version *owned = v;
	struct version_node node;
	bool found = false;

	if (version_path(v, path, &node, &found, NULL, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND, "no '%s' in this version",
		    path);
	if (node.kind != TREE_DIR)
		return dm_fail(err, DM_INVALID, "'%s' is not a directory",
		    path);
	/* What is known is so by other numbers. */
	known_release(&v->known);
	known_init(&v->known);
	v->root = node;
	v->root.ino = 1;
	v->root.parent = 1;
	v->root.number = 0;
	v->root.depth = 0;
	*out = dm_steal(&owned);
	return 0;
}

void
version_root(const struct version *v, struct version_node *out)
{
	*out = v->root;
}

static void
name_at(const struct tree *t, uint32_t i, const char **name, size_t *name_len)
{
	struct tree_entry entry;
	struct tree_child child;

	if (t->level == 0) {
		tree_entry_at(t, i, &entry);
		*name = entry.name;
		*name_len = entry.name_len;
	} else {
		tree_child_at(t, i, &child);
		*name = child.name;
		*name_len = child.name_len;
	}
}

/* An index that could promise other names than its pages hold would let a
 * name stand twice in a listing, or be listed and not found. */
static bool
names_fit(const struct tree *t, const struct claim *c)
{
	const char *name;
	size_t name_len;

	if (c->first_len > 0) {
		if (t->count == 0)
			return false;
		name_at(t, 0, &name, &name_len);
		if (tree_name_compare(name, name_len, c->first, c->first_len) !=
		    0)
			return false;
	}
	if (c->after_len > 0) {
		name_at(t, t->count - 1, &name, &name_len);
		if (tree_name_compare(name, name_len, c->after, c->after_len) >=
		    0)
			return false;
	}
	return true;
}

static int
check_claim(const struct page *p, const struct claim *c,
    const struct digest *id, struct dm_err *err)
{
	const struct tree *t = &p->tree;
	char hex[DIGEST_HEX + 1];

	if (t->level == c->level && t->entries == c->entries &&
	    t->files == c->files && t->bytes == c->bytes &&
	    (c->children == CHILDREN_ANY || t->children == c->children) &&
	    names_fit(t, c))
		return 0;
	digest_hex(id, hex);
	return dm_fail(err, DM_CORRUPT,
	    "tree %.12s is not what its parent says of it", hex);
}

/* What record i of an index says of its page. */
static void
claim_child(const struct tree *index, uint32_t i,
    const struct tree_child *child, struct claim *c)
{
	struct tree_child next;

	c->level = index->level - 1U;
	c->entries = child->entries;
	c->files = child->files;
	c->bytes = child->bytes;
	c->children = child->children;
	memcpy(c->first, child->name, child->name_len);
	c->first_len = child->name_len;
	/* Behind the last page the index's own bound stays. */
	if (i + 1 < index->count) {
		tree_child_at(index, i + 1, &next);
		memcpy(c->after, next.name, next.name_len);
		c->after_len = next.name_len;
	}
}

static void
pick_child(const struct tree *index, const struct key *key,
    const struct place *p, uint32_t *i, bool *found)
{
	*found = true;
	if (key->by == BY_NAME)
		tree_find(index, key->name, key->name_len, i, found);
	else if (key->by == BY_ENTRY)
		*i = tree_by_entry(index, key->n - p->entries_before);
	else
		*i = tree_by_child(index, key->n - p->children_before);
}

static int
get_page(struct version *v, const struct key *key, const struct digest *id,
    const struct cache_place *at, struct page **out, struct cache_wait *wait,
    struct dm_err *err)
{
	if (!key->recall)
		return page_get(v->pages, OBJECT_TREE, id, at, out, wait, err);
	*out = page_peek(v->pages, OBJECT_TREE, id);
	if (*out == NULL)
		return dm_fail(err, DM_NOTFOUND, "not in memory");
	return 0;
}

/*
 * Descend from a directory's top object to the page that holds what key
 * says; a key by number must be within the top's totals.  The caller puts
 * out->page, which is NULL if no page can hold that name.
 */
static int
find_page(struct version *v, const struct version_node *dir,
    const struct key *key, struct place *out, struct cache_wait *wait,
    struct dm_err *err)
{
	DM_AUTO(putp) struct page *p = NULL;
	struct cache_place at = dir->at;
	struct digest id = dir->id;
	struct claim claim = { .level = dir->how,
		.entries = dir->entries,
		.files = dir->files,
		.bytes = dir->size,
		.children = CHILDREN_ANY };
	bool found = true, stored = dir->stored;

	*out = (struct place){ 0 };
	for (;;) {
		struct page *next = NULL;
		struct tree_child child;
		uint32_t i = 0;

		if (!stored || claim.level > DM_LEVEL_MAX)
			return dm_fail(err, DM_CORRUPT,
			    "a directory's tree has no place or no level");
		if (get_page(v, key, &id, &at, &next, wait, err) < 0)
			return -1;
		page_put(p);
		p = next;
		if (check_claim(p, &claim, &id, err) < 0)
			return -1;
		if (p->tree.level == 0)
			break;
		if (key->by == BY_CHILD &&
		    key->n - out->children_before >= p->tree.children)
			return 0;
		pick_child(&p->tree, key, out, &i, &found);
		if (!found)
			return 0;
		tree_child_at(&p->tree, i, &child);
		out->children_before += child.children_before;
		out->entries_before += child.entries_before;
		id = child.id;
		page_child_place(p, i, &at, &stored);
		claim_child(&p->tree, i, &child, &claim);
	}
	out->page = dm_steal(&p);
	return 0;
}

/* The node of entry i of a page of dir. */
static void
make_node(const struct version_node *dir, const struct place *p, uint32_t i,
    const struct tree_entry *e, struct version_node *out)
{
	*out = (struct version_node){
		.ino = dir->ino + 1 + p->entries_before + e->before,
		.parent = dir->ino,
		.number = p->children_before + i,
		.depth = dir->depth + 1,
		.kind = e->kind,
		.how = e->how,
		.size = e->size,
		.entries = e->entries,
		.files = e->files,
		.id = e->id,
	};
	if (e->kind == TREE_DIR || (e->kind != TREE_SYMLINK && e->size > 0))
		page_child_place(p->page, i, &out->at, &out->stored);
}

/* Nothing is found below DM_DEPTH_MAX directories. */
static int
check_depth(const struct version_node *dir, struct dm_err *err)
{
	if (dir->kind != TREE_DIR)
		return dm_fail(err, DM_INVALID, "not a directory");
	if (dir->depth >= DM_DEPTH_MAX)
		return dm_fail(err, DM_CORRUPT,
		    "directories are nested deeper than %d", DM_DEPTH_MAX);
	return 0;
}

/* Append "/NAME" for the entry; what does not fit is cut off. */
static void
append_name(char *out, size_t size, const struct tree_entry *e)
{
	size_t n = strlen(out);

	(void)snprintf(out + n, size - n, "/%.*s", (int)e->name_len, e->name);
}

static int
path_of(struct version *v, uint64_t ino, bool recall, char *out, size_t size,
    struct cache_wait *wait, struct dm_err *err)
{
	struct version_node dir = v->root, node;
	struct tree_entry e;
	struct place p;

	out[0] = '\0';
	if (ino == 1)
		(void)snprintf(out, size, "/");
	if (ino == 0 || ino - 1 > v->root.entries)
		return dm_fail(err, DM_INVALID, "no entry has number %llu",
		    (unsigned long long)ino);
	while (dir.ino != ino) {
		struct key key = {
			.by = BY_ENTRY, .n = ino - dir.ino - 1, .recall = recall
		};
		uint32_t i;

		if (check_depth(&dir, err) < 0 ||
		    find_page(v, &dir, &key, &p, wait, err) < 0)
			return -1;
		i = tree_by_entry(&p.page->tree, key.n - p.entries_before);
		tree_entry_at(&p.page->tree, i, &e);
		make_node(&dir, &p, i, &e, &node);
		append_name(out, size, &e);
		page_put(p.page);
		dir = node;
	}
	return 0;
}

int
version_path_of(struct version *v, uint64_t ino, char *out, size_t size,
    struct cache_wait *wait, struct dm_err *err)
{
	return path_of(v, ino, false, out, size, wait, err);
}

bool
version_recall_path(struct version *v, uint64_t ino, char *out, size_t size)
{
	struct dm_err ignored;

	return path_of(v, ino, true, out, size, NULL, &ignored) == 0;
}

/* Descend to the entry of a number; the caller puts p->page. */
static int
find_ino(struct version *v, uint64_t ino, struct place *p, uint32_t *i,
    struct version_node *out, struct cache_wait *wait, struct dm_err *err)
{
	struct version_node dir = v->root;
	struct tree_entry e;

	(void)known_above(&v->known, ino, &dir);
	if (ino <= 1 || ino - 1 > v->root.entries) {
		(void)dm_fail(err, DM_INVALID, "no entry has number %llu",
		    (unsigned long long)ino);
		return -1;
	}
	for (;;) {
		struct key key = { .by = BY_ENTRY, .n = ino - dir.ino - 1 };

		if (check_depth(&dir, err) < 0 ||
		    find_page(v, &dir, &key, p, wait, err) < 0)
			return -1;
		*i = tree_by_entry(&p->page->tree, key.n - p->entries_before);
		tree_entry_at(&p->page->tree, *i, &e);
		make_node(&dir, p, *i, &e, out);
		known_add(&v->known, out);
		if (out->ino == ino)
			return 0;
		page_put(p->page);
		p->page = NULL;
		dir = *out;
	}
}

int
version_node(struct version *v, uint64_t ino, struct version_node *out,
    struct cache_wait *wait, struct dm_err *err)
{
	struct version_node node;
	struct place p;
	uint32_t i;

	if (ino == 1) {
		*out = v->root;
		return 0;
	}
	if (known_get(&v->known, ino, out))
		return 0;
	if (find_ino(v, ino, &p, &i, &node, wait, err) < 0)
		return -1;
	page_put(p.page);
	*out = node;
	return 0;
}

/* The parameters are the question. */
int
/* NOLINTNEXTLINE(readability-function-size) */
version_lookup(struct version *v, const struct version_node *dir,
    const char *name, size_t name_len, struct version_node *out, bool *found,
    struct cache_wait *wait, struct dm_err *err)
{
	struct key key = { .by = BY_NAME, .name = name, .name_len = name_len };
	struct tree_entry e;
	struct place p;
	uint32_t i = 0;

	*found = false;
	if (check_depth(dir, err) < 0)
		return -1;
	if (!tree_name_valid(name, name_len) ||
	    tree_name_is_git(name, name_len))
		return 0;
	if (find_page(v, dir, &key, &p, wait, err) < 0)
		return -1;
	if (p.page == NULL)
		return 0;
	tree_find(&p.page->tree, name, name_len, &i, found);
	if (*found) {
		tree_entry_at(&p.page->tree, i, &e);
		make_node(dir, &p, i, &e, out);
		known_add(&v->known, out);
	}
	page_put(p.page);
	return 0;
}

int
version_path(struct version *v, const char *path, struct version_node *out,
    bool *found, struct cache_wait *wait, struct dm_err *err)
{
	struct version_node node = v->root, next;

	*found = true;
	for (;;) {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 0)
			break;
		*found = false;
		if (node.kind != TREE_DIR)
			return 0;
		if (version_lookup(v, &node, path, n, &next, found, wait, err) <
		    0)
			return -1;
		if (!*found)
			return 0;
		node = next;
		path += n;
	}
	*out = node;
	return 0;
}

int
version_list(struct version *v, const struct version_node *dir, uint64_t first,
    bool (*each)(void *arg, uint64_t n, const char *name, size_t name_len,
	const struct version_node *node),
    void *arg, struct cache_wait *wait, struct dm_err *err)
{
	struct version_node node;
	struct tree_entry e;
	bool more = true;

	if (check_depth(dir, err) < 0)
		return -1;
	while (more) {
		struct key key = { .by = BY_CHILD, .n = first };
		struct place p;
		uint64_t i;

		if (find_page(v, dir, &key, &p, wait, err) < 0)
			return -1;
		if (p.page == NULL)
			return 0;
		i = first - p.children_before;
		more = i < p.page->tree.count;
		for (; more && i < p.page->tree.count; i++, first++) {
			tree_entry_at(&p.page->tree, (uint32_t)i, &e);
			if (tree_name_is_git(e.name, e.name_len))
				continue;
			make_node(dir, &p, (uint32_t)i, &e, &node);
			more = each(arg, first, e.name, e.name_len, &node);
		}
		page_put(p.page);
	}
	return 0;
}

int
version_children(struct version *v, const struct version_node *dir, uint64_t *n,
    struct cache_wait *wait, struct dm_err *err)
{
	struct page *p = NULL;

	if (check_depth(dir, err) < 0 ||
	    page_get(v->pages, OBJECT_TREE, &dir->id, &dir->at, &p, wait, err) <
		0)
		return -1;
	*n = p->tree.children;
	page_put(p);
	return 0;
}

int
version_readlink(struct version *v, const struct version_node *link,
    char target[DM_TARGET_MAX + 1], struct cache_wait *wait, struct dm_err *err)
{
	struct version_node node;
	struct tree_entry e;
	struct place p;
	uint32_t i;
	bool stays;

	if (link->kind != TREE_SYMLINK)
		return dm_fail(err, DM_INVALID, "not a symlink");
	if (find_ino(v, link->ino, &p, &i, &node, wait, err) < 0)
		return -1;
	tree_entry_at(&p.page->tree, i, &e);
	stays = e.kind == TREE_SYMLINK &&
	    (v->all_symlinks ||
		tree_target_stays(e.target, e.size, node.depth - 1));
	if (stays) {
		memcpy(target, e.target, e.size);
		target[e.size] = '\0';
	}
	page_put(p.page);
	if (!stays)
		return dm_fail(err, DM_DENIED,
		    "the link's target leaves the dataset; --symlinks=all "
		    "shows it");
	return 0;
}

/* ---- files ---- */

static int
check_file(const struct version_node *file, struct dm_err *err)
{
	if (file->kind != TREE_FILE && file->kind != TREE_EXEC)
		return dm_fail(err, DM_INVALID, "not a regular file");
	if (file->size > 0 && (!file->stored || file->how != TREE_SHA256))
		return dm_fail(err, DM_CORRUPT,
		    "the tree does not say where the file's bytes lie");
	return 0;
}

static bool
is_chunked(const struct version_node *file)
{
	return file->size > DM_SMALL_FILE_MAX;
}

static struct chunked
chunked_of(const struct version *v, const struct version_node *file)
{
	return (struct chunked){ .pages = v->pages,
		.cache = v->cache,
		.origin = v->origin,
		.id = file->id,
		.at = file->at,
		.size = file->size };
}

/* The parameters are the question. */
int
/* NOLINTNEXTLINE(readability-function-size) */
version_read(struct version *v, const struct version_node *file, void *buf,
    size_t size, uint64_t off, size_t *n, struct cache_wait *wait,
    struct dm_err *err)
{
	struct chunked f = chunked_of(v, file);
	uint64_t ahead;

	if (check_file(file, err) < 0)
		return -1;
	if (off >= file->size)
		size = 0;
	else if (size > file->size - off)
		size = (size_t)(file->size - off);
	if (size > 0 && is_chunked(file)) {
		if (chunked_read(&f, buf, size, off, wait, err) < 0)
			return -1;
	} else if (size > 0) {
		if (cache_read(v->cache, v->origin, &file->at, &file->id,
			(uint32_t)file->size, (uint32_t)off, buf,
			(uint32_t)size, wait, err) < 0)
			return -1;
		if (off == 0 &&
		    ahead_read(&v->ahead, file->ino, file->size, &ahead))
			ahead_look(v, v->cache, v->origin, file, ahead);
	}
	*n = size;
	return 0;
}

/* The parameters are the question. */
int
/* NOLINTNEXTLINE(readability-function-size) */
version_places(struct version *v, const struct version_node *file, uint64_t off,
    uint64_t size,
    void (*each)(void *arg, const struct cache_place *at, uint32_t size),
    void *arg, struct cache_wait *wait, struct dm_err *err)
{
	struct chunked f = chunked_of(v, file);

	if (check_file(file, err) < 0)
		return -1;
	if (off >= file->size)
		return 0;
	if (size > file->size - off)
		size = file->size - off;
	if (is_chunked(file))
		return chunked_places(&f, off, size, each, arg, wait, err);
	each(arg, &file->at, (uint32_t)file->size);
	return 0;
}

int
version_digest(struct version *v, const struct version_node *file,
    struct digest *out, struct cache_wait *wait, struct dm_err *err)
{
	struct chunked f = chunked_of(v, file);
	uint64_t chunks;

	if (check_file(file, err) < 0)
		return -1;
	if (is_chunked(file))
		return chunked_stat(&f, out, &chunks, wait, err);
	if (file->size == 0)
		digest_of(out, "", 0);
	else
		*out = file->id;
	return 0;
}

int
version_file_state(struct version *v, const struct version_node *file,
    uint64_t *chunks, uint64_t *cached, struct cache_wait *wait,
    struct dm_err *err)
{
	struct chunked f = chunked_of(v, file);
	struct digest whole;

	*chunks = 0;
	*cached = 0;
	if (check_file(file, err) < 0)
		return -1;
	if (is_chunked(file)) {
		if (chunked_stat(&f, &whole, chunks, wait, err) < 0)
			return -1;
		return chunked_present(&f, cached, wait, err);
	}
	if (file->size > 0) {
		*chunks = 1;
		*cached =
		    cache_present(v->cache, &file->at, (uint32_t)file->size);
	}
	return 0;
}

int
version_pack(struct version *v, const struct version_node *file,
    struct digest *pack, bool *whole, struct cache_wait *wait,
    struct dm_err *err)
{
	struct chunked f = chunked_of(v, file);

	*whole = false;
	if (check_file(file, err) < 0)
		return -1;
	return is_chunked(file) ? chunked_pack(&f, pack, whole, wait, err) : 0;
}
