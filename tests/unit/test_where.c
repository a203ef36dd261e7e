/* fs/format/where: in which packs children lie. */
#include "fs/format/where.h"
#include "tests/unit/refusals.h"

#include "cache/base/object.h"
#include "fs/format/limits.h"

enum { PACKS = 24, PACK = 48 };

static uint32_t
add_pack(struct where_encoder *e, uint8_t c)
{
	struct where_pack p = { .id = id_of(c), .dir_off = c, .dir_len = 72 };
	uint32_t n = 0;

	OK(where_encode_pack(e, &p, &n, &err));
	return n;
}

/* Packs 'z' and 'a'; children in z 7, nowhere, here 3, a 0. */
static void
encode_children(struct dm_buf *out)
{
	struct where_encoder *e = where_encoder_new(WHERE_CHILDREN);
	uint32_t z, a;

	assert_non_null(e);
	z = add_pack(e, 'z');
	a = add_pack(e, 'a');
	(void)add_pack(e, 'u'); /* not used */
	assert_int_equal(add_pack(e, 'z'), z);
	OK(where_encode_child(e, z, 7, &err));
	OK(where_encode_child(e, WHERE_NONE, 0, &err));
	OK(where_encode_child(e, 0, 3, &err));
	OK(where_encode_child(e, a, 0, &err));
	OK(where_encode_finish(e, out, &err));
	where_encoder_free(e);
}

/* Chunks in p 4 5 6, here 0, p 9, p 8. */
static void
encode_runs(struct dm_buf *out)
{
	struct where_encoder *e = where_encoder_new(WHERE_RUNS);
	uint32_t p;

	assert_non_null(e);
	p = add_pack(e, 'p');
	for (uint32_t i = 4; i < 7; i++)
		OK(where_encode_chunk(e, p, i, &err));
	OK(where_encode_chunk(e, 0, 0, &err));
	OK(where_encode_chunk(e, p, 9, &err));
	OK(where_encode_chunk(e, p, 8, &err));
	OK(where_encode_finish(e, out, &err));
	where_encoder_free(e);
}

static void
test_children_come_back_with_packs_in_order_of_ids(void **state)
{
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct digest a = id_of('a'), z = id_of('z');
	uint32_t pack = 9, ordinal = 9;
	struct where_pack p;
	struct where w;

	(void)state;
	encode_children(&b);
	OK(where_decode(&w, b.data, b.size, &err));
	assert_int_equal(w.npacks, 2);
	assert_int_equal(w.nrows, 4);
	where_pack_at(&w, 1, &p);
	assert_true(digest_equal(&p.id, &a));
	assert_int_equal(p.dir_off, 'a');
	assert_int_equal(p.dir_len, 72);
	where_pack_at(&w, 2, &p);
	assert_true(digest_equal(&p.id, &z));
	where_child_at(&w, 0, &pack, &ordinal);
	assert_int_equal(pack, 2);
	assert_int_equal(ordinal, 7);
	where_child_at(&w, 1, &pack, &ordinal);
	assert_true(pack == WHERE_NONE);
	where_child_at(&w, 2, &pack, &ordinal);
	assert_int_equal(pack, 0);
	assert_int_equal(ordinal, 3);
	where_child_at(&w, 3, &pack, &ordinal);
	assert_int_equal(pack, 1);
	dm_buf_release(&b);
}

static void
test_runs_come_back_joined(void **state)
{
	static const uint32_t want[][3] = { { 1, 4, 3 }, { 1, 5, 2 },
		{ 1, 6, 1 }, { 0, 0, 1 }, { 1, 9, 1 }, { 1, 8, 1 } };
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct where w;

	(void)state;
	encode_runs(&b);
	OK(where_decode(&w, b.data, b.size, &err));
	assert_int_equal(w.nrows, 4);
	assert_int_equal(where_chunks(&w), 6);
	for (uint32_t i = 0; i < 6; i++) {
		uint32_t pack = 9, ordinal = 9, n = 9;

		where_run_find(&w, i, &pack, &ordinal, &n);
		assert_int_equal(pack, want[i][0]);
		assert_int_equal(ordinal, want[i][1]);
		assert_int_equal(n, want[i][2]);
	}
	dm_buf_release(&b);
}

static int
decode(const void *data, size_t size, struct dm_err *err)
{
	struct where w;

	return where_decode(&w, data, size, err);
}

static void
test_only_the_canonical_children_pass(void **state)
{
	enum { ROWS = PACKS + 2 * PACK };
	static const struct patch patches[] = {
		{ 0, 1, "d", "not an object" },
		{ 4, 1, "\2", "not an object" },
		{ 5, 1, "\2", "bad size" },
		{ 5, 1, "\1", "bad size" },
		{ 8, 1, "\3", "bad size" },
		{ 8, 4, "\1\x40\0\0", "bad size" },
		{ 12, 1, "\1", "bad size" },
		{ 16, 1, "\3", "bad size" },
		{ 16, 4, "\xff\xff\xff\xff", "bad size" },
		{ 20, 1, "\1", "bad size" },
		{ PACKS, 1, "\xff", "packs are not in order" },
		{ PACKS + 39, 1, "\x80", "bad place" },
		{ PACKS + 40, 4, "\0\0\0\0", "bad place" },
		{ PACKS + 44, 1, "\1", "bad place" },
		{ ROWS, 1, "\3", "unknown pack" },
		{ ROWS, 1, "\1", "pack that no row names" },
		{ ROWS + 12, 1, "\1", "place of nothing" },
	};

	(void)state;
	refuse_patched(encode_children, decode, patches,
	    sizeof(patches) / sizeof(patches[0]));
}

static void
test_only_the_canonical_runs_pass(void **state)
{
	enum { ROWS = PACKS + PACK, ROW = 16 };
	static const struct patch patches[] = {
		{ 5, 1, "\0", "bad size" },
		{ ROWS, 1, "\1", "bad run" },
		{ ROWS + 4, 4, "\0\0\0\0", "bad run" },
		{ ROWS + 4, 4, "\1\x40\0\0", "bad run" },
		{ ROWS + 4, 1, "\2", "bad run" },
		{ ROWS + 8, 1, "\2", "unknown pack" },
		{ ROWS + 12, 4, "\xfe\xff\xff\xff", "bad run" },
		{ ROWS + ROW, 1, "\4", "bad run" },
		{ ROWS + 3 * ROW + 12, 1, "\x0a", "runs that could be one" },
	};

	(void)state;
	refuse_patched(encode_runs, decode, patches,
	    sizeof(patches) / sizeof(patches[0]));
}

static void
test_an_object_of_another_size_is_refused(void **state)
{
	(void)state;
	refuse_other_sizes(encode_runs, decode);
}

static void
test_encoders_refuse_unknown_packs_and_too_many_rows(void **state)
{
	struct where_encoder *e = where_encoder_new(WHERE_CHILDREN);
	struct where_pack bad = { .dir_len = 0 };
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct where w;
	uint32_t n;

	(void)state;
	FAILS(DM_INVALID, "bad place", where_encode_pack(e, &bad, &n, &err));
	FAILS(DM_INVALID, "unknown pack", where_encode_child(e, 1, 0, &err));
	FAILS(DM_INVALID, "unknown pack",
	    where_encode_child(e, WHERE_NONE, 1, &err));
	for (int i = 0; i < CHUNK_PAGE; i++)
		OK(where_encode_child(e, 0, 0, &err));
	FAILS(DM_INVALID, "too many", where_encode_child(e, 0, 0, &err));
	OK(where_encode_finish(e, &b, &err));
	OK(where_decode(&w, b.data, b.size, &err));
	dm_buf_clear(&b);
	OK(where_encode_finish(e, &b, &err));
	OK(where_decode(&w, b.data, b.size, &err));
	assert_int_equal(w.nrows, 0);
	where_encoder_free(e);
	e = where_encoder_new(WHERE_RUNS);
	FAILS(DM_INVALID, "without a chunk", where_encode_finish(e, &b, &err));
	FAILS(DM_INVALID, "bad ordinal",
	    where_encode_chunk(e, 0, UINT32_MAX, &err));
	where_encoder_free(e);
	dm_buf_release(&b);
}

static void
test_as_many_packs_as_children_fit(void **state)
{
	struct where_encoder *e = where_encoder_new(WHERE_CHILDREN);
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct where_pack p = { .dir_len = 72 };
	uint32_t pack = 0, ordinal = 0, n = 0;
	struct where w;

	(void)state;
	for (uint32_t i = 0; i < TREE_PAGE_MAX; i++) {
		digest_of(&p.id, &i, sizeof(i));
		OK(where_encode_pack(e, &p, &n, &err));
		OK(where_encode_child(e, n, i, &err));
	}
	OK(where_encode_finish(e, &b, &err));
	OK(where_decode(&w, b.data, b.size, &err));
	assert_int_equal(w.npacks, TREE_PAGE_MAX);
	for (uint32_t i = 0; i < TREE_PAGE_MAX; i++) {
		struct digest id;

		digest_of(&id, &i, sizeof(i));
		where_child_at(&w, i, &pack, &ordinal);
		where_pack_at(&w, pack, &p);
		assert_true(digest_equal(&id, &p.id));
		assert_int_equal(ordinal, i);
	}
	where_encoder_free(e);
	dm_buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_children_come_back_with_packs_in_order_of_ids),
		cmocka_unit_test(test_runs_come_back_joined),
		cmocka_unit_test(test_only_the_canonical_children_pass),
		cmocka_unit_test(test_only_the_canonical_runs_pass),
		cmocka_unit_test(test_an_object_of_another_size_is_refused),
		cmocka_unit_test(
		    test_encoders_refuse_unknown_packs_and_too_many_rows),
		cmocka_unit_test(test_as_many_packs_as_children_fit),
	};

	return cmocka_run_group_tests_name("where", tests, NULL, NULL);
}
