/* where_decode. */
#include "fs/format/where.h"
#include "tests/fuzz/mutate.h"

#include "cache/base/object.h"

static void
encode_rows(const struct where *w, struct where_encoder *e, struct dm_err *err)
{
	uint32_t pack = 0, ordinal = 0, n = 0;

	for (uint32_t i = 0; w->shape == WHERE_CHILDREN && i < w->nrows; i++) {
		where_child_at(w, i, &pack, &ordinal);
		MUST(where_encode_child(e, pack, ordinal, err));
	}
	for (uint32_t i = 0; w->shape == WHERE_RUNS && i < where_chunks(w);
	     i++) {
		where_run_find(w, i, &pack, &ordinal, &n);
		assert(n > 0);
		MUST(where_encode_chunk(e, pack, ordinal, err));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct where_encoder *e;
	struct where_pack p;
	struct dm_err err;
	struct where w;
	uint32_t n = 0;

	if (where_decode(&w, data, size, &err) < 0)
		return 0;
	e = where_encoder_new(w.shape);
	assert(e != NULL);
	for (uint32_t i = 1; i <= w.npacks; i++) {
		where_pack_at(&w, i, &p);
		MUST(where_encode_pack(e, &p, &n, &err));
		assert(n == i);
	}
	encode_rows(&w, e, &err);
	MUST(where_encode_finish(e, &b, &err));
	SAME(&b, data, size);
	where_encoder_free(e);
	dm_buf_release(&b);
	return 0;
}

/* ---- mutations ---- */

/* A row of a new where: of a pack that is there, near the last one's. */
static int
make_row(struct chance *c, const struct where *w, struct where_encoder *e,
    uint32_t npacks, uint32_t *ordinal, struct dm_err *err)
{
	uint32_t pack = chance(c, npacks + 1);

	*ordinal = chance(c, 3) > 0 ? *ordinal + 1 : (uint32_t)chance_number(c);
	if (w->shape == WHERE_RUNS)
		return where_encode_chunk(e, pack, *ordinal, err);
	if (chance(c, 8) == 0)
		return where_encode_child(e, WHERE_NONE, 0, err);
	return where_encode_child(e, pack, *ordinal, err);
}

static int
make(struct chance *c, const struct where *old, struct dm_buf *out)
{
	struct where_encoder *e = where_encoder_new(old->shape);
	uint32_t npacks = 0, n, ordinal = 0, rows = 1 + chance(c, 50);
	struct dm_err err;
	int rc = 0;

	assert(e != NULL);
	for (uint32_t i = 0; rc == 0 && i < old->npacks + chance(c, 4); i++) {
		struct where_pack p = { .dir_len = (uint32_t)chance_number(c) };

		chance_digest(c, &p.id);
		p.dir_off = chance_number(c);
		if (i < old->npacks)
			where_pack_at(old, i + 1, &p);
		rc = where_encode_pack(e, &p, &n, &err);
		if (rc == 0 && n > npacks)
			npacks = n;
	}
	for (uint32_t i = 0; rc == 0 && i < rows; i++)
		rc = make_row(c, old, e, npacks, &ordinal, &err);
	if (rc == 0)
		rc = where_encode_finish(e, out, &err);
	where_encoder_free(e);
	return rc;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	/* the table of packs; its rows, as if there were none */
	static const struct layout packs = { 24, 48, 16 }, rows = { 24, 8, 8 };
	struct chance c = chance_of(seed);
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct where old = { 0 };
	struct dm_err err;

	switch (chance(&c, 5)) {
	case 0:
		return LLVMFuzzerMutate(data, size, max);
	case 1:
		return edit_layout(&c, &packs, data, size, max);
	case 2:
		return edit_layout(&c, &rows, data, size, max);
	default:
		if (chance(&c, 2) == 0 ||
		    where_decode(&old, data, size, &err) < 0)
			old = (struct where){
				.shape = (enum where_shape)chance(&c, 2),
			};
		return replace(data, size, max, &b, make(&c, &old, &b));
	}
}
