/* fs/cmd/crew.h - a few threads that work off a short queue. */
#ifndef DM_CMD_CREW_H
#define DM_CMD_CREW_H

#include <stdbool.h>

#include "cache/base/attr.h"

struct dm_err;

/*
 * One thread hands out jobs, several do them, so that many small files do not
 * cost a round trip each.  The first job that fails stops the crew: jobs that
 * wait are dropped, and the next crew_add, or crew_close, says why.
 */
struct crew;

/* do_job does a job, on any of the threads, and may fail; free_job is called
 * for each job after that, or instead of it. */
int crew_open(struct crew **out, unsigned threads,
    int (*do_job)(void *job, struct dm_err *err), void (*free_job)(void *job),
    struct dm_err *err) DM_MUST_CHECK;

/* Hand over a job; waits while the queue is full.  The job is the crew's, also
 * on failure. */
int crew_add(struct crew *c, void *job, struct dm_err *err) DM_MUST_CHECK;

/* Wait until all jobs are done (with drop: of those that have begun), and end
 * the threads.  NULL is fine. */
int crew_close(struct crew *c, bool drop, struct dm_err *err) DM_MUST_CHECK;

#endif
