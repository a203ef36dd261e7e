/* Building a where.  Packs are numbered as they come, and again at the end:
 * the table is in order of their ids. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/le.h"
#include "fs/format/header.h"
#include "fs/format/limits.h"
#include "fs/format/where.h"

struct row {
	uint32_t n; /* children in a run */
	uint32_t pack, ordinal;
};

struct where_encoder {
	enum where_shape shape;
	uint32_t npacks, nrows, chunks;
	struct where_pack *packs; /* in the order of their coming */
	uint32_t *sorted;         /* their positions, in order of ids */
	struct row *rows;
	uint32_t pack_room, row_room;
};

struct where_encoder *
where_encoder_new(enum where_shape shape)
{
	struct where_encoder *e = calloc(1, sizeof(*e));

	if (e != NULL)
		e->shape = shape;
	return e;
}

void
where_encoder_free(struct where_encoder *e)
{
	if (e == NULL)
		return;
	free(e->packs);
	free(e->sorted);
	free(e->rows);
	free(e);
}

/* Where in sorted the pack stands, or would. */
static uint32_t
rank(const struct where_encoder *e, const struct digest *id, bool *found)
{
	uint32_t lo = 0, hi = e->npacks;

	*found = false;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = memcmp(e->packs[e->sorted[mid]].id.bytes, id->bytes,
		    DIGEST_SIZE);

		if (c == 0)
			*found = true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* One more pack fits. */
static int
grow_packs(struct where_encoder *e, struct dm_err *err)
{
	uint32_t room = e->pack_room == 0 ? 16 : 2 * e->pack_room;
	struct where_pack *packs;
	uint32_t *sorted;

	if (e->npacks < e->pack_room)
		return 0;
	packs = realloc(e->packs, room * sizeof(*packs));
	if (packs == NULL)
		return dm_fail(err, DM_NOMEM, "list packs");
	e->packs = packs;
	sorted = realloc(e->sorted, room * sizeof(*sorted));
	if (sorted == NULL)
		return dm_fail(err, DM_NOMEM, "list packs");
	e->sorted = sorted;
	e->pack_room = room;
	return 0;
}

int
where_encode_pack(struct where_encoder *e, const struct where_pack *pack,
    uint32_t *n, struct dm_err *err)
{
	bool found;
	uint32_t at = rank(e, &pack->id, &found);

	if (found) {
		*n = e->sorted[at] + 1;
		return 0;
	}
	if (pack->dir_len == 0 || pack->dir_off > DM_BYTES_MAX)
		return dm_fail(err, DM_INVALID, "bad place of a directory");
	if (e->npacks == CHUNK_PAGE)
		return dm_fail(err, DM_INVALID, "too many packs");
	if (grow_packs(e, err) < 0)
		return -1;
	memmove(e->sorted + at + 1, e->sorted + at,
	    (e->npacks - at) * sizeof(*e->sorted));
	e->sorted[at] = e->npacks;
	e->packs[e->npacks++] = *pack;
	*n = e->npacks;
	return 0;
}

static int
add_row(struct where_encoder *e, uint32_t pack, uint32_t ordinal,
    struct dm_err *err)
{
	uint32_t room = e->row_room == 0 ? 64 : 2 * e->row_room;
	struct row *rows;

	if (e->nrows == CHUNK_PAGE)
		return dm_fail(err, DM_INVALID, "too many children");
	if (e->rows == NULL || e->nrows == e->row_room) {
		rows = realloc(e->rows, room * sizeof(*rows));
		if (rows == NULL)
			return dm_fail(err, DM_NOMEM, "list places");
		e->rows = rows;
		e->row_room = room;
	}
	e->rows[e->nrows++] = (struct row){ 1, pack, ordinal };
	return 0;
}

int
where_encode_child(struct where_encoder *e, uint32_t pack, uint32_t ordinal,
    struct dm_err *err)
{
	if (pack == WHERE_NONE ? ordinal != 0 : pack > e->npacks)
		return dm_fail(err, DM_INVALID, "place in an unknown pack");
	return add_row(e, pack, ordinal, err);
}

int
where_encode_chunk(struct where_encoder *e, uint32_t pack, uint32_t ordinal,
    struct dm_err *err)
{
	struct row *last = e->nrows == 0 ? NULL : &e->rows[e->nrows - 1];

	if (pack > e->npacks)
		return dm_fail(err, DM_INVALID, "place in an unknown pack");
	if (e->chunks == CHUNK_PAGE)
		return dm_fail(err, DM_INVALID, "too many chunks");
	if (ordinal == UINT32_MAX)
		return dm_fail(err, DM_INVALID, "bad ordinal");
	if (last != NULL && last->pack == pack &&
	    last->ordinal + last->n == ordinal)
		last->n++;
	else if (add_row(e, pack, ordinal, err) < 0)
		return -1;
	e->chunks++;
	return 0;
}

/* Write the table of used packs; numbers[n] is then the number of pack n. */
static int
put_packs(const struct where_encoder *e, uint32_t *numbers, uint32_t *npacks,
    struct dm_buf *out, struct dm_err *err)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->nrows; i++)
		if (e->rows[i].pack != WHERE_NONE)
			numbers[e->rows[i].pack] = 1; /* used */
	numbers[0] = 0;
	for (uint32_t i = 0; i < e->npacks; i++) {
		const struct where_pack *p = &e->packs[e->sorted[i]];
		uint32_t *number = &numbers[e->sorted[i] + 1];
		uint8_t *b;

		if (*number == 0)
			continue;
		*number = ++n;
		b = dm_buf_extend(out, DIGEST_SIZE + 16, err);
		if (b == NULL)
			return -1;
		memcpy(b, p->id.bytes, DIGEST_SIZE);
		le64_put(b + DIGEST_SIZE, p->dir_off);
		le32_put(b + DIGEST_SIZE + 8, p->dir_len);
	}
	*npacks = n;
	return 0;
}

static int
put_rows(const struct where_encoder *e, const uint32_t *numbers,
    struct dm_buf *out, struct dm_err *err)
{
	uint32_t first = 0;

	for (uint32_t i = 0; i < e->nrows; i++) {
		const struct row *r = &e->rows[i];
		bool runs = e->shape == WHERE_RUNS;
		uint8_t *b = dm_buf_extend(out, runs ? 16 : 8, err);

		if (b == NULL)
			return -1;
		if (runs) {
			le32_put(b, first);
			le32_put(b + 4, r->n);
			b += 8;
		}
		le32_put(b,
		    r->pack == WHERE_NONE ? WHERE_NONE : numbers[r->pack]);
		le32_put(b + 4, r->ordinal);
		first += r->n;
	}
	return 0;
}

int
where_encode_finish(struct where_encoder *e, struct dm_buf *out,
    struct dm_err *err)
{
	size_t begins = out->size;
	uint32_t npacks = 0, *numbers;
	int rc;

	if (e->shape == WHERE_RUNS && e->nrows == 0)
		return dm_fail(err, DM_INVALID, "where without a chunk");
	if (dm_buf_extend(out, HEADER_SIZE + 8, err) == NULL)
		return -1;
	numbers = calloc(e->npacks + 1, sizeof(*numbers));
	if (numbers == NULL)
		return dm_fail(err, DM_NOMEM, "number packs");
	rc = put_packs(e, numbers, &npacks, out, err);
	if (rc == 0)
		rc = put_rows(e, numbers, out, err);
	free(numbers);
	if (rc < 0)
		return -1;
	header_encode(out->data + begins, OBJECT_WHERE,
	    &(struct header){ (uint8_t)e->shape, e->nrows, 0 });
	le32_put(out->data + begins + HEADER_SIZE, npacks);
	e->npacks = e->nrows = e->chunks = 0;
	return 0;
}
