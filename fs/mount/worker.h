/* fs/mount/worker.h - the process that answers the kernel's requests. */
#ifndef DM_MOUNT_WORKER_H
#define DM_MOUNT_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache/base/attr.h"
#include "cache/base/err.h"
#include "fs/format/commit.h"
#include "fs/mount/busy_poll.h"
#include "fs/mount/confine.h"
#include "fs/mount/late.h"
#include "fs/mount/lookout.h"
#include "fs/mount/opens.h"
#include "fs/mount/scouting.h"
#include "fs/mount/task.h"
#include "fs/mount/tracing.h"
#include "fs/version/version.h"

struct mount_spec;
struct net;
struct shared;

/* What the supervisor gives a worker. */
struct worker_start {
	const struct mount_spec *spec;
	struct shared *shared;
	int fuse_fd;
	int report_fd; /* gets one struct dm_err: DM_OK, or why it failed */
	struct tracing tracing;
	int order_fd; /* takes orders, while shared has a scout */
	int gone_fd;  /* ends with the supervisor's warden; -1: none */
	pid_t supervisor;
	uid_t uid; /* of who mounted */
	gid_t gid;
	bool sick; /* answer EIO to all but getattr of the root */
};

/* A reader that waits for the disk keeps its thread, so there are as many as
 * a disk likes to have reads at once. */
enum { WORKER_READERS = 16, WORKER_RUNNERS = 2, WORKER_IO_MAX = 1 << 20 };

/* One of its threads. */
struct thread {
	struct worker *worker;
	pthread_t id;
	char *buf;     /* WORKER_IO_MAX bytes for answers */
	char *scratch; /* where no request that we answer reaches */
	bool replays;  /* it runs what an earlier worker may have answered */
	bool parked;   /* the task just run waits for the cache */
	struct busy_poll poll;
};

struct worker {
	/* immutable once threads run */
	struct worker_start start;
	struct fuse_session *session;
	struct commit commit;
	struct confine confine;
	struct net *net;
	struct cache *cache;
	struct origin *origin;
	struct version *version; /* NULL if sick */
	struct version_node root;
	pthread_t main;
	uint64_t given_back; /* bytes that had been fetched when memory was
			      * given back last; of main */
	/* the first thread, runners, readers */
	struct thread threads[1 + WORKER_READERS + WORKER_RUNNERS];
	unsigned nthreads;

	struct opens opens;       /* locks itself */
	struct lookout lookout;   /* likewise */
	struct scouting scouting; /* likewise */
	struct task_pool pool;    /* likewise */
	struct dm_mutex fault_mu; /* of faults: see fault.c; and of lines
				   * of a trace */
	uint64_t fault_window_ms;
	unsigned fault_logged, fault_dropped;
	/* likewise, but for the time, which is atomic: see late.c */
	struct late_read late[LATE_READS];
	unsigned late_next;
	_Atomic uint64_t late_until_ms; /* the last one's */
};

/* What worker_main() is made of, for who brings a connection of his own. */

/* Make w->session, which answers on start.fuse_fd. */
int worker_session(struct worker *w, struct dm_err *err) DM_MUST_CHECK;

/* Run the request in the slot, where its bytes are; false if it parked, and has
 * the slot now. */
bool worker_handle(struct thread *th, unsigned slot);

/* Run what earlier workers left in the slots, before anything new. */
void worker_replay(struct thread *th);

/* Exit status of a worker that wants to be replaced: what it may use has got
 * other names than when it was confined. */
enum { WORKER_OUTDATED = 75 };

/* An operation failed.  If the reason may be that this worker is outdated, end
 * it: the next one runs all that waits once more. */
void worker_doubt(struct worker *w);

/* Serve until the file system is unmounted (exit status 0) or the supervisor
 * has died.  To be called in a process of one thread, forked for it. */
void worker_main(const struct worker_start *start) __attribute__((noreturn));

#endif
