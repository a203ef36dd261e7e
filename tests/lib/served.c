#include "tests/lib/served.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "cache/base/io.h"
#include "tests/lib/httpd.h"

enum { GOT_MAX = 64 << 20 };

unsigned char
served_byte(uint64_t off)
{
	return (unsigned char)((off * 2654435761U) >> 13);
}

int
served_add(struct served *s, const char *name, uint64_t size,
    struct dm_err *err)
{
	DM_AUTO(dm_freep) char *path = NULL;
	DM_AUTO(dm_freep) unsigned char *data = malloc(size + 1);
	DM_AUTO(dm_closep) int fd = -1;
	char *slash;

	if (data == NULL || asprintf(&path, "%s/%s", s->root, name) < 0)
		abort();
	for (uint64_t i = 0; i < size; i++)
		data[i] = served_byte(i);
	slash = strrchr(path, '/');
	*slash = '\0';
	if (dm_mkdirs(path, 0755, err) < 0)
		return -1;
	*slash = '/';
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || dm_write_full(fd, data, size) < 0)
		return dm_fail_errno(err, "%s", path);
	return 0;
}

int
served_open(struct served *s, struct dm_err *err)
{
	static const struct net_options opt = {
		.connect_ms = 1000, .stall_ms = 1000, .backoff_ms = 5
	};

	memset(s, 0, sizeof(*s));
	(void)snprintf(s->root, sizeof(s->root), "/tmp/dm-served.XXXXXX");
	if (mkdtemp(s->root) == NULL)
		return dm_fail_errno(err, "%s", s->root);
	if (served_add(s, "file", SERVED_SIZE, err) < 0 ||
	    httpd_start(&s->h, s->root, err) < 0 ||
	    net_open(&s->net, &opt, err) < 0)
		return -1;
	return origin_open(&s->o, s->net, httpd_url(s->h), err);
}

void
served_close(struct served *s)
{
	char command[100];

	net_close(s->net);
	origin_close(s->o);
	httpd_stop(s->h);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", s->root);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the threads have ended */
	if (system(command) != 0)
		abort();
}

void
got_init(struct got *g)
{
	memset(g, 0, sizeof(*g));
	g->bytes.max = GOT_MAX;
	g->stop_after = UINT64_MAX;
	dm_mutex_init(&g->mu, DM_RANK_WAIT);
	dm_cond_init(&g->cond);
}

void
got_release(struct got *g)
{
	dm_buf_release(&g->bytes);
	pthread_cond_destroy(&g->cond);
	dm_mutex_destroy(&g->mu);
}

static int
got_data(void *arg, const void *data, size_t size)
{
	struct got *g = arg;
	struct dm_err err = { 0 };

	if (dm_buf_append(&g->bytes, data, size, &err) < 0)
		return -1;
	return g->bytes.size > g->stop_after ? -1 : 0;
}

static void
got_done(void *arg, const struct dm_err *err)
{
	struct got *g = arg;

	dm_lock(&g->mu);
	g->ended++;
	if (err != NULL)
		g->err = *err;
	pthread_cond_signal(&g->cond);
	dm_unlock(&g->mu);
}

void
got_start(struct got *g, struct origin *o, const char *path,
    const struct got_range *range)
{
	unsigned timeout_ms = range->timeout_ms;

	origin_start(o,
	    &(struct origin_get){
		.path = path,
		.off = range->off,
		.size = range->size,
		.limit = range->limit,
		.fresh = range->fresh,
		.immutable = range->immutable,
		.avoid = range->avoid,
		.deadline_ms =
		    dm_deadline_ms(timeout_ms != 0 ? timeout_ms : 10000),
		.data = got_data,
		.done = got_done,
		.arg = g,
	    });
}

bool
got_wait(struct got *g)
{
	uint64_t deadline = dm_deadline_ms(20000);
	bool ended;

	dm_lock(&g->mu);
	while (g->ended == 0 && dm_cond_wait_until(&g->cond, &g->mu, deadline))
		;
	ended = g->ended == 1;
	dm_unlock(&g->mu);
	return ended;
}

int
got_fetch(struct got *g, struct origin *o, const char *path,
    const struct got_range *range, struct dm_err *err)
{
	dm_buf_clear(&g->bytes);
	dm_lock(&g->mu);
	g->ended = 0;
	g->err = (struct dm_err){ 0 };
	dm_unlock(&g->mu);
	got_start(g, o, path, range);
	if (!got_wait(g))
		return dm_fail(err, DM_OFFLINE, "done was never called");
	if (g->err.code == DM_OK)
		return 0;
	*err = g->err;
	return -1;
}

bool
got_is_right(const struct got *g, uint64_t off, uint64_t size)
{
	if (g->bytes.size != size)
		return false;
	for (uint64_t i = 0; i < size; i++)
		if ((unsigned char)g->bytes.data[i] != served_byte(off + i))
			return false;
	return true;
}
