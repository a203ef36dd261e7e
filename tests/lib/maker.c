#include "tests/lib/maker.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/pack/pack_writer.h"
#include "fs/format/chunk_list.h"
#include "fs/format/limits.h"
#include "fs/format/ref.h"
#include "fs/format/tree_layout.h"
#include "fs/format/where.h"

enum { CHUNKS_A_LIST = CHUNK_PAGE };

struct maker {
	struct pack_writer *data, *trees;
	struct pack_name data_name;
	size_t page, index;
	struct dm_err *err;
};

/* What an index needs to know of a page of it. */
struct part {
	struct tree_child child;
	char name[256];
	uint32_t ordinal;
	struct where_pack pack;
};

/* The object data, of which stored is what the pack has. */
static int
add_other(struct maker *m, struct pack_writer *w, enum object_kind kind,
    const void *data, size_t size, const void *stored, uint32_t *ordinal)
{
	struct pack_object o = { .plain_size = (uint32_t)size,
		.stored_size = (uint32_t)size,
		.kind = kind,
		.codec = PACK_PLAIN };

	digest_of(&o.id, data, size);
	return pack_writer_add(w, &o, stored, ordinal, m->err);
}

static int
add_object(struct maker *m, struct pack_writer *w, enum object_kind kind,
    const void *data, size_t size, uint32_t *ordinal)
{
	return add_other(m, w, kind, data, size, data, ordinal);
}

/* A file of one object whose bytes are not its own. */
static int
add_spoilt(struct maker *m, const struct maker_entry *e, uint32_t *ordinal)
{
	DM_AUTO(dm_freep) char *stored = malloc(e->size);

	if (stored == NULL)
		return dm_fail(m->err, DM_NOMEM, "%s", e->name);
	memcpy(stored, e->data, e->size);
	memcpy(stored + e->spoil_at, e->spoil, e->spoil_size);
	return add_other(m, m->data, OBJECT_DATA, e->data, e->size, stored,
	    ordinal);
}

static bool
is_file(const struct maker_entry *e)
{
	return e->kind == TREE_FILE || e->kind == TREE_EXEC;
}

static int
add_data(struct maker *m, struct maker_entry *e)
{
	size_t step = e->size > DM_SMALL_FILE_MAX ? e->chunk : e->size;
	size_t off, n, i;
	uint32_t ordinal = 0;

	for (i = 0; i < e->nkids; i++) {
		if (add_data(m, &e->kids[i]) < 0)
			return -1;
	}
	if (!is_file(e) || e->same != NULL)
		return 0;
	for (off = 0; off < e->size; off += n) {
		n = e->size - off < step ? e->size - off : step;
		if (e->spoil != NULL && n == e->size ?
			add_spoilt(m, e, &ordinal) < 0 :
			add_object(m, m->data, OBJECT_DATA, e->data + off, n,
			    &ordinal) < 0)
			return -1;
		if (e->data_chunks++ == 0)
			e->data_first = ordinal;
	}
	return 0;
}

/* Which pack a where's row names: the data's, or its own. */
static int
data_row(struct maker *m, struct where_encoder *w, uint32_t *n)
{
	struct where_pack pack = { .id = m->data_name.id,
		.dir_off = m->data_name.dir_off,
		.dir_len = m->data_name.dir_len };

	return where_encode_pack(w, &pack, n, m->err);
}

/* Rows of a where: places in the pack of data or of trees, or none. */
struct row {
	bool none, data;
	uint32_t ordinal;
};

static int
add_where(struct maker *m, enum where_shape shape, enum maker_where lie,
    const struct row *rows, size_t n)
{
	bool runs = (shape == WHERE_RUNS) != (lie == MAKER_SHAPE);
	struct where_encoder *w =
	    where_encoder_new(runs ? WHERE_RUNS : WHERE_CHILDREN);
	struct dm_buf out = DM_BUF(OBJECT_STRUCT_MAX);
	size_t i, end = n + (lie == MAKER_LONG) - (lie == MAKER_SHORT);
	uint32_t pack, ordinal;
	int rc = 0;

	for (i = 0; rc == 0 && i < end; i++) {
		struct row r = i < n ? rows[i] : (struct row){ true, 0, 0 };

		pack = 0;
		if (r.data)
			rc = data_row(m, w, &pack);
		ordinal = r.ordinal + (lie == MAKER_ASIDE);
		if (rc == 0 && runs)
			rc = where_encode_chunk(w, pack, ordinal, m->err);
		else if (rc == 0)
			rc = where_encode_child(w, r.none ? WHERE_NONE : pack,
			    r.none ? 0 : ordinal, m->err);
	}
	if (rc == 0)
		rc = where_encode_finish(w, &out, m->err);
	if (rc == 0)
		rc = add_object(m, m->trees, OBJECT_WHERE, out.data, out.size,
		    &ordinal);
	where_encoder_free(w);
	dm_buf_release(&out);
	return rc;
}

/* Add an encoded tree or list and its where. */
static int
add_struct(struct maker *m, enum object_kind kind, const struct dm_buf *object,
    uint32_t *ordinal)
{
	return add_object(m, m->trees, kind, object->data, object->size,
	    ordinal);
}

/* Put its lie into a finished object. */
static void
spoil(const struct maker_entry *e, struct dm_buf *object)
{
	if (e->spoil != NULL && e->spoil_at + e->spoil_size <= object->size)
		memcpy(object->data + e->spoil_at, e->spoil, e->spoil_size);
}

static int
list_page(struct maker *m, const struct maker_entry *e, uint32_t first,
    uint32_t n, const struct digest *whole, struct tree_child *out,
    uint32_t *ordinal)
{
	struct chunk_list_encoder *l = chunk_list_encoder_new(0);
	struct dm_buf object = DM_BUF(OBJECT_STRUCT_MAX);
	struct row *rows = calloc(n, sizeof(*rows));
	struct digest id;
	uint32_t i;
	int rc = 0;

	for (i = first; rc == 0 && i < first + n; i++) {
		size_t off = i * e->chunk;
		size_t size =
		    e->size - off < e->chunk ? e->size - off : e->chunk;

		digest_of(&id, e->data + off, size);
		rows[i - first] =
		    (struct row){ false, true, e->data_first + i };
		rc = chunk_list_encode(l, size, 1, &id, m->err);
	}
	if (rc == 0)
		rc = chunk_list_encode_finish(l, whole, &object, &out->bytes,
		    &out->entries, m->err);
	spoil(e, &object);
	digest_of(&out->id, object.data, object.size);
	if (rc == 0)
		rc = add_struct(m, OBJECT_CHUNKS, &object, ordinal);
	if (rc == 0)
		rc = add_where(m, WHERE_RUNS, e->where, rows, n);
	chunk_list_encoder_free(l);
	dm_buf_release(&object);
	free(rows);
	return rc;
}

/* A list of one page, or an index of several. */
static int
add_list(struct maker *m, struct maker_entry *e)
{
	struct chunk_list_encoder *l = chunk_list_encoder_new(1);
	struct dm_buf object = DM_BUF(OBJECT_STRUCT_MAX);
	struct row rows[64] = { 0 };
	struct tree_child part;
	struct digest whole;
	uint64_t size, chunks;
	uint32_t first, n;
	size_t parts = 0;
	int rc = 0;

	digest_of(&whole, e->data, e->size);
	if (e->data_chunks <= CHUNKS_A_LIST) {
		rc = list_page(m, e, 0, e->data_chunks, &whole, &part,
		    &e->ordinal);
		e->record.id = part.id;
		chunk_list_encoder_free(l);
		return rc;
	}
	for (first = 0; rc == 0 && first < e->data_chunks; first += n) {
		n = e->data_chunks - first;
		if (n > CHUNKS_A_LIST)
			n = CHUNKS_A_LIST;
		rc = list_page(m, e, first, n, NULL, &part,
		    &rows[parts].ordinal);
		parts++;
		if (rc == 0)
			rc = chunk_list_encode(l, part.bytes, part.entries,
			    &part.id, m->err);
	}
	if (rc == 0)
		rc = chunk_list_encode_finish(l, &whole, &object, &size,
		    &chunks, m->err);
	digest_of(&e->record.id, object.data, object.size);
	if (rc == 0)
		rc = add_struct(m, OBJECT_CHUNKS, &object, &e->ordinal);
	if (rc == 0)
		rc = add_where(m, WHERE_CHILDREN, e->where, rows, parts);
	chunk_list_encoder_free(l);
	dm_buf_release(&object);
	return rc;
}

static int
by_name(const void *a, const void *b)
{
	const struct maker_entry *x = a, *y = b;

	return tree_name_compare(x->name, strlen(x->name), y->name,
	    strlen(y->name));
}

static int
tree_page(struct maker *m, const struct maker_entry *dir, size_t first,
    size_t n, struct part *out)
{
	struct tree_encoder *t = tree_encoder_new(0);
	struct dm_buf object = DM_BUF(OBJECT_STRUCT_MAX);
	struct row *rows = calloc(n + 1, sizeof(*rows));
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < n; i++) {
		const struct maker_entry *e = &dir->kids[first + i];
		const struct maker_entry *from = e->same ? e->same : e;
		struct tree_entry r = e->record;

		r.name = e->name;
		r.name_len = (uint16_t)strlen(e->name);
		r.entries += (uint64_t)e->more_entries;
		r.files += (uint64_t)e->more_files;
		r.size += (uint64_t)e->more_size;
		r.how = (uint8_t)(r.how + e->more_level);
		rows[i].data = is_file(e) && from->size <= DM_SMALL_FILE_MAX;
		rows[i].ordinal =
		    rows[i].data ? from->data_first : from->ordinal;
		rows[i].none =
		    e->kind == TREE_SYMLINK || (is_file(e) && from->size == 0);
		rows[i].data = rows[i].data && !rows[i].none;
		rc = tree_encode_entry(t, &r, m->err);
	}
	if (rc == 0)
		rc = tree_encode_finish(t, &object, &out->child, m->err);
	spoil(dir, &object);
	digest_of(&out->child.id, object.data, object.size);
	if (rc == 0 && n > 0) {
		memcpy(out->name, dir->kids[first].name, sizeof(out->name));
		out->child.name = out->name;
	}
	if (rc == 0)
		rc = add_struct(m, OBJECT_TREE, &object, &out->ordinal);
	if (rc == 0)
		rc = add_where(m, WHERE_CHILDREN, dir->where, rows, n);
	tree_encoder_free(t);
	dm_buf_release(&object);
	free(rows);
	return rc;
}

static int
tree_index(struct maker *m, const struct maker_entry *dir, unsigned level,
    struct part *parts, size_t n, struct part *out)
{
	struct tree_encoder *t = tree_encoder_new((uint8_t)level);
	struct dm_buf object = DM_BUF(OBJECT_STRUCT_MAX);
	struct row *rows = calloc(n, sizeof(*rows));
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < n; i++) {
		struct tree_child c = parts[i].child;

		c.name = parts[i].name;
		if (i == 1 && dir->first != NULL) {
			c.name = dir->first;
			c.name_len = (uint16_t)strlen(dir->first);
		}
		rows[i].ordinal = parts[i].ordinal;
		rc = tree_encode_child(t, &c, m->err);
	}
	if (rc == 0)
		rc = tree_encode_finish(t, &object, &out->child, m->err);
	if (rc == 0)
		rc = add_struct(m, OBJECT_TREE, &object, &out->ordinal);
	if (rc == 0)
		rc = add_where(m, WHERE_CHILDREN, dir->where, rows, n);
	memmove(out->name, parts[0].name, sizeof(out->name));
	out->child.name = out->name;
	tree_encoder_free(t);
	dm_buf_release(&object);
	free(rows);
	return rc;
}

static size_t
lesser(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Pages, then indexes over them until one object is left. */
static int
add_pages(struct maker *m, struct maker_entry *dir)
{
	size_t n = dir->nkids / m->page + 1, parts = 0, first, i;
	struct part *p = calloc(n + 1, sizeof(*p));
	unsigned level = 0;
	int rc = 0;

	for (first = 0; rc == 0 && (first < dir->nkids || parts == 0);
	     first += m->page)
		rc = tree_page(m, dir, first,
		    lesser(m->page, dir->nkids - first), &p[parts++]);
	while (rc == 0 && parts > 1) {
		level++;
		for (n = 0, i = 0; rc == 0 && i < parts; i += m->index)
			rc = tree_index(m, dir, level, &p[i],
			    lesser(m->index, parts - i), &p[n++]);
		parts = n;
	}
	dir->ordinal = p[0].ordinal;
	dir->record.id = p[0].child.id;
	dir->record.how = (uint8_t)level;
	dir->record.entries = p[0].child.entries;
	dir->record.files = p[0].child.files;
	dir->record.size = p[0].child.bytes;
	free(p);
	return rc;
}

static int
add_entry(struct maker *m, struct maker_entry *e)
{
	size_t i;

	if (e->same != NULL) {
		e->record = e->same->record;
		return 0;
	}
	e->record.kind = e->kind;
	if (e->kind == TREE_DIR) {
		for (i = 0; i < e->nkids; i++) {
			if (add_entry(m, &e->kids[i]) < 0)
				return -1;
		}
		if (e->nkids > 0)
			qsort(e->kids, e->nkids, sizeof(*e->kids), by_name);
		return add_pages(m, e);
	}
	e->record.size = e->size;
	e->record.files = is_file(e);
	if (e->kind == TREE_SYMLINK)
		e->record.target = e->data;
	else if (e->size > DM_SMALL_FILE_MAX)
		return add_list(m, e);
	else if (e->size > 0)
		digest_of(&e->record.id, e->data, e->size);
	return 0;
}

static int
put_file(const char *dir, const char *path, const struct dm_buf *text,
    struct dm_err *err)
{
	char full[4096], *end;

	(void)snprintf(full, sizeof(full), "%s/%s", dir, path);
	end = strrchr(full, '/');
	*end = '\0';
	if (dm_mkdirs(full, 0755, err) < 0)
		return -1;
	*end = '/';
	return dm_file_replace(AT_FDCWD, full, text->data, text->size, 0644,
	    err);
}

static int
write_refs(const char *dir, const struct commit *c, struct digest *id,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	struct ref_line line = { .name = "main",
		.ref = { .sequence = 1, .time = c->time } };
	struct log_line entry = {
		.time = c->time, .branch = "main", .subject = "made for a test"
	};
	const uint8_t repo[REPO_ID_SIZE] = { 1, 2, 3 };
	char path[128], hex[DIGEST_HEX + 1];

	if (commit_encode(c, &text, err) < 0)
		return -1;
	digest_of(id, text.data, text.size);
	digest_hex(id, hex);
	(void)snprintf(path, sizeof(path), "commits/%.2s/%s", hex, hex);
	line.ref.commit = *id;
	entry.commit = *id;
	if (put_file(dir, path, &text, err) < 0)
		return -1;
	dm_buf_clear(&text);
	if (repo_file_encode(repo, &text, err) < 0 ||
	    put_file(dir, "datamount", &text, err) < 0)
		return -1;
	dm_buf_clear(&text);
	if (ref_encode(&line.ref, &text, err) < 0 ||
	    put_file(dir, "refs/heads/main", &text, err) < 0)
		return -1;
	dm_buf_clear(&text);
	if (ref_line_encode(&line, &text, err) < 0 ||
	    put_file(dir, "refs/all", &text, err) < 0)
		return -1;
	dm_buf_clear(&text);
	if (log_line_encode(&entry, &text, err) < 0)
		return -1;
	return put_file(dir, "refs/log", &text, err);
}

static int
write_packs(struct maker *m, struct maker_entry *root, struct pack_name *trees)
{
	if (add_data(m, root) < 0)
		return -1;
	/* A pack holds something. */
	if (pack_writer_count(m->data) == 0) {
		uint32_t ordinal;

		if (add_object(m, m->data, OBJECT_DATA, "x", 1, &ordinal) < 0)
			return -1;
	}
	if (pack_writer_finish(m->data, &m->data_name, m->err) < 0 ||
	    add_entry(m, root) < 0)
		return -1;
	return pack_writer_finish(m->trees, trees, m->err);
}

int
maker_write(const char *dir, struct maker_entry *root, size_t page,
    size_t index, struct digest *id, struct commit *c, struct dm_err *err)
{
	struct maker m = { .page = page != 0 ? page : TREE_PAGE_MAX,
		.index = index != 0 ? index : TREE_INDEX_MAX,
		.err = err };
	struct pack_name trees;
	char packs[4096];
	int rc = -1;

	(void)snprintf(packs, sizeof(packs), "%s/packs", dir);
	if (dm_mkdirs(packs, 0755, err) == 0 &&
	    pack_writer_open(&m.data, packs, err) == 0 &&
	    pack_writer_open(&m.trees, packs, err) == 0)
		rc = write_packs(&m, root, &trees);
	pack_writer_close(m.data);
	pack_writer_close(m.trees);
	if (rc < 0)
		return -1;
	*c = (struct commit){ .tree = root->record.id,
		.level = root->record.how,
		.entries = root->record.entries + (uint64_t)root->more_entries,
		.files = root->record.files + (uint64_t)root->more_files,
		.bytes = root->record.size + (uint64_t)root->more_size,
		.at_pack = trees.id,
		.at_dir_off = trees.dir_off,
		.at_dir_len = trees.dir_len,
		.at_ordinal = root->ordinal,
		.time = 1700000000,
		.author = "A Tester",
		.message = "made for a test\n",
		.message_size = 16 };
	return write_refs(dir, c, id, err);
}
