/* tests/lib/httpd_conn.h - what the parts of httpd share. */
#ifndef DM_TESTS_HTTPD_CONN_H
#define DM_TESTS_HTTPD_CONN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache/base/attr.h"
#include "tests/lib/httpd_rule.h"

struct dm_buf;
struct dm_err;
struct httpd;
struct ssl_st;

enum { REQUEST_MAX = 16384, TARGET_MAX = 4096, FIELD_MAX = 128 };

/* One request, as read.  A header field that did not come is "". */
struct httpd_request {
	char method[16];
	char target[TARGET_MAX]; /* as sent */
	char path[TARGET_MAX];   /* decoded, without query */
	const char *query;       /* within target; "" if none */
	char range[FIELD_MAX], host[FIELD_MAX], authorization[FIELD_MAX],
	    cache_control[FIELD_MAX], cookie[FIELD_MAX], referer[FIELD_MAX];
	uint64_t body_size;
	bool is_last; /* Connection: close, or HTTP/1.0 */
};

/* Read the head of a request, which ends in an empty line. */
bool httpd_request_decode(struct httpd_request *out, const char *head,
    size_t size);

/* One connection; its own thread's, but for over. */
struct httpd_conn {
	struct httpd_conn *next;
	struct httpd *h;
	int fd;
	int root_fd;        /* of the folder served; borrowed */
	struct ssl_st *tls; /* or NULL */
	uint64_t number;
	pthread_t thread;
	_Atomic bool over;
	size_t in_size; /* bytes of in that are not used up */
	char in[REQUEST_MAX];
};

/* The thread of a connection (serve.c). */
void *httpd_conn_main(void *conn);

/* Answer one request; false if the connection is to be closed. */
bool httpd_answer(struct httpd_conn *c, const struct httpd_request *r);

/* The same for those below /.ctl/, whose body is body. */
bool httpd_control(struct httpd_conn *c, const struct httpd_request *r,
    char *body);

/* End the connection, properly or by a TCP reset; fd is -1 then. */
void httpd_conn_close(struct httpd_conn *c, bool reset);

/* What a certificate and its key (PEM) make possible: clients that begin with
 * TLS get it, others plain HTTP. */
int httpd_tls_open(struct httpd *h, const char *cert, const char *key,
    struct dm_err *err) DM_MUST_CHECK;
void httpd_tls_close(struct httpd *h);

/* Agree on TLS, if the client wants it; end it; read at most (0: the end), or
 * write all, of size bytes. */
bool httpd_tls_begin(struct httpd_conn *c);
void httpd_tls_end(struct httpd_conn *c, bool reset);
ssize_t httpd_tls_read(struct httpd_conn *c, void *out, size_t size);
bool httpd_tls_write(struct httpd_conn *c, const void *data, size_t size);

/* Send all; false if the peer is gone. */
bool httpd_send(struct httpd_conn *c, const void *data, size_t size);

/* The same with size bytes at *at of a file; *at is moved on. */
bool httpd_send_file(struct httpd_conn *c, int fd, off_t *at, size_t size);

/* Which line of the log is this request's; valid until a forget. */
struct httpd_line {
	uint64_t generation;
	size_t index;
};

/* Log and count a request, and say what shall go wrong with it. */
struct httpd_line httpd_note(struct httpd_conn *c,
    const struct httpd_request *r, struct httpd_fault *fault);

/* Before they are sent: the status, and each piece of the body. */
void httpd_note_status(struct httpd *h, struct httpd_line l, int status);
void httpd_note_bytes(struct httpd *h, struct httpd_line l, uint64_t bytes);
void httpd_note_end(struct httpd *h, struct httpd_line l);

/* Wait for ms, or (RULE_NEVER) until the peer has gone, or until a barrier is
 * open; false if the peer or the server has gone. */
bool httpd_pause(struct httpd_conn *c, int64_t ms);
bool httpd_at_barrier(struct httpd_conn *c, const char *name);

#endif
