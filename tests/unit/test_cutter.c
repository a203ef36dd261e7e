/* fs/publish/cutter: a hole is cut as the zeros that it reads as. */
#include "fs/publish/cutter.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "fs/format/chunker.h"
#include "fs/format/limits.h"
#include "fs/publish/work.h"

struct cuts {
	struct dm_buf text; /* the size of each chunk */
	uint64_t copied;    /* bytes that came as data */
};

static int
put(void *arg, struct work *w, struct dm_err *err)
{
	struct cuts *c = arg;
	int rc = dm_buf_printf(&c->text, err, "%zu ", w->size);

	if (!w->zeros)
		c->copied += w->size;
	work_free(w);
	return rc;
}

/* Random bytes, so many; then zeros; then random ones again. */
static uint8_t *
file_of(size_t before, size_t hole, size_t after)
{
	uint8_t *data = calloc(1, before + hole + after);
	uint32_t x = 1;

	assert_non_null(data);
	for (size_t i = 0; i < before + hole + after; i++) {
		x = x * 1664525 + 1013904223;
		if (i < before || i >= before + hole)
			data[i] = (uint8_t)(x >> 24);
	}
	return data;
}

static void
add(struct cutter *c, const uint8_t *data, size_t n)
{
	while (n > 0) {
		size_t room, some;
		void *to = cutter_room(c, &room);

		assert_true(room > 0);
		some = n < room ? n : room;
		some = some > 100001 ? 100001 : some;
		memcpy(to, data, some);
		data += some;
		n -= some;
		OK(cutter_add(c, some, &err));
	}
}

static void
check(size_t before, size_t hole, size_t after)
{
	uint8_t *data = file_of(before, hole, after);
	size_t all = before + hole + after;
	struct cuts plain = { .text = DM_BUF(1 << 20) };
	struct cuts sparse = { .text = DM_BUF(1 << 20) };
	struct cuts both[2] = { plain, sparse };
	struct dm_buf want = DM_BUF(1 << 20);
	struct cutter *c = NULL;
	uint64_t size;

	for (size_t at = 0, n; at < all; at += n) {
		n = chunker_cut(data + at, all - at);
		OK(dm_buf_printf(&want, &err, "%zu ", n));
	}
	for (int i = 0; i < 2; i++) {
		OK(cutter_open(&c, put, &both[i], &err));
		add(c, data, before);
		if (i == 0)
			add(c, data + before, hole);
		else
			OK(cutter_zeros(c, hole, &err));
		add(c, data + before + hole, after);
		OK(cutter_end(c, &size, &err));
		assert_int_equal(size, all);
		cutter_close(c);
		assert_string_equal(both[i].text.data, want.data);
	}
	if (hole > 16 * CHUNK_MAX)
		assert_true(both[1].copied < before + after + 6 * CHUNK_MAX);
	dm_buf_release(&both[0].text);
	dm_buf_release(&both[1].text);
	dm_buf_release(&want);
	free(data);
}

static void
test_a_hole_has_the_chunks_of_the_zeros_that_it_reads_as(void **state)
{
	(void)state;
	check(0, 20 * CHUNK_MAX, 0);
	check(5000000, 20 * CHUNK_MAX + 17, 3000000);
	check(CHUNK_MAX, 40 * CHUNK_MAX, 1);
	check(1, CHUNK_MIN, 1);
	check(3000000, CHUNK_MAX - 1, 3000000);
	check(0, CHUNK_MAX, CHUNK_MAX);
	check(12345, 3 * CHUNK_MAX + 5, 0);
	check(3000000, 1, 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_a_hole_has_the_chunks_of_the_zeros_that_it_reads_as),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
