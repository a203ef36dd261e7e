/* fs/mount/shared.h - what outlives a worker: requests, counters, failures. */
#ifndef DM_MOUNT_SHARED_H
#define DM_MOUNT_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "fs/format/source_file.h"

struct dm_err;

/*
 * One anonymous shared mapping, made by the supervisor and inherited by every
 * worker.  It holds the kernel's INIT request, and each request that was read
 * and not yet answered, byte for byte in a slot of its own, so that the next
 * worker can answer what the last one owed.
 *
 * A slot is occupied while the unique in its header is not 0.  It is zeroed
 * before each read and after each reply, so a worker that is killed between
 * any two instructions leaves whole requests or none.
 *
 * Only the worker writes, but for the fields marked otherwise.  The supervisor
 * reads at any time and must cope with half-written text.
 *
 * An open is answered once, though it may be begun again: while it has an
 * entry in opens, only success was ever sent; if its note has an error, or
 * says that it was closed, it gets no entry any more.  All three are written
 * before the answer that they stand for.
 */
enum {
	SHARED_SLOTS = 4096,
	SHARED_SLOT_SIZE = 8192, /* FUSE_MIN_READ_BUFFER; no request that this
				  * file system answers is longer */
	SHARED_INIT_MAX = 512,
	SHARED_DEATHS_MAX = 3, /* of workers, that one request may cause */
	SHARED_FAULTS = 128,
	SHARED_FAULT_TEXT = 512,
	SHARED_OPENS = 1 << 18, /* open files, where the kernel tells of them */
	SHARED_IO_TEXT = 200,
};

/* How the kernel was told to open files, once and for all: mount.h. */
enum shared_io {
	SHARED_IO_UNDECIDED,
	SHARED_IO_DAEMON,
	SHARED_IO_PASSTHROUGH,
};

/* An open file, by its request; see opens.h. */
struct shared_open {
	_Atomic uint64_t unique; /* 0: the entry is free */
	uint64_t ino;
	uint64_t file, state; /* of what is passed through: struct cache_lent */
	uint32_t turn;        /* times that the entry was taken */
	int32_t backing;      /* the kernel's number for that; 0: none is */
	uint32_t slot;        /* of the request */
};

enum shared_stat {
#define STAT(name, help) STAT_##name,
#include "fs/mount/stats.def"
#undef STAT
	SHARED_STATS
};

/* What is known of a slot's request beside its bytes. */
struct shared_note {
	uint64_t started_ms; /* clock.h: when it was read; 0 if not noted yet */
	uint32_t begun;      /* runs by this worker that did not end yet */
	uint32_t deaths;     /* of workers, while they ran it; see
			      * shared_bury() */
	uint32_t pid;        /* of the process that asks */
	bool scout;          /* that was the scout of the time */
	uint32_t error;      /* errno of an open that was, or will be, told that
			      * it failed; 0: none will be */
	_Atomic uint64_t interrupted; /* its unique: the caller was killed, or
				       * got a signal */
	uint64_t opened;              /* the last open here that got an entry */
	uint64_t closed; /* the same, once it was told that it went well, and
			  * then closed; both by their unique, since the slot
			  * may have another request by then */
};

/* A failure that a reader was told of. */
struct shared_fault {
	uint64_t ino;
	int64_t time; /* seconds since 1970 */
	char text[SHARED_FAULT_TEXT];
};

/* Of the present worker, by its own count; copied here when asked for. */
struct shared_counts {
	uint64_t hits, misses, fetched, wasted, bad_disk, bad_origin, waiting;
	uint64_t disk_broken;
	uint64_t requests, bytes, retries, failures;
};

/* The same, of one repository of the pin. */
struct shared_place {
	uint64_t requests, bytes, failures, bad;
	int64_t down_since; /* seconds since 1970; 0: it is well */
};

/* Add what was counted; what is now stays. */
void shared_add_counts(struct shared_counts *sum,
    const struct shared_counts *more);
void shared_add_place(struct shared_place *sum,
    const struct shared_place *more);

struct shared {
	_Atomic uint32_t major, minor; /* of the mount; the supervisor's */
	_Atomic uint32_t scout; /* its process, by itself; 0: none, likewise */
	uint32_t confined;      /* enum confine_part: in force in the worker */
	uint32_t said;          /* of those that are not, it has been said */
	_Atomic uint64_t stats[SHARED_STATS];
	_Atomic uint32_t counts_asked; /* by the supervisor, ever higher */
	_Atomic uint32_t counts_given; /* the asked that counts answers */
	struct shared_counts counts;
	struct shared_place places[SOURCE_MIRRORS_MAX];

	_Atomic uint32_t nfaults;    /* ever; the last is at nfaults - 1, modulo
				      * the table's size */
	_Atomic uint32_t faults_now; /* entries with an ino */
	struct shared_fault faults[SHARED_FAULTS];

	_Atomic uint32_t io;         /* enum shared_io */
	char io_why[SHARED_IO_TEXT]; /* written before io */
	_Atomic uint32_t io_broken;  /* errno of passing through; 0: none */
	_Atomic uint32_t io_last;    /* the highest backing number noted */
	_Atomic uint32_t nopens;     /* entries from here on were never used */

	_Atomic uint32_t nslots; /* slots from here on were never used; looking
				  * at them would take memory for them */
	uint32_t init_size;      /* 0 until INIT was read */
	char init[SHARED_INIT_MAX];
	struct shared_note notes[SHARED_SLOTS];
	struct shared_open opens[SHARED_OPENS];
	_Alignas(4096) char slots[SHARED_SLOTS][SHARED_SLOT_SIZE];
};

/* Ends with the last process that has it. */
int shared_new(struct shared **out, struct dm_err *err) DM_MUST_CHECK;
void shared_free(struct shared *s);

/*
 * Between two workers: note what the last one died of.  If its end was its own
 * doing, each request that it was running may be the reason, and one that was
 * there too often is given up: a poisonous object cannot kill every worker.
 * If the end came from outside, nobody is to blame.
 */
void shared_bury(struct shared *s, bool own_doing);

/* The request in the slot was answered: nobody owes it anything any more. */
void shared_done(struct shared *s, unsigned slot);

/* The request in the slot is about to be told that it failed. */
void shared_note_refusal(struct shared *s, unsigned slot, int e);

/* Tell it, without libfuse. */
void shared_refuse(struct shared *s, int fuse_fd, unsigned slot, int e);

/* The slot is about to be read into: it is empty, and counts as used. */
void shared_use(struct shared *s, unsigned slot);

void shared_count(struct shared *s, enum shared_stat which, uint64_t n);
uint64_t shared_stat(const struct shared *s, enum shared_stat which);

/* Names of the counters, in the order of the enum. */
extern const char *const shared_stat_names[SHARED_STATS];

#endif
