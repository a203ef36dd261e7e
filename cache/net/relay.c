/*
 * Mirrors: which place is asked, and what follows from its answer.
 *
 * A relay is one transfer for whoever asked, and a series of transfers from
 * one place each, the next beginning at the first byte that is missing.  A
 * place gets one try; when all have had theirs and some may do better later,
 * another round begins after a pause.
 *
 *   answer of a place          for this file       for the place
 *   no such file               is not asked again  nothing
 *   refused, or nonsense       is not asked again  down
 *   no answer, 5xx, too slow   in the next round   down
 *   wrong bytes (origin_bad)   the caller says     down
 *
 * A place that is down is asked last.  After a pause, which grows while it
 * goes on failing, a probe sees whether it answers at all; so no reader waits
 * for the answer of a place that was silent before.
 *
 * All that is shared are a few atomic words of each place: a race costs a
 * request.  A relay belongs to the transfer that is under way, as a transfer
 * does to the thread that drives it, so nothing in it needs a lock.
 */
#include "cache/net/relay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/log.h"
#include "cache/net/net.h"
#include "cache/net/origin.h"
#include "cache/net/transfer.h"

enum {
	PAUSE_FACTOR = 5, /* of a place that is down, times backoff_ms: 1 s */
	PAUSE_DOUBLED_MAX = 6,
	ROUND_MS_MAX = 10 * 1000, /* between two rounds */
	STALL_MS_MIN = 100,
	LEAST_BPS = 1024, /* of a place, while another may be faster */
	STRIKES_BAD = 2,  /* wrong bytes weigh more than none */
	STRIKES_MAX = 16,
	PROBE_MAX = 64 * 1024,
};

struct relay {
	struct origin *o;
	struct origin_get get; /* path is ours */
	uint64_t received;     /* bytes that get.data has seen */

	unsigned at;     /* the place that is asked */
	uint64_t before; /* received when it was */
	uint32_t asked;  /* in this round */
	uint32_t out;    /* that will not do for this file */
	unsigned rounds; /* that ended, in a row without a byte */
	uint64_t start_ms;
	struct dm_err why; /* the failure that says most */
};

static struct origin *
place_at(struct origin *o, unsigned i)
{
	return i == 0 ? o : o->mirror[i - 1];
}

static uint32_t
bit(unsigned i)
{
	return 1U << i;
}

static uint32_t
all_places(const struct origin *o)
{
	return (1U << origin_places(o)) - 1;
}

/* ---- how a place is ---- */

static uint64_t
pause_ms(const struct origin *p)
{
	uint64_t ms = (uint64_t)net_options(p->net)->backoff_ms * PAUSE_FACTOR;
	unsigned n = atomic_load(&p->strikes);

	if (n > PAUSE_DOUBLED_MAX)
		n = PAUSE_DOUBLED_MAX;
	ms <<= n > 0 ? n - 1 : 0;
	return ms / 2 + arc4random_uniform((uint32_t)(ms - ms / 2) + 1);
}

static void
strike(struct origin *p, unsigned n)
{
	if (atomic_fetch_add(&p->strikes, n) + n > STRIKES_MAX)
		atomic_store(&p->strikes, STRIKES_MAX);
	atomic_store(&p->ask_ms, dm_now_ms() + pause_ms(p));
}

/* Ask others first.  What fails while it is down says nothing new. */
static void
put_down(struct origin *p, unsigned strikes, const char *why)
{
	uint64_t well = 0;

	if (!atomic_compare_exchange_strong(&p->down_since_ms, &well,
		dm_now_ms()))
		return;
	strike(p, strikes);
	dm_log(DM_LOG_WARN, "net", "%s is passed over for now: %s", p->name,
	    why);
}

static void
put_up(struct origin *p)
{
	if (atomic_exchange(&p->down_since_ms, 0) != 0)
		dm_log(DM_LOG_INFO, "net", "%s answers again", p->name);
}

void
origin_bad(struct origin *o, uint32_t places, bool proven)
{
	for (unsigned i = 0; i < origin_places(o); i++) {
		struct origin *p = place_at(o, i);

		if ((places & bit(i)) == 0)
			continue;
		atomic_fetch_add(&p->bad, 1);
		if (proven && o->nmirrors > 0)
			put_down(p, STRIKES_BAD, "it gave wrong bytes");
	}
}

/* ---- probes ---- */

static int
probe_data(void *arg, const void *data, size_t size)
{
	(void)arg;
	(void)data;
	(void)size;
	return 0;
}

static void
probe_done(void *arg, const struct dm_err *err)
{
	struct origin *p = arg;

	if (err == NULL || err->code == DM_NOTFOUND)
		put_up(p);
	else if (err->code != DM_CANCELLED)
		strike(p, 1);
}

/* Ask a place that is down how it is, if it is time; one at a time. */
static void
probe(struct origin *p)
{
	const struct net_options *opt = net_options(p->net);
	uint64_t now = dm_now_ms(), due = atomic_load(&p->ask_ms);
	uint64_t end = now + opt->connect_ms + opt->stall_ms;
	static const struct transfer_limits once = { .max_tries = 1 };

	if (now < due || !atomic_compare_exchange_strong(&p->ask_ms, &due, end))
		return;
	transfer_start(p,
	    &(struct origin_get){
		.path = "datamount",
		.size = ORIGIN_WHOLE,
		.limit = PROBE_MAX,
		.fresh = ORIGIN_REVALIDATE,
		.deadline_ms = end,
		.data = probe_data,
		.done = probe_done,
		.arg = p,
	    },
	    &once);
}

/* ---- a relay ---- */

static uint32_t
candidates(const struct relay *r)
{
	uint32_t all = all_places(r->o), left = all & ~r->get.avoid;

	return (left != 0 ? left : all) & ~r->out;
}

/* The best of these places: the first that is well, else the one that is to
 * be asked soonest. */
static unsigned
choose(const struct relay *r, uint32_t from)
{
	uint64_t soonest = UINT64_MAX;
	unsigned best = 0;

	for (unsigned i = 0; i < origin_places(r->o); i++) {
		const struct origin *p = place_at(r->o, i);
		uint64_t ask_ms = atomic_load(&p->ask_ms);

		if ((from & bit(i)) == 0)
			continue;
		if (atomic_load(&p->down_since_ms) == 0)
			return i;
		if (ask_ms < soonest) {
			soonest = ask_ms;
			best = i;
		}
	}
	return best;
}

static void
probe_those_down(const struct relay *r)
{
	for (unsigned i = 0; i < origin_places(r->o); i++) {
		struct origin *p = place_at(r->o, i);

		if (i != r->at && atomic_load(&p->down_since_ms) != 0)
			probe(p);
	}
}

static void
finish(struct relay *r, const struct dm_err *err)
{
	void (*done)(void *, const struct dm_err *) = r->get.done;
	void *arg = r->get.arg;
	struct dm_err why = { 0 };

	if (err != NULL)
		why = *err;
	free((void *)(uintptr_t)r->get.path);
	free(r);
	done(arg, err != NULL ? &why : NULL);
}

static void ask(struct relay *r);

static int
on_data(void *arg, const void *data, size_t size)
{
	struct relay *r = arg;

	if (r->get.from != NULL)
		*r->get.from = bit(r->at);
	r->received += size;
	return r->get.data(r->get.arg, data, size);
}

/* How much a failure says about why there are no bytes. */
static int
weight(enum dm_code code)
{
	switch ((int)code) {
	case DM_OK:
		return 0;
	case DM_NOTFOUND:
		return 1;
	case DM_OFFLINE:
		return 3;
	default:
		return 2;
	}
}

/* What one place's failure means for it, and for this file. */
static void
judge(struct relay *r, const struct dm_err *err)
{
	if (r->received > r->before) {
		r->rounds = 0;
		r->asked = 0;
	}
	r->asked |= bit(r->at);
	if (err->code != DM_OFFLINE)
		r->out |= bit(r->at);
	if (err->code != DM_NOTFOUND)
		put_down(place_at(r->o, r->at), 1, err->text);
	if (weight(err->code) > weight(r->why.code))
		r->why = *err;
}

/* Prepare another round, if that makes sense before the deadline. */
static bool
next_round(struct relay *r)
{
	uint64_t ms = net_options(r->o->net)->backoff_ms, now = dm_now_ms();

	if (candidates(r) == 0)
		return false;
	for (unsigned i = 0; i < r->rounds && ms < ROUND_MS_MAX; i++)
		ms *= 2;
	if (ms > ROUND_MS_MAX)
		ms = ROUND_MS_MAX;
	ms = ms / 2 + arc4random_uniform((uint32_t)(ms - ms / 2) + 1);
	if (now + ms >= r->get.deadline_ms)
		return false;
	r->rounds++;
	r->asked = 0;
	r->start_ms = now + ms;
	return true;
}

/* Nobody has it: say so in the words of the one that says most. */
static void
give_up(struct relay *r)
{
	struct dm_err err = r->why;
	size_t n = strlen(err.text);

	(void)snprintf(err.text + n, sizeof(err.text) - n,
	    " (nor from %u other place%s)", origin_places(r->o) - 1,
	    origin_places(r->o) > 2 ? "s" : "");
	finish(r, &err);
}

static bool
is_complete(const struct relay *r)
{
	return r->get.size != ORIGIN_WHOLE && r->received == r->get.size;
}

static void
on_done(void *arg, const struct dm_err *err)
{
	struct relay *r = arg;
	struct origin *p = place_at(r->o, r->at);

	if (err == NULL || is_complete(r)) {
		unsigned n = atomic_load(&p->strikes);

		put_up(p);
		if (n > 0)
			(void)atomic_compare_exchange_strong(&p->strikes, &n,
			    n - 1);
		finish(r, NULL);
		return;
	}
	if (err->code == DM_CANCELLED || err->code == DM_NOMEM ||
	    err->code == DM_INVALID) {
		finish(r, err);
		return;
	}
	judge(r, err);
	r->start_ms = 0;
	if (dm_now_ms() < r->get.deadline_ms &&
	    ((candidates(r) & ~r->asked) != 0 || next_round(r)))
		ask(r);
	else
		give_up(r);
}

/* A place may be silent for so long that another still has time. */
static unsigned
stall_ms(const struct relay *r)
{
	unsigned usual = net_options(r->o->net)->stall_ms;
	uint64_t now = dm_now_ms(), left = 0;

	if (r->get.deadline_ms > now)
		left = (r->get.deadline_ms - now) / 2;
	if (left >= usual)
		return usual;
	return left > STALL_MS_MIN ? (unsigned)left : (unsigned)STALL_MS_MIN;
}

/* Ask the best place for what is missing.  This recurs at most once a place:
 * rounds are only of what a web server answered, on a thread of net. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void
ask(struct relay *r)
{
	struct origin_get get = r->get;
	uint32_t left = candidates(r) & ~r->asked;
	struct transfer_limits limits = { .start_ms = r->start_ms };

	/* The last that may have it has as many tries as there is time for. */
	if ((candidates(r) & (candidates(r) - 1)) != 0) {
		limits.max_tries = 1;
		limits.stall_ms = stall_ms(r);
		limits.least_bps = LEAST_BPS;
	}
	r->at = choose(r, left);
	r->before = r->received;
	get.off += r->received;
	if (get.size != ORIGIN_WHOLE)
		get.size -= r->received;
	else
		get.limit -= r->received;
	get.data = on_data;
	get.done = on_done;
	get.arg = r;
	probe_those_down(r);
	transfer_start(place_at(r->o, r->at), &get, &limits);
}

void
relay_start(struct origin *o, const struct origin_get *get)
{
	struct relay *r = calloc(1, sizeof(*r));
	char *path = strdup(get->path);
	struct dm_err err = { 0 };

	if (r == NULL || path == NULL) {
		free(r);
		free(path);
		(void)dm_fail(&err, DM_NOMEM, "transfer");
		get->done(get->arg, &err);
		return;
	}
	r->o = o;
	r->get = *get;
	r->get.path = path;
	ask(r);
}
