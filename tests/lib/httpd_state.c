/* Rules, barriers and the log of a server. */
#include "tests/lib/httpd_state.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "tests/lib/httpd.h"
#include "tests/lib/httpd_conn.h"

enum {
	LOOK_MS = 10,  /* how often who waits looks whether its peer left */
	EXACT_MS = 40, /* up to here a delay is slept, to the microsecond */
	WAIT_MS = 60 * 1000,
};

static struct httpd_entry *
entry_of(struct httpd *h, struct httpd_line l) DM_REQUIRES(h->mu)
{
	if (l.generation != h->generation || l.index >= h->nentries)
		return NULL;
	return &h->entries[l.index];
}

static void
add_faults(struct httpd *h, const char *path, struct httpd_fault *fault)
    DM_REQUIRES(h->mu)
{
	for (struct httpd_rule *r = h->rules; r != NULL; r = r->next) {
		if (fnmatch(r->glob, path, 0) != 0)
			continue;
		r->seen++;
		if (r->seen >= r->from && r->seen <= r->to)
			httpd_fault_add(fault, &r->fault);
	}
}

static const char *
or_dash(const char *field)
{
	return *field != '\0' ? field : "-";
}

/* A test that runs out of memory has failed. */
static void
make_entry(struct httpd_entry *e, const struct httpd_request *r)
{
	e->path = strdup(r->path);
	if (e->path == NULL ||
	    asprintf(&e->request, "%s %s", r->method, r->target) < 0 ||
	    asprintf(&e->fields,
		"range=%s host=%s authorization=%s cache-control=%s "
		"cookie=%s referer=%s",
		or_dash(r->range), or_dash(r->host), or_dash(r->authorization),
		or_dash(r->cache_control), or_dash(r->cookie),
		or_dash(r->referer)) < 0)
		abort();
}

struct httpd_line
httpd_note(struct httpd_conn *c, const struct httpd_request *r,
    struct httpd_fault *fault)
{
	struct httpd_entry e = { .connection = c->number };
	struct httpd *h = c->h;
	struct httpd_line l;

	make_entry(&e, r);
	httpd_fault_init(fault);
	dm_lock(&h->mu);
	if (h->nentries == h->room) {
		h->room = h->room * 2 + 64;
		h->entries =
		    reallocarray(h->entries, h->room, sizeof(*h->entries));
		if (h->entries == NULL)
			abort();
	}
	l.generation = h->generation;
	l.index = h->nentries++;
	h->entries[l.index] = e;
	add_faults(h, r->path, fault);
	pthread_cond_broadcast(&h->changed);
	dm_unlock(&h->mu);
	return l;
}

void
httpd_note_status(struct httpd *h, struct httpd_line l, int status)
{
	struct httpd_entry *e;

	dm_lock(&h->mu);
	e = entry_of(h, l);
	if (e != NULL)
		e->status = status;
	dm_unlock(&h->mu);
}

void
httpd_note_bytes(struct httpd *h, struct httpd_line l, uint64_t bytes)
{
	struct httpd_entry *e;

	dm_lock(&h->mu);
	e = entry_of(h, l);
	if (e != NULL)
		e->bytes += bytes;
	dm_unlock(&h->mu);
}

static int
print_entry(const struct httpd_entry *e, struct dm_buf *out, struct dm_err *err)
{
	return dm_buf_printf(out, err,
	    "%s status=%d bytes=%" PRIu64 " connection=%" PRIu64 " %s\n",
	    e->request, e->status, e->bytes, e->connection, e->fields);
}

void
httpd_note_end(struct httpd *h, struct httpd_line l)
{
	struct dm_buf line = DM_BUF(REQUEST_MAX);
	struct dm_err err = { 0 };
	const struct httpd_entry *e;

	dm_lock(&h->mu);
	e = entry_of(h, l);
	/* A log that cannot be written is the test's to notice. */
	if (e != NULL && h->log_fd >= 0 && print_entry(e, &line, &err) == 0)
		(void)dm_write_full(h->log_fd, line.data, line.size);
	dm_unlock(&h->mu);
	dm_buf_release(&line);
}

/* Whether the client has closed its end; what it sent before may be unread. */
static bool
peer_left(const struct httpd_conn *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0;
}

bool
httpd_pause(struct httpd_conn *c, int64_t ms)
{
	struct timespec exact = { .tv_nsec = ms * 1000000 };
	uint64_t end =
	    ms == RULE_NEVER ? DM_NEVER_MS : dm_now_ms() + (uint64_t)ms;
	struct httpd *h = c->h;
	bool gone = false;

	if (ms >= 0 && ms <= EXACT_MS) {
		(void)nanosleep(&exact, NULL);
		return true;
	}
	dm_lock(&h->mu);
	while (!h->stopping && !gone && dm_now_ms() < end) {
		uint64_t next = dm_now_ms() + LOOK_MS;

		(void)dm_cond_wait_until(&h->changed, &h->mu,
		    next < end ? next : end);
		gone = peer_left(c);
	}
	gone = gone || h->stopping;
	dm_unlock(&h->mu);
	return !gone;
}

static bool
is_released(struct httpd *h, const char *name) DM_REQUIRES(h->mu)
{
	for (struct httpd_barrier *b = h->released; b != NULL; b = b->next)
		if (strcmp(b->name, name) == 0)
			return true;
	return false;
}

bool
httpd_at_barrier(struct httpd_conn *c, const char *name)
{
	struct httpd *h = c->h;
	bool gone = false;

	dm_lock(&h->mu);
	while (!h->stopping && !gone && !is_released(h, name)) {
		(void)dm_cond_wait_until(&h->changed, &h->mu,
		    dm_now_ms() + LOOK_MS);
		gone = peer_left(c);
	}
	gone = gone || h->stopping;
	dm_unlock(&h->mu);
	return !gone;
}

/* ---- what tests say and ask ---- */

int
httpd_rule(struct httpd *h, const char *text, struct dm_err *err)
{
	struct httpd_rule *rule = calloc(1, sizeof(*rule)), **last;

	if (rule == NULL)
		return dm_fail(err, DM_NOMEM, "rule");
	if (httpd_rule_parse(rule, text, err) < 0) {
		free(rule);
		return -1;
	}
	dm_lock(&h->mu);
	for (last = &h->rules; *last != NULL; last = &(*last)->next)
		;
	*last = rule;
	dm_unlock(&h->mu);
	return 0;
}

void
httpd_clear(struct httpd *h)
{
	struct httpd_rule *rule;
	struct httpd_barrier *b;

	dm_lock(&h->mu);
	while ((rule = h->rules) != NULL) {
		h->rules = rule->next;
		free(rule);
	}
	while ((b = h->released) != NULL) {
		h->released = b->next;
		free(b);
	}
	dm_unlock(&h->mu);
}

void
httpd_forget(struct httpd *h)
{
	dm_lock(&h->mu);
	for (size_t i = 0; i < h->nentries; i++) {
		free(h->entries[i].path);
		free(h->entries[i].request);
		free(h->entries[i].fields);
	}
	h->nentries = 0;
	h->generation++;
	dm_unlock(&h->mu);
}

void
httpd_release(struct httpd *h, const char *barrier)
{
	struct httpd_barrier *b = calloc(1, sizeof(*b));

	if (b == NULL)
		abort();
	(void)snprintf(b->name, sizeof(b->name), "%s", barrier);
	dm_lock(&h->mu);
	b->next = h->released;
	h->released = b;
	pthread_cond_broadcast(&h->changed);
	dm_unlock(&h->mu);
}

static uint64_t
count_locked(struct httpd *h, const char *glob, bool bytes) DM_REQUIRES(h->mu)
{
	uint64_t n = 0;

	for (size_t i = 0; i < h->nentries; i++)
		if (fnmatch(glob, h->entries[i].path, 0) == 0)
			n += bytes ? h->entries[i].bytes : 1;
	return n;
}

uint64_t
httpd_count(struct httpd *h, const char *glob)
{
	uint64_t n;

	dm_lock(&h->mu);
	n = count_locked(h, glob, false);
	dm_unlock(&h->mu);
	return n;
}

uint64_t
httpd_bytes(struct httpd *h, const char *glob)
{
	uint64_t n;

	dm_lock(&h->mu);
	n = count_locked(h, glob, true);
	dm_unlock(&h->mu);
	return n;
}

uint64_t
httpd_connections(struct httpd *h)
{
	uint64_t n = 0;

	dm_lock(&h->mu);
	for (size_t i = 0, j; i < h->nentries; i++) {
		for (j = 0;
		     h->entries[j].connection != h->entries[i].connection; j++)
			;
		n += i == j;
	}
	dm_unlock(&h->mu);
	return n;
}

int
httpd_wait(struct httpd *h, const char *glob, uint64_t n, struct dm_err *err)
{
	uint64_t deadline = dm_deadline_ms(WAIT_MS), came;

	dm_lock(&h->mu);
	while ((came = count_locked(h, glob, false)) < n && !h->stopping &&
	    dm_cond_wait_until(&h->changed, &h->mu, deadline))
		;
	dm_unlock(&h->mu);
	if (came >= n)
		return 0;
	return dm_fail(err, DM_OFFLINE,
	    "only %" PRIu64 " of %" PRIu64 " requests for %s came", came, n,
	    glob);
}

int
httpd_log(struct httpd *h, struct dm_buf *out, struct dm_err *err)
{
	int rc = 0;

	dm_lock(&h->mu);
	for (size_t i = 0; rc == 0 && i < h->nentries; i++)
		rc = print_entry(&h->entries[i], out, err);
	dm_unlock(&h->mu);
	return rc;
}

void
httpd_log_to(struct httpd *h, int fd)
{
	dm_lock(&h->mu);
	h->log_fd = fd;
	dm_unlock(&h->mu);
}

const char *
httpd_url(const struct httpd *h)
{
	return h->url;
}

unsigned
httpd_port(const struct httpd *h)
{
	return h->port;
}
