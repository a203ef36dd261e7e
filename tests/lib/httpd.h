/* tests/lib/httpd.h - a web server that misbehaves when told to. */
#ifndef DM_TESTS_HTTPD_H
#define DM_TESTS_HTTPD_H

#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct dm_buf;
struct dm_err;

/*
 * Serves the files below a folder on 127.0.0.1, at a port that the kernel
 * picks: HTTP/1.1, GET and HEAD, ranges, keep-alive, one thread a connection.
 * A path that ends with "/" is the file index.html there.
 * Rules make it misbehave:
 *
 *	GLOB WHICH FAULT...		for instance
 *	/packs/?* 1-2 status=503 retry-after=1
 *
 * GLOB is matched (fnmatch(3), "*" matches "/" too) against the decoded path
 * without query.  WHICH counts the requests that match GLOB since the rule was
 * made: "*" all, "3" the third, "2-4", "2-" from the second on.  Where several
 * rules match, all apply, and later ones win.  A FAULT is one of
 *
 *	barrier=NAME	wait until NAME is released, then go on
 *	delay=MS	wait before the answer
 *	drop		close the connection instead of answering
 *	status=N	this status, with a short body
 *	body=TEXT	with status: this body (no spaces)
 *	retry-after=T	this header ("_" stands for a space)
 *	header=N:V	this header too ("_" stands for a space); one a rule
 *	redirect=URL	302 to URL
 *	raw=TEXT	this line instead of HTTP, then close
 *	swap=PATH	this file of the folder in place of the one asked for
 *	html		200 with an HTML page
 *	norange		200 and the whole file to a range
 *	shift=N		206 with a range that lies N bytes further on
 *	content-range=T	206 with this header ("_" stands for a space)
 *	short=N		206 with at most N bytes of the range
 *	flip=N		the byte at offset N of the file is wrong
 *	tail=N		N bytes more than the file or range has
 *	length=N	Content-Length says N, whatever the body has
 *	chunked		Transfer-Encoding: chunked
 *	endless		the body never ends
 *	truncate=N	N bytes of the body, then close
 *	reset=N		N bytes of the body, then a TCP reset
 *	stall=N		N bytes of the body, then nothing more
 *	drip=N		N bytes a second
 *	hangup		close after the answer, unannounced
 *
 * Control by HTTP, for tests that are no C: POST to /.ctl/rule (one rule a
 * line), /.ctl/clear, /.ctl/forget, /.ctl/release (a barrier's name) or
 * /.ctl/wait ("GLOB N": answers when N requests have come; 504 after 60 s);
 * GET /.ctl/count?GLOB, /.ctl/bytes?GLOB, /.ctl/connections, /.ctl/log.  None
 * of these are counted or logged.
 *
 * Threads: any call from any thread, but stop last and once.
 */
struct httpd;

int httpd_start(struct httpd **out, const char *root,
    struct dm_err *err) DM_MUST_CHECK;

struct httpd_options {
	unsigned port;          /* 0: one that is free */
	const char *cert, *key; /* PEM files; NULL: no TLS */
};

/* The same, with these; with a certificate clients may begin with TLS, too. */
int httpd_start_with(struct httpd **out, const char *root,
    const struct httpd_options *opt, struct dm_err *err) DM_MUST_CHECK;

/* End every connection and thread. */
void httpd_stop(struct httpd *h);

/* "http://127.0.0.1:PORT", without a slash at the end. */
const char *httpd_url(const struct httpd *h);
unsigned httpd_port(const struct httpd *h);

/* Add one rule. DM_INVALID if it makes no sense. */
int httpd_rule(struct httpd *h, const char *text,
    struct dm_err *err) DM_MUST_CHECK;

/* Forget all rules, and that barriers were released. */
void httpd_clear(struct httpd *h);

/* Forget the log, and so all counts. */
void httpd_forget(struct httpd *h);

/* Open a barrier, for who waits there and who will. */
void httpd_release(struct httpd *h, const char *barrier);

/* Requests whose path matches glob: how many came (answered or not), how many
 * bytes of body were sent to them, and on how many connections any came. */
uint64_t httpd_count(struct httpd *h, const char *glob);
uint64_t httpd_bytes(struct httpd *h, const char *glob);
uint64_t httpd_connections(struct httpd *h);

/* Wait until at least n requests that match glob have come, or for 10 s. */
int httpd_wait(struct httpd *h, const char *glob, uint64_t n,
    struct dm_err *err) DM_MUST_CHECK;

/* Append the log, one line a request:
 *	METHOD TARGET status=206 bytes=10 connection=1 range=bytes=0-9
 *	host=127.0.0.1:1234 authorization=- cache-control=- cookie=- referer=-
 * all on one line, where "-" is no such header and status 0 no answer yet. */
int httpd_log(struct httpd *h, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

/* Write each line to fd, too, when its request has ended.  -1: no more. */
void httpd_log_to(struct httpd *h, int fd);

#endif
