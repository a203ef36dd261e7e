/* cache/flight.h - a piece on its way, and who waits for it. */
#ifndef DM_CACHE_FLIGHT_H
#define DM_CACHE_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/buf.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/net/origin.h"
#include "cache/pack/pack_dir.h"
#include "cache/pool.h"
#include "cache/turn.h"

struct blob;
struct cache_wait;
struct codec;
struct directory;
struct fetch;
struct held_bytes;
struct transfer;

/*
 * The parts of cache/fetch.c that know flights and waits, but neither memory
 * nor transfers.  All functions but the last four are called under the lock of
 * the fetch (DM_RANK_FETCH), and call nothing outside.
 */
struct flight {
	/* immutable once in the table */
	struct pool_job job;
	struct fetch *fetch;
	struct origin *origin;
	struct blob *blob;         /* gone once the fetch was closed, */
	struct digest pack;        /* but not its key */
	uint32_t piece;            /* or FETCH_DIR, and perhaps later, out of
				    * the table meanwhile, FETCH_MOVED */
	uint64_t off;              /* in the pack */
	uint32_t size;             /* stored */
	uint32_t tail;             /* of these, bytes before a directory */
	struct pack_object object; /* of a piece */

	/* the owner's */
	struct turn turn; /* the lock that other processes see */
	struct held_bytes *stored;
	uint8_t *dir; /* stored bytes of a directory, behind its tail */
	uint32_t got;
	/* the pack is gone: what said so, and moved/ as it comes */
	struct dm_err *gone;
	struct dm_buf moved;
	uint32_t from; /* the places of the origin that bytes came from */

	/* guarded by fetch->mu */
	struct flight *chain;
	struct transfer *queued;
	struct cache_wait *waits;
	enum origin_fresh attempt;
	uint32_t avoid; /* places that gave wrong bytes in this attempt */
	uint64_t cost, deadline_ms, since_ms;
	bool said; /* the log has it */
	/* of one that only watches another process: no transfer carries it */
	struct watch watch;
	struct flight *watched; /* the next such */
};

enum {
	FLIGHT_BUCKETS = 4096,
	/* Waits are given up so much behind their deadline: the transfer, which
	 * has the same one, can then still say what was wrong. */
	FLIGHT_GRACE_MS = 25,
};

/* Every flight that somebody may join, by blob and piece. */
struct flights {
	struct flight *bucket[FLIGHT_BUCKETS];
	uint64_t waited;  /* waits that joined a flight */
	uint64_t waiting; /* that have not left it */
};

/* NULL: there is none.  Two hints for one directory are two flights: a wrong
 * one must not fail the readers who have the right one. */
struct flight *flight_find(struct flights *t, const struct blob *b,
    uint32_t piece, uint64_t off, uint32_t size);
void flight_add(struct flights *t, struct flight *fl);
void flight_remove(struct flights *t, struct flight *fl);

/* Waits may not be woken under the lock: those that are to be are put on a
 * list of the caller's. */
void flight_join(struct flights *t, struct flight *fl, struct cache_wait *w);

/* All who wait for from wait for to. */
void flight_pass_on(struct flight *to, struct flight *from);

/* All of them, with what came, or with err; with neither they look again. */
struct cache_wait *flight_take(struct flights *t, struct flight *fl,
    struct held_bytes *bytes, struct directory *dir, const struct dm_err *err);

/* Those whose deadline is over; *next is lowered to the next of the others. */
void flight_expire(struct flights *t, struct flight *fl, uint64_t *next,
    struct cache_wait **list);

/* Put the waits of more before those of *list. */
void flight_collect(struct cache_wait **list, struct cache_wait *more);

/* What came was wrong: is there a mirror that has not been asked the same way?
 * One that is right is found sooner than one that a cache on the way hides. */
bool flight_next_place(struct flight *fl);

/* This one, if it waits. */
bool flight_cancel(struct flights *t, struct cache_wait *w);

/* The bytes have come: prove them, and keep a directory.  The caller keeps a
 * piece, and puts *plain (of a piece) and *dir, also on failure.  DM_CORRUPT,
 * DM_NOMEM. */
int flight_verify(struct flight *fl, struct codec *codec,
    struct held_bytes **plain, struct directory **dir,
    struct dm_err *err) DM_MUST_CHECK;

/* Keep on disk what pieces lie whole in the tail of a directory that has come.
 * What is wrong with them their next reader finds out. */
void flight_keep_tail(struct flight *fl, struct codec *codec,
    struct directory *dir);

void flight_wake(struct cache_wait *list);
void flight_free(struct flight *fl);

#endif
