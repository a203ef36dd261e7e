/*
 * One thread, and some errands: reads of the cache that wait.  An errand that
 * brings a lot (the part of a window that lies in one pack) is begun again
 * each time that its wait wakes, as every read is.
 *
 * What is needed to look entries up comes as fast as for a reader; only what
 * fills the line, the data, is asked for in the background.
 */
#include "fs/version/replay.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/base/log.h"
#include "cache/cache.h"
#include "fs/format/trace.h"
#include "fs/version/trace_find.h"
#include "fs/version/trace_lines.h"
#include "fs/version/version.h"

enum {
	ERRANDS = 8,
	ITEMS = 1 << 15,   /* objects of a window */
	ITEMS_ENTRY = 128, /* of one entry, at most: TRACE_PART in chunks */
	WINDOW = 32 << 20, /* bytes of the first window */
	WINDOW_MOST = 1 << 28,
	LOOK_MS = 60 * 1000, /* for what an entry's places are read in */
	OFFLINE_MS = 10000,  /* before the next lot, if one did not come */
	ROOM_MS = 100,       /* between looks at how far the readers are */
};

/* An object that is to come. */
struct item {
	struct cache_place at;
	uint32_t seq; /* in the window */
};

/* Those of one pack: items of the sorted window. */
struct group {
	uint32_t first, n;
	uint32_t seq; /* of the first of them to be read */
};

/* A lot that comes. */
struct errand {
	struct cache_sleep sleep;
	bool busy;
	struct cache_lot lot;
	uint32_t *ordinal; /* of the lot */
};

struct replay {
	struct replay_options opt; /* immutable */

	struct cache_sleeper sleeper;
	struct replay_counts counts; /* guarded by the sleeper's mu */

	/* of replay_run's thread */
	struct trace_lines lines;
	struct trace_entry entry;
	struct errand errand[ERRANDS];
	struct item *item;
	struct group *group;
	uint32_t nitems, seq;
	uint64_t window, passed; /* bytes: of a window; of all entries so far */
	bool offline, useless;
	bool most; /* of the version is in the trace */
};

/* ---- entries ---- */

static void
add_item(void *arg, const struct cache_place *at, uint32_t size)
{
	struct replay *r = arg;

	if (size > 0 && r->nitems < ITEMS)
		r->item[r->nitems++] =
		    (struct item){ .at = *at, .seq = r->seq };
}

static bool
find_places(struct replay *r, const struct version_node *file)
{
	uint32_t before = r->nitems;
	struct cache_sleep look;
	struct dm_err err;
	int rc;

	cache_sleep_init(&look, &r->sleeper, LOOK_MS);
	do {
		r->nitems = before;
		rc = version_places(r->opt.version, file, r->entry.off,
		    TRACE_PART, add_item, r, &look.wait, &err);
	} while (rc < 0 && cache_sleep_again(r->opt.cache, &look, &err));
	cache_sleep_release(&look);
	if (rc < 0)
		r->nitems = before;
	return rc == 0;
}

/* Put the entry's objects into the window; returns its bytes. */
static uint64_t
add_entry(struct replay *r)
{
	const struct replay_readers *readers = &r->opt.readers;
	struct version_node file;
	bool there = trace_find(r->opt.version, r->opt.cache, &r->sleeper,
	    &r->entry, &file);
	uint64_t size = 0;

	if (there) {
		size = file.size - r->entry.off;
		if (size > TRACE_PART)
			size = TRACE_PART;
		if (size > 0 &&
		    !readers->was_read(readers->arg, file.ino, r->entry.off))
			there = find_places(r, &file);
	}
	r->seq++;
	dm_lock(&r->sleeper.mu);
	if (there)
		r->counts.brought++;
	else
		r->counts.absent++;
	dm_unlock(&r->sleeper.mu);
	return size;
}

/* Fill a window; false: the trace has ended. */
static bool
fill_window(struct replay *r)
{
	uint64_t bytes = 0;
	struct dm_err err;
	const char *line;
	bool more = true;
	size_t size;

	r->nitems = 0;
	r->seq = 0;
	while (bytes < r->window && r->nitems + ITEMS_ENTRY <= ITEMS &&
	    !cache_sleeper_stopped(&r->sleeper)) {
		more = trace_lines_next(&r->lines, &line, &size);
		if (!more)
			break;
		if (trace_decode(&r->entry, line, size, &err) == 0) {
			bytes += add_entry(r);
			continue;
		}
		dm_lock(&r->sleeper.mu);
		r->counts.bad++;
		dm_unlock(&r->sleeper.mu);
	}
	r->passed += bytes;
	return more;
}

/* ---- lots ---- */

static int
by_place(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int c = memcmp(&x->at.pack, &y->at.pack, sizeof(x->at.pack));

	if (c == 0)
		c = (x->at.ordinal > y->at.ordinal) -
		    (x->at.ordinal < y->at.ordinal);
	return c;
}

static int
by_seq(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	return (x->seq > y->seq) - (x->seq < y->seq);
}

/* Sort the window into groups, in the order in which they will be read. */
static uint32_t
make_groups(struct replay *r)
{
	uint32_t n = 0;

	if (r->nitems > 0)
		qsort(r->item, r->nitems, sizeof(*r->item), by_place);
	for (uint32_t i = 0; i < r->nitems; i++) {
		const struct item *it = &r->item[i];

		if (i == 0 || !digest_equal(&it->at.pack, &it[-1].at.pack))
			r->group[n++] =
			    (struct group){ .first = i, .seq = it->seq };
		r->group[n - 1].n++;
		if (it->seq < r->group[n - 1].seq)
			r->group[n - 1].seq = it->seq;
	}
	if (n > 0)
		qsort(r->group, n, sizeof(*r->group), by_seq);
	return n;
}

static void
lot_end(struct replay *r, struct errand *e, const struct dm_err *err)
{
	cache_sleep_release(&e->sleep);
	free(e->ordinal);
	e->ordinal = NULL;
	e->busy = false;
	r->offline = r->offline || err->code == DM_OFFLINE;
	r->useless = r->useless || err->code == DM_NOSPACE;
}

static void
lot_step(struct replay *r, struct errand *e)
{
	struct dm_err err = { 0 };

	if (cache_bring(r->opt.cache, r->opt.origin, &e->lot, &e->sleep.wait,
		&err) == 0 ||
	    err.code != DM_AGAIN)
		lot_end(r, e, &err);
}

/* Wait for one of the errands, and let those go on that can. */
static void
attend(struct replay *r)
{
	bool woken[ERRANDS], any = false;

	dm_lock(&r->sleeper.mu);
	while (!any && !r->sleeper.stopped) {
		for (int i = 0; i < ERRANDS; i++) {
			woken[i] =
			    r->errand[i].busy && r->errand[i].sleep.woken;
			any = any || woken[i];
		}
		if (!any)
			dm_cond_wait(&r->sleeper.cond, &r->sleeper.mu);
	}
	for (int i = 0; any && i < ERRANDS; i++)
		if (woken[i])
			r->errand[i].sleep.woken = false;
	dm_unlock(&r->sleeper.mu);
	for (int i = 0; any && i < ERRANDS; i++)
		if (woken[i])
			lot_step(r, &r->errand[i]);
}

/* One that has no lot, or NULL when stopping. */
static struct errand *
free_errand(struct replay *r)
{
	for (;;) {
		for (int i = 0; i < ERRANDS; i++)
			if (!r->errand[i].busy)
				return &r->errand[i];
		if (cache_sleeper_stopped(&r->sleeper))
			return NULL;
		attend(r);
	}
}

static void
lot_begin(struct replay *r, struct errand *e, const struct group *g)
{
	const struct item *it = &r->item[g->first];
	uint32_t n = 0, *ordinal = malloc(g->n * sizeof(*ordinal));

	if (ordinal == NULL)
		return;
	for (uint32_t i = 0; i < g->n; i++)
		if (n == 0 || ordinal[n - 1] != it[i].at.ordinal)
			ordinal[n++] = it[i].at.ordinal;
	e->ordinal = ordinal;
	e->lot = (struct cache_lot){
		.at = it->at, .ordinal = ordinal, .n = n, .others = r->most
	};
	e->busy = true;
	cache_sleep_init(&e->sleep, &r->sleeper, 0);
	lot_step(r, e);
}

/* Have everything of the window come.  False: no more of that. */
static bool
bring_window(struct replay *r)
{
	uint32_t n = make_groups(r);

	for (uint32_t i = 0; i < n; i++) {
		struct errand *e;

		if (r->offline)
			(void)cache_sleeper_nap(&r->sleeper, OFFLINE_MS);
		r->offline = false;
		e = free_errand(r);
		if (e == NULL || r->useless)
			return false;
		lot_begin(r, e, &r->group[i]);
	}
	return true;
}

/* Let all that is under way end, or end it. */
static void
finish(struct replay *r)
{
	struct dm_err ended = { 0 };

	for (int i = 0; i < ERRANDS; i++) {
		struct errand *e = &r->errand[i];

		while (e->busy && !cache_sleeper_stopped(&r->sleeper))
			attend(r);
		if (!e->busy)
			continue;
		(void)cache_sleep(r->opt.cache, &e->sleep);
		lot_end(r, e, &ended);
	}
}

/* ---- all ---- */

/* Half of what the cache may hold. */
static uint64_t
room_ahead(const struct replay *r)
{
	struct cache_counts counts;
	struct statvfs st;

	if (r->opt.ahead > 0)
		return r->opt.ahead;
	cache_counts(r->opt.cache, &counts);
	if (counts.limit > 0)
		return counts.limit / 2;
	if (statvfs(cache_dir(r->opt.cache), &st) < 0)
		return WINDOW;
	return (uint64_t)st.f_bavail * st.f_frsize / 2;
}

/* Until the readers have come near enough. */
static void
await_readers(struct replay *r, uint64_t ahead)
{
	const struct replay_readers *readers = &r->opt.readers;

	while (!cache_sleeper_stopped(&r->sleeper) &&
	    r->passed + r->window > readers->bytes_read(readers->arg) + ahead)
		(void)cache_sleeper_nap(&r->sleeper, ROOM_MS);
}

int
replay_open(struct replay **out, const struct replay_options *opt,
    struct dm_err *err)
{
	struct replay *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return dm_fail(err, DM_NOMEM, "replay");
	r->opt = *opt;
	cache_sleeper_init(&r->sleeper);
	trace_lines_init(&r->lines, opt->fd);
	r->item = malloc(ITEMS * sizeof(*r->item));
	r->group = malloc(ITEMS * sizeof(*r->group));
	if (r->item == NULL || r->group == NULL) {
		replay_close(r);
		return dm_fail(err, DM_NOMEM, "replay");
	}
	*out = r;
	return 0;
}

void
replay_close(struct replay *r)
{
	if (r == NULL)
		return;
	cache_sleeper_destroy(&r->sleeper);
	free(r->item);
	free(r->group);
	free(r);
}

/* Does the trace name at least half of the version, and has the cache room for
 * all of that?  Then what lies between files that are wanted now will be wanted
 * later, most likely: without it, a window of a large version in no order is a
 * request for each file. */
static bool
names_most(struct replay *r, uint64_t ahead)
{
	struct version_node root;
	struct dm_err err;
	uint64_t files = 0;
	const char *line;
	size_t size;

	version_root(r->opt.version, &root);
	if (root.size > ahead)
		return false;
	while (!cache_sleeper_stopped(&r->sleeper) &&
	    trace_lines_next(&r->lines, &line, &size))
		if (trace_decode(&r->entry, line, size, &err) == 0 &&
		    r->entry.off == 0)
			files++;
	trace_lines_init(&r->lines, r->opt.fd);
	return trace_lines_next(&r->lines, &line, &size) && /* the header */
	    files >= (root.entries + 1) / 2;
}

static void
go(struct replay *r)
{
	uint64_t ahead = room_ahead(r);
	bool more = true;

	r->most = names_most(r, ahead);
	r->window = WINDOW < ahead / 2 ? WINDOW : ahead / 2 + 1;
	while (more && !cache_sleeper_stopped(&r->sleeper)) {
		await_readers(r, ahead);
		more = fill_window(r);
		/* Then it may be of another version, or of other files. */
		if (r->counts.absent > r->counts.brought)
			r->most = false;
		if (!bring_window(r))
			break;
		if (r->window <= WINDOW_MOST / 2 && r->window <= ahead / 4)
			r->window *= 2;
	}
	finish(r);
}

static void
say_end(struct replay *r)
{
	struct replay_counts n;

	replay_counts(r, &n);
	if (r->useless)
		dm_log(DM_LOG_WARN, "replay",
		    "%s: the cache cannot keep what is fetched ahead: no more "
		    "is",
		    r->opt.name);
	dm_log(DM_LOG_INFO, "replay",
	    "%s: %llu entries; %llu are not in this version, %llu lines are "
	    "no entries",
	    r->opt.name, (unsigned long long)n.brought,
	    (unsigned long long)n.absent, (unsigned long long)n.bad);
}

void
replay_run(struct replay *r)
{
	struct dm_err err;
	const char *line;
	size_t size;

	if (!trace_lines_next(&r->lines, &line, &size))
		size = 0, line = "";
	if (trace_check_header(line, size, &err) == 0)
		go(r);
	else
		dm_log(DM_LOG_WARN, "replay", "%s: %s", r->opt.name, err.text);
	dm_lock(&r->sleeper.mu);
	r->counts.ended = true;
	dm_unlock(&r->sleeper.mu);
	say_end(r);
}

void
replay_stop(struct replay *r)
{
	cache_sleeper_stop(&r->sleeper);
}

void
replay_counts(struct replay *r, struct replay_counts *out)
{
	dm_lock(&r->sleeper.mu);
	*out = r->counts;
	dm_unlock(&r->sleeper.mu);
}
