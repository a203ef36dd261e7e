/* Content-Range and Retry-After: whatever a server sends.  Nothing writes them,
 * so what comes out need only keep its bounds. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/net/http_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_range r = { 0 };
	char *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (http_header_range(&r, text)) {
		if (!r.is_unsatisfied && r.first > r.last)
			abort();
		if (!r.is_unsatisfied && r.has_total && r.last >= r.total)
			abort();
		if (r.last > INT64_MAX || r.total > INT64_MAX)
			abort();
	}
	if (http_header_retry_after_ms(text, 1445412000) > 86400000)
		abort();
	free(text);
	return 0;
}
