/* moved_decode. */
#include "cache/pack/moved.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_buf b = DM_BUF(MOVED_MAX);
	struct moved_place to;
	struct moved_row *row;
	struct moved m;
	struct dm_err err;

	if (moved_decode(&m, data, size, &err) < 0)
		return 0;
	row = calloc(m.count, sizeof(*row));
	assert(row != NULL);
	for (uint32_t i = 0; i < m.count; i++) {
		row[i].old = moved_at(&m, i, &row[i].to);
		assert(moved_find(&m, row[i].old, &to));
		assert(to.ordinal == row[i].to.ordinal);
	}
	MUST(moved_encode(row, m.count, &b, &err));
	SAME(&b, data, size);
	free(row);
	dm_buf_release(&b);
	return 0;
}
