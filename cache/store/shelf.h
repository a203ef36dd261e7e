/* cache/store/shelf.h - the cache's directory: is it ours, and does it work. */
#ifndef DM_STORE_SHELF_H
#define DM_STORE_SHELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct digest;
struct dm_err;

/*
 * Opens, replaces and removes the files of blobs by key, below a directory
 * that is owned by this user and that nobody else can write.  Trouble with the
 * disk is noted here once for all blobs: while it lasts, one write a second is
 * tried, all others are not.
 *
 * Threads: any call from any thread.  Locks itself (DM_RANK_SHELF).
 * Format: see datamount-cache(5).
 */
struct shelf;

enum shelf_file { SHELF_BLOB, SHELF_MAP, SHELF_DIR, SHELF_MOVED };

/* DM_DENIED: not ours, or others can write it.  DM_INVALID: no directory.  A
 * disk that is broken, full or read-only is no error. */
int shelf_open(struct shelf **out, const char *dir,
    struct dm_err *err) DM_MUST_CHECK;
void shelf_close(struct shelf *s);

const char *shelf_path(const struct shelf *s);

/* Open a file of key, for writing too where the disk lets us; -1 with errno.
 * What is no regular file of ours is removed and counts as absent. */
int shelf_get(struct shelf *s, const struct digest *key, enum shelf_file which,
    bool create);

/* Is there anything of that name? */
bool shelf_has(struct shelf *s, const struct digest *key,
    enum shelf_file which);

/* Make a file of key hold exactly data, by a temporary name; -1 with errno,
 * which is 0 if the quota has no room.
 * No fsync: what a crash leaves is hashed before it is used. */
int shelf_replace(struct shelf *s, const struct digest *key,
    enum shelf_file which, const void *data, size_t size);

void shelf_remove(struct shelf *s, const struct digest *key,
    enum shelf_file which);

/* May a write be tried?  The caller then reports how it went. */
bool shelf_writable(struct shelf *s);
void shelf_worked(struct shelf *s);
void shelf_failed(struct shelf *s, int error, const char *doing);
bool shelf_broken(const struct shelf *s);

/* From now on writes are counted and bounded (quota.h). */
struct quota;
int shelf_set_limit(struct shelf *s, uint64_t limit,
    struct dm_err *err) DM_MUST_CHECK;
struct quota *shelf_quota(struct shelf *s);
int shelf_root(const struct shelf *s); /* a descriptor, or -1 */

/* What all blobs may read around small pieces. */
struct around *shelf_around(struct shelf *s);

/* May so many bytes be written to a blob that takes so much already?  If so,
 * say afterwards how many were. */
bool shelf_take(struct shelf *s, uint64_t bytes, uint64_t has);
void shelf_used(struct shelf *s, uint64_t taken, uint64_t used);

/* How often shelf_take() said no; of these, because there would be room later.
 */
uint64_t shelf_refused(const struct shelf *s, uint64_t *for_now);

/* A piece or file on disk was found damaged; how many were. */
void shelf_count_bad(struct shelf *s);
uint64_t shelf_bad(const struct shelf *s);

/* Blobs count here what they hold open, for whoever bounds it. */
void shelf_hold(struct shelf *s, int files, int64_t memory);
int64_t shelf_held_files(const struct shelf *s);
int64_t shelf_held_memory(const struct shelf *s);

/* What identifies the state of an open file: device, inode, size, ctime and
 * link count, mixed.  0: it cannot be told. */
uint64_t shelf_signature(int fd, bool *unlinked);

/* Check that path is a directory of this user that nobody else can write, and
 * that nobody else can exchange what is above it. */
int shelf_check(const char *path, struct dm_err *err) DM_MUST_CHECK;

/* The map of a blob: its header, and where its bits begin. */
enum { SHELF_MAP_HEADER = 64 };
struct shelf_map {
	uint64_t dev, ino; /* of the blob's file that it speaks of */
	uint64_t size;     /* bytes of the whole blob */
	uint32_t pieces;
};
void shelf_map_encode(uint8_t out[SHELF_MAP_HEADER],
    const struct shelf_map *map);
bool shelf_map_decode(struct shelf_map *map, const uint8_t *data, size_t size);

/* "blobs/AA/KEY", with the suffix of the file. */
enum { SHELF_NAME = 96 };
void shelf_name(char out[SHELF_NAME], const struct digest *key,
    enum shelf_file which);

#endif
