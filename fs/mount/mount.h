/* fs/mount/mount.h - show a version at a mount point, and look after it. */
#ifndef DM_MOUNT_MOUNT_H
#define DM_MOUNT_MOUNT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache/base/attr.h"
#include "fs/format/source_file.h"

struct dm_err;

/*
 * How files are read.  With MOUNT_IO_DAEMON the kernel opens files by itself,
 * and each page that it does not have is asked of the daemon.  With
 * MOUNT_IO_PASSTHROUGH each open is asked, and large files that are complete
 * in the cache and were hashed are read by the kernel alone.  MOUNT_IO_AUTO
 * takes what pays for the version's totals.
 */
enum mount_io { MOUNT_IO_AUTO, MOUNT_IO_DAEMON, MOUNT_IO_PASSTHROUGH };
const char *mount_io_name(enum mount_io io);
bool mount_io_parse(enum mount_io *out, const char *name);

/* What to mount where.  Everything a worker needs to start, also again after
 * it was killed, with the origin down. */
struct mount_spec {
	char dir[PATH_MAX]; /* mount point, absolute, symlinks resolved */
	char source_path[PATH_MAX]; /* the .source file, absolute; "" if none */
	char cache_dir[PATH_MAX];
	struct source_file pin; /* repository made absolute */
	const char *commit;     /* the commit's text; its id is pin.commit */
	size_t commit_size;
	uint64_t timeout_ms; /* of one read; 0 = none */
	uint64_t memory;     /* 0 = the cache's default */
	uint64_t cache_size; /* likewise */
	enum mount_io io;
	uint64_t files, bytes; /* totals of what is mounted; for that */
	uint64_t entries;
	/* Traces, absolute, or "": the order of first reads, to be written to
	 * a new one (or to what is there, if record_on), to be brought ahead */
	char record_trace[PATH_MAX], replay_trace[PATH_MAX];
	bool record_on;
	bool all_symlinks;
	bool allow_other; /* the default for root */
	bool foreground;  /* stay; log to stderr */
	bool debug;       /* log every request */
	bool unconfined;  /* the worker keeps all its rights */
	int notify_fd;    /* gets one newline when usable, and is closed then,
			   * or by the end of mount_run; -1: none */
};

/*
 * Make dir ready: create it (*created), or accept an empty directory; replace
 * a mount point whose daemon is dead.  DM_INVALID: not empty, not a directory,
 * in a mount of ours, or something is mounted there (if it is one of ours, the
 * text says so and what to do).
 */
int mount_point_prepare(const char *dir, bool *created,
    struct dm_err *err) DM_MUST_CHECK;

/*
 * Mount.  In the background (the default) it forks the supervisor, and
 * returns when ls works or with the error why it does not; in the foreground
 * it returns after the unmount.  The calling process must have no other
 * thread.  DM_NOTFOUND: no /dev/fuse, no fusermount3: the text says what to
 * install.
 */
int mount_run(const struct mount_spec *spec, struct dm_err *err) DM_MUST_CHECK;

/* Mount nothing on a new directory, below TMPDIR or /tmp, and unmount it: does
 * it work here, and which version of FUSE's protocol does the kernel speak? */
int mount_try(unsigned *major, unsigned *minor,
    struct dm_err *err) DM_MUST_CHECK;

/* What a running mount says of itself: JSON text (datamount(1), status
 * --json).  *found is false if no mount of this user is at dir.  Among its
 * keys are those by which update and sync mount again as it was: strings
 * "dir", "source" (source_path), "repository" (the first, absolute), "commit",
 * "path", "cache_dir", "record_trace", "replay_trace"; integers "timeout_ms",
 * "memory", "cache_size"; booleans "all_symlinks", "allow_other", "unconfined",
 * "foreground"; an array of objects, "repositories", of which "url" is a
 * string; and an object "io" whose "asked" is one. */
struct dm_buf;
int mount_status(const char *dir, struct dm_buf *json, bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/* Call each with the mount point of every running mount of this user (for
 * root: of root), in ascending order.  Dead mounts' sockets are removed. */
int mount_each(int (*each)(void *arg, const char *dir, struct dm_err *err),
    void *arg, struct dm_err *err) DM_MUST_CHECK;

/* The same for mounts whose daemon is dead, whoever's it was. */
int mount_each_dead(int (*each)(void *arg, const char *dir, struct dm_err *err),
    void *arg, struct dm_err *err) DM_MUST_CHECK;

/*
 * Unmount and wait until the daemon has gone: seconds where the kernel knows
 * millions of files, a minute at most.  Busy is DM_STALE, whose text names the
 * processes that use it; with lazy they keep the old version and the mount
 * point is free.  A mount whose daemon is dead is cleaned up.  DM_NOTFOUND:
 * nothing of datamount is mounted there.
 */
int mount_unmount(const char *dir, bool lazy, struct dm_err *err) DM_MUST_CHECK;

/* Name up to a few processes that have files open or mapped below dir or stand
 * in it: "python3 (1234), bash (99)"; "processes of others" if none can be
 * seen, but not all may be looked at; "" if nobody uses it.  Returns how many
 * are named. */
unsigned mount_users(const char *dir, char *out, size_t size);

/* The mount point (one of ours) at or above path, or *found = false. */
int mount_of(const char *path, char dir[PATH_MAX], bool *found,
    struct dm_err *err) DM_MUST_CHECK;

#endif
