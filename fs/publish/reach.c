/*
 * The walk.  An object is visited once for each place that it is referred to
 * at, not once for each id: a tree that is stored twice has two wheres, and
 * what either speaks of is needed.
 *
 * Directories of packs are kept while there is room for them; each walk comes
 * by neighbours.
 */
#include "fs/publish/reach.h"

#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/pack/codec.h"
#include "fs/format/chunk_list.h"
#include "fs/format/commit.h"
#include "fs/format/limits.h"
#include "fs/format/tree.h"
#include "fs/format/where.h"
#include "fs/publish/folder.h"
#include "fs/publish/id_map.h"
#include "fs/publish/pack_file.h"

enum {
	FILES_BYTES = 64 << 20, /* of directories that are kept */
	FILES_MAX = 256,        /* open at a time */
	DEEP = (DM_DEPTH_MAX + 2) * (DM_LEVEL_MAX + 2),
};

struct reach {
	struct folder *folder;
	struct reach_hooks hooks;
	struct codec *codec;
	struct dm_buf stored;
	struct reach_pack **pack;
	size_t n, room;
	struct id_map by_id;
	size_t files_bytes, files;
};

/* An object that is referred to. */
struct target {
	enum object_kind kind;
	struct digest id;
	struct moved_place at;
};

int
reach_open(struct reach **out, struct folder *f,
    const struct reach_hooks *hooks, struct dm_err *err)
{
	struct reach *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return dm_fail(err, DM_NOMEM, "walk over a version");
	r->folder = f;
	if (hooks != NULL)
		r->hooks = *hooks;
	r->stored = (struct dm_buf)DM_BUF(OBJECT_DATA_MAX);
	r->codec = codec_new();
	if (r->codec == NULL) {
		reach_close(r);
		return dm_fail(err, DM_NOMEM, "walk over a version");
	}
	*out = r;
	return 0;
}

static void
drop_file(struct reach *r, struct reach_pack *p)
{
	if (p->file == NULL)
		return;
	r->files--;
	r->files_bytes -= p->file->name.dir_len;
	pack_file_close(p->file);
	free(p->file);
	p->file = NULL;
}

void
reach_close(struct reach *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++) {
		drop_file(r, r->pack[i]);
		free(r->pack[i]->bits);
		free(r->pack[i]->moved_data);
		free(r->pack[i]);
	}
	free(r->pack);
	id_map_release(&r->by_id);
	dm_buf_release(&r->stored);
	codec_free(r->codec);
	free(r);
}

size_t
reach_count(const struct reach *r)
{
	return r->n;
}

struct reach_pack *
reach_at(const struct reach *r, size_t i)
{
	return r->pack[i];
}

struct reach_pack *
reach_find(const struct reach *r, const struct digest *id)
{
	uint32_t i;

	return id_map_find(&r->by_id, id, &i) ? r->pack[i] : NULL;
}

/* ---- packs ---- */

static int
load_moved(struct reach *r, struct reach_pack *p, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(MOVED_MAX);
	char path[PACK_PATH];
	bool found = false;

	pack_file_path(path, "moved", &p->id);
	if (dm_file_read(r->folder->fd, path, &text, &found, err) < 0)
		return -1;
	if (!found)
		return 0;
	if (moved_decode(&p->moved, text.data == NULL ? "" : text.data,
		text.size, err) < 0)
		return dm_wrap(err, "%s/%s", r->folder->path, path);
	p->moved_data = (uint8_t *)dm_steal(&text.data);
	text.size = text.room = 0;
	p->has_moved = true;
	return 0;
}

static int
add_pack(struct reach *r, const struct moved_place *at, struct reach_pack **out,
    struct dm_err *err)
{
	struct reach_pack *p;

	if (r->n == r->room) {
		size_t room = r->room == 0 ? 64 : 2 * r->room;
		struct reach_pack **q =
		    reallocarray(r->pack, room, sizeof(struct reach_pack *));

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "list of packs");
		r->pack = q;
		r->room = room;
	}
	if (r->hooks.need != NULL &&
	    r->hooks.need(r->hooks.arg, at, false, err) < 0)
		return -1;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return dm_fail(err, DM_NOMEM, "list of packs");
	p->id = at->pack;
	p->at = *at;
	if (load_moved(r, p, err) < 0 ||
	    id_map_put(&r->by_id, &p->id, (uint32_t)r->n, err) < 0) {
		free(p->moved_data);
		free(p);
		return -1;
	}
	r->pack[r->n++] = p;
	*out = p;
	return 0;
}

static int
get_pack(struct reach *r, const struct moved_place *at, struct reach_pack **out,
    struct dm_err *err)
{
	*out = reach_find(r, &at->pack);
	return *out != NULL ? 0 : add_pack(r, at, out, err);
}

static int
size_pack(struct reach_pack *p, struct dm_err *err)
{
	struct pack_object first;

	p->bits = calloc(p->file->dir.count / 8 + 1, 1);
	if (p->bits == NULL)
		return dm_fail(err, DM_NOMEM, "objects of a pack");
	p->name = p->file->name;
	p->plain = p->file->dir.plain_size;
	if (p->name.count > 0) {
		pack_dir_object(&p->file->dir, 0, &first);
		p->structured = first.kind != OBJECT_DATA;
	}
	p->sized = true;
	return 0;
}

int
reach_file(struct reach *r, struct reach_pack *p, struct pack_file **out,
    struct dm_err *err)
{
	char path[PACK_PATH];
	struct dm_err why = { 0 };
	int rc;

	*out = p->file;
	if (p->file != NULL)
		return 0;
	if (r->files >= FILES_MAX || r->files_bytes >= FILES_BYTES)
		for (size_t i = 0; i < r->n; i++)
			drop_file(r, r->pack[i]);
	p->file = calloc(1, sizeof(*p->file));
	if (p->file == NULL)
		return dm_fail(err, DM_NOMEM, "directory of a pack");
	pack_file_path(path, "packs", &p->id);
	rc = pack_file_open(p->file, r->folder->fd, path, &p->id, &why);
	if (rc < 0 && why.code == DM_NOTFOUND && r->hooks.need != NULL) {
		if (r->hooks.need(r->hooks.arg, &p->at, true, &why) == 0)
			rc = pack_file_open(p->file, r->folder->fd, path,
			    &p->id, &why);
	}
	if (rc < 0) {
		free(p->file);
		p->file = NULL;
		*err = why;
		return dm_wrap(err, "%s", r->folder->path);
	}
	r->files++;
	r->files_bytes += p->file->name.dir_len;
	*out = p->file;
	return p->sized ? 0 : size_pack(p, err);
}

int
reach_resolve(struct reach *r, const struct moved_place *at,
    struct moved_place *out, struct dm_err *err)
{
	struct reach_pack *p = NULL;

	*out = *at;
	for (int hop = 0; hop <= MOVED_CHAIN; hop++) {
		struct moved_place to;

		if (get_pack(r, out, &p, err) < 0)
			return -1;
		if (!p->has_moved || !moved_find(&p->moved, out->ordinal, &to))
			return 0;
		p->followed = true;
		*out = to;
	}
	return dm_fail(err, DM_CORRUPT,
	    "%s: an object has moved too often: run `datamount gc`",
	    r->folder->path);
}

/* Is the object at that place the one that is meant? */
static int
look(struct reach *r, const struct target *t, const struct moved_place *at,
    struct reach_pack **out, struct dm_err *err)
{
	struct pack_object o;
	struct pack_file *file;
	char hex[DIGEST_HEX + 1];

	if (get_pack(r, at, out, err) < 0 ||
	    reach_file(r, *out, &file, err) < 0)
		return -1;
	if (at->ordinal < file->dir.count) {
		pack_dir_object(&file->dir, at->ordinal, &o);
		if (o.kind == t->kind &&
		    (t->kind == OBJECT_WHERE || digest_equal(&o.id, &t->id)))
			return 0;
	}
	digest_hex(&at->pack, hex);
	return dm_fail(err, DM_CORRUPT,
	    "%s: object %u of pack %.12s is another one than it should be",
	    r->folder->path, at->ordinal, hex);
}

/* Find the object; where it was first, if that is the only place that has
 * it. */
static int
find(struct reach *r, struct target *t, struct reach_pack **out,
    struct dm_err *err)
{
	struct moved_place to;
	struct dm_err why = { 0 };

	if (reach_resolve(r, &t->at, &to, err) < 0)
		return -1;
	if (look(r, t, &to, out, &why) == 0) {
		t->at = to;
		return 0;
	}
	if (!digest_equal(&to.pack, &t->at.pack) &&
	    look(r, t, &t->at, out, err) == 0)
		return 0;
	*err = why;
	return -1;
}

/* Note it; *is_new says whether that is news. */
static void
note(struct reach_pack *p, uint32_t ordinal, bool *is_new)
{
	struct pack_object o;

	*is_new = !reach_needs(p, ordinal);
	if (!*is_new)
		return;
	pack_dir_object(&p->file->dir, ordinal, &o);
	p->bits[ordinal / 8] |= (uint8_t)(1U << ordinal % 8);
	p->live++;
	p->live_plain += o.plain_size;
}

/* What failed is looked at again when it is met again. */
static void
unnote(struct reach_pack *p, uint32_t ordinal)
{
	p->bits[ordinal / 8] &= (uint8_t) ~(1U << ordinal % 8);
	p->live--;
}

/* ---- the walk ---- */

/* A structured object and its where, decoded. */
struct node {
	struct dm_buf data, where_data;
	struct where where;
	struct tree tree;
	struct chunk_list list;
	struct moved_place at; /* where it was found */
	unsigned depth;
};

static void
node_release(struct node *n)
{
	dm_buf_release(&n->data);
	dm_buf_release(&n->where_data);
}

static int visit(struct reach *r, struct target *t, unsigned depth,
    struct dm_err *err);

static int
decode(struct node *n, enum object_kind kind, struct dm_err *err)
{
	uint32_t rows;

	if (where_decode(&n->where, n->where_data.data, n->where_data.size,
		err) < 0)
		return -1;
	if (kind == OBJECT_TREE) {
		if (tree_decode(&n->tree, n->data.data, n->data.size, err) < 0)
			return -1;
		rows = n->tree.count;
	} else {
		if (chunk_list_decode(&n->list, n->data.data, n->data.size,
			err) < 0)
			return -1;
		rows = n->list.count;
	}
	if (kind == OBJECT_CHUNKS && n->list.level == 0 ?
		n->where.shape != WHERE_RUNS ||
		    where_chunks(&n->where) != rows :
		n->where.shape != WHERE_CHILDREN || n->where.nrows != rows)
		return dm_fail(err, DM_CORRUPT,
		    "a where does not fit the object before it");
	return 0;
}

/* Read object and where, which stand in a row, and say what they speak of. */
static int
read_node(struct reach *r, const struct target *t, struct reach_pack *p,
    struct node *n, struct dm_err *err)
{
	struct pack_file *file;
	struct target where = { .kind = OBJECT_WHERE, .at = t->at };
	bool is_new;

	where.at.ordinal++;
	if (look(r, &where, &where.at, &p, err) < 0 ||
	    reach_file(r, p, &file, err) < 0)
		return -1;
	note(p, where.at.ordinal, &is_new);
	n->at = t->at;
	n->at.dir_off = p->name.dir_off;
	n->at.dir_len = p->name.dir_len;
	if (pack_file_object(file, r->codec, t->at.ordinal, &r->stored,
		&n->data, err) < 0 ||
	    pack_file_object(file, r->codec, where.at.ordinal, &r->stored,
		&n->where_data, err) < 0 ||
	    decode(n, t->kind, err) < 0) {
		char hex[DIGEST_HEX + 1];

		digest_hex(&t->at.pack, hex);
		return dm_wrap(err, "%s: pack %.12s", r->folder->path, hex);
	}
	for (uint32_t i = 1; r->hooks.want != NULL && i <= n->where.npacks;
	     i++) {
		struct moved_place to = { 0 };
		struct where_pack wp;

		where_pack_at(&n->where, i, &wp);
		to.pack = wp.id;
		to.dir_off = wp.dir_off;
		to.dir_len = wp.dir_len;
		if (r->hooks.want(r->hooks.arg, &to, err) < 0)
			return -1;
	}
	return 0;
}

/* The place that a row of the node's where means. */
static void
place_of(const struct node *n, uint32_t pack, uint32_t ordinal,
    struct moved_place *out)
{
	struct where_pack wp;

	*out = n->at;
	out->ordinal = ordinal;
	if (pack == 0)
		return;
	where_pack_at(&n->where, pack, &wp);
	out->pack = wp.id;
	out->dir_off = wp.dir_off;
	out->dir_len = wp.dir_len;
}

static int
/* NOLINTNEXTLINE(misc-no-recursion): bounded by depth */
visit_row(struct reach *r, const struct node *n, uint32_t i, struct target *t,
    struct dm_err *err)
{
	uint32_t pack, ordinal;

	where_child_at(&n->where, i, &pack, &ordinal);
	if (pack == WHERE_NONE)
		return dm_fail(err, DM_CORRUPT,
		    "%s: a where does not say where a child is",
		    r->folder->path);
	place_of(n, pack, ordinal, &t->at);
	return visit(r, t, n->depth + 1, err);
}

static int
/* NOLINTNEXTLINE(misc-no-recursion) */
visit_tree(struct reach *r, const struct node *n, struct dm_err *err)
{
	for (uint32_t i = 0; i < n->tree.count; i++) {
		struct target t = { .kind = OBJECT_TREE };
		struct tree_entry e;
		struct tree_child c;

		if (n->tree.level > 0) {
			tree_child_at(&n->tree, i, &c);
			t.id = c.id;
		} else {
			tree_entry_at(&n->tree, i, &e);
			if (e.kind == TREE_SYMLINK ||
			    (e.kind != TREE_DIR && e.size == 0))
				continue;
			t.id = e.id;
			if (e.kind != TREE_DIR)
				t.kind = e.size <= DM_SMALL_FILE_MAX ?
				    OBJECT_DATA :
				    OBJECT_CHUNKS;
		}
		if (visit_row(r, n, i, &t, err) < 0)
			return -1;
	}
	return 0;
}

static int
/* NOLINTNEXTLINE(misc-no-recursion) */
visit_list(struct reach *r, const struct node *n, struct dm_err *err)
{
	for (uint32_t i = 0; i < n->list.count; i++) {
		struct target t = { .kind = OBJECT_CHUNKS };
		uint32_t pack, ordinal, run;
		uint64_t off, size;

		chunk_list_at(&n->list, i, &off, &size, &t.id);
		if (n->list.level > 0) {
			if (visit_row(r, n, i, &t, err) < 0)
				return -1;
			continue;
		}
		t.kind = OBJECT_DATA;
		where_run_find(&n->where, i, &pack, &ordinal, &run);
		place_of(n, pack, ordinal, &t.at);
		if (visit(r, &t, n->depth + 1, err) < 0)
			return -1;
	}
	return 0;
}

static int
/* NOLINTNEXTLINE(misc-no-recursion) */
visit_one(struct reach *r, struct target *t, unsigned depth, struct dm_err *err)
{
	struct node n = { .data = DM_BUF(OBJECT_STRUCT_MAX),
		.where_data = DM_BUF(OBJECT_STRUCT_MAX),
		.depth = depth };
	struct reach_pack *p = NULL;
	bool is_new;
	int rc;

	if (depth > DEEP)
		return dm_fail(err, DM_CORRUPT, "%s: a tree is too deep",
		    r->folder->path);
	if (find(r, t, &p, err) < 0)
		return -1;
	note(p, t->at.ordinal, &is_new);
	if (!is_new || t->kind == OBJECT_DATA)
		return 0;
	rc = read_node(r, t, p, &n, err);
	if (rc == 0)
		rc = t->kind == OBJECT_TREE ? visit_tree(r, &n, err) :
					      visit_list(r, &n, err);
	node_release(&n);
	if (rc < 0)
		unnote(p, t->at.ordinal);
	return rc;
}

static int
/* NOLINTNEXTLINE(misc-no-recursion) */
visit(struct reach *r, struct target *t, unsigned depth, struct dm_err *err)
{
	struct dm_err why = { 0 };

	if (visit_one(r, t, depth, &why) == 0)
		return 0;
	if (r->hooks.broken != NULL &&
	    (why.code == DM_CORRUPT || why.code == DM_NOTFOUND)) {
		r->hooks.broken(r->hooks.arg, &why);
		return 0;
	}
	*err = why;
	return -1;
}

int
reach_object(struct reach *r, enum object_kind kind, const struct digest *id,
    const struct moved_place *at, struct dm_err *err)
{
	struct target t = { .kind = kind, .id = *id, .at = *at };

	return visit(r, &t, 0, err);
}

int
reach_commit(struct reach *r, const struct commit *c, struct dm_err *err)
{
	struct target root = { .kind = OBJECT_TREE, .id = c->tree };

	root.at.pack = c->at_pack;
	root.at.dir_off = c->at_dir_off;
	root.at.dir_len = c->at_dir_len;
	root.at.ordinal = c->at_ordinal;
	if (r->hooks.want != NULL &&
	    r->hooks.want(r->hooks.arg, &root.at, err) < 0)
		return -1;
	return visit(r, &root, 0, err);
}
