/* cache/pack/codec: stored bytes from plain ones, and back. */
#include "cache/pack/codec.h"
#include "tests/unit/check.h"

#include <zstd.h>

static int
setup(void **state)
{
	*state = codec_new();
	return *state == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	codec_free(*state);
	return 0;
}

/* Bytes that nothing compresses: the same in each run. */
static void
fill_random(uint8_t *p, size_t size)
{
	uint64_t x = 88172645463325252U;

	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (uint8_t)x;
	}
}

static void
round_trip(struct codec *c, const uint8_t *data, size_t size,
    enum pack_codec expected)
{
	uint8_t *back = malloc(size + 1);
	enum pack_codec how;
	const void *stored;
	size_t n;

	assert_non_null(back);
	OK(codec_encode(c, data, size, &stored, &n, &how, &err));
	assert_int_equal(how, expected);
	if (how == PACK_ZSTD)
		assert_true(n * 10 <= size * 9);
	else
		assert_ptr_equal(stored, data);
	OK(codec_decode(c, how, stored, n, back, size, &err));
	assert_memory_equal(back, data, size);
	free(back);
}

static void
test_what_compresses_is_compressed_and_comes_back(void **state)
{
	static const size_t sizes[] = { 100, 128 << 10, (128 << 10) + 1,
		OBJECT_DATA_MAX };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *data = calloc(1, sizes[i]);

		assert_non_null(data);
		round_trip(*state, data, sizes[i], PACK_ZSTD);
		free(data);
	}
}

static void
test_what_does_not_compress_stays_plain(void **state)
{
	static const size_t sizes[] = { 1, 9, 1000, 1 << 20 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *data = malloc(sizes[i]);

		assert_non_null(data);
		fill_random(data, sizes[i]);
		round_trip(*state, data, sizes[i], PACK_PLAIN);
		free(data);
	}
}

static void
test_an_object_above_the_limit_is_refused(void **state)
{
	static uint8_t byte;
	enum pack_codec how;
	const void *stored;
	size_t n;

	FAILS(DM_INVALID, "object of",
	    codec_encode(*state, &byte, OBJECT_DATA_MAX + 1, &stored, &n, &how,
		&err));
	FAILS(DM_CORRUPT, "object of",
	    codec_decode(*state, PACK_PLAIN, &byte, OBJECT_DATA_MAX + 1, &byte,
		OBJECT_DATA_MAX + 1, &err));
}

static void
test_frames_of_another_size_are_refused(void **state)
{
	uint8_t data[1000] = { 0 }, frame[1000], back[1001];
	size_t n = ZSTD_compress(frame, sizeof(frame), data, sizeof(data), 3);

	assert_false(ZSTD_isError(n));
	OK(codec_decode(*state, PACK_ZSTD, frame, n, back, 1000, &err));
	FAILS(DM_CORRUPT, "another size",
	    codec_decode(*state, PACK_ZSTD, frame, n, back, 999, &err));
	FAILS(DM_CORRUPT, "another size",
	    codec_decode(*state, PACK_ZSTD, frame, n, back, 1001, &err));
	FAILS(DM_CORRUPT, "another size",
	    codec_decode(*state, PACK_PLAIN, frame, n, back, n + 1, &err));
	FAILS(DM_CORRUPT, "not a zstd frame",
	    codec_decode(*state, PACK_ZSTD, frame, n - 1, back, 1000, &err));
	frame[n] = 0;
	FAILS(DM_CORRUPT, "not a zstd frame",
	    codec_decode(*state, PACK_ZSTD, frame, n + 1, back, 1000, &err));
	memcpy(frame + n, frame, n);
	FAILS(DM_CORRUPT, "not a zstd frame",
	    codec_decode(*state, PACK_ZSTD, frame, 2 * n, back, 2000 / 2,
		&err));
	FAILS(DM_CORRUPT, "unknown codec",
	    codec_decode(*state, (enum pack_codec)7, frame, n, back, n, &err));
}

static void
test_a_damaged_frame_is_refused(void **state)
{
	uint8_t data[4000], frame[4100], back[4000];
	size_t n;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i % 7 * (i % 11));
	n = ZSTD_compress(frame, sizeof(frame), data, sizeof(data), 3);
	assert_false(ZSTD_isError(n));
	frame[0] ^= 1;
	FAILS(DM_CORRUPT, "not a zstd frame",
	    codec_decode(*state, PACK_ZSTD, frame, n, back, 4000, &err));
	frame[0] ^= 1;
	frame[n / 2] ^= 0xff;
	frame[n - 1] ^= 0xff;
	FAILS(DM_CORRUPT, "zstd frame",
	    codec_decode(*state, PACK_ZSTD, frame, n, back, 4000, &err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_what_compresses_is_compressed_and_comes_back),
		cmocka_unit_test(test_what_does_not_compress_stays_plain),
		cmocka_unit_test(test_an_object_above_the_limit_is_refused),
		cmocka_unit_test(test_frames_of_another_size_are_refused),
		cmocka_unit_test(test_a_damaged_frame_is_refused),
	};

	return cmocka_run_group_tests_name("codec", tests, setup, teardown);
}
