/* cache/turn.h - which process fetches a piece. */
#ifndef DM_CACHE_TURN_H
#define DM_CACHE_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/store/files.h"

struct blob;
struct plan;

/*
 * Several processes miss the same pieces.  Who has a piece's lock fetches it;
 * the others watch until it is there, or until they should try for
 * themselves.  A lock is a courtesy: whoever holds one and does not get on
 * for TURN_STALE_MS is passed over by one other process, which takes a lock of
 * the next level; if that one does not get on either, by all.
 *
 * All functions are called under the lock of the fetch (DM_RANK_FETCH), and
 * ask only the local disk, for what is not data.
 */
enum {
	TURN_STALE_MS = 3000,
	TURN_LONGEST_MS = 10000, /* watched, however fast the other gets on */
	TURN_WATCH_MS = 3,       /* between two looks */
	TURNS_STALE = 32,        /* ranges that are remembered */
};

/* Locks that did not get on, and the level to try instead. */
struct turn_stale {
	const struct blob *blob;
	struct files_range range;
	unsigned level;
	uint64_t until_ms;
};

struct turns {
	struct turn_stale stale[TURNS_STALE];
	unsigned next; /* to be overwritten */
};

/* A lock that is held; files NULL: none. */
struct turn {
	struct files *files;
	struct files_range range;
	unsigned level;
};
void turn_end(struct turn *t);

/* If b lies right behind a, its end is a's from now on. */
void turn_join(struct turn *a, struct turn *b);

/* What is to be fetched: indexes [lo, hi) of a plan, or a directory. */
struct turn_range {
	const struct blob *blob;
	struct files *files; /* NULL: there are no locks */
	struct plan *plan;   /* NULL: the directory */
	uint64_t dir_off;    /* of the directory in the pack, it is said */
	uint32_t lo, hi;
	struct turn *turn; /* of each index from lo on; NULL: no locks */
};

/*
 * Shrink the range to what is ours around index at, and what has not come
 * since the plan was made.  With trusted, what says that at is not here
 * was true then.  1: ours; 0: at has come, look again; -1: at is another's.
 */
int turn_take_range(struct turns *all, struct turn_range *r, uint32_t at,
    bool trusted);
void turn_range_end(struct turn_range *r);

/* Index at is another's: the index behind all that is, at least at + 1. */
uint32_t turn_others_end(const struct turn_range *r, uint32_t at);

/* A turn of another process that somebody waits for. */
struct watch {
	struct files *files;
	const struct blob *blob;
	uint32_t piece; /* or FETCH_DIR */
	struct files_range range;
	struct files_range held; /* as last seen */
	unsigned level;
	uint64_t since_ms, moved_ms;
};
void watch_begin(struct turns *all, struct watch *w, const struct turn_range *r,
    uint32_t at, uint32_t piece);
void watch_end(struct watch *w);

/* Look once: should its readers look again, and try for themselves? */
bool watch_is_over(struct turns *all, struct watch *w);

#endif
