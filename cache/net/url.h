/* cache/net/url.h - what a URL of a repository may be, and those below it. */
#ifndef DM_NET_URL_H
#define DM_NET_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/base/attr.h"

struct dm_buf;
struct dm_err;

enum { URL_MAX = 4096, URL_HOST_MAX = 256 };

/* A checked http or https URL; a plain value. */
struct url {
	bool is_https;
	char host[URL_HOST_MAX]; /* without port and brackets */
	char root[URL_MAX];      /* scheme to path, no slash at the end */
	char query[URL_MAX];     /* without its "?"; perhaps a secret */
};

/*
 * Read a URL that a person gave.  DM_INVALID says what is wrong with it, and
 * never shows a query or a password.  Bytes that a URL may not contain as they
 * are (spaces, those beyond ASCII) are percent-encoded in root and query.
 */
int url_parse(struct url *out, const char *text,
    struct dm_err *err) DM_MUST_CHECK;

/* Whether text begins with "scheme://"; all else is a folder's path. */
bool url_has_scheme(const char *text);

/* Whether a path may be asked for: relative, no empty, "." or ".." component,
 * no control byte. */
bool url_path_valid(const char *path);

/* Append the URL of path below u, percent-encoded, with u's query; extra, or
 * NULL, is added to the query. */
int url_join(struct dm_buf *out, const struct url *u, const char *path,
    const char *extra, struct dm_err *err) DM_MUST_CHECK;

/* Whether a server reached over https or not may send us to this absolute
 * URL; its host's address is another question.  DM_DENIED. */
int url_check_redirect(bool from_https, const char *to,
    struct dm_err *err) DM_MUST_CHECK;

/* Copy the path of a file: URL, percent-decoded, to out.  DM_INVALID. */
int url_file_path(char *out, size_t size, const char *text,
    struct dm_err *err) DM_MUST_CHECK;

/* Bytes of url before its query and fragment: what may be shown. */
size_t url_shown(const char *url);

#endif
