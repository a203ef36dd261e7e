/* cache/store/blob.h - one blob: a sparse file, its map, its directory. */
#ifndef DM_STORE_BLOB_H
#define DM_STORE_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"

struct directory;
struct dm_buf;
struct dm_err;
struct files;
struct shelf;

/*
 * Bytes that this gives were hashed in this run against the digest that the
 * caller names.  A bit in the map says that a piece is probably here; a bit in
 * memory that this process has hashed it and that the file did not change
 * since.  Whatever happens to the files, the answer is right bytes or "not
 * here": nothing in this header fails.
 *
 * Threads: any call from any thread.  Locks itself (DM_RANK_BLOB), with the
 * local disk, never the network, behind the lock.
 */
struct blob;

/* What the blob's directory says of a piece. */
struct blob_piece {
	struct digest id;
	uint64_t off; /* in the blob */
	uint32_t size;
	uint32_t n; /* which piece */
};

/* Pieces of at most so many bytes are hashed each time they are read. */
enum { BLOB_SMALL = 64 << 10 };

struct blob *blob_new(struct shelf *s, const struct digest *key);
void blob_free(struct blob *b); /* NULL is fine */
const struct digest *blob_key(const struct blob *b);

/* The directory, from memory or disk, or NULL.  The caller puts it; if its
 * records cannot be read any more, blob_cool() it and ask again. */
struct directory *blob_directory(struct blob *b);

/* Prove and keep data as the directory; as directory_make(). */
int blob_directory_make(struct blob *b, void *data, size_t size,
    struct directory **out, struct dm_err *err) DM_MUST_CHECK;

/* Read size bytes at off of a piece; false if they are not here.  The
 * directory was asked for before. */
bool blob_read(struct blob *b, const struct blob_piece *p, uint32_t off,
    void *buf, uint32_t size);

/* Keep a piece whose bytes were hashed, if the disk lets us. */
void blob_write(struct blob *b, const struct blob_piece *p, const void *data);

/* The same for n pieces in order; those that lie side by side are written, and
 * claimed, at once.  If there is no room for all, those up to the first that
 * there is none for: asking for room may take a while. */
enum { BLOB_RUN = 32 };
void blob_write_run(struct blob *b, const struct blob_piece *p,
    const void *const *data, uint32_t n);

/* The map's claim for pieces first to first + n - 1: one byte each, 0 or 1. */
void blob_claims(struct blob *b, uint32_t first, uint32_t n, uint8_t *out);

/* Its open files, made if need be, for locks between processes; the caller puts
 * them.  NULL: the disk does not let us. */
struct files *blob_files(struct blob *b);

/*
 * Its file, as it is; or only if all pieces are in it and were hashed in this
 * run, and it has not changed since (of those that are hashed at each read,
 * some few are hashed now); or the same, with whatever must be hashed now.
 * dir is the blob's.  *state is as shelf_signature() has it.  The caller closes
 * the descriptor; -1: not so.
 */
enum blob_prove { BLOB_AS_IT_IS, BLOB_PROVEN, BLOB_HASH };
int blob_prove(struct blob *b, struct directory *dir, enum blob_prove how,
    uint64_t *state);

/* While somebody else reads its file without us, it counts as used. */
void blob_lend(struct blob *b, bool begin);

/* A blob that is one piece, with its key as digest: no directory, no map. */
bool blob_whole_read(struct blob *b, struct dm_buf *out);
void blob_whole_write(struct blob *b, const void *data, size_t size);

/* How often a piece was finished by fetch, here or in vain: a reader that
 * looked before the last one may have missed it. */
uint64_t blob_finished(const struct blob *b);
void blob_finish(struct blob *b);

/* Note a use; was it used since the last call? */
void blob_use(struct blob *b);
bool blob_was_used(struct blob *b);

/* The same for who asks once a second; a use that is to be told again. */
bool blob_was_touched(struct blob *b);
void blob_touch(struct blob *b);

/* What it holds open; close it (what is in use closes later). */
bool blob_has_files(const struct blob *b);
size_t blob_memory(const struct blob *b);
void blob_cool(struct blob *b, bool files, bool directory);

/* Close files that were removed, so that their space is free. */
void blob_sweep(struct blob *b);

#endif
