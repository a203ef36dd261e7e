/* tests/fuzz/fuzz.h - what a fuzz target is made of. */
#ifndef DM_TEST_FUZZ_H
#define DM_TEST_FUZZ_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"

/* Called by libFuzzer, and by replay.c for each file of the corpus. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever decodes has been encoded so, and not otherwise. */
#define SAME(b, bytes, n) \
	assert((b)->size == (n) && memcmp((b)->data, (bytes), (n)) == 0)

#define MUST(call) assert((call) == 0)

#endif
