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
	/* atomic, relaxed */
	_Atomic uint64_t requests, bytes, retries, failures;
	_Atomic uint64_t ranges, wholes;
	_Atomic bool has_date;
	_Atomic int64_t ahead_s;
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
	struct http http;      /* of a web server only */
};
TAILQ_HEAD(transfer_list, transfer);

/* Count the outcome, free t, then call its done.  err as for done. */
void transfer_end(struct transfer *t, const struct dm_err *err);

#endif
