#include "fs/publish/open_pack.h"

#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "cache/pack/pack_writer.h"
#include "fs/publish/spool.h"

enum { GATHER = 256 << 10 /* bytes that are written at once */ };

void
open_pack_release(struct open_pack *o)
{
	pack_writer_close(o->writer);
	free(o->object);
	free(o->slot);
	free(o->gathered);
	memset(o, 0, sizeof(*o));
}

int
open_pack_begin(struct open_pack *o, const char *packs_dir, uint32_t number,
    struct dm_err *err)
{
	o->number = number;
	return pack_writer_open(&o->writer, packs_dir, err);
}

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
grow(struct open_pack *o, struct dm_err *err)
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

/* Give the spool what has gathered. */
static int
flush(struct open_pack *o, struct spool *s, struct dm_err *err)
{
	size_t size = o->size;

	o->size = 0;
	if (size == 0)
		return 0;
	return spool_write(s, o->writer, &o->gathered, size, err);
}

static int
gather(struct open_pack *o, const void *stored, size_t size, struct dm_err *err)
{
	if (o->gathered == NULL && (o->gathered = malloc(GATHER)) == NULL)
		return dm_fail(err, DM_NOMEM, "objects of a pack");
	memcpy((char *)o->gathered + o->size, stored, size);
	o->size += size;
	return 0;
}

/* Have the bytes written. */
static int
store(struct open_pack *o, struct spool *s, const void *stored, void **owned,
    size_t size, struct dm_err *err)
{
	void *copy = NULL;

	if (size > GATHER - o->size && flush(o, s, err) < 0)
		return -1;
	if (size <= GATHER / 2)
		return gather(o, stored, size, err);
	if (flush(o, s, err) < 0)
		return -1;
	if (owned == NULL) {
		copy = malloc(size);
		if (copy == NULL)
			return dm_fail(err, DM_NOMEM, "objects of a pack");
		memcpy(copy, stored, size);
		owned = &copy;
	}
	return spool_write(s, o->writer, owned, size, err);
}

int
open_pack_add(struct open_pack *o, struct spool *s,
    const struct pack_object *object, const void *stored, void **owned,
    struct place *at, struct dm_err *err)
{
	if (grow(o, err) < 0 ||
	    pack_writer_place(o->writer, object, &at->ordinal, err) < 0 ||
	    store(o, s, stored, owned, object->stored_size, err) < 0)
		return -1;
	at->pack = o->number;
	o->object[o->count] = *object;
	*find_slot(o, &object->id, object->kind) = ++o->count;
	o->stored += object->stored_size;
	return 0;
}

int
open_pack_end(struct open_pack *o, struct spool *s, struct pack_name *name,
    struct dm_err *err)
{
	if (flush(o, s, err) < 0 || pack_writer_end(o->writer, name, err) < 0)
		return -1;
	return spool_seal(s, o->writer, err);
}

bool
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
