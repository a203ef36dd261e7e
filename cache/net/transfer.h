/* cache/net/transfer.h - one transfer, from origin_start to its done. */
#ifndef DM_NET_TRANSFER_H
#define DM_NET_TRANSFER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cache/net/http.h"
#include "cache/net/origin.h"
#include "cache/net/url.h"

struct origin {
	/* immutable after open */
	struct net *net;
	char *name;
	char *folder; /* NULL: url counts */
	struct url url;
	/* immutable from the first relay on */
	struct origin *mirror[ORIGIN_PLACES_MAX - 1]; /* owned */
	unsigned nmirrors;
	/* atomic, relaxed */
	_Atomic uint64_t requests, bytes, retries, failures, bad;
	_Atomic uint64_t ranges, wholes;
	_Atomic bool has_date;
	_Atomic int64_t ahead_s;
	/* atomic; of one of several places, see relay.c */
	_Atomic uint64_t down_since_ms; /* clock.h; 0: it is well */
	_Atomic uint64_t ask_ms;        /* when to see if it is well again */
	_Atomic unsigned strikes;       /* failures lately */
};

/* Beside its deadline. */
struct transfer_limits {
	uint64_t start_ms;  /* not to be begun before; 0: at once */
	unsigned max_tries; /* in a row without a byte; 0: any number */
	unsigned stall_ms; /* without a byte, then a try failed; 0: the net's */
	unsigned
	    least_bps; /* fewer bytes a second in stall_ms: it failed, too */
};

/*
 * Whoever holds a transfer owns it: first the thread in origin_start, then a
 * queue of struct net, then the thread that took it from there.  So nothing
 * in it needs a lock.
 */
struct transfer {
	TAILQ_ENTRY(transfer) entry;
	struct origin *origin;
	struct origin_get get; /* path is ours */
	uint64_t received;     /* bytes that get.data has seen */
	struct transfer_limits limits;
	struct http http; /* of a web server only */
};
TAILQ_HEAD(transfer_list, transfer);

/* As origin_start, from this place alone.  A whole file may begin at an offset
 * here. */
void transfer_start(struct origin *o, const struct origin_get *get,
    const struct transfer_limits *limits);

/* Count the outcome, free t, then call its done.  err as for done. */
void transfer_end(struct transfer *t, const struct dm_err *err);

#endif
