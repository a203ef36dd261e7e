/* pack_dir_decode and pack_record_decode, which must agree. */
#include "cache/pack/pack_dir.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_buf b = DM_BUF(PACK_DIR_MAX);
	struct pack_dir_encoder e;
	struct pack_object o, one;
	struct pack_dir d;
	struct dm_err err;
	uint32_t len;

	if (size >= PACK_TRAILER && pack_trailer_decode(&len, data, &err) == 0)
		assert(len <= PACK_DIR_MAX);
	if (pack_dir_decode(&d, data, size, &err) < 0)
		return 0;
	MUST(pack_dir_encode_begin(&e, &b, &err));
	for (uint32_t i = 0; i < d.count; i++) {
		const uint8_t *r = d.records + (size_t)i * PACK_RECORD;

		pack_dir_object(&d, i, &o);
		MUST(pack_record_decode(&one, i == 0 ? NULL : r - PACK_RECORD,
		    r, &err));
		assert(o.plain_off == one.plain_off &&
		    o.stored_off == one.stored_off &&
		    o.plain_size == one.plain_size);
		assert(o.stored_off + o.stored_size <= d.stored_size);
		MUST(pack_dir_encode_object(&e, &o, &err));
	}
	pack_dir_encode_end(&e);
	SAME(&b, data, size);
	dm_buf_release(&b);
	return 0;
}
