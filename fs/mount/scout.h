/* fs/mount/scout.h - a process that asks a mount for what comes next. */
#ifndef DM_MOUNT_SCOUT_H
#define DM_MOUNT_SCOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "fs/mount/apart.h"

struct dm_err;
struct mount_spec;
struct shared;

/*
 * A reader of small files asks the kernel for one after the other, and the
 * kernel asks the worker for each name and each content, while the reader
 * waits.  The kernel reads ahead within a file and never across files, and a
 * worker cannot hand it what it did not ask for without danger: it would wait
 * for a page that a request of its own has locked.
 *
 * So there is a process that uses the mount like any other: told by the worker
 * which entries of which directory will be wanted (scouting.h), it lists them,
 * which gives the kernel their names and inodes by the hundred, and has the
 * kernel read ahead in those that are files; or in files that a trace names
 * (trail.h).  Then the reader finds them there.
 *
 * It reads no bytes, and decides nothing.  It is without harm when it is
 * late, or dead: who reads asks for himself.  Its requests do not wait for the
 * cache, but for what the kernel reads ahead, for which it does not wait
 * itself, and that for a moment only: so it lets go of what it has open at
 * once, and who comes to a page that it had asked for soon asks himself.
 */
struct scout {
	struct apart apart;
	int read_fd, write_fd; /* of the pipe of orders, which outlives it */
};

enum {
	SCOUT_PATH_MAX = 4000,
	SCOUT_BYTES = 4 << 20, /* read ahead by one order */
	/* While so many requests wait for the cache, none of the scout's does:
	 * the kernel has room for 1,024 that are read ahead, for all. */
	SCOUT_WAITING = 128,
};
#define SCOUT_NAME "datamount-scout"

/*
 * Entries number first, first + 1, ... of a directory are to be listed, and of
 * these the first so many files read ahead; or, if there are paths, files are
 * to be read ahead.
 */
struct scout_order {
	uint64_t first, count, files;
	uint64_t paths; /* so many are in path, one behind the other */
	/* From the root, each with its NUL: "/a" of the directory, or "a/b" of
	 * a file. */
	char path[SCOUT_PATH_MAX];
};

/* Is there to be one?  Where files are opened and read without the daemon
 * nobody knows what will be read next; and of what a reader finds ready a trace
 * would not tell.  Once INIT was answered. */
bool scout_wanted(const struct mount_spec *spec, const struct shared *shared);

/* Make the pipe; start nothing. */
int scout_open(struct scout *s, struct dm_err *err) DM_MUST_CHECK;
void scout_close(struct scout *s);

/* What is mounted where. */
struct scout_mount {
	const char *dir;
	unsigned major, minor;
};

/* Start it; it puts its process number into shared. */
int scout_start(struct scout *s, const struct scout_mount *m,
    struct shared *shared, struct dm_err *err) DM_MUST_CHECK;

/* End it, so that it uses the mount no more. */
void scout_stop(struct scout *s, struct shared *shared);

/* In a worker: keep write_fd alone. */
void scout_leave(struct scout *s);

/* Give an order; false: there is no room for it.  Never waits.  Any thread. */
bool scout_send(int write_fd, const struct scout_order *order);

#endif
