/*
 * Turns between processes.
 *
 * Who gets on is seen by the lock itself: its range shrinks with each piece
 * that has come.  That a piece has come is seen by its bit in the map, or by
 * the file of a directory; both are claims, and a reader that finds them false
 * comes back, then with the lock free.
 */
#include "cache/turn.h"

#include <stdlib.h>
#include <string.h>

#include "cache/base/clock.h"
#include "cache/fetch.h"
#include "cache/plan.h"
#include "cache/store/blob.h"

void
turn_end(struct turn *t)
{
	if (t->files == NULL)
		return;
	if (t->level < FILES_LEVELS)
		files_unlock(t->files, t->level, t->range);
	files_put(t->files);
	t->files = NULL;
}

void
turn_join(struct turn *a, struct turn *b)
{
	if (a->files == NULL || a->files != b->files || a->level != b->level ||
	    a->range.off + a->range.size != b->range.off)
		return;
	a->range.size += b->range.size;
	files_put(dm_steal(&b->files));
}

static bool
overlap(struct files_range a, struct files_range b)
{
	return a.off < b.off + b.size && b.off < a.off + a.size;
}

/* The level to try for on these bytes. */
static unsigned
level_of(const struct turns *all, const struct blob *blob,
    struct files_range range)
{
	uint64_t now = dm_now_ms();
	unsigned level = 0;

	for (unsigned i = 0; i < TURNS_STALE; i++) {
		const struct turn_stale *s = &all->stale[i];

		if (s->blob == blob && now < s->until_ms &&
		    overlap(s->range, range) && s->level > level)
			level = s->level;
	}
	return level;
}

static bool
take(struct turns *all, struct turn *out, struct files *files,
    const struct blob *blob, struct files_range range)
{
	unsigned level = 0;

	*out = (struct turn){ .files = NULL };
	if (files == NULL)
		return true;
	if (!files_lock(files, 0, range)) {
		level = level_of(all, blob, range);
		if (level == 0)
			return false;
		if (level < FILES_LEVELS && !files_lock(files, level, range))
			return false;
	}
	*out = (struct turn){
		.files = files_get(files),
		.range = range,
		.level = level,
	};
	return true;
}

/* The bytes of the blob that an index of the plan stands for. */
static struct files_range
bytes_of(const struct turn_range *r, uint32_t i)
{
	if (r->plan == NULL)
		return files_directory_range(r->dir_off);
	return (struct files_range){
		.off = r->plan->object[i].plain_off,
		.size = r->plan->object[i].plain_size,
	};
}

/* Take the turn for one index, unless there is nothing to fetch. */
static bool
take_index(struct turns *all, struct turn_range *r, uint32_t i,
    struct turn *out)
{
	*out = (struct turn){ .files = NULL };
	if (r->plan != NULL && r->plan->skip[i])
		return true;
	return take(all, out, r->files, r->blob, bytes_of(r, i));
}

/* Take all turns of the range by one lock; false: none is taken. */
static bool
take_all(struct turn_range *r)
{
	struct files_range all = bytes_of(r, r->lo);

	for (uint32_t i = r->lo + 1; i < r->hi; i++) {
		struct files_range one = bytes_of(r, i);

		if (one.off != all.off + all.size)
			return false;
		all.size += one.size;
	}
	for (uint32_t i = r->lo; r->plan != NULL && i < r->hi; i++)
		if (r->plan->skip[i])
			return false;
	if (!files_lock(r->files, 0, all))
		return false;
	for (uint32_t i = r->lo; i < r->hi; i++)
		r->turn[i - r->lo] = (struct turn){
			.files = files_get(r->files),
			.range = bytes_of(r, i),
		};
	return true;
}

/* Shrink the range to what is ours around at; false: not even that is. */
static bool
shrink(struct turns *all, struct turn_range *r, uint32_t at)
{
	uint32_t lo = at, hi = at + 1;
	struct turn *turn = r->turn;

	if (take_all(r))
		return true;
	if (!take_index(all, r, at, &turn[at - r->lo]))
		return false;
	while (hi < r->hi && take_index(all, r, hi, &turn[hi - r->lo]))
		hi++;
	while (lo > r->lo && take_index(all, r, lo - 1, &turn[lo - 1 - r->lo]))
		lo--;
	memmove((void *)turn, (void *)&turn[lo - r->lo],
	    (hi - lo) * sizeof(*turn));
	r->lo = lo;
	r->hi = hi;
	return true;
}

void
turn_range_end(struct turn_range *r)
{
	for (uint32_t i = 0; r->turn != NULL && i < r->hi - r->lo; i++)
		turn_end(&r->turn[i]);
	free(r->turn);
	r->turn = NULL;
}

uint32_t
turn_others_end(const struct turn_range *r, uint32_t at)
{
	struct files_range by = { 0 };
	uint32_t end = at + 1;

	(void)files_locked(r->files, 0, bytes_of(r, at), &by);
	while (end < r->plan->n && overlap(bytes_of(r, end), by))
		end++;
	return end;
}

/* What has come since the plan was made, from another process, is left out;
 * ends that are left out too are cut off.  False: at itself has come. */
static bool
look_again(struct turn_range *r, uint32_t at, bool trusted)
{
	struct plan *p = r->plan;
	uint8_t *here;

	if (p == NULL)
		return !trusted || !files_have_directory(r->files);
	here = malloc(r->hi - r->lo);
	if (here == NULL)
		return true;
	files_claims(r->files, p->first + r->lo, r->hi - r->lo, here);
	if (!trusted)
		here[at - r->lo] = 0;
	for (uint32_t i = r->lo; i < r->hi; i++)
		if (here[i - r->lo])
			p->skip[i] = 1;
	free(here);
	for (uint32_t i = r->lo; i < r->hi; i++)
		if (p->skip[i])
			turn_end(&r->turn[i - r->lo]);
	while (r->hi > at + 1 && p->skip[r->hi - 1])
		r->hi--;
	return !p->skip[at];
}

int
turn_take_range(struct turns *all, struct turn_range *r, uint32_t at,
    bool trusted)
{
	if (r->files == NULL)
		return 1;
	r->turn = calloc(r->hi - r->lo, sizeof(*r->turn));
	if (r->turn == NULL)
		return 1;
	if (!shrink(all, r, at)) {
		turn_range_end(r);
		return -1;
	}
	return look_again(r, at, trusted);
}

void
watch_begin(struct turns *all, struct watch *w, const struct turn_range *r,
    uint32_t at, uint32_t piece)
{
	struct files_range range = bytes_of(r, at);
	uint64_t now = dm_now_ms();

	*w = (struct watch){
		.files = files_get(r->files),
		.blob = r->blob,
		.piece = piece,
		.range = range,
		.level = level_of(all, r->blob, range),
		.since_ms = now,
		.moved_ms = now,
	};
	(void)files_locked(w->files, w->level, range, &w->held);
}

void
watch_end(struct watch *w)
{
	files_put(w->files);
	w->files = NULL;
}

static bool
has_come(const struct watch *w)
{
	return w->piece == FETCH_DIR ? files_have_directory(w->files) :
				       files_claims_one(w->files, w->piece);
}

bool
watch_is_over(struct turns *all, struct watch *w)
{
	struct files_range held;
	uint64_t now = dm_now_ms();

	if (has_come(w) || !files_linked(w->files) ||
	    !files_locked(w->files, w->level, w->range, &held))
		return true;
	if (held.off != w->held.off || held.size != w->held.size) {
		w->held = held;
		w->moved_ms = now;
	}
	if (now - w->moved_ms < TURN_STALE_MS &&
	    now - w->since_ms < TURN_LONGEST_MS)
		return false;
	all->stale[all->next++ % TURNS_STALE] = (struct turn_stale){
		.blob = w->blob,
		.range = held,
		.level = w->level + 1,
		.until_ms = now + TURN_LONGEST_MS,
	};
	return true;
}
