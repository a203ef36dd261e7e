/* repo_file_decode. */
#include "fs/format/ref.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_buf b = DM_BUF(1 << 20);
	struct dm_err err;
	uint8_t id[REPO_ID_SIZE];

	if (repo_file_decode(id, data, size, &err) < 0)
		return 0;
	MUST(repo_file_encode(id, &b, &err));
	SAME(&b, data, size);
	dm_buf_release(&b);
	return 0;
}
