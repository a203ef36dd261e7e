/* seen_refs_decode. */
#include "fs/format/seen_refs.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_buf b = DM_BUF(2 << 20);
	struct seen_refs s;
	struct dm_err err;

	if (seen_refs_decode(&s, data, size, &err) == 0) {
		MUST(seen_refs_encode(&s, &b, &err));
		SAME(&b, data, size);
		for (size_t i = 0; i < s.n; i++)
			assert(seen_refs_find(&s, s.ref[i].name) == &s.ref[i]);
	}
	seen_refs_release(&s);
	dm_buf_release(&b);
	return 0;
}
