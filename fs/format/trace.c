#include "fs/format/trace.h"

#include <inttypes.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "fs/format/text.h"
#include "fs/format/tree.h"

/* What the header of every version begins with. */
static const char header_name[] = "datamount trace ";

bool
trace_is_header(const char *line, size_t size)
{
	struct text t = { line, size };
	uint64_t version;

	return text_skip(&t, header_name) &&
	    text_number(t, UINT64_MAX, &version);
}

int
trace_check_header(const char *line, size_t size, struct dm_err *err)
{
	struct text t = { line, size };

	if (text_equal(t, TRACE_HEADER))
		return 0;
	if (trace_is_header(line, size))
		return dm_fail(err, DM_INVALID,
		    "a trace of another version of datamount");
	return dm_fail(err, DM_INVALID,
	    "no trace: its first line is not \"%s\"", TRACE_HEADER);
}

/* A path as a version has them: names between single slashes. */
static bool
path_valid(const char *path, size_t size)
{
	struct text rest = { path, size }, name;

	while (text_cut(&name, &rest, '/'))
		if (!tree_name_valid(name.data, name.size))
			return false;
	return tree_name_valid(rest.data, rest.size);
}

/* Take "\n" and "\\" back. */
static bool
unescape(struct trace_entry *out, struct text t)
{
	size_t n = 0;

	for (size_t i = 0; i < t.size; i++) {
		char c = t.data[i];

		if (c == '\n' || n == DM_PATH_MAX)
			return false;
		if (c == '\\') {
			if (++i == t.size ||
			    (t.data[i] != '\\' && t.data[i] != 'n'))
				return false;
			c = t.data[i] == 'n' ? '\n' : '\\';
		}
		out->path[n++] = c;
	}
	out->path[n] = '\0';
	out->path_len = n;
	return path_valid(out->path, n);
}

int
trace_decode(struct trace_entry *out, const char *line, size_t size,
    struct dm_err *err)
{
	struct text rest = { line, size }, off;

	if (size > TRACE_LINE_MAX || !text_cut(&off, &rest, ' ') ||
	    !text_number(off, DM_FILE_MAX - 1, &out->off) ||
	    out->off % TRACE_PART != 0)
		return dm_fail(err, DM_CORRUPT,
		    "a line that begins with no offset of a part");
	if (!unescape(out, rest))
		return dm_fail(err, DM_CORRUPT,
		    "a line that ends with no path in a version");
	return 0;
}

int
trace_encode(const struct trace_entry *e, struct dm_buf *out,
    struct dm_err *err)
{
	char escaped[2 * DM_PATH_MAX + 1];
	size_t n = 0;

	if (e->path_len > DM_PATH_MAX)
		return dm_fail(err, DM_INVALID, "a path of %zu bytes",
		    e->path_len);
	for (size_t i = 0; i < e->path_len; i++) {
		char c = e->path[i];

		if (c == '\\' || c == '\n')
			escaped[n++] = '\\';
		escaped[n++] = (char)(c == '\n' ? 'n' : c);
	}
	escaped[n] = '\0';
	return dm_buf_printf(out, err, "%" PRIu64 " %s\n", e->off, escaped);
}
