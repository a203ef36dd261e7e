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
#include "fs/format/limits.h"
#include "fs/format/tree.h"
#include "fs/format/where.h"
#include "fs/publish/marks.h"
#include "fs/publish/open_pack.h"
#include "fs/publish/reach.h"
#include "fs/publish/spool.h"

enum {
	STRUCT_BYTES = 16 << 20, /* plain bytes that fill a structure pack */
	/* who walks asks twice a pack; who looks up fetches its directory */
	STRUCT_OBJECTS = 4096,
	/* the directory comes with the root when a version is mounted */
	ROOT_OBJECTS = 1408,
	QUEUE_BYTES = 16 << 20, /* that wait for a small pack to fill */
	SEALING = 8,            /* packs that wait for the disk */
};

static const uint32_t PACK_LOCAL = 1U << 31;

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
	struct spool *spool;
	struct open_pack sealing[SEALING]; /* have ended; oldest first */
	unsigned nsealing;
	uint64_t sealed;         /* packs that were sealed and taken out */
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

void
packer_close(struct packer *p)
{
	if (p == NULL)
		return;
	spool_close(p->spool); /* first: it borrows writers */
	for (int i = 0; i < PACKER_PACKS; i++)
		open_pack_release(&p->pack[i]);
	for (unsigned i = 0; i < p->nsealing; i++)
		open_pack_release(&p->sealing[i]);
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
	if (p->codec == NULL)
		(void)dm_fail(err, DM_NOMEM, "packs");
	if (p->codec == NULL || spool_open(&p->spool, err) < 0) {
		packer_close(p);
		return -1;
	}
	*out = p;
	return 0;
}

/* ---- open packs ---- */

static int
begin_pack(struct packer *p, struct open_pack *o, struct dm_err *err)
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
	if (open_pack_begin(o, p->packs_dir, PACK_LOCAL + p->nlocal, err) < 0)
		return -1;
	p->nlocal++;
	return 0;
}

static int
add_object(struct packer *p, struct open_pack *o,
    const struct pack_object *object, const void *stored, void **owned,
    struct place *at, struct dm_err *err)
{
	if (begin_pack(p, o, err) < 0)
		return -1;
	return open_pack_add(o, p->spool, object, stored, owned, at, err);
}

/* The oldest pack that has ended is durable: tell the index what is in it. */
static int
take_sealed(struct packer *p, struct dm_err *err)
{
	struct open_pack *o = &p->sealing[0];
	const struct pack_name *name = &p->local[o->number - PACK_LOCAL];

	if (object_index_add(p->ix, name, o->number, o->object, o->count, err) <
	    0)
		return -1;
	p->counts.packs++;
	p->counts.stored += o->stored + name->dir_len + PACK_TRAILER;
	open_pack_release(o);
	p->nsealing--;
	p->sealed++;
	memmove(o, o + 1, p->nsealing * sizeof(*o));
	return 0;
}

/* Take out what was sealed; wait until at most that many were not. */
static int
wait_sealed(struct packer *p, unsigned most, struct dm_err *err)
{
	uint64_t ended = p->sealed + p->nsealing, sealed = 0;

	if (spool_sealed(p->spool, ended > most ? ended - most : 0, &sealed,
		err) < 0)
		return -1;
	while (p->sealed < sealed)
		if (take_sealed(p, err) < 0)
			return -1;
	return 0;
}

/* The pack has a name from now on, and will be durable some time. */
static int
end_pack(struct packer *p, struct open_pack *o, struct dm_err *err)
{
	if (o->writer == NULL)
		return 0;
	if (wait_sealed(p, SEALING - 1, err) < 0 ||
	    open_pack_end(o, p->spool, &p->local[o->number - PACK_LOCAL], err) <
		0)
		return -1;
	p->sealing[p->nsealing++] = *o;
	memset(o, 0, sizeof(*o));
	return 0;
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
	for (unsigned i = 0; i < p->nsealing; i++)
		if (open_pack_find(&p->sealing[i], id, kind, at))
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
	if (entry.kind == TREE_DIR)
		return OBJECT_TREE;
	return entry.size > DM_SMALL_FILE_MAX ? OBJECT_CHUNKS : OBJECT_DATA;
}

/* A where is about to name that pack: so it needs its name. */
static int
end_if_open(struct packer *p, uint32_t number, struct dm_err *err)
{
	for (int k = PACKER_SMALL; k <= PACKER_FILE; k++)
		if (p->pack[k].writer != NULL && p->pack[k].number == number)
			return end_pack(p, &p->pack[k], err);
	return 0;
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
		if (end_if_open(p, rows[i].pack, err) < 0)
			return -1;
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
	return add_object(p, &p->pack[PACKER_STRUCT], &o, stored, NULL, &at,
	    err);
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

	if (struct_pack_full(o, s) && end_pack(p, o, err) < 0)
		return -1;
	if (begin_pack(p, o, err) < 0 || make_where(p, s, &where, err) < 0)
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
	if (end_pack(p, &p->pack[which], err) < 0)
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
    const struct pack_object *o, void **stored, struct place *at,
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
	return add_object(p, &p->pack[which], o, *stored, stored, at, err);
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
	    end_pack(p, &p->pack[PACKER_STRUCT], err) < 0 ||
	    wait_sealed(p, 0, err) < 0)
		return -1;
	return object_index_flush(p->ix, err);
}

void
packer_counts(const struct packer *p, struct packer_counts *out)
{
	*out = p->counts;
}
