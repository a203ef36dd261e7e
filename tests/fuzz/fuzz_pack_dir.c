/* pack_dir_decode and pack_record_decode, which must agree. */
#include "cache/pack/pack_dir.h"
#include "tests/fuzz/mutate.h"

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

/* ---- mutations ---- */

/* The directory's objects, with some gone, new or other; all sums right. */
static int
make(struct chance *c, const struct pack_dir *old, struct dm_buf *out)
{
	uint32_t n = old->count > 0 ? old->count : 1 + chance(c, 40);
	uint32_t changed = chance(c, n);
	struct pack_dir_encoder e;
	struct dm_err err;

	if (pack_dir_encode_begin(&e, out, &err) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		struct pack_object o = {
			.kind = (enum object_kind)(1 + chance(c, 4)),
			.codec = (enum pack_codec)chance(c, 2),
		};

		chance_digest(c, &o.id);
		o.plain_size = (uint32_t)chance_number(c);
		o.stored_size =
		    o.codec == PACK_PLAIN ? o.plain_size : o.plain_size / 2;
		if (i < old->count && i != changed)
			pack_dir_object(old, i, &o);
		else if (chance(c, 4) == 0)
			continue;
		if (pack_dir_encode_object(&e, &o, &err) < 0 &&
		    i < old->count && i != changed)
			return -1;
	}
	pack_dir_encode_end(&e);
	return e.count > 0 ? 0 : -1;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	static const struct layout layout = { PACK_DIR_HEADER, PACK_RECORD,
		12 };
	struct chance c = chance_of(seed);
	struct dm_buf b = DM_BUF(1 << 20);
	struct pack_dir old = { 0 };
	struct dm_err err;

	switch (chance(&c, 4)) {
	case 0:
		return LLVMFuzzerMutate(data, size, max);
	case 1:
		return edit_layout(&c, &layout, data, size, max);
	default:
		if (chance(&c, 2) == 0 ||
		    pack_dir_decode(&old, data, size, &err) < 0)
			old.count = 0;
		return replace(data, size, max, &b, make(&c, &old, &b));
	}
}
