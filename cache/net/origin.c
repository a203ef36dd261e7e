#include "cache/net/origin.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/base/lock.h"
#include "cache/net/net.h"
#include "cache/net/relay.h"
#include "cache/net/transfer.h"
#include "cache/net/url.h"

/* Make path absolute: the process may change its directory later. */
static int
open_folder(struct origin *o, const char *path, struct dm_err *err)
{
	DM_AUTO(dm_freep) char *here = NULL;
	size_t n;

	if (*path == '\0')
		return dm_fail(err, DM_INVALID, "the folder's path is empty");
	if (*path != '/') {
		here = getcwd(NULL, 0);
		if (here == NULL)
			return dm_fail_errno(err, "current directory");
	}
	if (asprintf(&o->folder, "%s%s%s", here != NULL ? here : "",
		here != NULL ? "/" : "", path) < 0) {
		o->folder = NULL;
		return dm_fail(err, DM_NOMEM, "origin");
	}
	n = strlen(o->folder);
	while (n > 1 && o->folder[n - 1] == '/')
		o->folder[--n] = '\0';
	return 0;
}

static int
set_url(struct origin *o, const char *url, struct dm_err *err)
{
	char path[PATH_MAX];

	if (!url_has_scheme(url))
		return open_folder(o, url, err);
	if (strncasecmp(url, "file://", 7) != 0)
		return url_parse(&o->url, url, err);
	if (url_file_path(path, sizeof(path), url, err) < 0)
		return -1;
	return open_folder(o, path, err);
}

static int
set_name(struct origin *o, struct dm_err *err)
{
	o->name = strdup(o->folder != NULL ? o->folder : o->url.root);
	return o->name != NULL ? 0 : dm_fail(err, DM_NOMEM, "origin");
}

int
origin_open(struct origin **out, struct net *net, const char *url,
    struct dm_err *err)
{
	struct origin *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return dm_fail(err, DM_NOMEM, "origin");
	o->net = net;
	if (set_url(o, url, err) < 0 || set_name(o, err) < 0) {
		origin_close(o);
		return -1;
	}
	*out = o;
	return 0;
}

void
origin_close(struct origin *o)
{
	if (o == NULL)
		return;
	for (unsigned i = 0; i < o->nmirrors; i++)
		origin_close(o->mirror[i]);
	free(o->name);
	free(o->folder);
	free(o);
}

int
origin_add_mirror(struct origin *o, const char *url, struct dm_err *err)
{
	if (origin_places(o) == ORIGIN_PLACES_MAX)
		return dm_fail(err, DM_INVALID,
		    "more than %d places to fetch from", ORIGIN_PLACES_MAX);
	if (origin_open(&o->mirror[o->nmirrors], o->net, url, err) < 0)
		return -1;
	o->nmirrors++;
	return 0;
}

unsigned
origin_places(const struct origin *o)
{
	return 1 + o->nmirrors;
}

const char *
origin_name(const struct origin *o)
{
	return o->name;
}

const char *
origin_folder(const struct origin *o)
{
	return o->folder;
}

void
origin_place(const struct origin *o, unsigned i, struct origin_place *out)
{
	const struct origin *p = i == 0 ? o : o->mirror[i - 1];
	uint64_t since = atomic_load(&p->down_since_ms), now = dm_now_ms();

	out->name = p->name;
	out->folder = p->folder;
	out->counts.requests = atomic_load(&p->requests);
	out->counts.bytes = atomic_load(&p->bytes);
	out->counts.retries = atomic_load(&p->retries);
	out->counts.failures = atomic_load(&p->failures);
	out->bad = atomic_load(&p->bad);
	out->down_ms = since == 0 ? 0 : now > since ? now - since : 1;
}

void
origin_counts(struct origin *o, struct origin_counts *out)
{
	struct origin_place p;

	*out = (struct origin_counts){ 0 };
	for (unsigned i = 0; i < origin_places(o); i++) {
		origin_place(o, i, &p);
		out->requests += p.counts.requests;
		out->bytes += p.counts.bytes;
		out->retries += p.counts.retries;
		out->failures += p.counts.failures;
	}
}

void
transfer_end(struct transfer *t, const struct dm_err *err)
{
	void (*done)(void *, const struct dm_err *) = t->get.done;
	void *arg = t->get.arg;

	if (err != NULL)
		atomic_fetch_add_explicit(&t->origin->failures, 1,
		    memory_order_relaxed);
	free((void *)(uintptr_t)t->get.path);
	free(t);
	done(arg, err);
}

static int
check_get(const struct origin_get *get, struct dm_err *err)
{
	uint64_t end;

	if (!url_path_valid(get->path))
		return dm_fail(err, DM_INVALID, "bad path below an origin");
	if (__builtin_add_overflow(get->off, get->size, &end) ||
	    end > INT64_MAX || (get->size == ORIGIN_WHOLE && get->off != 0))
		return dm_fail(err, DM_INVALID, "%s: bad range", get->path);
	return 0;
}

static int
start(struct origin *o, const struct origin_get *get,
    const struct transfer_limits *limits, struct dm_err *err)
{
	struct transfer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return dm_fail(err, DM_NOMEM, "transfer");
	t->origin = o;
	t->get = *get;
	t->limits = *limits;
	if (t->limits.stall_ms == 0)
		t->limits.stall_ms = net_options(o->net)->stall_ms;
	t->get.path = strdup(get->path);
	if (t->get.path == NULL) {
		free(t);
		return dm_fail(err, DM_NOMEM, "transfer");
	}
	if (!net_submit(o->net, t)) {
		free((void *)(uintptr_t)t->get.path);
		free(t);
		return dm_fail(err, DM_CANCELLED, "closing");
	}
	return 0;
}

static void
refuse(struct origin *o, const struct origin_get *get, const struct dm_err *err)
{
	atomic_fetch_add_explicit(&o->failures, 1, memory_order_relaxed);
	get->done(get->arg, err);
}

void
transfer_start(struct origin *o, const struct origin_get *get,
    const struct transfer_limits *limits)
{
	struct dm_err err = { 0 };

	if (start(o, get, limits, &err) < 0)
		refuse(o, get, &err);
}

void
origin_start(struct origin *o, const struct origin_get *get)
{
	static const struct transfer_limits none = { 0 };
	struct dm_err err = { 0 };

	if (get->from != NULL)
		*get->from = 1;
	if (check_get(get, &err) < 0)
		refuse(o, get, &err);
	else if (get->immutable && o->nmirrors > 0)
		relay_start(o, get);
	else
		transfer_start(o, get, &none);
}

static int
reader_data(void *arg, const void *data, size_t size)
{
	struct origin_reading *r = arg;

	return dm_buf_append(r->out, data, size, &r->err);
}

static void
reader_done(void *arg, const struct dm_err *err)
{
	struct origin_reading *r = arg;

	dm_lock(&r->mu);
	/* What reader_data reported is the cause of its DM_CANCELLED. */
	if (err != NULL && r->err.code == DM_OK)
		r->err = *err;
	r->ended = true;
	pthread_cond_signal(&r->cond);
	dm_unlock(&r->mu);
}

void
origin_server(struct origin *o, struct origin_server *out)
{
	out->ranges = atomic_load(&o->ranges);
	out->wholes = atomic_load(&o->wholes);
	out->has_date = atomic_load(&o->has_date);
	out->ahead_s = atomic_load(&o->ahead_s);
}

static void
reading_start(struct origin_reading *r, struct origin *o, const char *path,
    uint64_t off, uint64_t size, uint64_t deadline_ms, struct dm_buf *out)
{
	*r = (struct origin_reading){ .out = out, .before = out->size };
	dm_mutex_init(&r->mu, DM_RANK_WAIT);
	dm_cond_init(&r->cond);
	origin_start(o,
	    &(struct origin_get){
		.path = path,
		.off = off,
		.size = size,
		.limit = out->max - out->size,
		.fresh = ORIGIN_REVALIDATE,
		.deadline_ms = deadline_ms,
		.data = reader_data,
		.done = reader_done,
		.arg = r,
	    });
}

static int
reading_end(struct origin_reading *r, struct dm_err *err)
{
	dm_lock(&r->mu);
	while (!r->ended)
		dm_cond_wait(&r->cond, &r->mu);
	dm_unlock(&r->mu);
	pthread_cond_destroy(&r->cond);
	dm_mutex_destroy(&r->mu);
	if (r->err.code == DM_OK)
		return 0;
	r->out->size = r->before;
	*err = r->err;
	return -1;
}

int
origin_read_range(struct origin *o, const char *path, uint64_t off,
    uint64_t size, uint64_t deadline_ms, struct dm_buf *out, struct dm_err *err)
{
	struct origin_reading r;

	reading_start(&r, o, path, off, size, deadline_ms, out);
	return reading_end(&r, err);
}

void
origin_read_begin(struct origin_reading *r, struct origin *o, const char *path,
    uint64_t deadline_ms, struct dm_buf *out)
{
	reading_start(r, o, path, 0, ORIGIN_WHOLE, deadline_ms, out);
}

int
origin_read_end(struct origin_reading *r, bool *found, struct dm_err *err)
{
	struct dm_err why = { 0 };

	*found = reading_end(r, &why) == 0;
	if (*found || why.code == DM_NOTFOUND)
		return 0;
	*err = why;
	return -1;
}

int
origin_read(struct origin *o, const char *path, uint64_t deadline_ms,
    struct dm_buf *out, bool *found, struct dm_err *err)
{
	struct origin_reading r;

	origin_read_begin(&r, o, path, deadline_ms, out);
	return origin_read_end(&r, found, err);
}
