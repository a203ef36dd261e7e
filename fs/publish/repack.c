/*
 * A where says "the pack that holds this object" of its neighbours.  In a new
 * pack that would be another pack; so it names the old one instead, and
 * readers go on from there by moved/, which they have read already.
 */
#include "fs/publish/repack.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/pack/codec.h"
#include "cache/pack/moved.h"
#include "cache/pack/pack_writer.h"
#include "fs/format/where.h"
#include "fs/publish/folder.h"
#include "fs/publish/pack_file.h"
#include "fs/publish/reach.h"

enum { DATA, STRUCTURE, WRITERS };

/* An object that was copied; its new pack by number. */
struct copied {
	uint32_t old, pack, ordinal;
};

struct repacker {
	struct folder *folder;
	struct reach *reach;
	struct codec *codec;
	char packs_dir[PATH_MAX];
	struct pack_writer *writer[WRITERS];
	uint32_t number[WRITERS];
	uint64_t bytes[WRITERS]; /* stored in the open pack */
	struct pack_name *name;  /* of new packs, by number */
	uint32_t names, name_room;
	struct copied *copied;
	size_t n, room;
	struct dm_buf stored, plain, where;
	struct repack_counts counts;
};

bool
repack_worthy(const struct reach_pack *p)
{
	return p->sized && p->live > 0 && p->live_plain < p->plain / 2;
}

static int
finish(struct repacker *k, int which, struct dm_err *err)
{
	struct pack_name *name = &k->name[k->number[which]];

	if (k->writer[which] == NULL)
		return 0;
	if (pack_writer_finish(k->writer[which], name, err) < 0)
		return -1;
	k->counts.new_packs++;
	k->counts.new_bytes += k->bytes[which] + name->dir_len + PACK_TRAILER;
	pack_writer_close(k->writer[which]);
	k->writer[which] = NULL;
	return 0;
}

static int
begin(struct repacker *k, int which, struct dm_err *err)
{
	if (k->writer[which] != NULL)
		return 0;
	if (k->names == k->name_room) {
		uint32_t room = k->name_room == 0 ? 64 : 2 * k->name_room;
		struct pack_name *q = reallocarray(k->name, room, sizeof(*q));

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "new packs");
		k->name = q;
		k->name_room = room;
	}
	k->number[which] = k->names++;
	k->bytes[which] = 0;
	return pack_writer_open(&k->writer[which], k->packs_dir, err);
}

/* A pack of a large file's chunks stays one pack. */
static bool
is_full(const struct repacker *k, int which, const struct reach_pack *from,
    uint64_t more)
{
	const struct pack_writer *w = k->writer[which];
	uint64_t size;

	if (w == NULL)
		return false;
	if (which == DATA && from->plain > PACK_SMALL_BYTES)
		return false;
	size = pack_writer_plain_size(w) + more;
	return size > PACK_SMALL_BYTES ||
	    pack_writer_count(w) + 2 > PACK_SMALL_OBJECTS;
}

static int
note(struct repacker *k, uint32_t old, int which, uint32_t ordinal,
    struct dm_err *err)
{
	if (k->n == k->room) {
		size_t room = k->room == 0 ? 1024 : 2 * k->room;
		struct copied *q = reallocarray(k->copied, room, sizeof(*q));

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "moved objects");
		k->copied = q;
		k->room = room;
	}
	k->copied[k->n++] = (struct copied){ old, k->number[which], ordinal };
	return 0;
}

/* ---- wheres ---- */

static int
encode_row(const struct reach_pack *self, const struct where *w,
    struct where_encoder *e, uint32_t pack, uint32_t ordinal,
    struct dm_err *err)
{
	struct where_pack wp = { .id = self->id,
		.dir_off = self->name.dir_off,
		.dir_len = self->name.dir_len };
	uint32_t n = 0;

	if (pack == WHERE_NONE)
		return where_encode_child(e, WHERE_NONE, 0, err);
	if (pack != 0)
		where_pack_at(w, pack, &wp);
	if (where_encode_pack(e, &wp, &n, err) < 0)
		return -1;
	return w->shape == WHERE_RUNS ? where_encode_chunk(e, n, ordinal, err) :
					where_encode_child(e, n, ordinal, err);
}

static void
where_encoder_freep(struct where_encoder **e)
{
	where_encoder_free(*e);
}

/* The same where, fit for any pack. */
static int
rewrite_where(struct repacker *k, const struct reach_pack *self,
    struct dm_err *err)
{
	DM_AUTO(where_encoder_freep) struct where_encoder *e = NULL;
	struct where w;
	uint32_t rows, pack, ordinal, run;

	if (where_decode(&w, k->plain.data, k->plain.size, err) < 0)
		return -1;
	e = where_encoder_new(w.shape);
	if (e == NULL)
		return dm_fail(err, DM_NOMEM, "where");
	rows = w.shape == WHERE_RUNS ? where_chunks(&w) : w.nrows;
	for (uint32_t i = 0; i < rows; i++) {
		if (w.shape == WHERE_RUNS)
			where_run_find(&w, i, &pack, &ordinal, &run);
		else
			where_child_at(&w, i, &pack, &ordinal);
		if (encode_row(self, &w, e, pack, ordinal, err) < 0)
			return -1;
	}
	dm_buf_clear(&k->where);
	return where_encode_finish(e, &k->where, err);
}

/* ---- copying ---- */

/* Put the object into the open pack: as it is stored, but for wheres. */
static int
copy_object(struct repacker *k, const struct reach_pack *from,
    const struct pack_file *file, uint32_t i, struct dm_err *err)
{
	struct pack_object o;
	const void *stored;
	size_t size;
	uint32_t ordinal;
	int which = from->structured ? STRUCTURE : DATA;

	pack_dir_object(&file->dir, i, &o);
	/* a where stays behind its owner */
	if (o.kind != OBJECT_WHERE && is_full(k, which, from, o.plain_size) &&
	    finish(k, which, err) < 0)
		return -1;
	if (begin(k, which, err) < 0 ||
	    pack_file_object(file, k->codec, i, &k->stored, &k->plain, err) < 0)
		return -1;
	stored = k->stored.data;
	if (o.kind == OBJECT_WHERE) {
		if (rewrite_where(k, from, err) < 0 ||
		    codec_encode(k->codec, k->where.data, k->where.size,
			&stored, &size, &o.codec, err) < 0)
			return -1;
		digest_of(&o.id, k->where.data, k->where.size);
		o.plain_size = (uint32_t)k->where.size;
		o.stored_size = (uint32_t)size;
	}
	if (pack_writer_add(k->writer[which], &o, stored, &ordinal, err) < 0)
		return -1;
	k->bytes[which] += o.stored_size;
	return note(k, i, which, ordinal, err);
}

static int
copy_pack(struct repacker *k, struct reach_pack *p, struct dm_err *err)
{
	bool alone = !p->structured && p->plain > PACK_SMALL_BYTES;
	struct pack_file *file;

	if (reach_file(k->reach, p, &file, err) < 0 ||
	    (alone && finish(k, DATA, err) < 0))
		return -1;
	for (uint32_t i = 0; i < p->name.count; i++)
		if (reach_needs(p, i) && copy_object(k, p, file, i, err) < 0)
			return dm_wrap(err, "%s", k->folder->path);
	k->counts.packs++;
	k->counts.bytes += p->name.dir_off + p->name.dir_len + PACK_TRAILER;
	return alone ? finish(k, DATA, err) : 0;
}

/* ---- what moved ---- */

static void
row_of(const struct repacker *k, const struct copied *c, struct moved_row *out)
{
	const struct pack_name *name = &k->name[c->pack];

	out->old = c->old;
	out->to = (struct moved_place){ .pack = name->id,
		.dir_off = name->dir_off,
		.dir_len = name->dir_len,
		.ordinal = c->ordinal };
}

/* The n objects of p that were copied now, and those that were before. */
static int
write_moved(struct repacker *k, const struct reach_pack *p,
    const struct copied *c, uint32_t n, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(MOVED_MAX);
	uint32_t before = p->has_moved ? p->moved.count : 0, rows = 0;
	struct moved_row *row = calloc((size_t)before + n + 1, sizeof(*row));
	char path[PACK_PATH];
	int rc = -1;

	if (row == NULL)
		return dm_fail(err, DM_NOMEM, "moved objects");
	for (uint32_t i = 0, j = 0; i < before || j < n;) {
		struct moved_row old = { .old = UINT32_MAX };

		if (i < before)
			old.old = moved_at(&p->moved, i, &old.to);
		if (j < n && c[j].old <= old.old) {
			i += c[j].old == old.old ? 1 : 0;
			row_of(k, &c[j++], &row[rows++]);
		} else {
			row[rows++] = old;
			i++;
		}
	}
	pack_file_path(path, "moved", &p->id);
	if (moved_encode(row, rows, &text, err) == 0)
		rc = folder_put(k->folder, path, text.data, text.size, err);
	free(row);
	return rc;
}

static int
copy_all(struct repacker *k, struct dm_err *err)
{
	size_t count = reach_count(k->reach), at = 0;

	for (size_t i = 0; i < count; i++)
		if (repack_worthy(reach_at(k->reach, i)) &&
		    copy_pack(k, reach_at(k->reach, i), err) < 0)
			return -1;
	for (int i = 0; i < WRITERS; i++)
		if (finish(k, i, err) < 0)
			return -1;
	for (size_t i = 0; i < count; i++) {
		const struct reach_pack *p = reach_at(k->reach, i);

		if (!repack_worthy(p))
			continue;
		if (write_moved(k, p, k->copied + at, p->live, err) < 0)
			return -1;
		at += p->live;
	}
	return 0;
}

int
repack(struct folder *f, struct reach *r, struct repack_counts *out,
    struct dm_err *err)
{
	struct repacker k = { .folder = f,
		.reach = r,
		.codec = codec_new(),
		.stored = DM_BUF(OBJECT_DATA_MAX),
		.plain = DM_BUF(OBJECT_DATA_MAX),
		.where = DM_BUF(OBJECT_STRUCT_MAX) };
	int rc = -1;

	if (k.codec == NULL)
		(void)dm_fail(err, DM_NOMEM, "new packs");
	else if (snprintf(k.packs_dir, sizeof(k.packs_dir), "%s/packs",
		     f->path) >= (int)sizeof(k.packs_dir))
		(void)dm_fail(err, DM_INVALID, "%s: path too long", f->path);
	else
		rc = copy_all(&k, err);
	for (int i = 0; i < WRITERS; i++)
		pack_writer_close(k.writer[i]);
	codec_free(k.codec);
	free(k.name);
	free(k.copied);
	dm_buf_release(&k.stored);
	dm_buf_release(&k.plain);
	dm_buf_release(&k.where);
	*out = k.counts;
	return rc;
}
