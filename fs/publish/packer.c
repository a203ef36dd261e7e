/*
 * Numbers of packs.  Packs of the index have its numbers.  A pack of this run
 * has PACK_LOCAL plus its position in a table that gets its name when it is
 * finished; from then on the index knows its objects too, at first under that
 * number and later under one of its own, and either is good.
 */
#include "fs/publish/packer.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/pack/codec.h"
#include "cache/pack/pack_writer.h"
#include "fs/format/chunk_list.h"
#include "fs/format/tree.h"
#include "fs/format/where.h"
#include "fs/publish/marks.h"
#include "fs/publish/reach.h"

enum {
	STRUCT_BYTES = 16 << 20, /* plain bytes that fill a structure pack */
	/* who walks asks twice a pack; who looks up fetches its directory */
	STRUCT_OBJECTS = 4096,
	/* the directory comes with the root when a version is mounted */
	ROOT_OBJECTS = 1408,
	QUEUE_BYTES = 16 << 20, /* that wait for a small pack to fill */
};

static const uint32_t PACK_LOCAL = 1U << 31;

/* A pack being written, its objects, and a hash table over them. */
struct open_pack {
	struct pack_writer *writer; /* NULL: none is open */
	uint32_t number;
	struct pack_object *object;
	uint32_t count, room;
	uint32_t *slot; /* position in object + 1, or 0 */
	uint32_t slots; /* a power of two, or 0 */
	uint64_t stored;
};

/* A structured object that waits. */
struct queued {
	struct queued *next;
	struct packer_struct s; /* its pointers point behind this struct */
	uint32_t needs[2];      /* numbers of data packs, or 0 */
};

struct packer {
	char packs_dir[PATH_MAX];
	struct object_index *ix;
	struct codec *codec;
	struct open_pack pack[PACKER_PACKS];
	struct pack_name *local; /* packs of this run, by number */
	uint32_t nlocal, local_room;
	struct queued *first, **last;
	uint64_t queued;
	uint8_t *spoken; /* a bit for each pack of the index in a where */
	size_t spoken_size;
	struct packer_counts counts;
	struct reach *reach; /* NULL: what the index says is good */
	const struct marks *marked;
};

static void
open_pack_release(struct open_pack *o)
{
	pack_writer_close(o->writer);
	free(o->object);
	free(o->slot);
	memset(o, 0, sizeof(*o));
}

void
packer_close(struct packer *p)
{
	if (p == NULL)
		return;
	for (int i = 0; i < PACKER_PACKS; i++)
		open_pack_release(&p->pack[i]);
	while (p->first != NULL) {
		struct queued *q = p->first;

		p->first = q->next;
		free(q);
	}
	reach_close(p->reach);
	codec_free(p->codec);
	free(p->local);
	free(p->spoken);
	free(p);
}

int
packer_open(struct packer **out, const char *packs_dir, struct object_index *ix,
    struct dm_err *err)
{
	struct packer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return dm_fail(err, DM_NOMEM, "packs");
	p->last = &p->first;
	p->ix = ix;
	(void)snprintf(p->packs_dir, sizeof(p->packs_dir), "%s", packs_dir);
	p->codec = codec_new();
	if (p->codec == NULL) {
		packer_close(p);
		return dm_fail(err, DM_NOMEM, "packs");
	}
	*out = p;
	return 0;
}

/* ---- open packs ---- */

static uint32_t *
find_slot(const struct open_pack *o, const struct digest *id,
    enum object_kind kind)
{
	uint32_t i;

	memcpy(&i, id->bytes, sizeof(i));
	for (i &= o->slots - 1; o->slot[i] != 0; i = (i + 1) & (o->slots - 1)) {
		const struct pack_object *x = &o->object[o->slot[i] - 1];

		if (x->kind == kind && digest_equal(&x->id, id))
			break;
	}
	return &o->slot[i];
}

/* Room for one more object in the list and its hash table. */
static int
open_pack_grow(struct open_pack *o, struct dm_err *err)
{
	uint32_t room = o->room == 0 ? 256 : 2 * o->room;
	struct pack_object *object;
	uint32_t *slot;

	if (o->count < o->room)
		return 0;
	object = reallocarray(o->object, room, sizeof(*object));
	if (object == NULL)
		return dm_fail(err, DM_NOMEM, "objects of a pack");
	o->object = object;
	slot = calloc(2 * (size_t)room, sizeof(*slot));
	if (slot == NULL)
		return dm_fail(err, DM_NOMEM, "objects of a pack");
	free(o->slot);
	o->room = room;
	o->slot = slot;
	o->slots = 2 * room;
	for (uint32_t i = 0; i < o->count; i++)
		*find_slot(o, &object[i].id, object[i].kind) = i + 1;
	return 0;
}

static int
open_pack_begin(struct packer *p, struct open_pack *o, struct dm_err *err)
{
	if (o->writer != NULL)
		return 0;
	if (p->nlocal == p->local_room) {
		uint32_t room = p->local_room == 0 ? 64 : 2 * p->local_room;
		struct pack_name *q = reallocarray(p->local, room, sizeof(*q));

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "packs");
		p->local = q;
		p->local_room = room;
	}
	if (pack_writer_open(&o->writer, p->packs_dir, err) < 0)
		return -1;
	o->number = PACK_LOCAL + p->nlocal++;
	return 0;
}

static int
open_pack_add(struct packer *p, struct open_pack *o,
    const struct pack_object *object, const void *stored, struct place *at,
    struct dm_err *err)
{
	if (open_pack_begin(p, o, err) < 0 || open_pack_grow(o, err) < 0 ||
	    pack_writer_add(o->writer, object, stored, &at->ordinal, err) < 0)
		return -1;
	at->pack = o->number;
	o->object[o->count] = *object;
	*find_slot(o, &object->id, object->kind) = ++o->count;
	o->stored += object->stored_size;
	return 0;
}

/* Give the pack its name, and tell the index what is in it. */
static int
open_pack_finish(struct packer *p, struct open_pack *o, struct dm_err *err)
{
	struct pack_name *name;

	if (o->writer == NULL)
		return 0;
	name = &p->local[o->number - PACK_LOCAL];
	if (pack_writer_finish(o->writer, name, err) < 0 ||
	    object_index_add(p->ix, name, o->number, o->object, o->count, err) <
		0)
		return -1;
	p->counts.packs++;
	p->counts.stored += o->stored + name->dir_len + PACK_TRAILER;
	open_pack_release(o);
	return 0;
}

static bool
open_pack_find(const struct open_pack *o, const struct digest *id,
    enum object_kind kind, struct place *at)
{
	uint32_t found;

	if (o->count == 0 || (found = *find_slot(o, id, kind)) == 0)
		return false;
	at->pack = o->number;
	at->ordinal = found - 1;
	return true;
}

/* ---- what is there ---- */

int
packer_known(struct packer *p, const struct digest *id, enum object_kind kind,
    bool *found, struct dm_err *err)
{
	struct place at;

	return object_index_find(p->ix, id, kind, &at, found, err);
}

/* An object of a pack that this run wrote may have been found by the index's
 * number of it. */
static bool
packer_wrote(const struct packer *p, const struct digest *id)
{
	for (uint32_t i = 0; i < p->nlocal; i++)
		if (digest_equal(&p->local[i].id, id))
			return true;
	return false;
}

/* A pack that the walk comes by. */
static int
refuse_marked(void *arg, const struct moved_place *pack, bool gone,
    struct dm_err *err)
{
	struct packer *p = arg;

	if (gone)
		return dm_fail(err, DM_NOTFOUND, "a pack that gc removed");
	if (marks_find(p->marked, MARK_PACK, &pack->pack) == NULL ||
	    packer_wrote(p, &pack->pack))
		return 0;
	return dm_fail(err, DM_NOTFOUND, "a pack that gc is going to remove");
}

int
packer_distrust(struct packer *p, struct folder *f, const struct marks *marked,
    struct dm_err *err)
{
	struct reach_hooks hooks = { .need = refuse_marked, .arg = p };

	p->marked = marked;
	return reach_open(&p->reach, f, &hooks, err);
}

/* A pack of this run or of the index. */
static int
pack_name(struct packer *p, uint32_t number, struct pack_name *out,
    struct dm_err *err)
{
	if (number < PACK_LOCAL)
		return object_index_pack(p->ix, number, out, err);
	*out = p->local[number - PACK_LOCAL];
	return 0;
}

/* Is all there below what the index has found?  If not, it has not. */
static int
check_below(struct packer *p, const struct digest *id, enum object_kind kind,
    const struct place *at, bool *found, struct dm_err *err)
{
	struct moved_place to = { .ordinal = at->ordinal };
	struct pack_name name;
	struct dm_err why = { 0 };

	if (pack_name(p, at->pack, &name, err) < 0)
		return -1;
	to.pack = name.id;
	to.dir_off = name.dir_off;
	to.dir_len = name.dir_len;
	if (reach_object(p->reach, kind, id, &to, &why) == 0)
		return 0;
	if (why.code != DM_NOTFOUND && why.code != DM_CORRUPT) {
		*err = why;
		return -1;
	}
	*found = false;
	return object_index_forget(p->ix, id, kind, err);
}

int
packer_find(struct packer *p, const struct digest *id, enum object_kind kind,
    struct place *at, bool *found, struct dm_err *err)
{
	*found = true;
	for (int i = 0; i < PACKER_PACKS; i++)
		if (open_pack_find(&p->pack[i], id, kind, at))
			return 0;
	if (object_index_find(p->ix, id, kind, at, found, err) < 0)
		return -1;
	if (!*found || p->reach == NULL || kind == OBJECT_DATA)
		return 0;
	return check_below(p, id, kind, at, found, err);
}

/* A pack of the index is in a where: it must be there in the end. */
static int
speak_of(struct packer *p, uint32_t pack, struct dm_err *err)
{
	size_t byte = pack / 8;

	if (byte >= p->spoken_size) {
		size_t size = (byte + 1) * 2;
		uint8_t *q = realloc(p->spoken, size);

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "packs");
		memset(q + p->spoken_size, 0, size - p->spoken_size);
		p->spoken = q;
		p->spoken_size = size;
	}
	p->spoken[byte] |= (uint8_t)(1U << pack % 8);
	return 0;
}

int
packer_pack(struct packer *p, const struct place *at, struct pack_name *out,
    struct dm_err *err)
{
	if (at->pack < PACK_LOCAL && speak_of(p, at->pack, err) < 0)
		return -1;
	return pack_name(p, at->pack, out, err);
}

/* ---- structured objects ---- */

/* The id of a structured object's child i, and what kind it is. */
static int
child_id(const struct packer_struct *s, const struct tree *t,
    const struct chunk_list *l, uint32_t i, struct digest *id)
{
	struct tree_entry entry;
	struct tree_child child;
	uint64_t off, size;

	if (s->kind == OBJECT_CHUNKS) {
		chunk_list_at(l, i, &off, &size, id);
		return OBJECT_CHUNKS;
	}
	if (s->level > 0) {
		tree_child_at(t, i, &child);
		*id = child.id;
		return OBJECT_TREE;
	}
	tree_entry_at(t, i, &entry);
	*id = entry.id;
	return entry.kind == TREE_DIR ? OBJECT_TREE : OBJECT_CHUNKS;
}

/* Turn PLACE_BY_ID rows into places.  Decoding what was just encoded costs
 * little, and no object leaves that a reader would refuse. */
static int
resolve_rows(struct packer *p, struct packer_struct *s, struct place *rows,
    struct dm_err *err)
{
	struct tree t = { 0 };
	struct chunk_list l = { 0 };
	bool found = false;

	if ((s->kind == OBJECT_TREE ?
		    tree_decode(&t, s->data, s->size, err) :
		    chunk_list_decode(&l, s->data, s->size, err)) < 0)
		return dm_wrap(err, "bug: object made by this program");
	for (uint32_t i = 0; i < s->nrows; i++) {
		struct digest id;
		enum object_kind kind;

		rows[i] = s->rows[i];
		if (rows[i].pack != PLACE_BY_ID)
			continue;
		kind = (enum object_kind)child_id(s, &t, &l, i, &id);
		if (packer_find(p, &id, kind, &rows[i], &found, err) < 0)
			return -1;
		if (!found)
			return dm_fail(err, DM_REDO,
			    "an object of the repository is gone");
	}
	return 0;
}

/* The number of a row's pack in the where's table; 0 is the structure pack. */
static int
table_number(struct packer *p, struct where_encoder *e, const struct place *at,
    uint32_t *n, struct dm_err *err)
{
	struct where_pack wp;
	struct pack_name name;

	*n = 0;
	if (at->pack == p->pack[PACKER_STRUCT].number)
		return 0;
	if (packer_pack(p, at, &name, err) < 0)
		return -1;
	wp = (struct where_pack){
		.id = name.id, .dir_off = name.dir_off, .dir_len = name.dir_len
	};
	return where_encode_pack(e, &wp, n, err);
}

static int
encode_rows(struct packer *p, const struct packer_struct *s,
    const struct place *rows, struct where_encoder *e, struct dm_err *err)
{
	bool runs = s->kind == OBJECT_CHUNKS && s->level == 0;
	uint32_t n = 0, last = PLACE_NONE;

	for (uint32_t i = 0; i < s->nrows; i++) {
		const struct place *at = &rows[i];
		int rc;

		if (at->pack == PLACE_NONE) {
			if (where_encode_child(e, WHERE_NONE, 0, err) < 0)
				return -1;
			continue;
		}
		if (at->pack != last && table_number(p, e, at, &n, err) < 0)
			return -1;
		last = at->pack;
		rc = runs ? where_encode_chunk(e, n, at->ordinal, err) :
			    where_encode_child(e, n, at->ordinal, err);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static void
where_encoder_freep(struct where_encoder **e)
{
	where_encoder_free(*e);
}

static int
add_struct(struct packer *p, enum object_kind kind, const struct digest *id,
    const void *data, size_t size, struct dm_err *err)
{
	struct pack_object o = {
		.id = *id, .kind = kind, .plain_size = (uint32_t)size
	};
	const void *stored = NULL;
	size_t stored_size = 0;
	struct place at;

	if (size > OBJECT_STRUCT_MAX)
		return dm_fail(err, DM_INVALID,
		    "a directory listing is larger than %d bytes",
		    OBJECT_STRUCT_MAX);
	if (codec_encode(p->codec, data, size, &stored, &stored_size, &o.codec,
		err) < 0)
		return -1;
	o.stored_size = (uint32_t)stored_size;
	return open_pack_add(p, &p->pack[PACKER_STRUCT], &o, stored, &at, err);
}

/* Is there no room for an object and its where in the structure pack? */
static bool
struct_pack_full(const struct open_pack *o, const struct packer_struct *s)
{
	return o->writer != NULL &&
	    (o->count + 2 > (s->root ? ROOT_OBJECTS : STRUCT_OBJECTS) ||
		pack_writer_plain_size(o->writer) + s->size > STRUCT_BYTES);
}

/* Make the where of an object that goes into the open structure pack. */
static int
make_where(struct packer *p, struct packer_struct *s, struct dm_buf *out,
    struct dm_err *err)
{
	DM_AUTO(where_encoder_freep)
	struct where_encoder *e =
	    where_encoder_new(s->kind == OBJECT_CHUNKS && s->level == 0 ?
		    WHERE_RUNS :
		    WHERE_CHILDREN);
	struct place *rows = calloc(s->nrows + 1U, sizeof(*rows));
	int rc = -1;

	if (e == NULL || rows == NULL)
		(void)dm_fail(err, DM_NOMEM, "where");
	else if (resolve_rows(p, s, rows, err) == 0 &&
	    encode_rows(p, s, rows, e, err) == 0)
		rc = where_encode_finish(e, out, err);
	free(rows);
	return rc;
}

/* The object and its where, one behind the other in one pack. */
static int
write_struct(struct packer *p, struct packer_struct *s, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf where = DM_BUF(OBJECT_STRUCT_MAX);
	struct open_pack *o = &p->pack[PACKER_STRUCT];
	struct digest id;

	if (struct_pack_full(o, s) && open_pack_finish(p, o, err) < 0)
		return -1;
	if (open_pack_begin(p, o, err) < 0 || make_where(p, s, &where, err) < 0)
		return -1;
	digest_of(&id, where.data, where.size);
	if (add_struct(p, s->kind, &s->id, s->data, s->size, err) < 0)
		return -1;
	return add_struct(p, OBJECT_WHERE, &id, where.data, where.size, err);
}

/* Is a pack that the object needs still open? */
static bool
must_wait(const struct packer *p, const struct queued *q)
{
	for (int i = 0; i < 2; i++)
		for (int k = PACKER_SMALL; k <= PACKER_FILE; k++)
			if (q->needs[i] != 0 && p->pack[k].writer != NULL &&
			    q->needs[i] == p->pack[k].number)
				return true;
	return false;
}

/* Write what waits no more, in order. */
static int
flush(struct packer *p, struct dm_err *err)
{
	while (p->first != NULL && !must_wait(p, p->first)) {
		struct queued *q = p->first;
		struct place at;
		bool found = false;

		if (packer_find(p, &q->s.id, q->s.kind, &at, &found, err) < 0 ||
		    (!found && write_struct(p, &q->s, err) < 0))
			return -1;
		p->first = q->next;
		if (p->first == NULL)
			p->last = &p->first;
		p->queued -= q->s.size;
		free(q);
	}
	return 0;
}

static void
note_needs(const struct packer *p, struct queued *q)
{
	const struct open_pack *small = &p->pack[PACKER_SMALL];
	const struct open_pack *file = &p->pack[PACKER_FILE];

	for (uint32_t i = 0; i < q->s.nrows; i++) {
		uint32_t pack = q->s.rows[i].pack;

		if (small->writer != NULL && pack == small->number)
			q->needs[0] = pack;
		if (file->writer != NULL && pack == file->number)
			q->needs[1] = pack;
	}
}

static int
finish_data(struct packer *p, enum packer_kind which, struct dm_err *err)
{
	if (open_pack_finish(p, &p->pack[which], err) < 0)
		return -1;
	return flush(p, err);
}

int
packer_structure(struct packer *p, const struct packer_struct *s,
    struct dm_err *err)
{
	size_t rows = s->nrows * sizeof(*s->rows);
	struct place at;
	struct queued *q;
	bool found = false;
	char *behind;

	if (packer_find(p, &s->id, s->kind, &at, &found, err) < 0 || found)
		return found ? 0 : -1;
	q = malloc(sizeof(*q) + rows + s->size);
	if (q == NULL)
		return dm_fail(err, DM_NOMEM, "tree");
	memset(q, 0, sizeof(*q));
	behind = (char *)(q + 1);
	q->s = *s;
	if (rows > 0)
		memcpy(behind, s->rows, rows);
	memcpy(behind + rows, s->data, s->size);
	q->s.rows = (const struct place *)(const void *)behind;
	q->s.data = behind + rows;
	note_needs(p, q);
	*p->last = q;
	p->last = &q->next;
	p->queued += s->size;
	if (p->queued > QUEUE_BYTES)
		return finish_data(p, PACKER_SMALL, err);
	return flush(p, err);
}

/* ---- data ---- */

static bool
is_full(const struct open_pack *o, enum packer_kind which, uint64_t more)
{
	uint64_t size;

	if (o->writer == NULL)
		return false;
	size = pack_writer_plain_size(o->writer) + more;
	if (which == PACKER_SMALL)
		return size > PACK_SMALL_BYTES ||
		    o->count == PACK_SMALL_OBJECTS;
	return size > PACK_FILE_BYTES || o->count == PACK_OBJECTS_MAX;
}

int
packer_data(struct packer *p, enum packer_kind which,
    const struct pack_object *o, const void *stored, struct place *at,
    struct dm_err *err)
{
	bool found = false;

	if (packer_find(p, &o->id, OBJECT_DATA, at, &found, err) < 0 || found)
		return found ? 0 : -1;
	if (o->stored_size == 0)
		return dm_fail(err, DM_REDO,
		    "an object of the repository is gone");
	if (is_full(&p->pack[which], which, o->plain_size) &&
	    finish_data(p, which, err) < 0)
		return -1;
	return open_pack_add(p, &p->pack[which], o, stored, at, err);
}

int
packer_file_end(struct packer *p, struct dm_err *err)
{
	return finish_data(p, PACKER_FILE, err);
}

static int
check_there(struct packer *p, const struct digest *id, struct dm_err *err)
{
	char path[PATH_MAX], hex[DIGEST_HEX + 1];

	digest_hex(id, hex);
	if (snprintf(path, sizeof(path), "%s/%.2s/%s", p->packs_dir, hex, hex) <
		(int)sizeof(path) &&
	    access(path, F_OK) == 0)
		return 0;
	return dm_fail(err, DM_REDO, "pack %.12s was removed meanwhile", hex);
}

/* A pack that the new version needs, and that was there before it. */
static int
settle_pack(struct packer *p, const struct marks *m, const struct digest *id,
    struct dm_err *err)
{
	char hex[DIGEST_HEX + 1];

	if (check_there(p, id, err) < 0)
		return -1;
	if (packer_wrote(p, id) || marks_find(m, MARK_PACK, id) == NULL)
		return 0;
	digest_hex(id, hex);
	return dm_fail(err, DM_REDO, "gc is going to remove pack %.12s", hex);
}

/* The packs of the index that a where names. */
static int
settle_spoken(struct packer *p, const struct marks *m, struct dm_err *err)
{
	for (size_t i = 0; i < p->spoken_size * 8; i++) {
		struct pack_name name;

		if ((p->spoken[i / 8] >> i % 8 & 1) == 0)
			continue;
		if (object_index_pack(p->ix, (uint32_t)i, &name, err) < 0 ||
		    settle_pack(p, m, &name.id, err) < 0)
			return -1;
	}
	for (size_t i = 0; p->reach != NULL && i < reach_count(p->reach); i++) {
		const struct reach_pack *r = reach_at(p->reach, i);

		if (r->live > 0 && settle_pack(p, m, &r->id, err) < 0)
			return -1;
	}
	return 0;
}

int
packer_settle(struct packer *p, struct marks *m, bool *changed,
    struct dm_err *err)
{
	*changed = false;
	if (settle_spoken(p, m, err) < 0)
		return -1;
	for (uint32_t i = 0; i < p->nlocal; i++) {
		if (check_there(p, &p->local[i].id, err) < 0)
			return -1;
		if (marks_remove(m, MARK_PACK, &p->local[i].id))
			*changed = true;
	}
	return 0;
}

int
packer_finish(struct packer *p, struct dm_err *err)
{
	if (finish_data(p, PACKER_FILE, err) < 0 ||
	    finish_data(p, PACKER_SMALL, err) < 0 ||
	    open_pack_finish(p, &p->pack[PACKER_STRUCT], err) < 0)
		return -1;
	return object_index_flush(p->ix, err);
}

void
packer_counts(const struct packer *p, struct packer_counts *out)
{
	*out = p->counts;
}
