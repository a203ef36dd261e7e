/* cache/pack/pack_dir: what a pack's directory may say. */
#include "cache/pack/pack_dir.h"
#include "tests/unit/check.h"

#include "cache/base/le.h"

static const struct pack_object objects[] = {
	{ .plain_size = 5, .stored_size = 5, .kind = OBJECT_DATA },
	{ .plain_size = 100,
	    .stored_size = 40,
	    .kind = OBJECT_TREE,
	    .codec = PACK_ZSTD },
	{ .plain_size = 1, .stored_size = 1, .kind = OBJECT_WHERE },
};
enum { OBJECTS = 3, R0 = PACK_DIR_HEADER, R1 = R0 + PACK_RECORD };

static void
encode(struct dm_buf *out, const struct pack_object *o, uint32_t n)
{
	struct pack_dir_encoder e;

	OK(pack_dir_encode_begin(&e, out, &err));
	for (uint32_t i = 0; i < n; i++) {
		struct pack_object named = o[i];

		named.id = id_of((uint8_t)(i + 1));
		OK(pack_dir_encode_object(&e, &named, &err));
	}
	pack_dir_encode_end(&e);
}

static void
test_records_come_back_with_their_places(void **state)
{
	struct dm_buf b = DM_BUF(PACK_DIR_MAX);
	struct pack_object o;
	struct pack_dir d;
	struct digest id = id_of(2);

	(void)state;
	encode(&b, objects, OBJECTS);
	OK(pack_dir_decode(&d, b.data, b.size, &err));
	assert_int_equal(d.count, OBJECTS);
	assert_int_equal(d.plain_size, 106);
	assert_int_equal(d.stored_size, 46);
	pack_dir_object(&d, 1, &o);
	assert_int_equal(o.plain_off, 5);
	assert_int_equal(o.stored_off, 5);
	assert_int_equal(o.plain_size, 100);
	assert_int_equal(o.stored_size, 40);
	assert_int_equal(o.kind, OBJECT_TREE);
	assert_int_equal(o.codec, PACK_ZSTD);
	assert_true(digest_equal(&o.id, &id));
	dm_buf_release(&b);
}

static void
test_one_record_reads_as_in_the_whole_directory(void **state)
{
	struct dm_buf b = DM_BUF(PACK_DIR_MAX);
	struct pack_object whole, one;
	struct pack_dir d;

	(void)state;
	encode(&b, objects, OBJECTS);
	OK(pack_dir_decode(&d, b.data, b.size, &err));
	for (uint32_t i = 0; i < OBJECTS; i++) {
		const uint8_t *r = d.records + (size_t)i * PACK_RECORD;

		memset(&whole, 0, sizeof(whole));
		memset(&one, 0, sizeof(one));
		pack_dir_object(&d, i, &whole);
		OK(pack_record_decode(&one, i == 0 ? NULL : r - PACK_RECORD, r,
		    &err));
		assert_memory_equal(&whole, &one, sizeof(one));
	}
	dm_buf_release(&b);
}

static void
test_only_the_canonical_form_passes(void **state)
{
	static const struct patch patches[] = {
		{ 0, 1, "X", "not a pack directory" },
		{ 8, 1, "\1", "flags" },
		{ 12, 4, "\0\0\0\0", "number of records" },
		{ 12, 4, "\1\0\x10\0", "number of records" },
		{ 12, 1, "\2", "bad size" },
		{ 12, 1, "\4", "bad size" },
		{ R0 + 32, 1, "\0", "record 0: bad plain size" },
		{ R0 + 32, 1, "\6", "record 0: bad stored size" },
		{ R0 + 40, 1, "\4", "record 0: bad stored size" },
		{ R0 + 48, 1, "\0", "record 0: unknown kind" },
		{ R0 + 48, 1, "\5", "record 0: unknown kind" },
		{ R0 + 49, 1, "\2", "record 0: unknown codec" },
		{ R0 + 49, 1, "\1", "record 0: bad stored size" },
		{ R0 + 50, 1, "\1", "record 0: reserved" },
		{ R0 + 55, 1, "\1", "record 0: reserved" },
		{ R1 + 32, 1, "\4", "record 1: ends are out of order" },
		{ R1 + 40, 1, "\4", "record 1: ends are out of order" },
		{ R1 + 40, 1, "\5", "record 1: bad stored size" },
		{ R1 + 32, 4, "\6\0\x40\0", "record 1: bad plain size" },
		{ R1 + 32, 8, "\xff\xff\xff\xff\xff\xff\xff\xff",
		    "record 1: more bytes than a pack may hold" },
	};
	struct dm_buf b = DM_BUF(PACK_DIR_MAX);
	struct pack_dir d;

	(void)state;
	for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
		const struct patch *p = &patches[i];

		dm_buf_clear(&b);
		encode(&b, objects, OBJECTS);
		memcpy(b.data + p->at, p->bytes, p->size);
		FAILS(DM_CORRUPT, p->says,
		    pack_dir_decode(&d, b.data, b.size, &err));
	}
	dm_buf_release(&b);
}

static void
test_a_directory_cut_anywhere_is_refused(void **state)
{
	struct dm_buf b = DM_BUF(PACK_DIR_MAX);
	struct pack_dir d;

	(void)state;
	encode(&b, objects, OBJECTS);
	for (size_t n = 0; n < b.size; n++)
		FAILS(DM_CORRUPT, "", pack_dir_decode(&d, b.data, n, &err));
	dm_buf_release(&b);
}

static void
test_object_sizes_end_at_their_limits(void **state)
{
	static const struct pack_object most[] = {
		{ .plain_size = OBJECT_DATA_MAX,
		    .stored_size = OBJECT_DATA_MAX,
		    .kind = OBJECT_DATA },
		{ .plain_size = OBJECT_STRUCT_MAX,
		    .stored_size = OBJECT_STRUCT_MAX,
		    .kind = OBJECT_CHUNKS },
		{ .plain_size = 100,
		    .stored_size = 99,
		    .kind = OBJECT_TREE,
		    .codec = PACK_ZSTD },
	};
	struct dm_buf b = DM_BUF(PACK_DIR_MAX);
	struct pack_dir_encoder e;
	struct pack_dir d;

	(void)state;
	encode(&b, most, 3);
	OK(pack_dir_decode(&d, b.data, b.size, &err));
	OK(pack_dir_encode_begin(&e, &b, &err));
	for (uint32_t i = 0; i < 3; i++) {
		struct pack_object o = most[i];

		o.plain_size++;
		o.stored_size++;
		if (i == 2)
			o.plain_size = 100; /* stored: no longer less */
		FAILS(DM_INVALID, "size", pack_dir_encode_object(&e, &o, &err));
	}
	dm_buf_release(&b);
}

static void
test_a_pack_ends_at_16_gib(void **state)
{
	struct pack_object o = { .plain_size = OBJECT_DATA_MAX,
		.stored_size = OBJECT_DATA_MAX,
		.kind = OBJECT_DATA };
	struct dm_buf b = DM_BUF(PACK_DIR_MAX);
	struct pack_dir_encoder e;
	struct pack_dir d;

	(void)state;
	OK(pack_dir_encode_begin(&e, &b, &err));
	for (int i = 0; i < 1024; i++)
		OK(pack_dir_encode_object(&e, &o, &err));
	pack_dir_encode_end(&e);
	OK(pack_dir_decode(&d, b.data, b.size, &err));
	assert_true(d.plain_size == PACK_FILE_BYTES);
	o.plain_size = o.stored_size = 1;
	FAILS(DM_INVALID, "full", pack_dir_encode_object(&e, &o, &err));
	dm_buf_release(&b);
}

static void
test_a_pack_holds_2_to_the_20_objects(void **state)
{
	struct pack_object o = {
		.plain_size = 1, .stored_size = 1, .kind = OBJECT_DATA
	};
	struct dm_buf b = DM_BUF(PACK_DIR_MAX);
	struct pack_dir_encoder e;
	struct pack_dir d;

	(void)state;
	OK(pack_dir_encode_begin(&e, &b, &err));
	for (int i = 0; i < PACK_OBJECTS_MAX; i++)
		OK(pack_dir_encode_object(&e, &o, &err));
	pack_dir_encode_end(&e);
	assert_int_equal(b.size, PACK_DIR_MAX);
	OK(pack_dir_decode(&d, b.data, b.size, &err));
	FAILS(DM_INVALID, "full", pack_dir_encode_object(&e, &o, &err));
	dm_buf_release(&b);
}

static void
test_a_trailer_comes_back_and_no_other_passes(void **state)
{
	static const struct patch patches[] = {
		{ 0, 1, "\x49", "bad directory length" },
		{ 0, 4, "\x10\0\0\0", "bad directory length" },
		{ 0, 4, "\0\0\0\0", "bad directory length" },
		{ 0, 4, "\x48\0\0\x40", "bad directory length" },
		{ 4, 1, "\1", "not the end of a pack" },
		{ 15, 1, "2", "not the end of a pack" },
	};
	uint8_t t[PACK_TRAILER];
	uint32_t len = 0;

	(void)state;
	pack_trailer_encode(t, R1);
	OK(pack_trailer_decode(&len, t, &err));
	assert_int_equal(len, R1);
	pack_trailer_encode(t, PACK_DIR_MAX);
	OK(pack_trailer_decode(&len, t, &err));
	for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
		pack_trailer_encode(t, R1);
		memcpy(t + patches[i].at, patches[i].bytes, patches[i].size);
		FAILS(DM_CORRUPT, patches[i].says,
		    pack_trailer_decode(&len, t, &err));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_come_back_with_their_places),
		cmocka_unit_test(
		    test_one_record_reads_as_in_the_whole_directory),
		cmocka_unit_test(test_only_the_canonical_form_passes),
		cmocka_unit_test(test_a_directory_cut_anywhere_is_refused),
		cmocka_unit_test(test_object_sizes_end_at_their_limits),
		cmocka_unit_test(test_a_pack_ends_at_16_gib),
		cmocka_unit_test(test_a_pack_holds_2_to_the_20_objects),
		cmocka_unit_test(test_a_trailer_comes_back_and_no_other_passes),
	};

	return cmocka_run_group_tests_name("pack_dir", tests, NULL, NULL);
}
