/* source_file_decode.  Comments get lost, so the second text is the one that
 * must come back. */
#include "fs/format/source_file.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_buf one = DM_BUF(DM_SOURCE_MAX + 4096);
	struct dm_buf two = DM_BUF(DM_SOURCE_MAX + 4096);
	static struct source_file s, t;
	struct dm_err err;

	if (source_file_decode(&s, data, size, &err) < 0)
		return 0;
	MUST(source_file_encode(&s, &one, &err));
	MUST(source_file_decode(&t, one.data, one.size, &err));
	MUST(source_file_encode(&t, &two, &err));
	SAME(&two, one.data, one.size);
	dm_buf_release(&one);
	dm_buf_release(&two);
	return 0;
}
