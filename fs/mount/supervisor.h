/* fs/mount/supervisor.h - the process that keeps a mount alive. */
#ifndef DM_MOUNT_SUPERVISOR_H
#define DM_MOUNT_SUPERVISOR_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache/base/attr.h"
#include "cache/base/err.h"
#include "fs/mount/control.h"
#include "fs/mount/scout.h"
#include "fs/mount/shared.h"
#include "fs/mount/tracing.h"
#include "fs/mount/warden.h"

struct mount_spec;

/*
 * Mounts, forks a worker, and another whenever one dies; answers the control
 * socket.  Has one thread and never touches the mounted files, since only its
 * own child could answer.
 *
 * A worker that dies of its own doing counts.  Five such deaths within ten
 * seconds, and for the next minute the worker answers EIO to all but getattr
 * of the root; then a whole one is tried again.  A request that three workers
 * died of is given up.
 *
 * A SIGKILL comes from outside, and is nobody's fault, unless the kernel says
 * that it was out of memory meanwhile.
 *
 * When none has come up for some seconds, or could be started at all, one is
 * tried once a second, and meanwhile the supervisor answers EIO by itself
 * (stand_in.h).
 *
 * Should the supervisor itself be killed, its warden takes off the mount.
 */
enum { SUPERVISOR_DEATHS = 5 };

struct supervisor {
	const struct mount_spec *spec;
	struct shared *shared;
	struct fuse_session *session;
	unsigned major, minor; /* device number of the mount */
	bool mounted;          /* at spec->dir, as far as we know */
	int signal_fd, report_fd, result_fd, leaver_fd,
	    notify_fd; /* -1: none */
	struct control_server control;
	struct warden warden;
	struct scout scout;
	struct tracing tracing;

	pid_t worker;       /* 0: none now */
	bool sick;          /* the worker answers EIO */
	bool ready;         /* the worker came up */
	bool usable;        /* a first one did */
	bool ended;         /* leave the loop */
	uint64_t wake_ms;   /* when to start the worker that was put off, or to
			     * replace the sick one */
	uint64_t warden_ms; /* when to try again to start a warden */
	uint64_t scout_ms;  /* likewise a scout */
	uint64_t leave_ms;  /* when to end, users or not; DM_NEVER_MS */
	uint64_t deaths[SUPERVISOR_DEATHS]; /* the last ones that counted */
	unsigned ndeaths;
	uint64_t restarts;
	uint64_t oom_kills; /* on this machine, when the worker was started */
	uint64_t alone_ms;  /* when the last worker died that had come up;
			     * DM_NEVER_MS: it lives */
	bool standing_in;   /* for a worker, and has said so */
	bool full;          /* nothing more can be read, for now */
	uint64_t died_ms;   /* when the last worker was found dead */
	uint64_t restart_ms, slowest_ms; /* from that until the next was ready:
					  * the last time, and the longest */
	/* of the workers that are gone */
	struct shared_counts counts;
	struct shared_place places[SOURCE_MIRRORS_MAX];
	int64_t since, worker_since; /* seconds since 1970 */
	char why[DM_ERR_TEXT];       /* of the last death; "" if none */
	char log[4096];              /* the log's path; "" is stderr */
};

/*
 * Mount and serve until unmounted.  result_fd, if not -1, gets one struct
 * dm_err once the mount is usable or has failed; if its other end closes
 * before, the mount is given up.  -1 if it never became usable.
 */
int supervisor_run(const struct mount_spec *spec, int result_fd,
    const char *log, struct dm_err *err) DM_MUST_CHECK;

#endif
