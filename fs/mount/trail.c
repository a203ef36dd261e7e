#include "fs/mount/trail.h"

#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/cache.h"
#include "fs/format/limits.h"
#include "fs/format/trace.h"
#include "fs/mount/scout.h"
#include "fs/version/trace_find.h"
#include "fs/version/trace_lines.h"
#include "fs/version/version.h"

enum {
	BATCH = 32,
	/* Batches before the reader: several loaders of one job do not come to
	 * the places of a trace in quite the order in which it has them. */
	AHEAD = 4,
	LINE = BATCH * AHEAD,
};

struct trail {
	struct trail_options opt; /* immutable */

	/* All up to trail_run's own is guarded by its mu. */
	struct cache_sleeper sleeper;
	struct expected {
		uint64_t ino; /* 0: none */
		uint64_t part;
		uint64_t number;
		bool ordered;
	} line[LINE];     /* of what comes: number n at n % LINE */
	uint64_t reached; /* number behind the last that was asked for */
	uint64_t awaited; /* until that is reached, none is made */

	/* of trail_run's thread */
	uint64_t next;       /* number */
	uint64_t end[AHEAD]; /* numbers behind the last batches */
	uint64_t batches;
	struct trace_lines lines;
	struct trace_entry entry;
	struct scout_order order;
	size_t used; /* bytes of the order's paths */
};

/* ---- entries ---- */

/* Have its bytes come?  Else the reader may well be there before them, and
 * would wait for what the scout asked for. */
static bool
is_here(const struct trail *t, const struct version_node *file)
{
	return file->size <= DM_SMALL_FILE_MAX &&
	    cache_present(t->opt.cache, &file->at, (uint32_t)file->size) ==
	    file->size;
}

static void
put_into_line(struct trail *t, const struct version_node *file)
{
	dm_lock(&t->sleeper.mu);
	t->line[t->next % LINE] = (struct expected){
		.ino = file->ino,
		.part = t->entry.off / TRACE_PART,
		.number = t->next,
	};
	dm_unlock(&t->sleeper.mu);
	t->next++;
}

/* Of the last of the line; returns whether it was. */
static bool
set_ordered(struct trail *t, bool ordered)
{
	struct expected *last = &t->line[(t->next - 1) % LINE];
	bool was;

	dm_lock(&t->sleeper.mu);
	was = last->ordered;
	last->ordered = ordered;
	dm_unlock(&t->sleeper.mu);
	return was;
}

/* Put the entry, the last of the line, into the order, if there is room. */
static void
put_into_order(struct trail *t)
{
	size_t size = t->entry.path_len + 1;

	if (size > sizeof(t->order.path) - t->used)
		return;
	memcpy(t->order.path + t->used, t->entry.path, size);
	t->used += size;
	t->order.paths++;
	(void)set_ordered(t, true);
}

/* Returns the bytes that the entry will have read. */
static uint64_t
add_entry(struct trail *t)
{
	const struct replay_readers *readers = &t->opt.readers;
	struct version_node file;
	uint64_t size;

	/* What is empty is never asked for. */
	if (!trace_find(t->opt.version, t->opt.cache, &t->sleeper, &t->entry,
		&file) ||
	    file.size == 0 ||
	    readers->was_read(readers->arg, file.ino, t->entry.off))
		return 0;
	put_into_line(t, &file);
	if (is_here(t, &file))
		put_into_order(t);
	size = file.size - t->entry.off;
	return size < TRACE_PART ? size : TRACE_PART;
}

/* ---- batches ---- */

/* Until the reader has come near enough; false: stopped. */
static bool
await_reader(struct trail *t)
{
	bool goes_on;

	dm_lock(&t->sleeper.mu);
	t->awaited = t->end[t->batches % AHEAD];
	while (!t->sleeper.stopped && t->reached < t->awaited)
		dm_cond_wait(&t->sleeper.cond, &t->sleeper.mu);
	goes_on = !t->sleeper.stopped;
	dm_unlock(&t->sleeper.mu);
	return goes_on;
}

/* Make a batch of the next entries; false: the trace has ended. */
static bool
make_batch(struct trail *t)
{
	uint64_t first = t->next, bytes = 0;
	struct dm_err err;
	const char *line;
	bool more = true;
	size_t size;

	t->order = (struct scout_order){ 0 };
	t->used = 0;
	while (t->next - first < BATCH && bytes < SCOUT_BYTES &&
	    !cache_sleeper_stopped(&t->sleeper)) {
		more = trace_lines_next(&t->lines, &line, &size);
		if (!more)
			break;
		if (trace_decode(&t->entry, line, size, &err) == 0)
			bytes += add_entry(t);
	}
	/* The last one is the reader's. */
	if (t->next > first && set_ordered(t, false))
		t->order.paths--;
	t->end[t->batches++ % AHEAD] = t->next;
	return more;
}

int
trail_open(struct trail **out, const struct trail_options *opt,
    struct dm_err *err)
{
	struct trail *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return dm_fail(err, DM_NOMEM, "trail");
	t->opt = *opt;
	cache_sleeper_init(&t->sleeper);
	trace_lines_init(&t->lines, opt->fd);
	*out = t;
	return 0;
}

void
trail_run(struct trail *t)
{
	struct dm_err err;
	const char *line;
	bool more;
	size_t size;

	/* If it is no trace, the replay says so. */
	more = trace_lines_next(&t->lines, &line, &size) &&
	    trace_check_header(line, size, &err) == 0;
	while (more && await_reader(t)) {
		more = make_batch(t);
		if (t->order.paths > 0)
			(void)t->opt.order(t->opt.arg, &t->order);
	}
}

void
trail_stop(struct trail *t)
{
	cache_sleeper_stop(&t->sleeper);
}

void
trail_close(struct trail *t)
{
	if (t == NULL)
		return;
	cache_sleeper_destroy(&t->sleeper);
	free(t);
}

bool
trail_note(struct trail *t, uint64_t ino, uint64_t off, bool *ordered)
{
	uint64_t part = off / TRACE_PART;
	bool found = false;

	*ordered = false;
	dm_lock(&t->sleeper.mu);
	for (int i = 0; i < LINE; i++) {
		const struct expected *e = &t->line[i];

		if (e->ino != ino || e->part != part)
			continue;
		found = true;
		*ordered = *ordered || e->ordered;
		if (t->reached <= e->number)
			t->reached = e->number + 1;
	}
	if (found && t->reached >= t->awaited)
		(void)pthread_cond_signal(&t->sleeper.cond);
	dm_unlock(&t->sleeper.mu);
	return found;
}
