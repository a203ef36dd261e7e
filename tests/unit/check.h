/* tests/unit/check.h - what tests of encoders and decoders share. */
#ifndef DM_TEST_CHECK_H
#define DM_TEST_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"

/* The call succeeds; if not, the test fails with the error's own text. */
#define OK(call)                                             \
	do {                                                 \
		struct dm_err err = { 0 }, *const e_ = &err; \
		if ((call) < 0)                              \
			fail_msg("%s: %s", #call, e_->text); \
	} while (0)

/* The call fails with that code, and a text that has part in it. */
#define FAILS(want, part, call)                                                \
	do {                                                                   \
		struct dm_err err = { 0 };                                     \
		if ((call) >= 0)                                               \
			fail_msg("%s: no error", #call);                       \
		if (err.code != (want) || strstr(err.text, (part)) == NULL)    \
			fail_msg("%s: %d %s, not %d %s", #call, (int)err.code, \
			    err.text, (int)(want), (part));                    \
	} while (0)

/* Bytes written over a good object, and what the decoder must say. */
struct patch {
	size_t at;
	size_t size;
	const char *bytes;
	const char *says;
};

/* A digest of 32 equal bytes. */
static inline struct digest
id_of(uint8_t c)
{
	struct digest d;

	memset(d.bytes, c, sizeof(d.bytes));
	return d;
}

#endif
