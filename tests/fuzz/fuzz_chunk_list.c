/* chunk_list_decode. */
#include "fs/format/chunk_list.h"
#include "tests/fuzz/mutate.h"

#include "cache/base/object.h"
#include "fs/format/limits.h"

/* What a full record of that level covers. */
static uint64_t
full(uint8_t level)
{
	uint64_t n = 1;

	while (level-- > 0)
		n *= CHUNK_PAGE;
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct chunk_list_encoder *e;
	uint64_t off, bytes, chunks;
	struct chunk_list l;
	struct dm_err err;
	struct digest id;

	if (chunk_list_decode(&l, data, size, &err) < 0)
		return 0;
	e = chunk_list_encoder_new(l.level);
	assert(e != NULL);
	for (uint32_t i = 0; i < l.count; i++) {
		chunk_list_at(&l, i, &off, &bytes, &id);
		assert(chunk_list_find(&l, off) == i);
		assert(chunk_list_find(&l, off + bytes - 1) == i);
		chunks = i + 1 < l.count ? full(l.level) :
					   l.chunks - i * full(l.level);
		MUST(chunk_list_encode(e, bytes, chunks, &id, &err));
	}
	MUST(chunk_list_encode_finish(e,
	    digest_is_zero(&l.whole) ? NULL : &l.whole, &b, &bytes, &chunks,
	    &err));
	assert(bytes == l.size && chunks == l.chunks);
	SAME(&b, data, size);
	chunk_list_encoder_free(e);
	dm_buf_release(&b);
	return 0;
}

/* ---- mutations ---- */

static int
make(struct chance *c, const struct chunk_list *old, struct dm_buf *out)
{
	uint8_t level = (uint8_t)(old->count > 0 ? old->level : chance(c, 4));
	uint32_t n = old->count > 0 ? old->count : 1 + chance(c, 60);
	uint32_t changed = chance(c, n);
	struct chunk_list_encoder *e = chunk_list_encoder_new(level);
	uint64_t off, bytes, chunks = 0, sum;
	struct digest id, whole = old->whole;
	struct dm_err err;
	int rc = 0;

	assert(e != NULL);
	if (old->count == 0 || chance(c, 4) == 0)
		chance_digest(c, &whole);
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		chunks = i + 1 < n ? full(level) :
		    level == 0     ? 1 :
				     1 + chance(c, CHUNK_PAGE);
		chance_digest(c, &id);
		bytes = chunks * (CHUNK_MIN + chance(c, CHUNK_MAX - CHUNK_MIN));
		if (i < old->count && i != changed)
			chunk_list_at(old, i, &off, &bytes, &id);
		else if (chance(c, 4) == 0)
			bytes = chance_number(c);
		rc = chunk_list_encode(e, bytes, chunks, &id, &err);
	}
	if (rc == 0)
		rc = chunk_list_encode_finish(e,
		    chance(c, 4) == 0 ? NULL : &whole, out, &sum, &chunks,
		    &err);
	chunk_list_encoder_free(e);
	return rc;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	static const struct layout layout = { 64, 40, 8 };
	struct chance c = chance_of(seed);
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct chunk_list old = { 0 };
	struct dm_err err;

	switch (chance(&c, 4)) {
	case 0:
		return LLVMFuzzerMutate(data, size, max);
	case 1:
		return edit_layout(&c, &layout, data, size, max);
	default:
		if (chance(&c, 2) == 0 ||
		    chunk_list_decode(&old, data, size, &err) < 0)
			old = (struct chunk_list){ 0 };
		return replace(data, size, max, &b, make(&c, &old, &b));
	}
}
