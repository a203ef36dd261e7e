/* codec_decode: the first two bytes are the plain size, the rest a frame.  Many
 * frames hold the same bytes, so it is those that must come back. */
#include "cache/pack/codec.h"
#include "tests/fuzz/fuzz.h"

#include "cache/base/le.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct codec *c;
	enum pack_codec how;
	const void *stored;
	struct dm_err err;
	size_t n, plain_size;
	uint8_t *plain, *back;

	if (c == NULL)
		c = codec_new();
	if (c == NULL || size < 2)
		return 0;
	plain_size = (size_t)le16_get(data) + 1;
	plain = malloc(plain_size);
	back = malloc(plain_size);
	assert(plain != NULL && back != NULL);
	if (codec_decode(c, PACK_ZSTD, data + 2, size - 2, plain, plain_size,
		&err) == 0) {
		MUST(codec_encode(c, plain, plain_size, &stored, &n, &how,
		    &err));
		MUST(codec_decode(c, how, stored, n, back, plain_size, &err));
		assert(memcmp(plain, back, plain_size) == 0);
	}
	free(plain);
	free(back);
	return 0;
}
