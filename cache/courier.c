/*
 * Transfers, from the queue to their last byte.
 *
 * Callbacks of a transfer run on a thread of net, which must not wait: bytes
 * are copied to where they belong, and a piece that is complete goes to the
 * pool.
 */
#include "cache/courier.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/clock.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/fetch.h"
#include "cache/fetch_state.h"
#include "cache/held.h"
#include "cache/landing.h"
#include "cache/moved_table.h"
#include "cache/net/origin.h"
#include "cache/pool.h"

enum {
	AHEAD_MS = 60000, /* deadline of what nobody waits for */
	/* At a time, of what nobody waits for: half an origin's connections. */
	AHEAD_RUNNING = 4,
};

/* ---- callbacks of a transfer, on a thread of net ---- */

static uint8_t *
room_of(struct flight *fl)
{
	if (fl->piece == FETCH_DIR) {
		if (fl->dir == NULL)
			fl->dir = malloc(fl->size);
		return fl->dir;
	}
	if (fl->stored == NULL)
		fl->stored = held_bytes_new(fl->size);
	return fl->stored == NULL ? NULL : fl->stored->data;
}

/* Those that are complete go to the pool in one list: neighbours that lie
 * there together are written together. */
static int
give(struct fetch *f, struct pool_job *list)
{
	if (list == NULL || pool_add(f->pool, list))
		return 0;
	for (struct pool_job *next; list != NULL; list = next) {
		next = list->next;
		list->drop(list);
	}
	return -1;
}

/* Copy bytes to their flights, and put those that are complete on a list. */
static int
scatter(struct transfer *t, const uint8_t *from, size_t size,
    struct pool_job **tail)
{
	struct fetch *f = t->fetch;

	while (size > 0 && t->cur < t->n) {
		struct flight *fl = t->flight[t->cur];

		if (t->pos >= fl->off)
			fl->from |= t->from;
		bool gap = t->pos < fl->off;
		uint64_t left = gap ? fl->off - t->pos : fl->size - fl->got;
		size_t some = size < left ? size : (size_t)left;
		uint8_t *to = gap ? NULL : room_of(fl);

		if (gap) {
			atomic_fetch_add(&f->wasted, some);
		} else if (to == NULL) {
			t->no_memory = true;
			return -1;
		} else {
			memcpy(to + fl->got, from, some);
			fl->got += (uint32_t)some;
		}
		t->pos += some;
		from += some;
		size -= some;
		if (!gap && fl->got == fl->size) {
			t->cur++;
			fl->job.next = NULL;
			*tail = &fl->job;
			tail = &fl->job.next;
		}
	}
	return 0;
}

static int
on_data(void *arg, const void *data, size_t size)
{
	struct transfer *t = arg;
	struct fetch *f = t->fetch;
	struct pool_job *complete = NULL;
	struct dm_err err;
	int rc;

	if (atomic_load(&f->stopping))
		return -1;
	atomic_fetch_add(&f->fetched, size);
	if (t->moving) {
		t->no_memory =
		    dm_buf_append(&t->flight[0]->moved, data, size, &err) < 0;
		t->flight[0]->from |= t->from;
		return t->no_memory ? -1 : 0;
	}
	rc = scatter(t, data, size, &complete);
	return give(f, complete) < 0 ? -1 : rc;
}

static void
on_done(void *arg, const struct dm_err *failure)
{
	struct transfer *t = arg;
	struct fetch *f = t->fetch;
	struct dm_err err;
	bool ahead = t->class != TRANSFER_DEMAND, last;

	if (t->no_memory)
		(void)dm_fail(&err, DM_NOMEM, "a piece that was fetched");
	else if (failure != NULL)
		err = *failure;
	else if (t->moving)
		landing_moved(t);
	else
		(void)dm_fail(&err, DM_CORRUPT, "fewer bytes than asked");
	for (; t->cur < t->n; t->cur++)
		landing_lost(t->flight[t->cur], &err);
	free(t);
	if (ahead) {
		dm_lock(&f->mu);
		f->running_ahead--;
		dm_unlock(&f->mu);
	}
	courier_pump(f);
	dm_lock(&f->mu);
	f->running--;
	last = f->joined && f->running == 0;
	dm_unlock(&f->mu);
	if (last)
		fetch_free(f);
}

/* ---- starting, as there is memory ---- */

/* The first in the queues, if it may start now.  One that may not keeps back
 * those that are less urgent. */
static struct transfer *
first_locked(struct fetch *f)
{
	for (int class = 0; class < TRANSFER_CLASSES; class ++) {
		struct transfer *t = f->queue[class].head;
		bool ahead = class != TRANSFER_DEMAND;
		uint64_t bound = ahead ? f->budget / 2 : f->budget;

		if (t == NULL)
			continue;
		if (f->used > 0 && f->used + t->cost > bound)
			return NULL;
		if (ahead && f->running_ahead >= AHEAD_RUNNING)
			return NULL;
		return t;
	}
	return NULL;
}

static struct transfer *
next_locked(struct fetch *f)
{
	struct transfer *t = first_locked(f);

	if (t == NULL)
		return NULL;
	transfer_unlink(&f->queue[t->class], t);
	if (t->deadline_ms == 0)
		t->deadline_ms = dm_deadline_ms(AHEAD_MS);
	for (uint32_t i = 0; i < t->n; i++)
		t->flight[i]->deadline_ms = t->deadline_ms;
	f->used += t->cost;
	f->running++;
	f->running_ahead += t->class != TRANSFER_DEMAND;
	return t;
}

static void
start(struct transfer *t)
{
	struct flight *first = t->flight[0];
	char hex[DIGEST_HEX + 1], path[DIGEST_HEX + 16];
	struct origin_get get = {
		.path = path,
		.off = t->off,
		.size = t->size,
		.fresh = first->attempt,
		.immutable = true,
		.avoid = first->avoid,
		.from = &t->from,
		.deadline_ms = t->deadline_ms,
		.data = on_data,
		.done = on_done,
		.arg = t,
	};

	digest_hex(&first->pack, hex);
	(void)snprintf(path, sizeof(path), "%s/%.2s/%s",
	    t->moving ? "moved" : "packs", hex, hex);
	if (t->moving) {
		get.off = 0;
		get.size = ORIGIN_WHOLE;
		get.limit = MOVED_MAX;
	}
	origin_start(first->origin, &get);
}

/* Start what there is memory for.  One thread at a time: an origin that fails
 * at once calls back from within origin_start, and would nest without end. */
void
courier_pump(struct fetch *f)
{
	struct transfer *t;

	dm_lock(&f->mu);
	if (!f->pumping) {
		f->pumping = true;
		while (!f->stopping && (t = next_locked(f)) != NULL) {
			dm_unlock(&f->mu);
			start(t);
			dm_lock(&f->mu);
		}
		f->pumping = false;
	}
	dm_unlock(&f->mu);
}
