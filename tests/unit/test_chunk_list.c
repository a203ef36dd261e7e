/* fs/format/chunk_list: a large file as chunks; fs/format/chunker: its cuts. */
#include "fs/format/chunk_list.h"
#include "tests/unit/refusals.h"

#include "cache/base/object.h"
#include "fs/format/chunker.h"
#include "fs/format/limits.h"

enum { RECORDS = 64, RECORD = 40 };

static void
add(struct chunk_list_encoder *e, uint64_t size, uint64_t chunks, uint8_t c)
{
	struct digest id = id_of(c);

	OK(chunk_list_encode(e, size, chunks, &id, &err));
}

/* Chunks of 100, 1 and CHUNK_MAX bytes. */
static void
encode_page(struct dm_buf *out)
{
	struct chunk_list_encoder *e = chunk_list_encoder_new(0);
	struct digest whole = id_of('w');
	uint64_t size = 0, chunks = 0;

	assert_non_null(e);
	add(e, 100, 1, 'a');
	add(e, 1, 1, 'b');
	add(e, CHUNK_MAX, 1, 'c');
	assert_int_equal(chunk_list_encoder_count(e), 3);
	OK(chunk_list_encode_finish(e, &whole, out, &size, &chunks, &err));
	assert_int_equal(size, 101 + CHUNK_MAX);
	assert_int_equal(chunks, 3);
	assert_int_equal(chunk_list_encoder_count(e), 0);
	chunk_list_encoder_free(e);
}

/* A full page of 1,000,000 bytes, and one of 2 chunks, 50 bytes. */
static void
encode_index(struct dm_buf *out)
{
	struct chunk_list_encoder *e = chunk_list_encoder_new(1);
	struct digest whole = id_of('w');
	uint64_t size = 0, chunks = 0;

	assert_non_null(e);
	add(e, 1000000, CHUNK_PAGE, 'a');
	add(e, 50, 2, 'b');
	OK(chunk_list_encode_finish(e, &whole, out, &size, &chunks, &err));
	assert_int_equal(chunks, CHUNK_PAGE + 2);
	chunk_list_encoder_free(e);
}

static void
test_a_page_comes_back_as_it_was_given(void **state)
{
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct digest id, c = id_of('c'), whole = id_of('w');
	uint64_t off = 0, size = 0;
	struct chunk_list l;

	(void)state;
	encode_page(&b);
	OK(chunk_list_decode(&l, b.data, b.size, &err));
	assert_int_equal(l.level, 0);
	assert_int_equal(l.count, 3);
	assert_int_equal(l.chunks, 3);
	assert_true(digest_equal(&l.whole, &whole));
	chunk_list_at(&l, 2, &off, &size, &id);
	assert_int_equal(off, 101);
	assert_int_equal(size, CHUNK_MAX);
	assert_true(digest_equal(&id, &c));
	dm_buf_release(&b);
}

static void
test_every_byte_leads_to_its_chunk(void **state)
{
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct chunk_list l;

	(void)state;
	encode_page(&b);
	OK(chunk_list_decode(&l, b.data, b.size, &err));
	assert_int_equal(chunk_list_find(&l, 0), 0);
	assert_int_equal(chunk_list_find(&l, 99), 0);
	assert_int_equal(chunk_list_find(&l, 100), 1);
	assert_int_equal(chunk_list_find(&l, 101), 2);
	assert_int_equal(chunk_list_find(&l, l.size - 1), 2);
	dm_buf_release(&b);
}

static void
test_an_index_comes_back_as_it_was_given(void **state)
{
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct chunk_list l;

	(void)state;
	encode_index(&b);
	OK(chunk_list_decode(&l, b.data, b.size, &err));
	assert_int_equal(l.level, 1);
	assert_int_equal(l.count, 2);
	assert_int_equal(l.size, 1000050);
	assert_int_equal(chunk_list_find(&l, 1000000), 1);
	dm_buf_release(&b);
}

static int
decode(const void *data, size_t size, struct dm_err *err)
{
	struct chunk_list l;

	return chunk_list_decode(&l, data, size, err);
}

#define R(n) (RECORDS + (n)*RECORD)

static void
test_only_the_canonical_page_passes(void **state)
{
	static const struct patch patches[] = {
		{ 0, 1, "d", "not an object" },
		{ 4, 1, "\4", "not an object" },
		{ 5, 1, "\4", "bad size" },
		{ 5, 1, "\1", "bad number of chunks" },
		{ 8, 1, "\0", "bad size" },
		{ 8, 1, "\4", "bad size" },
		{ 8, 4, "\1\x40\0\0", "bad size" },
		{ 12, 1, "\1", "bad size" },
		{ 16, 1, "\1", "wrong size" },
		{ 24, 1, "\2", "bad number of chunks" },
		{ 24, 1, "\4", "bad number of chunks" },
		{ 24, 8, FULL8, "bad number of chunks" },
		{ R(0), 8, ZERO8, "record 0: ends" },
		{ R(0), 8, FULL8, "record 0: ends" },
		{ R(0), 4, "\1\0\x20\0", "record 0: impossible size" },
		{ R(0) + 8, 32, ZERO32, "record 0: bad id" },
		{ R(1), 1, "\x64", "record 1: ends" },
		{ R(2), 1, "\x66", "record 2: impossible size" },
	};

	(void)state;
	refuse_patched(encode_page, decode, patches,
	    sizeof(patches) / sizeof(patches[0]));
}

static void
test_only_the_canonical_index_passes(void **state)
{
	static const struct patch patches[] = {
		{ 5, 1, "\0", "bad number of chunks" },
		{ 5, 1, "\2", "bad number of chunks" },
		{ 24, 2, "\0\x40", "bad number of chunks" },
		{ 24, 2, "\1\x80", "bad number of chunks" },
		{ R(0), 8, "\xff\x3f\0\0\0\0\0\0", "record 0: impossible" },
		{ R(1), 1, "\x41", "record 1: impossible size" },
	};

	(void)state;
	refuse_patched(encode_index, decode, patches,
	    sizeof(patches) / sizeof(patches[0]));
}

static void
test_an_object_of_another_size_is_refused(void **state)
{
	(void)state;
	refuse_other_sizes(encode_page, decode);
}

static void
test_a_page_holds_16384_chunks(void **state)
{
	struct chunk_list_encoder *e = chunk_list_encoder_new(0);
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct digest id = id_of('x');
	uint64_t size, chunks;
	struct chunk_list l;

	(void)state;
	for (int i = 0; i < CHUNK_PAGE; i++)
		add(e, 1, 1, 'x');
	FAILS(DM_INVALID, "full", chunk_list_encode(e, 1, 1, &id, &err));
	OK(chunk_list_encode_finish(e, NULL, &b, &size, &chunks, &err));
	OK(chunk_list_decode(&l, b.data, b.size, &err));
	assert_true(digest_is_zero(&l.whole));
	chunk_list_encoder_free(e);
	dm_buf_release(&b);
}

static void
test_encoders_refuse_what_decoders_would(void **state)
{
	struct chunk_list_encoder *e = chunk_list_encoder_new(0);
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct digest id = id_of('x'), zero = id_of(0);
	uint64_t size, chunks;

	(void)state;
	FAILS(DM_INVALID, "too few",
	    chunk_list_encode_finish(e, NULL, &b, &size, &chunks, &err));
	FAILS(DM_INVALID, "size", chunk_list_encode(e, 0, 1, &id, &err));
	FAILS(DM_INVALID, "size",
	    chunk_list_encode(e, CHUNK_MAX + 1, 1, &id, &err));
	FAILS(DM_INVALID, "less than full",
	    chunk_list_encode(e, 5, 2, &id, &err));
	FAILS(DM_INVALID, "bad id", chunk_list_encode(e, 5, 1, &zero, &err));
	chunk_list_encoder_free(e);
	e = chunk_list_encoder_new(1);
	add(e, 50, 2, 'a');
	FAILS(DM_INVALID, "less than full",
	    chunk_list_encode(e, 50, 2, &id, &err));
	FAILS(DM_INVALID, "too few",
	    chunk_list_encode_finish(e, &id, &b, &size, &chunks, &err));
	OK(chunk_list_encode_finish(e, NULL, &b, &size, &chunks, &err));
	chunk_list_encoder_free(e);
	dm_buf_release(&b);
}

static void
test_a_file_ends_at_its_limit(void **state)
{
	struct chunk_list_encoder *e = chunk_list_encoder_new(2);
	uint64_t full = (uint64_t)CHUNK_PAGE * CHUNK_PAGE;
	struct digest id = id_of('x');

	(void)state;
	add(e, DM_FILE_MAX / 2, full, 'a');
	add(e, DM_FILE_MAX / 2, full, 'b');
	FAILS(DM_INVALID, "size", chunk_list_encode(e, 1, 1, &id, &err));
	chunk_list_encoder_free(e);
}

/* Bytes that anyone can make again: xorshift64, seed 1, low byte of each. */
static uint8_t *
noise(size_t size)
{
	uint8_t *p = malloc(size);
	uint64_t x = 1;

	assert_non_null(p);
	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (uint8_t)x;
	}
	return p;
}

static void
test_short_data_is_one_chunk(void **state)
{
	uint8_t *p = noise(CHUNK_MIN + 1);

	(void)state;
	assert_int_equal(chunker_cut(p, 1), 1);
	assert_int_equal(chunker_cut(p, CHUNK_MIN), CHUNK_MIN);
	assert_int_equal(chunker_cut(p, CHUNK_MIN + 1), CHUNK_MIN + 1);
	free(p);
}

static void
test_a_chunk_ends_at_two_mebibytes(void **state)
{
	size_t size = CHUNK_MAX + 1000;
	uint8_t *p = calloc(1, size);

	(void)state;
	assert_non_null(p);
	assert_int_equal(chunker_cut(p, size), CHUNK_MAX);
	free(p);
}

static void
test_cuts_are_those_of_the_format(void **state)
{
	static const size_t known[] = { 529599, 579789, 705547, 582157, 338385,
		566664, 538954, 183625, 601478, 890662, 700663, 614430, 430129,
		529087, 540571, 56868 };
	size_t size = 8 << 20, off = 0;
	uint8_t *p = noise(size);

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t n = chunker_cut(p + off, size - off);

		assert_int_equal(n, known[i]);
		off += n;
	}
	assert_int_equal(off, size);
	free(p);
}

static void
test_cuts_find_each_other_after_an_insertion(void **state)
{
	size_t size = 8 << 20, a = 0, b = 1;
	uint8_t *p = noise(size), *q = malloc(size + 1);

	(void)state;
	assert_non_null(q);
	q[0] = 7;
	memcpy(q + 1, p, size);
	b = chunker_cut(q, size + 1);
	a = chunker_cut(p, size);
	while (a < size && a != b - 1) {
		if (a < b - 1)
			a += chunker_cut(p + a, size - a);
		else
			b += chunker_cut(q + b, size + 1 - b);
	}
	assert_true(a < size);
	free(p);
	free(q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_page_comes_back_as_it_was_given),
		cmocka_unit_test(test_every_byte_leads_to_its_chunk),
		cmocka_unit_test(test_an_index_comes_back_as_it_was_given),
		cmocka_unit_test(test_only_the_canonical_page_passes),
		cmocka_unit_test(test_only_the_canonical_index_passes),
		cmocka_unit_test(test_an_object_of_another_size_is_refused),
		cmocka_unit_test(test_a_page_holds_16384_chunks),
		cmocka_unit_test(test_encoders_refuse_what_decoders_would),
		cmocka_unit_test(test_a_file_ends_at_its_limit),
		cmocka_unit_test(test_short_data_is_one_chunk),
		cmocka_unit_test(test_a_chunk_ends_at_two_mebibytes),
		cmocka_unit_test(test_cuts_are_those_of_the_format),
		cmocka_unit_test(test_cuts_find_each_other_after_an_insertion),
	};

	return cmocka_run_group_tests_name("chunk_list", tests, NULL, NULL);
}
