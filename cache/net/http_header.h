/* cache/net/http_header.h - what HTTP's header fields say, if anything. */
#ifndef DM_NET_HTTP_HEADER_H
#define DM_NET_HTTP_HEADER_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct http_range {
	uint64_t first, last; /* bytes, both within; unless is_unsatisfied */
	uint64_t total;       /* bytes of the whole file, if has_total */
	bool has_total;
	bool is_unsatisfied; /* "*" instead of bytes, as 416 has it */
};

/* Read the value of Content-Range.  False if it is malformed, of another
 * unit than bytes, or first is beyond last or total. */
bool http_header_range(struct http_range *out, const char *value);

/* Read the value of Retry-After, seconds or a date, as milliseconds from now
 * (by the wall clock) on; 0 for the past and for nonsense.  At most a day. */
uint64_t http_header_retry_after_ms(const char *value, time_t now);

#endif
