/* Names and symlink targets: what may stand in a tree, and what is unsafe. */
#include <string.h>

#include "fs/format/limits.h"
#include "fs/format/tree.h"

bool
tree_name_valid(const char *name, size_t name_len)
{
	if (name_len == 0 || name_len > DM_NAME_MAX)
		return false;
	if (name[0] == '.' &&
	    (name_len == 1 || (name_len == 2 && name[1] == '.')))
		return false;
	return memchr(name, '/', name_len) == NULL &&
	    memchr(name, '\0', name_len) == NULL;
}

/* The bytes of a code point that HFS+ ignores in names at p, or 0:
 * U+200C-200F, U+202A-202E, U+206A-206F, U+FEFF. */
static size_t
ignorable(const char *p, size_t size)
{
	const unsigned char *b = (const unsigned char *)p;

	if (size < 3)
		return 0;
	if (b[0] == 0xef && b[1] == 0xbb && b[2] == 0xbf)
		return 3;
	if (b[0] != 0xe2)
		return 0;
	if (b[1] == 0x80 &&
	    ((b[2] >= 0x8c && b[2] <= 0x8f) || (b[2] >= 0xaa && b[2] <= 0xae)))
		return 3;
	if (b[1] == 0x81 && b[2] >= 0xaa && b[2] <= 0xaf)
		return 3;
	return 0;
}

static bool
has_prefix(const char *text, size_t size, const char *prefix)
{
	size_t n = strlen(prefix);

	if (size < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != prefix[i])
			return false;
	}
	return true;
}

/* NTFS takes nothing, dots and spaces, or a stream (":...") for no part of
 * the name; some of its programs take a backslash for a slash. */
static bool
ends_for_ntfs(const char *rest, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (rest[i] == ':' || rest[i] == '\\')
			return true;
		if (rest[i] != '.' && rest[i] != ' ')
			return false;
	}
	return true;
}

bool
tree_name_is_git(const char *name, size_t name_len)
{
	char plain[DM_NAME_MAX];
	size_t n = 0;

	if (has_prefix(name, name_len, "git~1") &&
	    ends_for_ntfs(name + 5, name_len - 5))
		return true;
	for (size_t i = 0; i < name_len && n < sizeof(plain);) {
		size_t skip = ignorable(name + i, name_len - i);

		if (skip == 0)
			plain[n++] = name[i++];
		i += skip;
	}
	return has_prefix(plain, n, ".git") && ends_for_ntfs(plain + 4, n - 4);
}

bool
tree_target_stays(const char *target, size_t size, unsigned depth)
{
	bool below = false;
	unsigned ups = 0;

	if (size == 0 || target[0] == '/')
		return false;
	for (size_t i = 0; i < size;) {
		const char *part = target + i;
		const char *slash = memchr(part, '/', size - i);
		size_t n = slash == NULL ? size - i : (size_t)(slash - part);

		i += n + 1;
		if (n == 0 || (n == 1 && part[0] == '.'))
			continue;
		if (n != 2 || part[0] != '.' || part[1] != '.')
			below = true;
		else if (below || ++ups > depth)
			return false;
	}
	return true;
}
