/*
 * One request, and what its answer is worth.
 *
 * The verdict on an answer has two halves: judge(), before its first byte is
 * given away, and http_end(), when it is over.  A callback that ends a
 * request early leaves the reason in http.fault; where all bytes of a range
 * came, the reason why the request ended does not matter.
 */
#include "cache/net/http.h"

#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/net/address.h"
#include "cache/net/http_error.h"
#include "cache/net/http_header.h"
#include "cache/net/origin.h"
#include "cache/net/transfer.h"
#include "cache/net/url.h"

enum {
	MAX_REDIRECTS = 3,
	MAX_REQUEST_URL = 5 * URL_MAX, /* root, query, encoded path */
	RECEIVE_SIZE = 128 * 1024,
	MAX_REFUSAL_BODY = 64 * 1024, /* read so that the connection lives */
};

static bool
is_whole(const struct transfer *t)
{
	return t->get.size == ORIGIN_WHOLE;
}

static bool
range_is_complete(const struct transfer *t)
{
	return !is_whole(t) && t->received == t->get.size;
}

static const char *
header(CURL *easy, const char *name)
{
	struct curl_header *h = NULL;

	if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return NULL;
	return h->value;
}

static long
status_of(CURL *easy)
{
	long status = 0;

	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* A file that is read in several tries must stay the same one. */
static int
judge_etag(struct transfer *t, struct dm_err *err)
{
	const char *etag = header(t->http.easy, "ETag");

	if (!is_whole(t) || etag == NULL)
		return 0;
	if (t->http.etag == NULL) {
		t->http.etag = strdup(etag);
		return t->http.etag != NULL ? 0 :
					      dm_fail(err, DM_NOMEM, "ETag");
	}
	if (strcmp(t->http.etag, etag) != 0)
		return dm_fail(err, DM_CORRUPT,
		    "the file changed while it was read, try again");
	return 0;
}

static int
judge_range(struct transfer *t, struct dm_err *err)
{
	const char *value = header(t->http.easy, "Content-Range");
	uint64_t first = t->get.off + t->received;
	struct http_range r;

	if (value == NULL || !http_header_range(&r, value) || r.is_unsatisfied)
		return dm_fail(err, DM_CORRUPT,
		    "HTTP 206 without a usable Content-Range");
	if (r.first != first ||
	    (!is_whole(t) && r.last >= t->get.off + t->get.size))
		return dm_fail(err, DM_CORRUPT,
		    "asked for bytes from %" PRIu64 " on, got %" PRIu64
		    " to %" PRIu64,
		    first, r.first, r.last);
	return 0;
}

/* May this answer's body be given to the reader? */
static int
judge(struct transfer *t, struct dm_err *err)
{
	struct http *h = &t->http;
	const char *coding = header(h->easy, "Content-Encoding");

	if (coding != NULL && strcasecmp(coding, "identity") != 0)
		return dm_fail(err, DM_CORRUPT,
		    "the server sent Content-Encoding %.40s unasked;"
		    " let it serve files as they are",
		    coding);
	if (judge_etag(t, err) < 0)
		return -1;
	if (status_of(h->easy) == 206)
		return judge_range(t, err);
	h->skip = t->get.off + t->received;
	return 0;
}

/* Whether the connection will have nothing more to say for this request. */
static bool
body_is_over(const struct http *h)
{
	curl_off_t size = -1;

	return curl_easy_getinfo(h->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
		   &size) == CURLE_OK &&
	    size >= 0 && (uint64_t)size == h->body;
}

/* Give the reader what it misses of these bytes. */
static int
give(struct transfer *t, const char *data, size_t size, struct dm_err *err)
{
	struct http *h = &t->http;
	size_t skip = h->skip < size ? (size_t)h->skip : size;

	h->skip -= skip;
	data += skip;
	size -= skip;
	if (is_whole(t) && size > t->get.limit - t->received)
		return dm_fail(err, DM_CORRUPT, "larger than %" PRIu64 " bytes",
		    t->get.limit);
	if (!is_whole(t) && size > t->get.size - t->received)
		size = (size_t)(t->get.size - t->received);
	if (size == 0)
		return 0;
	if (t->get.data(t->get.arg, data, size) < 0)
		return dm_fail(err, DM_CANCELLED, "not wanted any more");
	t->received += size;
	h->fruitless = 0;
	return 0;
}

static size_t
on_body(char *data, size_t one, size_t size, void *arg)
{
	struct transfer *t = arg;
	struct http *h = &t->http;
	long status = status_of(h->easy);

	(void)one; /* is 1 */
	h->last_byte_ms = dm_now_ms();
	if (h->body == 0)
		h->pace_ms = h->last_byte_ms;
	h->body += size;
	atomic_fetch_add_explicit(&t->origin->bytes, size,
	    memory_order_relaxed);
	if (status != 200 && status != 206)
		return h->body > MAX_REFUSAL_BODY ? 0 : size;
	if (!h->judged && judge(t, &h->fault) < 0)
		return 0;
	h->judged = true;
	if (give(t, data, size, &h->fault) < 0)
		return 0;
	return range_is_complete(t) && !body_is_over(h) ? 0 : size;
}

/* The connection is there, the request is about to be sent. */
static int
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is curl's */
on_send(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct transfer *t = arg;

	(void)local_ip;
	(void)port;
	(void)local_port;
	t->http.last_byte_ms = dm_now_ms();
	atomic_fetch_add_explicit(&t->origin->requests, 1,
	    memory_order_relaxed);
	if (t->http.hop == 0 || !address_is_private_service(ip))
		return CURL_PREREQFUNC_OK;
	(void)dm_fail(&t->http.fault, DM_DENIED,
	    "refused a redirect to the internal address %s", ip);
	return CURL_PREREQFUNC_ABORT;
}

/* Refuse an address before a packet goes there; on_send sees those of
 * connections that are there already. */
static curl_socket_t
on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct transfer *t = arg;
	char ip[NI_MAXHOST];

	(void)purpose;
	if (t->http.hop > 0 &&
	    getnameinfo(&to->addr, to->addrlen, ip, sizeof(ip), NULL, 0,
		NI_NUMERICHOST) == 0 &&
	    address_is_private_service(ip)) {
		(void)dm_fail(&t->http.fault, DM_DENIED,
		    "refused a redirect to the internal address %s", ip);
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static int
make_url(struct transfer *t, struct dm_err *err)
{
	struct dm_buf url = DM_BUF(MAX_REQUEST_URL);
	char unique[24];
	bool is_unique = t->get.fresh == ORIGIN_UNIQUE;

	free(t->http.url);
	t->http.url = t->http.moved;
	t->http.moved = NULL;
	if (t->http.url != NULL)
		return 0;
	t->http.hop = 0;
	(void)snprintf(unique, sizeof(unique), "dm=%08x%08x", arc4random(),
	    arc4random());
	if (url_join(&url, &t->origin->url, t->get.path,
		is_unique ? unique : NULL, err) < 0) {
		dm_buf_release(&url);
		return -1;
	}
	t->http.url = url.data;
	return 0;
}

static int
make_headers(struct transfer *t, struct dm_err *err)
{
	static const char *const lines[] = { "Accept-Encoding: identity",
		"Cache-Control: no-cache" };
	size_t n = t->get.fresh == ORIGIN_CACHED ? 1 : 2;

	if (t->http.headers != NULL)
		return 0;
	for (size_t i = 0; i < n; i++) {
		struct curl_slist *list =
		    curl_slist_append(t->http.headers, lines[i]);

		if (list == NULL)
			return dm_fail(err, DM_NOMEM, "headers");
		t->http.headers = list;
	}
	return 0;
}

/* Everything that curl is told, but for the URL and the range. */
static bool
set_options(struct transfer *t, const struct net_options *opt)
{
	CURL *c = t->http.easy;
	const char *authorities = secure_getenv("SSL_CERT_FILE");
	unsigned stall_ms = t->limits.stall_ms;
	unsigned connect_ms =
	    opt->connect_ms < stall_ms ? opt->connect_ms : stall_ms;
	bool ok = true;

#define SET(option, value) \
	ok = curl_easy_setopt(c, CURLOPT_##option, value) == CURLE_OK && ok
	SET(PRIVATE, t);
	SET(PROTOCOLS_STR, "http,https");
	SET(NOSIGNAL, 1L);
	SET(QUICK_EXIT, 1L); /* never wait for a name server at the end */
	/* HTTP/2 was measured: a large file takes a fifth longer by it, and
	 * many small ones, near or far, as long. */
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CONNECTTIMEOUT_MS, (long)connect_ms);
	SET(BUFFERSIZE, (long)RECEIVE_SIZE);
	SET(SUPPRESS_CONNECT_HEADERS, 1L);
	SET(FRESH_CONNECT, t->http.is_fresh ? 1L : 0L);
	SET(USERAGENT, "datamount/" DATAMOUNT_VERSION);
	SET(HTTPHEADER, t->http.headers);
	SET(ERRORBUFFER, t->http.detail);
	SET(WRITEFUNCTION, on_body);
	SET(WRITEDATA, t);
	SET(PREREQFUNCTION, on_send);
	SET(PREREQDATA, t);
	SET(OPENSOCKETFUNCTION, on_socket);
	SET(OPENSOCKETDATA, t);
	if (authorities != NULL && authorities[0] != '\0')
		SET(CAINFO, authorities);
#undef SET
	return ok;
}

static bool
set_request(struct transfer *t)
{
	uint64_t first = t->get.off + t->received;
	char range[48];

	if (curl_easy_setopt(t->http.easy, CURLOPT_URL, t->http.url) !=
	    CURLE_OK)
		return false;
	if (is_whole(t) && first == 0)
		return true;
	if (is_whole(t))
		(void)snprintf(range, sizeof(range), "%" PRIu64 "-", first);
	else
		(void)snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64,
		    first, t->get.off + t->get.size - 1);
	return curl_easy_setopt(t->http.easy, CURLOPT_RANGE, range) == CURLE_OK;
}

int
http_begin(struct transfer *t, CURLM *multi, const struct net_options *opt,
    struct dm_err *err)
{
	struct http *h = &t->http;

	if (make_url(t, err) < 0 || make_headers(t, err) < 0)
		return -1;
	h->skip = 0;
	h->body = 0;
	h->last_byte_ms = 0;
	h->pace_ms = 0;
	h->pace_body = 0;
	h->judged = false;
	h->fault.code = DM_OK;
	h->detail[0] = '\0';
	h->easy = curl_easy_init();
	if (h->easy == NULL || !set_options(t, opt) || !set_request(t) ||
	    curl_multi_add_handle(multi, h->easy) != CURLM_OK)
		return dm_fail(err, DM_NOMEM, "HTTP request");
	return 0;
}

/* A redirect: note where to, unless we do not go there. */
static enum http_next
follow(struct transfer *t, const char *to, struct dm_err *err)
{
	struct http *h = &t->http;
	bool from_https = strncmp(h->url, "https:", 6) == 0;

	if (h->hop == MAX_REDIRECTS)
		(void)dm_fail(err, DM_DENIED, "more than %d redirects",
		    MAX_REDIRECTS);
	else if (url_check_redirect(from_https, to, err) == 0) {
		h->moved = strdup(to);
		h->hop++;
		if (h->moved != NULL)
			return HTTP_MOVED;
		(void)dm_fail(err, DM_NOMEM, "redirect");
	}
	return HTTP_FAILED;
}

/* The server sent no body that counts.  Why? */
static enum http_next
refused(struct transfer *t, long status, uint64_t *after_ms, struct dm_err *err)
{
	const char *retry_after = header(t->http.easy, "Retry-After");
	const char *range = header(t->http.easy, "Content-Range");
	struct http_range r;
	char *to = NULL;

	(void)curl_easy_getinfo(t->http.easy, CURLINFO_REDIRECT_URL, &to);
	if (to != NULL && status >= 300 && status < 400)
		return follow(t, to, err);
	/* A whole file that came to an end where its connection broke. */
	if (status == 416 && is_whole(t) && range != NULL &&
	    http_header_range(&r, range) && r.has_total &&
	    r.total == t->get.off + t->received)
		return HTTP_DONE;
	if (retry_after != NULL)
		*after_ms = http_header_retry_after_ms(retry_after, time(NULL));
	return http_error_status(status, err) ? HTTP_RETRY : HTTP_FAILED;
}

/* The body came to its proper end.  Is it all? */
static enum http_next
answered(struct transfer *t, long status, struct dm_err *err)
{
	struct http *h = &t->http;
	const char *value = header(h->easy, "Content-Range");
	struct http_range r;

	if (!h->judged && judge(t, err) < 0)
		return HTTP_RETRY;
	if (status == 206 && http_header_range(&r, value) &&
	    (!is_whole(t) ||
		(r.has_total && t->get.off + t->received < r.total))) {
		(void)dm_fail(err, DM_OFFLINE,
		    "the server sends less than it was asked for");
		return HTTP_RETRY;
	}
	if (is_whole(t) && h->skip == 0)
		return HTTP_DONE;
	(void)dm_fail(err, DM_CORRUPT,
	    "the file ends at byte %" PRIu64 ", too early", h->body);
	return HTTP_FAILED;
}

static enum http_next
verdict(struct transfer *t, CURLcode result, uint64_t *after_ms,
    struct dm_err *err)
{
	struct http *h = &t->http;
	long status = status_of(h->easy);

	if (range_is_complete(t))
		return HTTP_DONE;
	if (h->fault.code != DM_OK) {
		*err = h->fault;
		return h->fault.code == DM_CORRUPT && !h->judged ? HTTP_RETRY :
								   HTTP_FAILED;
	}
	if (status >= 300 ||
	    (result == CURLE_OK && status != 200 && status != 206))
		return refused(t, status, after_ms, err);
	if (result == CURLE_OK)
		return answered(t, status, err);
	h->is_fresh = true;
	return http_error_curl(h->easy, result, h->detail, err) ? HTTP_RETRY :
								  HTTP_FAILED;
}

/* Remember what the answer's header says of the server.  A cache on the way
 * says in Age how old its Date is. */
static void
note_server(struct transfer *t)
{
	const char *date = header(t->http.easy, "Date");
	const char *age = header(t->http.easy, "Age");
	long status = status_of(t->http.easy);
	int64_t then = date != NULL ? (int64_t)curl_getdate(date, NULL) : -1;

	if (!is_whole(t) && (status == 206 || status == 200))
		atomic_fetch_add_explicit(status == 206 ? &t->origin->ranges :
							  &t->origin->wholes,
		    1, memory_order_relaxed);
	if (then < 0)
		return;
	if (age != NULL)
		then += (int64_t)strtoul(age, NULL, 10) % (1 << 30);
	atomic_store(&t->origin->ahead_s, then - (int64_t)time(NULL));
	atomic_store(&t->origin->has_date, true);
}

static void
drop_request(struct transfer *t, CURLM *multi)
{
	if (t->http.easy == NULL)
		return;
	(void)curl_multi_remove_handle(multi, t->http.easy);
	curl_easy_cleanup(t->http.easy);
	t->http.easy = NULL;
}

enum http_next
http_end(struct transfer *t, CURLM *multi, CURLcode result, uint64_t *after_ms,
    struct dm_err *err)
{
	enum http_next next;

	*after_ms = 0;
	note_server(t);
	next = verdict(t, result, after_ms, err);
	drop_request(t, multi);
	if (next == HTTP_RETRY || next == HTTP_FAILED)
		(void)dm_wrap(err, "GET %.*s", (int)url_shown(t->http.url),
		    t->http.url);
	return next;
}

void
http_release(struct transfer *t, CURLM *multi)
{
	drop_request(t, multi);
	curl_slist_free_all(t->http.headers);
	free(t->http.url);
	free(t->http.moved);
	free(t->http.etag);
	t->http = (struct http){ 0 };
}
