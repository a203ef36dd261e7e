/* fs/publish/work.h - what the walk finds, read and hashed by many threads. */
#ifndef DM_PUBLISH_WORK_H
#define DM_PUBLISH_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/pack/pack_dir.h"
#include "fs/format/tree.h"
#include "fs/publish/object_index.h"

struct packer;

/*
 * A queue between one thread, which puts in what it walks over and takes it
 * out again in the same order, and workers that do in between what costs time:
 *
 *   kind            a worker                      the hasher
 *   WORK_SMALL      reads, hashes, compresses
 *   WORK_CHUNK      hashes, compresses            adds it to the whole digest
 *   WORK_LARGE_END                                gives the whole digest
 *   others          nothing                       nothing
 *
 * The queue is bounded in items (so also in open directories) and bytes.
 */
enum work_kind {
	WORK_DIR, /* a directory begins: path, count */
	WORK_DIR_END,
	WORK_LINK,      /* path, target */
	WORK_EMPTY,     /* an empty file */
	WORK_KNOWN,     /* a file that need not be read: id, at */
	WORK_SMALL,     /* a file of one object; then id, object, stored */
	WORK_CHUNK,     /* of a large file: data; then object, stored */
	WORK_LARGE_END, /* a large file ends; then id: the whole digest */
};

/* An open directory, shared by the files in it that wait to be read. */
struct work_dir {
	int fd;
	unsigned users; /* atomic */
};
struct work_dir *work_dir_new(int fd); /* takes fd; NULL: no memory */
void work_dir_put(struct work_dir *d);

struct work {
	enum work_kind kind;
	enum tree_kind entry;
	char *path; /* below the root of the walk; owned */
	struct stat st;
	int64_t at_ns; /* when st was taken */
	uint64_t count;
	char *target;         /* owned */
	struct work_dir *dir; /* counted */
	struct digest id;
	struct place at;
	void *data; /* plain bytes; owned.  WORK_SMALL: NULL: to be read */
	bool
	    zeros; /* WORK_CHUNK: size zeros that were stored before, no data */
	size_t size;

	/* results */
	struct pack_object object;
	bool known;        /* a finished pack has it: nothing is stored */
	void *compressed;  /* owned, or NULL: stored as it is */
	bool done, hashed; /* guarded by the queue */
	struct dm_err err; /* what befell a worker; DM_OK: nothing */
};

struct work *work_new(enum work_kind kind, const char *path); /* or NULL */
void work_free(struct work *w);

/* The path's last component. */
const char *work_name(const struct work *w);

/* The bytes to be stored, of object.stored_size. */
void **work_stored(struct work *w);

/* "PATH changed while it was read", naming what to do. */
int work_changed(const char *path, struct dm_err *err);

/* Is it the same file, with the same times and size? */
bool work_same_stat(const struct stat *a, const struct stat *b);

struct work_queue;

/* packer is borrowed: workers ask it what is known.  threads 0: as many as
 * there are processors. */
int work_queue_open(struct work_queue **out, struct packer *packer,
    unsigned threads, struct dm_err *err) DM_MUST_CHECK;

/* Ends the threads and frees what is in the queue. */
void work_queue_close(struct work_queue *q);

/* Would w have to wait?  Then take one first. */
bool work_queue_full(struct work_queue *q, const struct work *w);

/* Takes w over.  The queue is not full. */
void work_queue_put(struct work_queue *q, struct work *w);

/* Wait for the oldest to be done and take it; NULL if the queue is empty. */
struct work *work_queue_take(struct work_queue *q);

#endif
