/* fs/mount/scouting.h - what readers of many files will ask for next. */
#ifndef DM_MOUNT_SCOUTING_H
#define DM_MOUNT_SCOUTING_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/lock.h"

struct version_node;

/*
 * What the scout is told (scout.h), from what readers ask the worker for.
 *
 * Who has read a few files in a row gets the next ones read ahead, a batch at
 * a time.  The last file of a batch is left to the reader: all others he finds
 * in the kernel, and nobody hears of it, so by this one he is followed.  Two
 * batches are ahead of him.
 *
 * Who looks up names here and there in a directory, a good part of them, gets
 * all its names: a slice with each lookup more, so that nothing goes on for
 * long once he has gone.
 *
 * Threads: any call from any thread.  Locks itself (DM_RANK_VERSION).
 */
enum {
	SCOUTING_READERS = 16,
	/* A dataset may have a directory for each of some thousand classes,
	 * and all are read at a time: in sets, of which each keeps its last. */
	SCOUTING_SETS = 1024,
	SCOUTING_WAYS = 4,
	SCOUTING_PLANS = 2,
};

struct scouting {
	struct dm_mutex mu; /* guards all below */
	uint64_t uses;
	struct scouting_reader {
		uint64_t first;    /* where the row began: an inode */
		uint64_t ino;      /* the farthest that was read */
		uint64_t dir;      /* in which that is */
		uint64_t seen;     /* files of the row */
		bool goes_on;      /* it is believed */
		uint64_t next;     /* number of the first entry not ordered */
		uint64_t marks[2]; /* numbers + 1 of those left to him */
		uint64_t used;
	} reader[SCOUTING_READERS];
	struct scouting_dir {
		uint64_t ino;     /* 0: none */
		uint64_t entries; /* in it and below it */
		uint64_t lookups; /* since all were ordered */
		uint64_t next;    /* number of the first entry not ordered */
		bool ordered;     /* all were, once */
		uint64_t used;
	} dir[SCOUTING_SETS][SCOUTING_WAYS];
};

/* Entries first, first + 1, ... of the directory ino: count of them to be
 * listed, and of these the first so many files to be read ahead. */
struct scouting_plan {
	uint64_t dir, first, count, files;
};

void scouting_init(struct scouting *s);
void scouting_release(struct scouting *s);

/* A file is read from its begin: how much is to be ordered? */
unsigned scouting_read(struct scouting *s, const struct version_node *file,
    struct scouting_plan out[SCOUTING_PLANS]);

/* A name of the directory was looked up, and found: is something? */
bool scouting_lookup(struct scouting *s, const struct version_node *dir,
    struct scouting_plan *out);

/* What that planned was ordered; else it is planned again. */
void scouting_listed(struct scouting *s, const struct scouting_plan *plan);

#endif
