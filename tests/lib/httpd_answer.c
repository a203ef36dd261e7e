/* One answer, and how it goes wrong. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "cache/base/io.h"
#include "tests/lib/httpd_conn.h"

enum {
	BLOCK_SIZE = 64 * 1024,
	PLAIN_SIZE = 1024 * 1024,
	DRIPS_A_SECOND = 20,
	HEAD_MAX = 4096
};

static const char html_page[] =
    "<!DOCTYPE html>\n<html><head><title>Welcome</title></head>"
    "<body><p>Please log in to the network.</p></body></html>\n";

/* What an answer is made of. */
struct answer {
	const struct httpd_request *request;
	struct httpd_fault fault;
	struct httpd_line line;
	int status;
	int fd;           /* the file, or -1: text */
	const char *text; /* of answers that are no file */
	char etag[64];    /* or "" */
	uint64_t file_size;
	uint64_t first, size; /* what of file or text is the body */
	bool has_length;      /* Content-Length is sent */
	bool is_last;         /* the connection ends after it */
	bool is_tls;
};

static void
set_text(struct answer *a, int status, const char *text)
{
	a->status = status;
	a->text = text;
	a->first = 0;
	a->size = strlen(text);
}

/* Read one number of a range; false if there is none. */
static bool
read_number(const char **p, uint64_t *out)
{
	char *end = NULL;

	if (**p < '0' || **p > '9')
		return false;
	*out = strtoull(*p, &end, 10);
	*p = end;
	return true;
}

/* "bytes=A-B", "bytes=A-" or "bytes=-N"; false if it is something else. */
static bool
read_range(const char *text, uint64_t file_size, uint64_t *first,
    uint64_t *last)
{
	const char *p = text + 6;
	uint64_t n;

	if (strncmp(text, "bytes=", 6) != 0)
		return false;
	*last = file_size - 1;
	if (*p == '-') {
		p++;
		if (!read_number(&p, &n) || *p != '\0')
			return false;
		*first = n < file_size ? file_size - n : 0;
		return true;
	}
	if (!read_number(&p, first) || *p++ != '-')
		return false;
	if (*p != '\0' && !read_number(&p, last))
		return false;
	if (*last >= file_size)
		*last = file_size - 1;
	return *p == '\0';
}

static void
set_range(struct answer *a)
{
	const struct httpd_fault *f = &a->fault;
	uint64_t first, last;

	if (a->request->range[0] == '\0' || f->norange ||
	    !read_range(a->request->range, a->file_size, &first, &last))
		return;
	if (f->shift != RULE_NEVER) {
		first += (uint64_t)f->shift;
		last += (uint64_t)f->shift;
		if (last >= a->file_size)
			last = a->file_size - 1;
	}
	if (first >= a->file_size || first > last) {
		set_text(a, 416, "Range not satisfiable.\n");
		return;
	}
	a->status = 206;
	a->first = first;
	a->size = last - first + 1;
	if (f->short_ != RULE_NEVER && a->size > (uint64_t)f->short_)
		a->size = (uint64_t)f->short_;
}

static bool
is_folder(const char *path)
{
	return path[strlen(path) - 1] == '/';
}

static void
set_file(struct answer *a, int root_fd)
{
	const char *of =
	    a->fault.swap[0] != '\0' ? a->fault.swap : a->request->path;
	char path[TARGET_MAX + 16];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s%s", of + strspn(of, "/"),
	    is_folder(of) ? "index.html" : "");
	if (strstr(path, "..") == NULL)
		a->fd =
		    openat(root_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (a->fd < 0 || fstat(a->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		set_text(a, errno == EACCES ? 403 : 404, "No such file.\n");
		return;
	}
	a->file_size = (uint64_t)st.st_size;
	a->size = a->file_size;
	a->status = 200;
	(void)snprintf(a->etag, sizeof(a->etag), "\"%" PRIx64 "-%lx%09lx\"",
	    a->file_size, (long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec);
	set_range(a);
}

static void
decide(struct answer *a, int root_fd)
{
	const struct httpd_fault *f = &a->fault;

	if (strcmp(a->request->method, "GET") != 0 &&
	    strcmp(a->request->method, "HEAD") != 0)
		set_text(a, 405, "GET and HEAD only.\n");
	else if (f->status != RULE_NEVER)
		set_text(a, (int)f->status,
		    f->body[0] != '\0' ? f->body : "As you wished.\n");
	else if (f->redirect[0] != '\0')
		set_text(a, 302, "Elsewhere.\n");
	else if (f->html)
		set_text(a, 200, html_page);
	else
		set_file(a, root_fd);
	if (a->status == 204 || a->status == 304)
		a->size = 0; /* these have no body */
	a->has_length = !f->chunked && !f->endless;
	a->is_last =
	    a->request->is_last || f->hangup || (f->endless && !f->chunked);
}

static void
put_line(char *head, const char *name, const char *value)
{
	size_t n = strlen(head);

	if (*value == '\0' || n + 1 >= HEAD_MAX)
		return;
	(void)snprintf(head + n, HEAD_MAX - n, "%s%s\r\n", name, value);
	for (char *p = head + n; *p != '\0'; p++)
		if (*p == '_')
			*p = ' ';
}

static uint64_t
tail_size(const struct answer *a)
{
	return a->fault.tail != RULE_NEVER ? (uint64_t)a->fault.tail : 0;
}

static bool
send_head(struct httpd_conn *c, const struct answer *a)
{
	char head[HEAD_MAX], value[128];

	(void)snprintf(head, sizeof(head), "HTTP/1.1 %d Answer\r\n", a->status);
	if (a->status == 206) {
		(void)snprintf(value, sizeof(value),
		    "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, a->first,
		    a->first + a->size - 1, a->file_size);
		put_line(head, "Content-Range: ",
		    a->fault.content_range[0] != '\0' ? a->fault.content_range :
							value);
	}
	if (a->status == 416) {
		(void)snprintf(value, sizeof(value), "bytes */%" PRIu64,
		    a->file_size);
		put_line(head, "Content-Range: ", value);
	}
	(void)snprintf(value, sizeof(value), "%" PRIu64,
	    a->fault.length != RULE_NEVER ? (uint64_t)a->fault.length :
					    a->size + tail_size(a));
	put_line(head, "Content-Length: ", a->has_length ? value : "");
	put_line(head,
	    "Transfer-Encoding: ", a->fault.chunked ? "chunked" : "");
	put_line(head, "Accept-Ranges: ", a->fault.norange ? "" : "bytes");
	if (strncasecmp(a->fault.header, "ETag:", 5) != 0)
		put_line(head, "ETag: ", a->etag);
	put_line(head, "Content-Type: ",
	    a->text != NULL || is_folder(a->request->path) ?
		"text/html" :
		"application/octet-stream");
	put_line(head, "Retry-After: ", a->fault.retry_after);
	put_line(head, "", a->fault.header);
	put_line(head,
	    "Connection: ", a->is_last && !a->fault.hangup ? "close" : "");
	if (a->fault.redirect[0] != '\0')
		(void)snprintf(head + strlen(head), HEAD_MAX - strlen(head),
		    "Location: %s\r\n", a->fault.redirect);
	(void)snprintf(head + strlen(head), HEAD_MAX - strlen(head), "\r\n");
	return httpd_send(c, head, strlen(head));
}

/* Make the n bytes at off of the body. */
static void
fill_block(const struct answer *a, char *block, uint64_t off, size_t n)
{
	uint64_t have = off < a->size ? a->size - off : 0;
	size_t real = have < n ? (size_t)have : n;
	uint64_t at = a->first + off, flip = (uint64_t)a->fault.flip;

	memset(block, 'x', n);
	if (real == 0)
		return;
	if (a->text != NULL)
		memcpy(block, a->text + at, real);
	else if (dm_pread_full(a->fd, block, real, at) < 0)
		memset(block, '?', real);
	if (a->fault.flip != RULE_NEVER && flip >= at && flip - at < real)
		block[flip - at] = (char)~block[flip - at];
}

static bool
send_block(struct httpd_conn *c, const struct answer *a, const char *block,
    size_t n)
{
	char size[24];

	httpd_note_bytes(c->h, a->line, n);
	if (!a->fault.chunked)
		return httpd_send(c, block, n);
	(void)snprintf(size, sizeof(size), "%zx\r\n", n);
	return httpd_send(c, size, strlen(size)) && httpd_send(c, block, n) &&
	    httpd_send(c, "\r\n", 2);
}

/* Where the body breaks off: UINT64_MAX if it does not. */
static uint64_t
break_at(const struct httpd_fault *f)
{
	uint64_t at = UINT64_MAX;
	const int64_t faults[] = { f->truncate, f->reset, f->stall };

	for (int i = 0; i < 3; i++)
		if (faults[i] != RULE_NEVER && (uint64_t)faults[i] < at)
			at = (uint64_t)faults[i];
	return at;
}

/* Whether the body is what is in the file, as quick as can be. */
static bool
is_plain(const struct answer *a)
{
	const struct httpd_fault *f = &a->fault;

	return a->text == NULL && !a->is_tls && !f->chunked && !f->endless &&
	    f->flip == RULE_NEVER && f->tail == RULE_NEVER &&
	    f->drip == RULE_NEVER && break_at(f) == UINT64_MAX;
}

static bool
send_plain(struct httpd_conn *c, const struct answer *a)
{
	off_t at = (off_t)a->first, end = at + (off_t)a->size;

	while (at < end) {
		size_t n = end - at < PLAIN_SIZE ? (size_t)(end - at) :
						   (size_t)PLAIN_SIZE;

		httpd_note_bytes(c->h, a->line, n);
		if (!httpd_send_file(c, a->fd, &at, n))
			return false;
	}
	return true;
}

/* Send the body; false if the connection is to be closed. */
static bool
send_body(struct httpd_conn *c, const struct answer *a)
{
	uint64_t total = a->fault.endless ? UINT64_MAX : a->size + tail_size(a);
	uint64_t end = break_at(&a->fault);
	size_t step = BLOCK_SIZE;
	char block[BLOCK_SIZE];
	bool is_broken = end <= total && end != UINT64_MAX;

	if (is_plain(a))
		return send_plain(c, a);
	if (!is_broken)
		end = total;
	if (a->fault.drip != RULE_NEVER && a->fault.drip < BLOCK_SIZE)
		step = (size_t)a->fault.drip / DRIPS_A_SECOND + 1;
	for (uint64_t off = 0; off < end;) {
		size_t n = end - off < step ? (size_t)(end - off) : step;

		fill_block(a, block, off, n);
		if (!send_block(c, a, block, n))
			return false;
		off += n;
		if (a->fault.drip != RULE_NEVER &&
		    !httpd_pause(c, 1000 / DRIPS_A_SECOND))
			return false;
	}
	if (is_broken && (uint64_t)a->fault.stall == end)
		return httpd_pause(c, RULE_NEVER);
	if (is_broken && (uint64_t)a->fault.reset == end)
		httpd_conn_close(c, true);
	if (is_broken)
		return false;
	return !a->fault.chunked || httpd_send(c, "0\r\n\r\n", 5);
}

static bool
respond(struct httpd_conn *c, struct answer *a)
{
	const struct httpd_fault *f = &a->fault;

	if (f->barrier[0] != '\0' && !httpd_at_barrier(c, f->barrier))
		return false;
	if (f->delay != RULE_NEVER && !httpd_pause(c, f->delay))
		return false;
	if (f->raw[0] != '\0') {
		(void)httpd_send(c, f->raw, strlen(f->raw));
		(void)httpd_send(c, "\r\n", 2);
		return false;
	}
	if (f->drop)
		return false;
	decide(a, c->root_fd);
	httpd_note_status(c->h, a->line, a->status);
	if (!send_head(c, a))
		return false;
	if (strcmp(a->request->method, "HEAD") == 0)
		return !a->is_last;
	return send_body(c, a) && !a->is_last;
}

bool
httpd_answer(struct httpd_conn *c, const struct httpd_request *r)
{
	struct answer a = { .request = r, .fd = -1, .is_tls = c->tls != NULL };
	bool go_on;

	a.line = httpd_note(c, r, &a.fault);
	go_on = respond(c, &a);
	dm_closep(&a.fd);
	httpd_note_end(c->h, a.line);
	return go_on;
}
