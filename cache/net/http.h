/* cache/net/http.h - one try of a transfer from a web server. */
#ifndef DM_NET_HTTP_H
#define DM_NET_HTTP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/err.h"

struct net_options;
struct transfer;

/*
 * A transfer is a series of tries, each one or, with redirects, a few
 * requests.  A try asks for the bytes that are still missing.  All of this
 * happens on the network thread.
 */
struct http {
	CURL *easy; /* the request under way, or NULL */
	struct curl_slist *headers;
	char *moved;  /* where a redirect sent this try, or NULL */
	char *etag;   /* of the file's first answer, or NULL */
	unsigned hop; /* redirects followed by this try */

	/* of the request under way */
	char *url;
	uint64_t skip; /* bytes of the body that precede what is missing */
	uint64_t body; /* bytes of the body so far */
	uint64_t last_byte_ms; /* or when the request was sent; 0: not yet */
	uint64_t pace_ms;   /* since when the pace is watched; 0: no body yet */
	uint64_t pace_body; /* bytes of the body by then */
	bool judged;        /* the answer's header fits what was asked */
	bool is_fresh;      /* on a connection of its own */
	struct dm_err fault; /* why a callback ended it, or DM_OK */
	char detail[CURL_ERROR_SIZE];

	/* for who starts the tries: net.c */
	unsigned fruitless; /* tries in a row that brought no byte */
	struct dm_err last; /* why the last of them failed */
	uint64_t start_ms;  /* when the next try begins; 0: under way */
};

enum http_next {
	HTTP_DONE,   /* all bytes came */
	HTTP_MOVED,  /* begin at once: the try goes on elsewhere */
	HTTP_RETRY,  /* err; another try may help */
	HTTP_FAILED, /* err; none will */
};

/* Send a request for what is missing, from multi. */
int http_begin(struct transfer *t, CURLM *multi, const struct net_options *opt,
    struct dm_err *err) DM_MUST_CHECK;

/* End the request and say what follows from its outcome, result.  HTTP_RETRY
 * sets *after_ms to what the server asked for, or 0. */
enum http_next http_end(struct transfer *t, CURLM *multi, CURLcode result,
    uint64_t *after_ms, struct dm_err *err);

/* End the request, if one is under way, and free what t->http owns. */
void http_release(struct transfer *t, CURLM *multi);

#endif
