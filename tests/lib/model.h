/*
 * tests/lib/model.h - random operations on a mount and on a plain directory
 * of the same content, which must agree.
 */
#ifndef DM_TESTS_MODEL_H
#define DM_TESTS_MODEL_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "cache/base/digest.h"

enum {
	MODEL_SLOTS = 3,
	MODEL_WHY = 400,
	MODEL_TICK_MS = 10,
	MODEL_WRONG = -1, /* in place of an errno: the two differ */
};

/* A file, directory or link, by its path below both. */
struct model_entry {
	char *path;
	uint64_t size;
	char digest[DIGEST_HEX + 1]; /* of a file */
};

struct model_list {
	struct model_entry *of;
	size_t n;
};

/*
 * What all clients share.
 *
 * Calls are timed in ticks: how often the process that watches the clients
 * slept for MODEL_TICK_MS.  This clock stands while the machine does not get to
 * it, and is never faster than others: what takes too many ticks does not do so
 * because other things run.
 */
struct model_shared {
	_Atomic uint64_t ticks;
	_Atomic uint64_t longest; /* call: thousandths of what it may take */
	sem_t changing;           /* faults go on or off, a worker dies */
	_Atomic uint64_t changes; /* of the faults */
	_Atomic uint64_t off_at;  /* when they went off, in ms */
	_Atomic uint64_t on_at;
	_Atomic uint64_t killed_at; /* the last worker */
	_Atomic uint64_t steps, kills, faulted;
	_Atomic bool faults, stop;
};

/* Both directories; immutable while clients run, but for *shared. */
struct model {
	int plain, mount; /* descriptors of directories */
	struct model_list files, dirs, links;
	unsigned port; /* of the server's control; 0: there is none */
	pid_t supervisor;
	uint64_t timeout_ms; /* of the mount; 0: calls are not timed */
	struct model_shared *shared;
};

/* What one client does now; shared. */
struct model_watch {
	_Atomic uint64_t began; /* the call, in ticks; 0: it makes none */
	_Atomic uint64_t ticks; /* that it may take */
};

enum model_op {
	MODEL_READ,
	MODEL_LSEEK,
	MODEL_PREAD,
	MODEL_PREADV,
	MODEL_DIRECT,
	MODEL_MMAP,
	MODEL_SENDFILE,
	MODEL_SPLICE,
	MODEL_COPY,
	MODEL_HOLE,
	MODEL_LS,
	MODEL_SEEKDIR,
	MODEL_STAT,
	MODEL_ABSENT,
	MODEL_READLINK,
	MODEL_XATTR,
	MODEL_FORGET,
	MODEL_DROP,
	MODEL_EVICT,
	MODEL_KILL,
	MODEL_FAULT,
	MODEL_HEAL,
	MODEL_OPS,
};

struct model_step {
	enum model_op op;
	unsigned entry, slot; /* of the list that op is about */
	uint64_t offset, length;
};

/* One of those that run at once. */
struct model_client {
	const struct model *m;
	struct {
		int fd; /* or -1 */
		unsigned file;
	} slots[MODEL_SLOTS];
	struct model_watch *watch;
	char *got, *want; /* MODEL_LENGTH bytes each */
	char why[MODEL_WHY];
};

enum { MODEL_LENGTH = 1 << 20 };

void model_client_init(struct model_client *c, const struct model *m,
    struct model_watch *watch);

/* Close what it has open. */
void model_client_end(struct model_client *c);

/*
 * Do the step on both.  0: they agree, or the mount failed as it may; else
 * MODEL_WRONG, and c->why says what is wrong.
 */
int model_step_run(struct model_client *c, const struct model_step *s);

/* As a line that looks like a command. */
void model_step_print(FILE *out, const struct model *m,
    const struct model_step *s);

/* No more faults. */
void model_heal(const struct model *m);

uint64_t model_now_ms(void);

/* It cannot go on: say why, and exit with 2. */
_Noreturn void model_die(const char *what);

#endif
