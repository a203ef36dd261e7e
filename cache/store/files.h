/* cache/store/files.h - the open files of one blob: its bytes and its map. */
#ifndef DM_STORE_FILES_H
#define DM_STORE_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "cache/store/hashing.h"

struct shelf;

/*
 * Descriptors that close when the last user is done.  Other processes have the
 * same files open: what is said here of the map is true for an instant, and a
 * lock is a courtesy between those who fetch.
 *
 * Threads: any call from any thread.  Nothing here waits for another process
 * longer than some hundred microseconds.
 */
struct files {
	_Atomic unsigned refs;
	struct hashing hashing; /* guarded by the lock of the blob */
	/* immutable */
	int data;
	int map; /* -1: cannot be used, all pieces are unknown */
	struct shelf *shelf;
	struct digest key;
};

/* Open the files of key; with pieces (0: the layout is not known) and size the
 * map too, begun anew if it does not speak of this very file.  NULL with
 * errno. */
struct files *files_open(struct shelf *s, const struct digest *key, bool create,
    uint32_t pieces, uint64_t size);
struct files *files_get(struct files *f);
void files_put(struct files *f); /* NULL is fine */

/* The map's claims: of one piece; of n, one byte each, 0 or 1. */
bool files_claims_one(const struct files *f, uint32_t n);
void files_claims(const struct files *f, uint32_t first, uint32_t n,
    uint8_t *out);

/* Change a claim; claim n pieces at once (at most FILES_RUN).  -1 with
 * errno. */
enum { FILES_RUN = 64 };
int files_claim(const struct files *f, uint32_t n, bool present);
int files_claim_run(const struct files *f, uint32_t first, uint32_t n);

/* Is the blob's file still the one of that name, as far as its link count
 * tells?  Is there a directory of the pack on disk? */
bool files_linked(const struct files *f);
bool files_have_directory(const struct files *f);

/*
 * Try-locks between processes on bytes of a blob.  A lock of a higher level
 * excludes only its equals: it is for those who no longer believe in whoever
 * holds the lower one.
 */
enum { FILES_LEVELS = 2 };
struct files_range {
	uint64_t off, size; /* of the blob's bytes */
};
bool files_lock(const struct files *f, unsigned level, struct files_range r);
void files_unlock(const struct files *f, unsigned level, struct files_range r);

/* What some other process has locked that r is a part of, or touches. */
bool files_locked(const struct files *f, unsigned level, struct files_range r,
    struct files_range *by);

/* What to lock for the pack's directory, said to lie at off. */
struct files_range files_directory_range(uint64_t off);

#endif
