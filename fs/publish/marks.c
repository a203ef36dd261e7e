#include "fs/publish/marks.h"

#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/format/limits.h"
#include "fs/publish/folder.h"

enum { MARKS_MAX = 256 << 20, TIME_DIGITS = 12 };

static const char *const kinds[MARK_KINDS] = { "pack", "commit", "moved" };

void
marks_release(struct marks *m)
{
	free(m->mark);
	*m = (struct marks){ 0 };
}

int
marks_add(struct marks *m, const struct mark *mark, struct dm_err *err)
{
	if (m->n == m->room) {
		size_t room = m->room == 0 ? 64 : 2 * m->room;
		struct mark *q = reallocarray(m->mark, room, sizeof(*q));

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "marks");
		m->mark = q;
		m->room = room;
	}
	m->mark[m->n++] = *mark;
	return 0;
}

static int
compare(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return memcmp(x->id.bytes, y->id.bytes, DIGEST_SIZE);
}

void
marks_sort(struct marks *m)
{
	if (m->n > 0)
		qsort(m->mark, m->n, sizeof(*m->mark), compare);
}

const struct mark *
marks_find(const struct marks *m, enum mark_kind kind, const struct digest *id)
{
	struct mark key = { .kind = kind, .id = *id };

	return m->n == 0 ? NULL :
			   bsearch(&key, m->mark, m->n, sizeof(key), compare);
}

bool
marks_remove(struct marks *m, enum mark_kind kind, const struct digest *id)
{
	const struct mark *found = marks_find(m, kind, id);
	size_t at;

	if (found == NULL)
		return false;
	at = (size_t)(found - m->mark);
	m->n--;
	memmove(m->mark + at, m->mark + at + 1, (m->n - at) * sizeof(*m->mark));
	return true;
}

/* Is the line of that kind?  Then what follows is *rest. */
static bool
line_kind(const char *line, size_t size, struct mark *out, const char **rest)
{
	for (int k = 0; k < MARK_KINDS; k++) {
		size_t n = strlen(kinds[k]);

		if (size > n + 1 + DIGEST_HEX + 1 &&
		    memcmp(line, kinds[k], n) == 0 && line[n] == ' ' &&
		    line[n + 1 + DIGEST_HEX] == ' ') {
			out->kind = (enum mark_kind)k;
			*rest = line + n + 1;
			return true;
		}
	}
	return false;
}

static bool
decode_line(const char *line, size_t size, struct mark *out)
{
	const char *id, *p, *end = line + size;

	if (!line_kind(line, size, out, &id) ||
	    !digest_parse(&out->id, id, DIGEST_HEX))
		return false;
	p = id + DIGEST_HEX + 1;
	if (end - p > TIME_DIGITS || (*p == '0' && end - p > 1))
		return false;
	for (out->time = 0; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		out->time = 10 * out->time + (uint64_t)(*p - '0');
	}
	return out->time <= DM_TIME_MAX;
}

int
marks_decode(struct marks *out, const char *text, size_t size,
    struct dm_err *err)
{
	size_t line = 1;

	for (const char *p = text, *end; p < text + size; p = end + 1, line++) {
		struct mark m;

		end = memchr(p, '\n', (size_t)(text + size - p));
		if (end == NULL || !decode_line(p, (size_t)(end - p), &m) ||
		    (out->n > 0 && compare(&out->mark[out->n - 1], &m) >= 0))
			return dm_fail(err, DM_CORRUPT, "bad line %zu", line);
		if (marks_add(out, &m, err) < 0)
			return -1;
	}
	return 0;
}

int
marks_encode(const struct marks *m, struct dm_buf *out, struct dm_err *err)
{
	for (size_t i = 0; i < m->n; i++) {
		char hex[DIGEST_HEX + 1];

		digest_hex(&m->mark[i].id, hex);
		if (dm_buf_printf(out, err, "%s %s %llu\n",
			kinds[m->mark[i].kind], hex,
			(unsigned long long)m->mark[i].time) < 0)
			return -1;
	}
	return 0;
}

int
marks_read(struct folder *f, struct marks *out, bool *gc, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(MARKS_MAX);

	*gc = false;
	if (dm_file_read(f->fd, "gc/marked", &text, gc, err) < 0)
		return dm_wrap(err, "%s", f->path);
	if (!*gc || text.size == 0)
		return 0;
	if (marks_decode(out, text.data, text.size, err) < 0) {
		marks_release(out);
		return dm_wrap(err, "%s/gc/marked", f->path);
	}
	return 0;
}

int
marks_write(struct folder *f, const struct marks *m, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(MARKS_MAX);

	if (marks_encode(m, &text, err) < 0)
		return -1;
	return folder_put(f, "gc/marked", text.data == NULL ? "" : text.data,
	    text.size, err);
}
