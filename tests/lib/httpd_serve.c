/* One connection: reading requests, and the control interface. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "tests/lib/httpd.h"
#include "tests/lib/httpd_conn.h"

/* ---- reading ---- */

static int
hex_value(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = c != '\0' ? strchr(digits, tolower(c)) : NULL;

	return p != NULL ? (int)(p - digits) : -1;
}

/* Decode target up to its query; out has room for all of it. */
static void
decode_path(char *out, const char *target)
{
	size_t n = 0;

	for (; *target != '\0' && *target != '?'; target++) {
		int high = *target == '%' ? hex_value(target[1]) : -1;
		int low = high < 0 ? -1 : hex_value(target[2]);

		out[n] = *target;
		if (low >= 0) {
			out[n] = (char)(high * 16 + low);
			target += 2;
		}
		n++;
	}
	out[n] = '\0';
}

/* If line is the field name, copy its value. */
static void
read_field(char *out, const char *name, const char *line)
{
	size_t n = strlen(name);

	if (strncasecmp(line, name, n) != 0 || line[n] != ':')
		return;
	line += n + 1;
	line += strspn(line, " \t");
	(void)snprintf(out, FIELD_MAX, "%s", line);
}

static void
read_fields(struct httpd_request *out, char *save)
{
	char size[FIELD_MAX] = "", connection[FIELD_MAX] = "", *line;

	while ((line = strtok_r(NULL, "\r\n", &save)) != NULL) {
		read_field(out->range, "Range", line);
		read_field(out->host, "Host", line);
		read_field(out->authorization, "Authorization", line);
		read_field(out->cache_control, "Cache-Control", line);
		read_field(out->cookie, "Cookie", line);
		read_field(out->referer, "Referer", line);
		read_field(size, "Content-Length", line);
		read_field(connection, "Connection", line);
	}
	out->body_size = strtoull(size, NULL, 10);
	if (strcasecmp(connection, "close") == 0)
		out->is_last = true;
}

bool
httpd_request_decode(struct httpd_request *out, const char *head, size_t size)
{
	char text[REQUEST_MAX + 1], version[16] = "", *save = NULL, *line;

	memset(out, 0, sizeof(*out));
	if (size > REQUEST_MAX)
		return false;
	memcpy(text, head, size);
	text[size] = '\0';
	line = strtok_r(text, "\r\n", &save);
	if (line == NULL ||
	    sscanf(line, "%15s %4095s %15s", out->method, out->target,
		version) != 3 ||
	    strncmp(version, "HTTP/1.", 7) != 0 || out->target[0] != '/')
		return false;
	out->is_last = strcmp(version, "HTTP/1.0") == 0;
	out->query = out->target + strcspn(out->target, "?");
	out->query += *out->query == '?';
	decode_path(out->path, out->target);
	read_fields(out, save);
	return true;
}

/* Read until c->in holds size bytes. */
static bool
fill(struct httpd_conn *c, size_t size)
{
	while (c->in_size < size) {
		char *to = c->in + c->in_size;
		size_t room = sizeof(c->in) - c->in_size;
		ssize_t n = c->tls != NULL ? httpd_tls_read(c, to, room) :
					     recv(c->fd, to, room, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		c->in_size += (size_t)n;
	}
	return true;
}

/* Read until c->in holds a head; 0 if none comes. */
static size_t
fill_head(struct httpd_conn *c)
{
	for (;;) {
		char *end = memmem(c->in, c->in_size, "\r\n\r\n", 4);

		if (end != NULL)
			return (size_t)(end - c->in) + 4;
		if (c->in_size > 0 && !isupper((unsigned char)c->in[0]))
			return 0; /* TLS, or noise */
		if (c->in_size == sizeof(c->in) || !fill(c, c->in_size + 1))
			return 0;
	}
}

static void
use_up(struct httpd_conn *c, size_t size)
{
	c->in_size -= size;
	memmove(c->in, c->in + size, c->in_size);
}

static bool
serve_one(struct httpd_conn *c, struct httpd_request *r)
{
	size_t head = fill_head(c), size;
	char body[REQUEST_MAX + 1];

	if (head == 0 || !httpd_request_decode(r, c->in, head))
		return false;
	if (r->body_size > sizeof(c->in) - head)
		return false;
	size = (size_t)r->body_size;
	if (!fill(c, head + size))
		return false;
	memcpy(body, c->in + head, size);
	body[size] = '\0';
	use_up(c, head + size);
	if (strncmp(r->path, "/.ctl/", 6) == 0)
		return httpd_control(c, r, body);
	return httpd_answer(c, r);
}

void *
httpd_conn_main(void *conn)
{
	struct httpd_conn *c = conn;
	struct httpd_request *r = calloc(1, sizeof(*r));
	sigset_t pipe_signal;

	/* sendfile(2) has no flag against it */
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
	if (r != NULL && httpd_tls_begin(c))
		while (serve_one(c, r))
			;
	free(r);
	httpd_conn_close(c, false);
	atomic_store(&c->over, true);
	return NULL;
}

bool
httpd_send(struct httpd_conn *c, const void *data, size_t size)
{
	if (c->tls != NULL)
		return httpd_tls_write(c, data, size);
	for (size_t done = 0; done < size;) {
		ssize_t n = send(c->fd, (const char *)data + done, size - done,
		    MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

bool
httpd_send_file(struct httpd_conn *c, int fd, off_t *at, size_t size)
{
	off_t end = *at + (off_t)size;

	while (*at < end) {
		ssize_t n = sendfile(c->fd, fd, at, (size_t)(end - *at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
	}
	return true;
}

/* ---- control ---- */

static int
control_rules(struct httpd *h, char *body, struct dm_err *err)
{
	char *save = NULL, *line = strtok_r(body, "\r\n", &save);

	for (; line != NULL; line = strtok_r(NULL, "\r\n", &save))
		if (httpd_rule(h, line, err) < 0)
			return -1;
	return 0;
}

static int
control_wait(struct httpd *h, const char *body, struct dm_err *err)
{
	char glob[RULE_TEXT];
	uint64_t n;

	if (sscanf(body, "%255s %" SCNu64, glob, &n) != 2)
		return dm_fail(err, DM_INVALID, "want: GLOB N");
	return httpd_wait(h, glob, n, err);
}

static int
control_get(struct httpd *h, const struct httpd_request *r, const char *what,
    struct dm_buf *out, struct dm_err *err)
{
	char glob[TARGET_MAX];

	decode_path(glob, r->query);
	if (strcmp(what, "log") == 0)
		return httpd_log(h, out, err);
	if (strcmp(what, "count") == 0)
		return dm_buf_printf(out, err, "%" PRIu64 "\n",
		    httpd_count(h, glob));
	if (strcmp(what, "bytes") == 0)
		return dm_buf_printf(out, err, "%" PRIu64 "\n",
		    httpd_bytes(h, glob));
	if (strcmp(what, "connections") == 0)
		return dm_buf_printf(out, err, "%" PRIu64 "\n",
		    httpd_connections(h));
	return dm_fail(err, DM_INVALID, "no such question");
}

static int
control_post(struct httpd *h, const char *what, char *body, struct dm_err *err)
{
	if (strcmp(what, "rule") == 0)
		return control_rules(h, body, err);
	if (strcmp(what, "wait") == 0)
		return control_wait(h, body, err);
	body[strcspn(body, "\r\n")] = '\0';
	if (strcmp(what, "clear") == 0)
		httpd_clear(h);
	else if (strcmp(what, "forget") == 0)
		httpd_forget(h);
	else if (strcmp(what, "release") == 0)
		httpd_release(h, body);
	else
		return dm_fail(err, DM_INVALID, "no such command");
	return 0;
}

bool
httpd_control(struct httpd_conn *c, const struct httpd_request *r, char *body)
{
	struct dm_buf out = DM_BUF((size_t)1 << 30);
	struct dm_err err = { 0 };
	const char *what = r->path + strlen("/.ctl/");
	char head[128];
	bool sent;
	int rc, status = 200;

	if (strcmp(r->method, "POST") == 0)
		rc = control_post(c->h, what, body, &err);
	else
		rc = control_get(c->h, r, what, &out, &err);
	if (rc < 0) {
		status = err.code == DM_OFFLINE ? 504 : 400;
		dm_buf_clear(&out);
		if (dm_buf_printf(&out, &err, "%s\n", err.text) < 0)
			return false;
	}
	(void)snprintf(head, sizeof(head),
	    "HTTP/1.1 %d Control\r\nContent-Length: %zu\r\n\r\n", status,
	    out.size);
	sent = httpd_send(c, head, strlen(head)) &&
	    httpd_send(c, out.data, out.size);
	dm_buf_release(&out);
	return sent && !r->is_last;
}
