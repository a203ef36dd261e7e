#include "cache/sweeper.h"

#include <stdio.h>

#include "cache/base/clock.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/log.h"
#include "cache/cache.h"
#include "cache/fetch_state.h"
#include "cache/net/origin.h"

enum {
	SWEEP_MS = 1000,
	SAY_MS = 10000, /* of waiting, then one log line says so */
};

/* ---- other processes ---- */

/* Readers whose watch is over, to be woken; those of a flight that nobody
 * waits for any more are none. */
static struct cache_wait *
watch_all_locked(struct fetch *f)
{
	struct cache_wait *list = NULL;

	for (struct flight **p = &f->watched, *fl; (fl = *p) != NULL;) {
		if (fl->waits != NULL &&
		    !watch_is_over(&f->turns, &fl->watch)) {
			p = &fl->watched;
			continue;
		}
		*p = fl->watched;
		flight_remove(&f->flights, fl);
		flight_collect(&list,
		    flight_take(&f->flights, fl, NULL, NULL, NULL));
		flight_free(fl);
	}
	return list;
}

/* ---- deadlines ---- */

/* Collect the waits whose time is over, and one thing to log; set sweep_at to
 * when the next look is due. */
static struct cache_wait *
sweep_locked(struct fetch *f, char say[DM_ERR_TEXT])
{
	struct cache_wait *list = NULL;
	uint64_t now = dm_now_ms();
	char hex[DIGEST_HEX + 1];

	say[0] = '\0';
	f->sweep_at = now + SWEEP_MS;
	for (size_t i = 0; f->flights.waiting > 0 && i < FLIGHT_BUCKETS; i++) {
		for (struct flight *fl = f->flights.bucket[i]; fl != NULL;
		     fl = fl->chain) {
			flight_expire(&f->flights, fl, &f->sweep_at, &list);
			if (fl->waits == NULL || fl->said ||
			    now - fl->since_ms < SAY_MS || say[0] != '\0')
				continue;
			fl->said = true;
			digest_hex(&fl->pack, hex);
			(void)snprintf(say, DM_ERR_TEXT,
			    "%.300s: readers wait since %d s for pack %.12s",
			    origin_name(fl->origin), SAY_MS / 1000, hex);
		}
	}
	return list;
}

static void
sleep_locked(struct fetch *f) DM_REQUIRES(f->mu)
{
	uint64_t until = f->sweep_at;
	bool watching = f->watched != NULL;

	if (watching && dm_now_ms() + TURN_WATCH_MS < until)
		until = dm_now_ms() + TURN_WATCH_MS;
	while (!f->stopping && dm_now_ms() < until && until <= f->sweep_at &&
	    (f->watched != NULL) == watching)
		(void)dm_cond_wait_until(&f->sooner, &f->mu, until);
}

void *
sweeper_main(void *arg)
{
	struct fetch *f = arg;
	char say[DM_ERR_TEXT];

	dm_lock(&f->mu);
	while (!f->stopping) {
		struct cache_wait *list = watch_all_locked(f);

		say[0] = '\0';
		if (dm_now_ms() >= f->sweep_at)
			flight_collect(&list, sweep_locked(f, say));
		dm_unlock(&f->mu);
		flight_wake(list);
		if (say[0] != '\0')
			dm_log(DM_LOG_WARN, "fetch", "%s", say);
		dm_lock(&f->mu);
		sleep_locked(f);
	}
	dm_unlock(&f->mu);
	return NULL;
}
