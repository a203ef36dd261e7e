/* cache/net/http_error.h - why a request failed, and whether to try again. */
#ifndef DM_NET_HTTP_ERROR_H
#define DM_NET_HTTP_ERROR_H

#include <curl/curl.h>
#include <stdbool.h>

struct dm_err;

/* Each fills err and says whether another try may help. */

/* The server answered, with this status instead of bytes. */
bool http_error_status(long status, struct dm_err *err);

/* No answer, or half of one: result of easy, with curl's words for it. */
bool http_error_curl(CURL *easy, CURLcode result, const char *detail,
    struct dm_err *err);

#endif
