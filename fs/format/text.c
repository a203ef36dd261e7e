#include "fs/format/text.h"

#include <string.h>

bool
text_cut(struct text *out, struct text *rest, char delim)
{
	const char *end;

	if (rest->size == 0)
		return false;
	end = memchr(rest->data, delim, rest->size);
	if (end == NULL)
		return false;
	out->data = rest->data;
	out->size = (size_t)(end - rest->data);
	rest->data = end + 1;
	rest->size -= out->size + 1;
	return true;
}

bool
text_skip(struct text *t, const char *prefix)
{
	size_t n = strlen(prefix);

	if (t->size < n || memcmp(t->data, prefix, n) != 0)
		return false;
	t->data += n;
	t->size -= n;
	return true;
}

bool
text_equal(struct text t, const char *other)
{
	return text_skip(&t, other) && t.size == 0;
}

bool
text_number(struct text t, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (t.size == 0 || (t.size > 1 && t.data[0] == '0'))
		return false;
	for (size_t i = 0; i < t.size; i++) {
		unsigned digit = (unsigned)(unsigned char)t.data[i] - '0';

		if (digit > 9 || v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	if (v > max)
		return false;
	*out = v;
	return true;
}

/* Decode one code point of size bytes at b; returns its length, 0 if the
 * bytes are none (overlong, surrogate, cut short). */
static size_t
code_point(const unsigned char *b, size_t size, uint32_t *cp)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n;

	if (b[0] < 0x80)
		n = 1;
	else if (b[0] >= 0xc2 && b[0] < 0xe0)
		n = 2;
	else if (b[0] >= 0xe0 && b[0] < 0xf0)
		n = 3;
	else if (b[0] >= 0xf0 && b[0] < 0xf5)
		n = 4;
	else
		return 0;
	if (n > size)
		return 0;
	*cp = n == 1 ? b[0] : b[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (b[i] & 0x3fU);
	}
	if (*cp < least[n] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp < 0xe000))
		return 0;
	return n;
}

bool
text_is_clean(struct text t, bool multiline)
{
	const unsigned char *b = (const unsigned char *)t.data;

	for (size_t i = 0; i < t.size;) {
		uint32_t cp = 0;
		size_t n = code_point(b + i, t.size - i, &cp);
		bool space = cp == '\n' || cp == '\t';

		if (n == 0)
			return false;
		if ((cp < 0x20 && !(multiline && space)) ||
		    (cp >= 0x7f && cp < 0xa0))
			return false;
		i += n;
	}
	return true;
}
