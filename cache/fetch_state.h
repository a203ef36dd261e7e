/* cache/fetch_state.h - what the parts of the fetch engine share. */
#ifndef DM_CACHE_FETCH_STATE_H
#define DM_CACHE_FETCH_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/lock.h"
#include "cache/flight.h"
#include "cache/stream.h"
#include "cache/transfer.h"
#include "cache/turn.h"

struct fetch_want;
struct files;
struct moved_table;
struct plan;
struct pool;

/*
 * A flight is one piece (or a directory) on its way; a transfer is one ranged
 * GET that carries flights in the order of their bytes.
 *
 *   state      owner of the flight        ends when
 *   QUEUED     its transfer, in a queue   there is memory: origin_start
 *   RUNNING    its transfer               its bytes are complete: to the pool
 *   CHECKING   a job of the pool          the digest is right: DONE
 *                                         it is not: QUEUED alone, for the
 *                                         next mirror, or past caches
 *   DONE       nobody: written to disk, out of the table, waits woken, freed
 *   FAILED     nobody: out of the table, waits woken with the error, freed;
 *              the next reader starts anew
 *   WATCHING   the list of watched     another process fetches it, and has it
 *              flights                   or is too slow: waits woken to look
 *                                        again, freed (turn.h)
 *
 * In all states but DONE and FAILED the flight is in the table, and waits may
 * join and leave it.  A finished piece is on disk, and its blob counts it
 * (blob_finish), before it leaves the table: who looked at the disk too early
 * finds either the flight or another count, and never starts a second fetch.
 *
 * Of a pack that the origin does not have, one flight goes on to ask moved/, in
 * the table as FETCH_MOVED; who misses anything of that pack joins it.
 *
 * Transfers that were started hold a reference: they may outlive fetch_close,
 * because only their origin can end them.
 *
 *   fetch.c    which pieces a miss brings along: flights and transfers QUEUED
 *   fetch_bring.c  the same, for a list of pieces
 *   courier.c  transfers, from the queue to the last byte: RUNNING
 *   landing.c  what becomes of bytes, or of a failure: CHECKING, DONE, FAILED
 *   sweeper.c  deadlines, and other processes: WATCHING
 */
struct fetch {
	/* immutable after open */
	struct moved_table *moved;
	struct pool *pool;
	uint64_t budget;
	pthread_t sweeper;

	/* atomic */
	_Atomic uint64_t fetched, wasted, bad;
	_Atomic bool stopping; /* written under mu */

	struct dm_mutex mu;    /* guards all below */
	pthread_cond_t sooner; /* sweep_at has moved, or stopping */
	bool joined, pumping;
	struct flights flights;
	struct transfer_queue queue[TRANSFER_CLASSES];
	uint64_t used;          /* memory of started transfers */
	uint64_t running;       /* transfers that an origin has */
	uint64_t running_ahead; /* of these, that nobody waited for */
	uint64_t sweep_at;
	struct streams streams;
	bool walked; /* a piece of a tree was missing before */
	struct turns turns;
	struct flight *watched;
};

/* The last reference is gone: of fetch_close, and of started transfers. */
void fetch_free(struct fetch *f);

/* ---- of fetch.c; those that end in _locked are called under mu ---- */

/* Can there be such a piece or directory?  DM_CORRUPT. */
int fetch_check_want(const struct fetch_want *want,
    struct dm_err *err) DM_MUST_CHECK;

/* Fetch the directory, without any hurry.  True: it is on its way, and wakes
 * wait; with a wait also when it is another process that fetches it. */
bool fetch_directory_ahead(struct fetch *f, const struct fetch_want *want,
    enum transfer_class class, struct cache_wait *wait);

/* Is there, for what nobody waits for? */
bool fetch_has_room_locked(const struct fetch *f, enum transfer_class class);

/* Leave out of the plan what is on its way. */
void fetch_skip_in_flight_locked(struct fetch *f, struct plan *p,
    struct blob *b);

/* Memory that one transfer may take. */
uint64_t fetch_cost_max(const struct fetch *f);

/* Queue what is missing from index r->lo of a plan up to r->hi, for nobody who
 * waits; r->hi is then the index behind what was.  False: no memory. */
bool fetch_run_locked(struct fetch *f, const struct fetch_want *want,
    struct turn_range *r, enum transfer_class class);

/* Have wait woken by the flight, without any hurry. */
void fetch_attend_locked(struct fetch *f, struct flight *fl,
    struct cache_wait *wait);

#endif
