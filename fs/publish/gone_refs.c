#include "fs/publish/gone_refs.h"

#include <stdio.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/format/ref.h"

enum { GONE_MAX = 256 << 20, FILE_MODE = 0666 };

static const char path[] = "refs/gone";

/* Take the next line off [*at, end); false: there is none. */
static bool
next_line(const char **at, const char *end, struct ref_line *out)
{
	while (*at < end) {
		const char *p = *at, *q = memchr(p, '\n', (size_t)(end - p));
		struct dm_err ignored = { 0 };

		*at = q == NULL ? end : q + 1;
		if (ref_line_decode(out, p, (size_t)(*at - p), &ignored) == 0)
			return true;
	}
	return false;
}

static bool
is_of(const struct ref_line *l, bool tag, const char *name)
{
	return l->tag == tag && strcmp(l->name, name) == 0;
}

int
gone_refs_last(int fd, bool tag, const char *name, uint64_t *sequence,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(GONE_MAX);
	struct ref_line line;
	bool found = false;
	const char *at;

	*sequence = 0;
	if (dm_file_read(fd, path, &text, &found, err) < 0)
		return -1;
	if (!found || text.size == 0)
		return 0;
	for (at = text.data; next_line(&at, text.data + text.size, &line);)
		if (is_of(&line, tag, name) && line.ref.sequence > *sequence)
			*sequence = line.ref.sequence;
	return 0;
}

int
gone_refs_note(int fd, bool tag, const char *name, const struct ref *ref,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf old = DM_BUF(GONE_MAX);
	DM_AUTO(dm_buf_release) struct dm_buf new = DM_BUF(GONE_MAX);
	struct ref_line line, gone = { .tag = tag, .ref = *ref };
	bool found = false;
	const char *at;

	if (dm_file_read(fd, path, &old, &found, err) < 0)
		return -1;
	for (at = old.data;
	     old.size > 0 && next_line(&at, old.data + old.size, &line);)
		if (!is_of(&line, tag, name) &&
		    ref_line_encode(&line, &new, err) < 0)
			return -1;
	(void)snprintf(gone.name, sizeof(gone.name), "%s", name);
	if (ref_line_encode(&gone, &new, err) < 0)
		return -1;
	return dm_file_replace(fd, path, new.data, new.size, FILE_MODE, err);
}
