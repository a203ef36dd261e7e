/* where_decode. */
#include "fs/format/where.h"
#include "tests/fuzz/fuzz.h"

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
