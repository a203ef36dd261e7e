#include "cache/landing.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "cache/base/err.h"
#include "cache/cache.h"
#include "cache/courier.h"
#include "cache/fetch.h"
#include "cache/fetch_state.h"
#include "cache/held.h"
#include "cache/moved_table.h"
#include "cache/net/origin.h"
#include "cache/pool.h"
#include "cache/store/blob.h"
#include "cache/store/directory.h"

/* Deliver to all who wait, and forget.  err NULL: it came. */
static struct cache_wait *
finish_locked(struct flight *fl, struct held_bytes *bytes,
    struct directory *dir, const struct dm_err *err)
{
	struct fetch *f = fl->fetch;
	struct cache_wait *list = NULL;

	if (!f->stopping) {
		if (err == NULL)
			blob_finish(fl->blob);
		flight_remove(&f->flights, fl);
		list = flight_take(&f->flights, fl, bytes, dir, err);
	}
	f->used -= fl->cost;
	return list;
}

/* The same for one flight, with all around it; it is freed. */
static void
finish(struct flight *fl, struct held_bytes *bytes, struct directory *dir,
    const struct dm_err *err)
{
	struct fetch *f = fl->fetch;
	struct cache_wait *list;

	turn_end(&fl->turn);
	dm_lock(&f->mu);
	list = finish_locked(fl, bytes, dir, err);
	dm_unlock(&f->mu);
	flight_wake(list);
	flight_free(fl);
}

/* Will anybody still be there when another try ends? */
static bool
requeue_offline_locked(struct flight *fl)
{
	uint64_t last = 0;

	for (struct cache_wait *w = fl->waits; w != NULL; w = w->next)
		last = w->deadline_ms > last ? w->deadline_ms : last;
	if (last <= fl->deadline_ms)
		return false;
	fl->deadline_ms = last;
	return true;
}

/* Is it worth to ask again, for those who wait, and how? */
static bool
another_try_locked(struct flight *fl, const struct dm_err *err)
{
	if (fl->waits == NULL)
		return false;
	if (err->code == DM_OFFLINE)
		return requeue_offline_locked(fl);
	if (err->code == DM_NOTFOUND && fl->attempt == ORIGIN_CACHED) {
		fl->attempt = ORIGIN_REVALIDATE;
		return true;
	}
	if (err->code == DM_CORRUPT && flight_next_place(fl))
		return true;
	if (err->code == DM_CORRUPT && fl->attempt != ORIGIN_UNIQUE) {
		fl->avoid = 0;
		fl->attempt = fl->attempt == ORIGIN_CACHED ? ORIGIN_REVALIDATE :
							     ORIGIN_UNIQUE;
		return true;
	}
	return false;
}

/* The pack is gone, which is known of it already, or asked for: those who wait
 * are to look again, at once or with those who asked. */
static bool
is_gone_locked(struct flight *fl, const struct dm_err *err)
{
	struct fetch *f = fl->fetch;
	struct flight *asks;

	if (err->code != DM_NOTFOUND || fl->gone != NULL || f->stopping)
		return false;
	asks = flight_find(&f->flights, fl->blob, FETCH_MOVED, 0, 0);
	if (asks == NULL)
		return moved_table_knows(f->moved, &fl->pack);
	flight_pass_on(asks, fl);
	return true;
}

/* What moved/ says is a few kB most often, though it may be MOVED_MAX, and not
 * more are asked for at a time than there are connections: each counts as so
 * much of the budget, and leaves others their room. */
enum { MOVED_SHARE = 16 };

/* The pack is gone.  Did gc move what was in it? */
static bool
ask_moved_locked(struct flight *fl, const struct dm_err *err)
{
	struct fetch *f = fl->fetch;

	if (err->code != DM_NOTFOUND || fl->gone != NULL || fl->waits == NULL)
		return false;
	fl->gone = malloc(sizeof(*fl->gone));
	if (fl->gone == NULL)
		return false;
	*fl->gone = *err;
	fl->moved = (struct dm_buf)DM_BUF(MOVED_MAX);
	fl->avoid = fl->from = 0;
	fl->attempt = ORIGIN_REVALIDATE;
	fl->cost = f->budget / MOVED_SHARE;
	flight_remove(&f->flights, fl);
	fl->piece = FETCH_MOVED;
	flight_add(&f->flights, fl);
	return true;
}

/* It did not say.  What sent us here may have been overtaken by a later gc:
 * then those who wait look again. */
static void
finish_gone(struct flight *fl)
{
	struct fetch *f = fl->fetch;
	struct dm_err why = *fl->gone;
	bool again = moved_table_gone(f->moved, &fl->pack);

	finish(fl, NULL, NULL, again ? NULL : &why);
}

/* The flight did not bring what it should: fetch it again, alone, or fail. */
void
landing_lost(struct flight *fl, const struct dm_err *err)
{
	struct fetch *f = fl->fetch;
	struct transfer *t = calloc(1, sizeof(*t) + sizeof(struct flight *));
	uint64_t cost = fl->cost;
	bool again, gone;

	held_bytes_put(fl->stored);
	fl->stored = NULL;
	free(fl->dir);
	fl->dir = NULL;
	fl->got = 0;
	dm_buf_release(&fl->moved);
	dm_lock(&f->mu);
	gone = is_gone_locked(fl, err);
	again = t != NULL && !f->stopping && !gone &&
	    (another_try_locked(fl, err) || ask_moved_locked(fl, err));
	if (again) {
		f->used -= cost;
		*t = (struct transfer){
			.fetch = f,
			.off = fl->off,
			.pos = fl->off,
			.size = fl->size,
			.cost = fl->cost,
			.deadline_ms = fl->deadline_ms,
			.moving = fl->gone != NULL,
			.n = 1,
		};
		t->flight[0] = fl;
		transfer_push(&f->queue[TRANSFER_DEMAND], t);
	}
	dm_unlock(&f->mu);
	if (again)
		return;
	free(t);
	if (gone)
		finish(fl, NULL, NULL, NULL);
	else if (fl->gone != NULL && err->code == DM_NOTFOUND)
		finish_gone(fl);
	else
		finish(fl, NULL, NULL, err);
}

/* moved/ has come for the only flight of t. */
void
landing_moved(struct transfer *t)
{
	struct flight *fl = t->flight[0];
	struct dm_err err;

	t->cur = t->n;
	if (moved_table_put(fl->fetch->moved, &fl->pack, &fl->moved, &err) == 0)
		finish(fl, NULL, NULL, NULL);
	else
		landing_lost(fl, &err);
}

/* ---- on the pool: is it what it should be? ---- */

/* A directory may be wrong because of a wrong hint where it is. */
static void
say_bad(struct fetch *f, const struct flight *fl)
{
	atomic_fetch_add(&f->bad, 1);
	origin_bad(fl->origin, fl->from, fl->piece != FETCH_DIR);
}

/* Pieces that are as they should be, and their bytes. */
struct landed {
	uint32_t n;
	struct flight *flight[POOL_RUN];
	struct held_bytes *plain[POOL_RUN];
};

static void
store(const struct landed *l)
{
	struct blob_piece piece[POOL_RUN];
	const void *data[POOL_RUN];

	for (uint32_t i = 0; i < l->n; i++) {
		const struct flight *fl = l->flight[i];

		piece[i] = (struct blob_piece){
			.id = fl->object.id,
			.off = fl->object.plain_off,
			.size = fl->object.plain_size,
			.n = fl->piece,
		};
		data[i] = l->plain[i]->data;
	}
	if (l->n > 0)
		blob_write_run(l->flight[0]->blob, piece, data, l->n);
}

/* finish() for all of them, with one lock. */
static void
finish_all(struct fetch *f, const struct landed *l)
{
	struct cache_wait *list = NULL;

	for (uint32_t i = l->n; i-- > 1;)
		turn_join(&l->flight[i - 1]->turn, &l->flight[i]->turn);
	for (uint32_t i = 0; i < l->n; i++)
		turn_end(&l->flight[i]->turn);
	dm_lock(&f->mu);
	for (uint32_t i = 0; i < l->n; i++)
		flight_collect(&list,
		    finish_locked(l->flight[i], l->plain[i], NULL, NULL));
	dm_unlock(&f->mu);
	flight_wake(list);
	for (uint32_t i = 0; i < l->n; i++) {
		flight_free(l->flight[i]);
		held_bytes_put(l->plain[i]);
	}
}

/* Prove one; a piece that is right is put to the others. */
static void
check(struct flight *fl, struct codec *codec, struct landed *l)
{
	struct held_bytes *plain = NULL;
	struct directory *dir = NULL;
	struct dm_err err;

	if (flight_verify(fl, codec, &plain, &dir, &err) < 0) {
		if (err.code == DM_CORRUPT)
			say_bad(fl->fetch, fl);
		landing_lost(fl, &err);
	} else if (plain == NULL) {
		flight_keep_tail(fl, codec, dir);
		finish(fl, NULL, dir, NULL);
	} else {
		l->flight[l->n] = fl;
		l->plain[l->n++] = held_bytes_get(plain);
	}
	held_bytes_put(plain);
	directory_put(dir);
}

/* Who waits for the last of them should not wait for more to join it. */
static bool
is_awaited(struct fetch *f, const struct landed *l)
{
	bool awaited;

	if (l->n == 0)
		return false;
	dm_lock(&f->mu);
	awaited = l->flight[l->n - 1]->waits != NULL;
	dm_unlock(&f->mu);
	return awaited;
}

void
landing_check(struct pool_job *list, struct codec *codec)
{
	struct fetch *f = ((struct flight *)list)->fetch;
	struct landed landed = { .n = 0 };

	for (struct pool_job *next; list != NULL; list = next) {
		next = list->next; /* when it was checked it may be gone */
		check((struct flight *)list, codec, &landed);
		if (next != NULL && !is_awaited(f, &landed))
			continue;
		store(&landed);
		finish_all(f, &landed);
		landed.n = 0;
	}
	courier_pump(f);
}
