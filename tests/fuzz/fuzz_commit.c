/* commit_decode. */
#include "fs/format/commit.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_buf b = DM_BUF(1 << 20);
	struct dm_err err;
	struct commit c;

	if (commit_decode(&c, data, size, &err) < 0)
		return 0;
	MUST(commit_encode(&c, &b, &err));
	SAME(&b, data, size);
	dm_buf_release(&b);
	return 0;
}
