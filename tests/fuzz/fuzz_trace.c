/* trace_check_header, and trace_decode of each line behind it. */
#include "fs/format/trace.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size, *newline;
	struct dm_buf b = DM_BUF(TRACE_LINE_MAX + 1);
	struct trace_entry e;
	struct dm_err err;
	bool first = true;

	for (; size > 0 && (newline = memchr(at, '\n', size)) != NULL;
	     at = newline + 1, size = (size_t)(end - at)) {
		size_t n = (size_t)(newline - at);

		if (first) {
			first = false;
			if (trace_check_header(at, n, &err) < 0)
				return 0;
			assert(trace_is_header(at, n));
			continue;
		}
		if (trace_decode(&e, at, n, &err) < 0)
			continue;
		assert(strlen(e.path) == e.path_len && e.path[0] != '/');
		dm_buf_clear(&b);
		MUST(trace_encode(&e, &b, &err));
		SAME(&b, at, n + 1);
	}
	dm_buf_release(&b);
	return 0;
}
