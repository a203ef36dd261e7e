#include "cache/net/http_header.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>
#include <strings.h>

/* Read the digits at *p, and step over them; false if none or too many. */
static bool
read_number(const char **p, uint64_t *out)
{
	uint64_t n = 0;

	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++) {
		unsigned digit = (unsigned)(**p - '0');

		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, digit, &n) || n > INT64_MAX)
			return false;
	}
	*out = n;
	return true;
}

static const char *
skip_spaces(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

bool
http_header_range(struct http_range *out, const char *value)
{
	struct http_range r = { 0 };
	const char *p = skip_spaces(value);

	if (strncasecmp(p, "bytes", 5) != 0 || (p[5] != ' ' && p[5] != '\t'))
		return false;
	p = skip_spaces(p + 5);
	r.is_unsatisfied = *p == '*';
	if (r.is_unsatisfied)
		p++;
	else if (!read_number(&p, &r.first) || *p++ != '-' ||
	    !read_number(&p, &r.last) || r.first > r.last)
		return false;
	if (*p++ != '/')
		return false;
	r.has_total = *p != '*';
	if (!r.has_total)
		p++;
	else if (!read_number(&p, &r.total))
		return false;
	if (r.has_total && !r.is_unsatisfied && r.last >= r.total)
		return false;
	if (*skip_spaces(p) != '\0' || (r.is_unsatisfied && !r.has_total))
		return false;
	*out = r;
	return true;
}

uint64_t
http_header_retry_after_ms(const char *value, time_t now)
{
	static const uint64_t day = 86400;
	const char *p = skip_spaces(value);
	uint64_t seconds = 0;
	time_t date;

	if (isdigit((unsigned char)*p)) {
		if (!read_number(&p, &seconds))
			seconds = day;
		else if (*skip_spaces(p) != '\0')
			seconds = 0;
	} else {
		date = curl_getdate(p, NULL);
		if (date != -1 && date > now)
			seconds = (uint64_t)(date - now);
	}
	return (seconds < day ? seconds : day) * 1000;
}
