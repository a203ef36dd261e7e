/* fs/format/text.h - lines, numbers and UTF-8 of the text formats. */
#ifndef DM_FORMAT_TEXT_H
#define DM_FORMAT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A stretch of borrowed text. */
struct text {
	const char *data;
	size_t size;
};

/* Take the text before the first delim, and the delim, off the front of
 * *rest; false if there is none. */
bool text_cut(struct text *out, struct text *rest, char delim);

/* Take the prefix off the front of t; false if it does not begin so. */
bool text_skip(struct text *t, const char *prefix);

bool text_equal(struct text t, const char *other);

/* A decimal number without sign and leading zeros, at most max. */
bool text_number(struct text t, uint64_t max, uint64_t *out);

/* UTF-8 without control characters (U+0000-001F, U+007F-009F), but also with
 * newlines and tabs if multiline. */
bool text_is_clean(struct text t, bool multiline);

#endif
