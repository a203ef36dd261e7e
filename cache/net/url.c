#include "cache/net/url.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"

static bool
is_control(unsigned char c)
{
	return c < ' ' || c == 0x7f;
}

static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if (is_control((unsigned char)*text))
			return true;
	return false;
}

static bool
is_unreserved(unsigned char c)
{
	return c < 0x80 && (isalnum(c) || strchr("-._~", c) != NULL);
}

/* What may stand in a path or query that is encoded already. */
static bool
is_url_byte(unsigned char c)
{
	return is_unreserved(c) ||
	    (c != '\0' && strchr("!$&'()*+,;=:@/?%", c) != NULL);
}

size_t
url_shown(const char *url)
{
	return strcspn(url, "?#");
}

bool
url_has_scheme(const char *text)
{
	size_t n = 0;

	while (isalnum((unsigned char)text[n]) ||
	    (text[n] != '\0' && strchr("+-.", text[n]) != NULL))
		n++;
	return n > 0 && strncmp(text + n, "://", 3) == 0;
}

bool
url_path_valid(const char *path)
{
	if (has_control(path))
		return false;
	for (;;) {
		size_t n = strcspn(path, "/");

		if (n == 0 || (n == 1 && path[0] == '.') ||
		    (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (path[n] == '\0')
			return true;
		path += n + 1;
	}
}

/* What stays as it is in a path that is not encoded yet. */
static bool
is_path_byte(unsigned char c)
{
	return c == '/' || is_unreserved(c);
}

/* Copy text to out, encoding each byte that keep() refuses. */
static int
encode(char *out, size_t room, const char *text, size_t size,
    bool (*keep)(unsigned char))
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (room - n < 4)
			return -1;
		if (keep(c)) {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '%';
		out[n++] = digits[c >> 4];
		out[n++] = digits[c & 15];
	}
	out[n] = '\0';
	return 0;
}

static int
check_port(const char *port, size_t size, struct dm_err *err)
{
	unsigned n = 0;

	for (size_t i = 0; i < size; i++) {
		if (!isdigit((unsigned char)port[i]) || n > 65535)
			n = 65536;
		else
			n = n * 10 + (unsigned)(port[i] - '0');
	}
	if (n == 0 || n > 65535)
		return dm_fail(err, DM_INVALID,
		    "the port must be a number from 1 to 65535");
	return 0;
}

static bool
is_host_byte(char c, bool is_v6)
{
	unsigned char u = (unsigned char)c;

	if (is_v6)
		return isxdigit(u) || c == ':' || c == '.';
	return u >= 0x80 || isalnum(u) || c == '.' || c == '-' || c == '_';
}

/* Read "host", "host:port", "[v6]" or "[v6]:port". */
static int
parse_authority(struct url *out, const char *text, size_t size,
    struct dm_err *err)
{
	bool is_v6 = size > 0 && text[0] == '[';
	size_t begin = is_v6, n = 0;
	const char *rest;

	if (memchr(text, '@', size) != NULL)
		return dm_fail(err, DM_INVALID,
		    "a URL may not hold a user or a password, which would end"
		    " up in files and logs: leave out all up to the \"@\"");
	while (begin + n < size && is_host_byte(text[begin + n], is_v6))
		n++;
	if (n == 0)
		return dm_fail(err, DM_INVALID, "the URL names no host");
	if (n >= sizeof(out->host))
		return dm_fail(err, DM_INVALID, "the host's name is too long");
	memcpy(out->host, text + begin, n);
	out->host[n] = '\0';
	rest = text + begin + n;
	if (is_v6 && (rest == text + size || *rest++ != ']'))
		return dm_fail(err, DM_INVALID, "the URL's host has no \"]\"");
	if (rest == text + size)
		return 0;
	if (*rest != ':')
		return dm_fail(err, DM_INVALID, "the URL's host is malformed");
	return check_port(rest + 1, (size_t)(text + size - rest) - 1, err);
}

static const char *
skip_scheme(const char *text, bool *is_https)
{
	*is_https = strncasecmp(text, "https://", 8) == 0;
	if (*is_https)
		return text + 8;
	return strncasecmp(text, "http://", 7) == 0 ? text + 7 : NULL;
}

/* Put scheme, authority and the encoded path together. */
static int
make_root(struct url *out, const char *host, size_t host_size, size_t size,
    struct dm_err *err)
{
	const char *scheme = out->is_https ? "https" : "http";
	size_t n;

	while (size > host_size && host[size - 1] == '/')
		size--;
	if (host_size > sizeof(out->root) / 2)
		return dm_fail(err, DM_INVALID, "the host's name is too long");
	n = (size_t)snprintf(out->root, sizeof(out->root), "%s://%.*s", scheme,
	    (int)host_size, host);
	if (encode(out->root + n, sizeof(out->root) - n, host + host_size,
		size - host_size, is_url_byte) < 0)
		return dm_fail(err, DM_INVALID, "the URL is too long");
	return 0;
}

/* Read a URL without control bytes; host is where its authority begins. */
static int
parse(struct url *out, const char *host, struct dm_err *err)
{
	size_t size = url_shown(host), host_size = strcspn(host, "/?#");
	const char *query = host + size;

	if (strchr(query, '#') != NULL)
		return dm_fail(err, DM_INVALID,
		    "a URL may not hold a fragment (\"#\")");
	if (parse_authority(out, host, host_size, err) < 0 ||
	    make_root(out, host, host_size, size, err) < 0)
		return -1;
	query += *query == '?';
	if (encode(out->query, sizeof(out->query), query, strlen(query),
		is_url_byte) < 0)
		return dm_fail(err, DM_INVALID, "the URL's query is too long");
	return 0;
}

int
url_parse(struct url *out, const char *text, struct dm_err *err)
{
	const char *host = skip_scheme(text, &out->is_https);

	if (has_control(text))
		return dm_fail(err, DM_INVALID,
		    "a URL may not hold control characters");
	if (host == NULL)
		return dm_fail(err, DM_INVALID,
		    "%.*s: neither http://, https:// or file:// nor a folder",
		    (int)strcspn(text, ":"), text);
	if (parse(out, host, err) == 0)
		return 0;
	if (strchr(text, '@') != NULL)
		return -1; /* may hold a password */
	return dm_wrap(err, "%.*s", (int)url_shown(text), text);
}

int
url_join(struct dm_buf *out, const struct url *u, const char *path,
    const char *extra, struct dm_err *err)
{
	char part[3 * URL_MAX];
	bool has_query = u->query[0] != '\0';

	if (encode(part, sizeof(part), path, strlen(path), is_path_byte) < 0)
		return dm_fail(err, DM_INVALID, "the path is too long");
	return dm_buf_printf(out, err, "%s/%s%s%s%s%s", u->root, part,
	    has_query || extra != NULL ? "?" : "", u->query,
	    has_query && extra != NULL ? "&" : "", extra != NULL ? extra : "");
}

int
url_check_redirect(bool from_https, const char *to, struct dm_err *err)
{
	struct url u = { 0 };
	const char *host = skip_scheme(to, &u.is_https);
	int shown = (int)url_shown(to);

	if (has_control(to) || host == NULL)
		return dm_fail(err, DM_DENIED,
		    "refused a redirect that is neither to http nor https");
	if (parse_authority(&u, host, strcspn(host, "/?#"), err) < 0)
		return dm_fail(err, DM_DENIED,
		    "refused a redirect to a malformed URL");
	if (from_https && !u.is_https)
		return dm_fail(err, DM_DENIED,
		    "refused a redirect from https to %.*s", shown, to);
	return 0;
}

static int
hex_value(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
url_file_path(char *out, size_t size, const char *text, struct dm_err *err)
{
	const char *p = text + strlen("file://");
	size_t n = 0;

	if (strncasecmp(p, "localhost/", 10) == 0)
		p += 9;
	if (*p != '/')
		return dm_fail(err, DM_INVALID,
		    "a file URL needs a full path: file:///srv/data");
	if (strpbrk(p, "?#") != NULL)
		return dm_fail(err, DM_INVALID,
		    "a file URL may hold neither query nor fragment");
	for (; *p != '\0'; p++) {
		int high = *p == '%' ? hex_value(p[1]) : -1;
		int low = high < 0 ? -1 : hex_value(p[2]);
		int c = low < 0 ? (unsigned char)*p : high * 16 + low;

		if (n + 1 >= size)
			return dm_fail(err, DM_INVALID, "the path is too long");
		if (c == '\0' || (*p == '%' && low < 0))
			return dm_fail(err, DM_INVALID,
			    "a file URL has a malformed \"%%\"");
		out[n++] = (char)c;
		p += low < 0 ? 0 : 2;
	}
	out[n] = '\0';
	return 0;
}
