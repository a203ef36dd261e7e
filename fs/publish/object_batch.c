#include "fs/publish/object_batch.h"

#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "cache/pack/pack_dir.h"

/* Where the object's position stands, or would. */
static uint32_t *
find_slot(const struct object_batch *b, const struct digest *id, uint8_t kind)
{
	uint32_t i, mask = 2 * b->room - 1;

	memcpy(&i, id->bytes, sizeof(i));
	for (i &= mask; b->slot[i] != 0; i = (i + 1) & mask) {
		const struct batch_row *r = &b->row[b->slot[i] - 1];

		if (r->kind == kind && digest_equal(&r->id, id))
			break;
	}
	return &b->slot[i];
}

/* Room for one more row; there are a power of two. */
static int
grow_rows(struct object_batch *b, struct dm_err *err)
{
	uint32_t room = b->room == 0 ? 1024 : 2 * b->room;
	struct batch_row *row;
	uint32_t *slot;

	if (b->n < b->room)
		return 0;
	row = reallocarray(b->row, room, sizeof(*row));
	if (row == NULL)
		return dm_fail(err, DM_NOMEM, "index of published objects");
	b->row = row;
	slot = calloc(2 * (size_t)room, sizeof(*slot));
	if (slot == NULL)
		return dm_fail(err, DM_NOMEM, "index of published objects");
	free(b->slot);
	b->slot = slot;
	b->room = room;
	for (uint32_t i = 0; i < b->n; i++)
		*find_slot(b, &row[i].id, row[i].kind) = i + 1;
	return 0;
}

static int
add_pack(struct object_batch *b, const struct pack_name *name,
    struct dm_err *err)
{
	uint32_t room = b->pack_room == 0 ? 64 : 2 * b->pack_room;
	struct batch_pack *pack;

	if (b->npacks == b->pack_room) {
		pack = reallocarray(b->pack, room, sizeof(*pack));
		if (pack == NULL)
			return dm_fail(err, DM_NOMEM,
			    "index of published objects");
		b->pack = pack;
		b->pack_room = room;
	}
	b->pack[b->npacks++] = (struct batch_pack){ .name = *name };
	return 0;
}

int
object_batch_add(struct object_batch *b, const struct pack_name *name,
    uint32_t number, const struct pack_object *objects, uint32_t count,
    struct dm_err *err)
{
	if (add_pack(b, name, err) < 0)
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		const struct pack_object *o = &objects[i];
		uint32_t *slot;

		if (o->kind == OBJECT_WHERE)
			continue;
		b->pack[b->npacks - 1].rows++;
		if (grow_rows(b, err) < 0)
			return -1;
		slot = find_slot(b, &o->id, (uint8_t)o->kind);
		if (*slot != 0)
			continue; /* the first one counts */
		b->row[b->n] = (struct batch_row){ .id = o->id,
			.kind = (uint8_t)o->kind,
			.pack = b->npacks - 1,
			.at = { .pack = number, .ordinal = i } };
		*slot = ++b->n;
	}
	return 0;
}

bool
object_batch_find(const struct object_batch *b, const struct digest *id,
    enum object_kind kind, struct place *at)
{
	uint32_t found;

	if (b->n == 0 || (found = *find_slot(b, id, (uint8_t)kind)) == 0)
		return false;
	*at = b->row[found - 1].at;
	return true;
}

static int
by_id(const void *a, const void *b)
{
	const struct batch_row *x = a, *y = b;

	return memcmp(x->id.bytes, y->id.bytes, DIGEST_SIZE);
}

void
object_batch_sort(struct object_batch *b)
{
	if (b->n > 1)
		qsort(b->row, b->n, sizeof(*b->row), by_id);
}

void
object_batch_clear(struct object_batch *b)
{
	if (b->slot != NULL)
		memset(b->slot, 0, 2 * (size_t)b->room * sizeof(*b->slot));
	b->n = 0;
	b->npacks = 0;
}

void
object_batch_release(struct object_batch *b)
{
	free(b->pack);
	free(b->row);
	free(b->slot);
	memset(b, 0, sizeof(*b));
}
