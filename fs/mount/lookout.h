/* fs/mount/lookout.h - which threads wait for requests. */
#ifndef DM_MOUNT_LOOKOUT_H
#define DM_MOUNT_LOOKOUT_H

#include <pthread.h>
#include <stdbool.h>

#include "cache/base/attr.h"
#include "cache/base/lock.h"

/*
 * The kernel gives requests to the threads that wait for them in turn.  A
 * client that sends one at a time would then be served each time by another
 * thread, on whatever processor that ran before, its caches cold.  So one
 * thread waits and serves, and the others stand by.  They are called when
 * there is another request already, and come by themselves when nobody has
 * waited for a while, because whoever serves is kept by a slow disk.
 *
 * Threads: any call from any thread.  Locks itself (DM_RANK_WORKER).
 */
struct lookout {
	_Atomic unsigned waiting; /* threads that wait for a request */
	_Atomic unsigned taken;   /* requests; wraps around */
	_Atomic unsigned standing_by, asleep;
	_Atomic bool ended;

	struct dm_mutex mu; /* guards all below */
	pthread_cond_t called;
	unsigned calls; /* that nobody has followed yet */
};

void lookout_init(struct lookout *l);
void lookout_release(struct lookout *l);

/* Before a request is waited for at fd: returns when this thread should.
 * False: there are no more. */
bool lookout_enter(struct lookout *l, int fd);

/* A request was taken from fd; it may take so long that others should not wait
 * for this thread. */
void lookout_taken(struct lookout *l, int fd, bool is_long);

/* There are no more requests: nobody stands by any more. */
void lookout_end(struct lookout *l);

#endif
