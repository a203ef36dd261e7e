/* ref_decode. */
#include "fs/format/ref.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_buf b = DM_BUF(1 << 20);
	struct dm_err err;
	struct ref r;

	if (ref_decode(&r, data, size, &err) < 0)
		return 0;
	MUST(ref_encode(&r, &b, &err));
	SAME(&b, data, size);
	dm_buf_release(&b);
	return 0;
}
