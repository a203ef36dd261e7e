/* cache/transfer.h - ranged GETs that wait for memory. */
#ifndef DM_CACHE_TRANSFER_H
#define DM_CACHE_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct fetch;
struct flight;

/* Who is served first: a reader who waits, what a reader will soon want, what
 * somebody asked for ahead.  The last two are droppable. */
enum transfer_class {
	TRANSFER_DEMAND,
	TRANSFER_AHEAD,
	TRANSFER_BACKGROUND,
	TRANSFER_CLASSES
};

/* One ranged GET, and the flights that it carries, in the order of their
 * bytes. */
struct transfer {
	struct transfer *next; /* in a queue */
	struct fetch *fetch;
	enum transfer_class class; /* guarded by fetch->mu */
	uint64_t off, size, cost;
	uint64_t deadline_ms; /* 0: nobody waits; guarded by fetch->mu */

	/* the origin's thread's */
	uint64_t pos;  /* the next byte to come */
	uint32_t from; /* the place that sends, as a bit */
	bool no_memory;
	bool moving;     /* of moved/, for the only flight */
	uint32_t n, cur; /* flights from cur on are not complete */
	struct flight *flight[];
};

/* First come, first served.  All functions are called under the lock of the
 * fetch (DM_RANK_FETCH).  A flight knows the transfer that it is queued in. */
struct transfer_queue {
	struct transfer *head, **tail;
	uint64_t cost; /* of all in it */
};

void transfer_queue_init(struct transfer_queue *q);
void transfer_push(struct transfer_queue *q, struct transfer *t);
void transfer_unlink(struct transfer_queue *q, struct transfer *t);

/* Free all that is queued, flights too. */
void transfer_empty(struct transfer_queue *q);

#endif
