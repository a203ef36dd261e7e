/* fs/mount/task.h - requests under way: run, wait, run again, answer. */
#ifndef DM_MOUNT_TASK_H
#define DM_MOUNT_TASK_H

#include <fuse3/fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/lock.h"
#include "cache/cache.h"
#include "fs/mount/shared.h"

struct dm_err;
struct task;
struct thread;
struct worker;

/*
 * A task is one request in its slot of the shared mapping; task number and
 * slot number are the same.  Its life:
 *
 *   FREE     in the stack of free slots, or held by a reader that waits for
 *            the kernel
 *   RUNNING  a thread runs the operation; only that thread touches the task,
 *            but for woken, interrupted and the wait's inside
 *   WOKEN    as RUNNING, and what it would have waited for has come
 *   PARKED   the operation returned DM_AGAIN; nobody has it until the cache's
 *            wake() puts it into the queue, from where a runner takes it
 *
 * An operation is run from its start each time and answers last, so it may
 * return DM_AGAIN anywhere.
 */
enum task_state { TASK_FREE, TASK_RUNNING, TASK_WOKEN, TASK_PARKED };

/* Do the operation and answer it (after task_settle()), or return -1. */
typedef int (*task_run_fn)(struct task *t, struct dm_err *err);

struct task {
	struct worker *worker;
	unsigned slot;
	struct thread *on; /* runs it now */
	fuse_req_t req;
	const char *what; /* the operation's name */
	task_run_fn run;
	fuse_ino_t ino;
	const char *name; /* in the slot */
	size_t size;
	off_t off;
	struct cache_wait wait;
	uint64_t unique; /* of the request */
	bool replayed;   /* an earlier worker may have answered it */
	bool watched;    /* libfuse tells us of interrupts */
	bool scout;      /* the scout asks: see scout.h */
	bool hasty;      /* and is not to wait */
	bool late;       /* see late.h: it is not to wait */
	bool over;       /* and would have had to */
	_Atomic int state;
	_Atomic bool interrupted;
	struct task *next; /* in the queue */
};

struct task_pool {
	struct dm_mutex mu; /* DM_RANK_WORKER: free slots */
	pthread_cond_t freed;
	uint16_t free[SHARED_SLOTS];
	unsigned nfree;

	struct dm_mutex run_mu; /* DM_RANK_RUN: tasks to run again */
	pthread_cond_t queued;
	struct task *head, *tail;
	unsigned parked; /* tasks that wait for a wake */
	bool stopping;

	struct task *tasks; /* SHARED_SLOTS */
};

int task_pool_init(struct task_pool *p, struct worker *w,
    struct dm_err *err) DM_MUST_CHECK;
void task_pool_release(struct task_pool *p);

/* Take a free slot, or wait for one; false when stopping. */
bool task_take(struct task_pool *p, unsigned *slot);

/* Give one back whose request was answered. */
void task_give(struct task_pool *p, unsigned slot);

/* The task whose request this is. */
struct task *task_of(fuse_req_t req);

/* Begin the operation of a request in the present thread. */
void task_start(fuse_req_t req, fuse_ino_t ino, const char *what,
    task_run_fn fn);

/* The last thing before the answer: nobody interrupts the task any more. */
void task_settle(struct task *t);

/* Answer, and note before that an open fails: see shared.h. */
void task_refuse(struct task *t, int e);

/* Take the next task to be run again, and run it; false when stopping. */
bool task_run_next(struct task_pool *p, struct thread *on);

/* End every task that waits with DM_CANCELLED, and wait till none is left or
 * 2 s are over (false); then let every thread that waits here go. */
bool task_pool_stop(struct task_pool *p);

#endif
