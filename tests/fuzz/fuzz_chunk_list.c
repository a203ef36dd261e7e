/* chunk_list_decode. */
#include "fs/format/chunk_list.h"
#include "tests/fuzz/fuzz.h"

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
