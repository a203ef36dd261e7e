/* cache/fetch.h - each missing piece is fetched once, and checked. */
#ifndef DM_CACHE_FETCH_H
#define DM_CACHE_FETCH_H

#include <stdint.h>

#include "cache/base/attr.h"

struct blob;
struct cache_lot;
struct cache_wait;
struct directory;
struct dm_err;
struct moved_table;
struct origin;

/*
 * The table of pieces in flight.  Whoever misses a piece joins the fetch that
 * is under way for it, or starts one that brings its neighbours along.
 *
 * Threads: any call from any thread.  Locks itself (DM_RANK_FETCH); starts
 * transfers, writes to disk and wakes waits unlocked.
 */
struct fetch;

/* memory: bytes in flight at most. */
int fetch_open(struct fetch **out, uint64_t memory,
    struct dm_err *err) DM_MUST_CHECK;

/* Where the objects of packs are that are gone.  Who waited for one is woken
 * when that is known, and should look there. */
struct moved_table *fetch_moved(const struct fetch *f);

/* Wake all waits with DM_CANCELLED, and refuse new ones. */
void fetch_stop(struct fetch *f);

/* Stop, and let go.  Transfers that an origin still has under way end later
 * by themselves, and do nothing any more. */
void fetch_close(struct fetch *f);

enum {
	FETCH_DIR = UINT32_MAX,       /* in place of a piece: the directory */
	FETCH_MOVED = UINT32_MAX - 1, /* what moved/ says of the pack */
};

struct fetch_want {
	struct origin *origin;
	struct blob *blob;
	struct directory *dir; /* of the blob; NULL if it is what is wanted */
	uint64_t dir_off;      /* where the directory lies in the pack */
	uint32_t dir_len;
	uint32_t piece; /* or FETCH_DIR */
	uint32_t tail;  /* bytes before the directory that come along with it,
			 * and the pieces in them */
	/* blob_finished() from before the caller looked at the disk */
	uint64_t finished;
};

/* The piece is not here: let wait wake when it is.  -1: DM_AGAIN if wait now
 * waits; DM_CORRUPT: no such place in a pack; DM_NOMEM, DM_CANCELLED.  0: the
 * piece may have come meanwhile, look again. */
int fetch_start(struct fetch *f, const struct fetch_want *want,
    struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* Fetch what is missing of a lot, in the background and a part at a time.  0:
 * nothing is on its way any more; -1: DM_AGAIN if wait will wake when a part
 * has come. */
int fetch_bring(struct fetch *f, const struct fetch_want *want,
    struct cache_lot *lot, struct cache_wait *wait,
    struct dm_err *err) DM_MUST_CHECK;

/* The same for the directory. */
int fetch_bring_directory(struct fetch *f, const struct fetch_want *want,
    struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* A reader who goes forward is on its way to want->piece: fetch a first window
 * from there on, or the directory. */
void fetch_expect(struct fetch *f, const struct fetch_want *want);

/* The piece of want is in use.  If its reader goes forward, what comes next is
 * fetched before it is missed.  Cheap if not. */
void fetch_used(struct fetch *f, const struct fetch_want *want);

/* If wait waits, wake it with DM_CANCELLED. */
void fetch_cancel(struct fetch *f, struct cache_wait *wait);

struct fetch_counts {
	uint64_t waited;  /* waits that began */
	uint64_t fetched; /* stored bytes received */
	uint64_t wasted;  /* of these, in gaps */
	uint64_t bad;     /* pieces that failed their digest */
	uint64_t waiting; /* now */
};
void fetch_counts(struct fetch *f, struct fetch_counts *out);

#endif
