/* ref_line_decode. */
#include "fs/format/ref.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_buf b = DM_BUF(1 << 20);
	struct dm_err err;
	struct ref_line l;

	if (ref_line_decode(&l, (const char *)data, size, &err) < 0)
		return 0;
	MUST(ref_line_encode(&l, &b, &err));
	/* The newline may be missing. */
	assert(b.size >= size && b.size - size <= 1);
	assert(memcmp(b.data, data, size) == 0);
	dm_buf_release(&b);
	return 0;
}
