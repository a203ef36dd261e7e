/* cache/pack/moved: where the objects of a pack lie that is gone. */
#include "cache/pack/moved.h"
#include "tests/unit/check.h"

enum { P0 = MOVED_HEADER, R0 = P0 + 2 * MOVED_PACK, R1 = R0 + MOVED_ROW };

static struct moved_row
row(uint32_t old, uint8_t pack, uint32_t ordinal)
{
	return (struct moved_row){ .old = old,
		.to = { .pack = id_of(pack),
		    .dir_off = pack * 1000U,
		    .dir_len = PACK_DIR_HEADER + PACK_RECORD,
		    .ordinal = ordinal } };
}

/* Three objects, in two packs. */
static void
encode(struct dm_buf *out)
{
	struct moved_row rows[] = { row(1, 9, 7), row(4, 2, 0), row(6, 9, 8) };

	OK(moved_encode(rows, 3, out, &err));
}

static void
test_each_object_is_found_where_it_is(void **state)
{
	struct dm_buf b = DM_BUF(MOVED_MAX);
	struct digest nine = id_of(9);
	struct moved_place to;
	struct moved m;

	(void)state;
	encode(&b);
	OK(moved_decode(&m, b.data, b.size, &err));
	assert_int_equal(m.count, 3);
	assert_int_equal(m.npacks, 2);
	assert_true(moved_find(&m, 6, &to));
	assert_int_equal(to.ordinal, 8);
	assert_int_equal(to.dir_off, 9000);
	assert_true(digest_equal(&to.pack, &nine));
	assert_true(moved_find(&m, 4, &to));
	assert_int_equal(to.dir_off, 2000);
	assert_false(moved_find(&m, 0, &to));
	assert_false(moved_find(&m, 5, &to));
	assert_false(moved_find(&m, 7, &to));
	assert_int_equal(moved_at(&m, 0, &to), 1);
	dm_buf_release(&b);
}

static void
test_only_the_canonical_form_passes(void **state)
{
	static const struct patch patches[] = {
		{ 0, 1, "x", "something else" },
		{ 8, 1, "\4", "impossible counts" },
		{ 8, 1, "\1", "wrong length" },
		{ 12, 4, "\0\0\0\0", "impossible counts" },
		{ 14, 1, "\x7f", "impossible counts" },
		{ P0, 1, "\x0a", "out of order" },
		{ P0 + 39, 1, "\xff", "such a directory" },
		{ P0 + 40, 1, "\0", "such a directory" },
		{ P0 + 43, 1, "\xff", "such a directory" },
		{ P0 + 44, 1, "\1", "reserved" },
		{ R0, 1, "\4", "rows out of order" },
		{ R0 + 4, 1, "\2", "not in the table" },
		{ R0 + 10, 1, "\x10", "so many objects" },
		{ R1 + 4, 1, "\1", "holds nothing" },
	};
	struct moved m;

	(void)state;
	for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
		struct dm_buf b = DM_BUF(MOVED_MAX);

		encode(&b);
		memcpy(b.data + patches[i].at, patches[i].bytes,
		    patches[i].size);
		FAILS(DM_CORRUPT, patches[i].says,
		    moved_decode(&m, b.data, b.size, &err));
		dm_buf_release(&b);
	}
}

static void
test_no_other_length_passes(void **state)
{
	struct dm_buf b = DM_BUF(MOVED_MAX);
	struct moved m;

	(void)state;
	encode(&b);
	for (size_t i = 0; i < b.size; i++)
		FAILS(DM_CORRUPT, "", moved_decode(&m, b.data, i, &err));
	OK(dm_buf_append(&b, "", 1, &err));
	FAILS(DM_CORRUPT, "length", moved_decode(&m, b.data, b.size, &err));
	dm_buf_release(&b);
}

static void
test_rows_out_of_order_are_not_written(void **state)
{
	struct moved_row rows[] = { row(4, 9, 7), row(1, 2, 0) };
	struct dm_buf b = DM_BUF(MOVED_MAX);

	(void)state;
	FAILS(DM_CORRUPT, "order", moved_encode(rows, 2, &b, &err));
	dm_buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_object_is_found_where_it_is),
		cmocka_unit_test(test_only_the_canonical_form_passes),
		cmocka_unit_test(test_no_other_length_passes),
		cmocka_unit_test(test_rows_out_of_order_are_not_written),
	};

	return cmocka_run_group_tests_name("moved", tests, NULL, NULL);
}
