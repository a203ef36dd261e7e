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

/* Deliver to all who wait, forget, free.  err NULL: it came. */
static void
finish(struct flight *fl, struct held_bytes *bytes, struct directory *dir,
    const struct dm_err *err)
{
	struct fetch *f = fl->fetch;
	struct cache_wait *list = NULL;

	turn_end(&fl->turn);
	dm_lock(&f->mu);
	if (!f->stopping) {
		if (err == NULL)
			blob_finish(fl->blob);
		flight_remove(&f->flights, fl);
		list = flight_take(&f->flights, fl, bytes, dir, err);
	}
	f->used -= fl->cost;
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

/* The pack is gone.  Did gc move what was in it? */
static bool
ask_moved_locked(struct flight *fl, const struct dm_err *err)
{
	if (err->code != DM_NOTFOUND || fl->gone != NULL || fl->waits == NULL)
		return false;
	fl->gone = malloc(sizeof(*fl->gone));
	if (fl->gone == NULL)
		return false;
	*fl->gone = *err;
	fl->moved = (struct dm_buf)DM_BUF(MOVED_MAX);
	fl->avoid = fl->from = 0;
	return true;
}

/* It did not say.  What sent us here may have been overtaken by a later gc:
 * then those who wait look again. */
static void
finish_gone(struct flight *fl)
{
	struct fetch *f = fl->fetch;
	struct dm_err why = *fl->gone;
	bool again = moved_table_gone(f->moved, blob_key(fl->blob));

	finish(fl, NULL, NULL, again ? NULL : &why);
}

/* The flight did not bring what it should: fetch it again, alone, or fail. */
void
landing_lost(struct flight *fl, const struct dm_err *err)
{
	struct fetch *f = fl->fetch;
	struct transfer *t = calloc(1, sizeof(*t) + sizeof(struct flight *));
	bool again;

	held_bytes_put(fl->stored);
	fl->stored = NULL;
	free(fl->dir);
	fl->dir = NULL;
	fl->got = 0;
	dm_buf_release(&fl->moved);
	dm_lock(&f->mu);
	again = t != NULL && !f->stopping &&
	    (another_try_locked(fl, err) || ask_moved_locked(fl, err));
	if (again) {
		f->used -= fl->cost;
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
	if (fl->gone != NULL && err->code == DM_NOTFOUND)
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
	if (moved_table_put(fl->fetch->moved, blob_key(fl->blob), &fl->moved,
		&err) == 0)
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

void
landing_check(struct pool_job *job, struct codec *codec)
{
	struct flight *fl = (struct flight *)job;
	struct fetch *f = fl->fetch;
	struct held_bytes *plain = NULL;
	struct directory *dir = NULL;
	struct dm_err err;

	if (flight_verify(fl, codec, &plain, &dir, &err) == 0) {
		finish(fl, plain, dir, NULL);
	} else {
		if (err.code == DM_CORRUPT)
			say_bad(f, fl);
		landing_lost(fl, &err);
	}
	held_bytes_put(plain);
	directory_put(dir);
	courier_pump(f);
}
