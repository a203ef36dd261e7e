#include "fs/publish/history.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/net/origin.h"
#include "fs/format/limits.h"
#include "fs/format/ref.h"
#include "fs/publish/fetcher.h"
#include "fs/publish/id_map.h"
#include "fs/publish/pack_file.h"

enum {
	THREADS = 8, /* as many connections as there are to one server */
	LOG_MAX = 256 << 20,
};

struct item {
	struct digest id;
	struct dm_buf text; /* empty: it did not come */
	bool known;         /* and so is not to come */
};

struct history {
	/* immutable while threads run */
	const struct history_options *opt;
	struct item *item;
	size_t n, room;
	struct id_map by_id;

	struct dm_mutex mu; /* guards all below; an item is its taker's */
	size_t next;
};

/* refs/log, and where in it each commit's line is. */
struct log {
	struct dm_buf text;
	uint32_t *line;
	size_t n, room;
	struct id_map by_id;
};

static void
log_release(struct log *l)
{
	dm_buf_release(&l->text);
	free(l->line);
	id_map_release(&l->by_id);
}

static int
add_line(struct log *l, size_t off, const struct digest *id, struct dm_err *err)
{
	if (l->n == l->room) {
		size_t room = l->room == 0 ? 256 : 2 * l->room;
		uint32_t *q = reallocarray(l->line, room, sizeof(*q));

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "list commits");
		l->line = q;
		l->room = room;
	}
	l->line[l->n] = (uint32_t)off;
	return id_map_put(&l->by_id, id, (uint32_t)l->n++, err);
}

/* What there is of it.  Only memory can run out: it is a hint. */
static int
log_read(struct log *l, const struct history_options *opt, struct dm_err *err)
{
	struct dm_err ignored = { 0 };
	bool found = false;
	const char *end;

	if (origin_read(opt->origin, "refs/log",
		dm_deadline_ms(opt->timeout_ms), &l->text, &found,
		&ignored) < 0)
		found = false;
	if (!found || l->text.size == 0)
		return 0;
	end = l->text.data + l->text.size;
	for (const char *p = l->text.data, *q; p < end; p = q + 1) {
		struct digest id;

		q = memchr(p, '\n', (size_t)(end - p));
		if (q == NULL)
			break;
		if (q - p > DIGEST_HEX && digest_parse(&id, p, DIGEST_HEX) &&
		    add_line(l, (size_t)(p - l->text.data), &id, err) < 0)
			return -1;
	}
	return 0;
}

static int
add_item(struct history *h, const struct digest *id, bool known,
    struct dm_err *err)
{
	if (h->n == h->room) {
		size_t room = h->room == 0 ? 64 : 2 * h->room;
		struct item *q = reallocarray(h->item, room, sizeof(*q));

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "list commits");
		h->item = q;
		h->room = room;
	}
	h->item[h->n] = (struct item){
		.id = *id, .text = DM_BUF(DM_COMMIT_MAX), .known = known
	};
	return id_map_put(&h->by_id, id, (uint32_t)h->n++, err);
}

/* Add the parents that the log names. */
static int
add_parents(struct history *h, const struct log *l, const struct digest *id,
    struct dm_err *err)
{
	const struct history_options *opt = h->opt;
	struct dm_err ignored = { 0 };
	struct log_line line;
	const char *p;
	uint32_t i;

	if (!id_map_find(&l->by_id, id, &i))
		return 0;
	p = l->text.data + l->line[i];
	if (log_line_decode(&line, p, strcspn(p, "\n"), &ignored) < 0)
		return 0;
	for (unsigned k = 0; k < line.nparents; k++)
		if (!id_map_has(&h->by_id, &line.parents[k]) &&
		    !opt->known(opt->arg, &line.parents[k]) &&
		    add_item(h, &line.parents[k], false, err) < 0)
			return -1;
	return 0;
}

static int
list_items(struct history *h, const struct digest *from, size_t n,
    struct dm_err *err)
{
	const struct history_options *opt = h->opt;
	DM_AUTO(log_release) struct log l = { .text = DM_BUF(LOG_MAX) };

	if (log_read(&l, opt, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!id_map_has(&h->by_id, &from[i]) &&
		    add_item(h, &from[i], opt->known(opt->arg, &from[i]), err) <
			0)
			return -1;
	for (size_t i = 0; i < h->n; i++) { /* grows meanwhile */
		struct digest id = h->item[i].id;

		if (add_parents(h, &l, &id, err) < 0)
			return -1;
	}
	return 0;
}

static void *
work(void *arg)
{
	struct history *h = arg;

	for (;;) {
		struct dm_err err = { 0 };
		char path[PACK_PATH];
		struct item *it;

		dm_lock(&h->mu);
		it = h->next < h->n ? &h->item[h->next++] : NULL;
		dm_unlock(&h->mu);
		if (it == NULL)
			return NULL;
		pack_file_path(path, "commits", &it->id);
		if (it->known ||
		    fetcher_file(h->opt->fetcher, path, &it->id, &it->text,
			&err) == 0)
			continue;
		dm_buf_clear(&it->text);
		if (err.code == DM_NOTFOUND || err.code == DM_CORRUPT)
			continue;
		/* the next one would not come either */
		dm_lock(&h->mu);
		h->next = h->n;
		dm_unlock(&h->mu);
	}
}

static void
fetch_items(struct history *h)
{
	pthread_t thread[THREADS];
	unsigned n = 0;

	while (n < THREADS && n < h->n &&
	    pthread_create(&thread[n], NULL, work, h) == 0)
		n++;
	for (unsigned i = 0; i < n; i++)
		(void)pthread_join(thread[i], NULL); /* they exist */
}

int
history_open(struct history **out, const struct history_options *opt,
    const struct digest *from, size_t n, struct dm_err *err)
{
	struct history *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return dm_fail(err, DM_NOMEM, "list commits");
	dm_mutex_init(&h->mu, DM_RANK_PUBLISH);
	h->opt = opt;
	if (list_items(h, from, n, err) < 0) {
		history_close(h);
		return -1;
	}
	fetch_items(h);
	h->opt = NULL;
	*out = h;
	return 0;
}

void
history_close(struct history *h)
{
	if (h == NULL)
		return;
	for (size_t i = 0; i < h->n; i++)
		dm_buf_release(&h->item[i].text);
	free(h->item);
	id_map_release(&h->by_id);
	dm_mutex_destroy(&h->mu);
	free(h);
}

bool
history_take(struct history *h, const struct digest *id, struct dm_buf *out)
{
	struct item *it;
	uint32_t i;

	if (!id_map_find(&h->by_id, id, &i))
		return false;
	it = &h->item[i];
	if (it->text.size == 0)
		return false;
	*out = it->text;
	it->text = (struct dm_buf)DM_BUF(DM_COMMIT_MAX);
	return true;
}
