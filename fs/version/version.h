/* fs/version/version.h - an opened version: its tree by name and by number. */
#ifndef DM_VERSION_VERSION_H
#define DM_VERSION_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "cache/cache.h"
#include "fs/format/commit.h"
#include "fs/format/limits.h"
#include "fs/format/tree.h"

struct dm_err;
struct origin;

/*
 * One immutable tree, read through the cache.  Knows nothing of FUSE; the
 * look commands and the mount both stand on it.
 *
 * Decoded pages are kept, immutable and counted, in a bounded LRU; all else
 * is found anew by descending, so memory does not grow with the tree.
 *
 * Every function that takes a wait may return DM_AGAIN (cache.h), and with
 * wait NULL it blocks instead.  Any thread, any time before close.
 *
 * Inode numbers: 1 + position in a pre-order walk; the root is 1.
 */
struct version;

struct version_options {
	bool all_symlinks; /* also those that leave the root */
	uint64_t pages;    /* bytes of decoded pages kept; 0 = 12 MiB */
};

/* cache and origin are borrowed and outlive *out; c is copied.  No I/O. */
int version_open(struct version **out, struct cache *cache,
    struct origin *origin, const struct commit *c,
    const struct version_options *opt, struct dm_err *err) DM_MUST_CHECK;

/* The same for a subdirectory of v ("a/b"), whose root is then ino 1; takes v
 * over, also on failure.  DM_NOTFOUND, DM_INVALID (not a directory). */
int version_open_subtree(struct version **out, struct version *v,
    const char *path, struct dm_err *err) DM_MUST_CHECK;
void version_close(struct version *v);

/* A found entry; a plain value that stays good as long as the version. */
struct version_node {
	uint64_t ino, parent; /* the root's parent is itself */
	uint64_t number;      /* among the direct entries of the parent */
	unsigned depth;       /* of the entry below the mounted root: root 0 */
	enum tree_kind kind;
	uint8_t how;   /* as tree_entry.how */
	uint64_t size; /* as tree_entry.size */
	uint64_t entries, files;
	uint64_t children; /* of a directory; 0 until version_children() */
	struct digest id;
	bool stored; /* at is meaningful: there is an object */
	struct cache_place at;
};

void version_root(const struct version *v, struct version_node *out);

/* The entry with that number.  DM_INVALID if there is none. */
int version_node(struct version *v, uint64_t ino, struct version_node *out,
    struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* The entry of that name, or *found = false.  Names that are illegal or .git
 * aliases are not found. */
int version_lookup(struct version *v, const struct version_node *dir,
    const char *name, size_t name_len, struct version_node *out, bool *found,
    struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* The same for a path of several components; "" is the root; symlinks are not
 * followed. */
int version_path(struct version *v, const char *path, struct version_node *out,
    bool *found, struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* Write the path of the entry of that number, "/a/b", cut off at size. */
int version_path_of(struct version *v, uint64_t ino, char *out, size_t size,
    struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* The same for messages: asks nobody.  False if one of the pages that tell it
 * is not in memory; a directory that is known keeps none of those above it. */
bool version_recall_path(struct version *v, uint64_t ino, char *out,
    size_t size);

/* Call each for the direct entries from number first on, in order, until it
 * returns false or they end.  With a wait, some may have been given when it
 * returns DM_AGAIN; they come again.  name is borrowed for the call and not
 * NUL-terminated; each must not call the version. */
int version_list(struct version *v, const struct version_node *dir,
    uint64_t first,
    bool (*each)(void *arg, uint64_t n, const char *name, size_t name_len,
	const struct version_node *node),
    void *arg, struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* How many direct entries a directory has. */
int version_children(struct version *v, const struct version_node *dir,
    uint64_t *n, struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* Read up to size bytes of a regular file; *n is less only at its end. */
int version_read(struct version *v, const struct version_node *file, void *buf,
    size_t size, uint64_t off, size_t *n, struct cache_wait *wait,
    struct dm_err *err) DM_MUST_CHECK;

/* Call each with the place and the size of each object that holds some of the
 * size bytes from off on, as far as the file goes.  With a wait, some may have
 * been given when it returns DM_AGAIN; they come again. */
int version_places(struct version *v, const struct version_node *file,
    uint64_t off, uint64_t size,
    void (*each)(void *arg, const struct cache_place *at, uint32_t size),
    void *arg, struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* The target, NUL-terminated.  DM_DENIED if it would leave the root and
 * all_symlinks is off. */
int version_readlink(struct version *v, const struct version_node *link,
    char target[DM_TARGET_MAX + 1], struct cache_wait *wait,
    struct dm_err *err) DM_MUST_CHECK;

/* The SHA-256 of a regular file's content (of the empty string for an empty
 * file; the chunk list's whole digest for a large one). */
int version_digest(struct version *v, const struct version_node *file,
    struct digest *out, struct cache_wait *wait,
    struct dm_err *err) DM_MUST_CHECK;

/* How many chunks a file has (0 empty, 1 small), and how many of its bytes
 * the cache probably holds. */
int version_file_state(struct version *v, const struct version_node *file,
    uint64_t *chunks, uint64_t *cached, struct cache_wait *wait,
    struct dm_err *err) DM_MUST_CHECK;

/* *whole: the file is all the plain bytes of that pack, as cache_lend() gives
 * them.  Fetches nothing: what is not known here counts as no. */
int version_pack(struct version *v, const struct version_node *file,
    struct digest *pack, bool *whole, struct cache_wait *wait,
    struct dm_err *err) DM_MUST_CHECK;

#endif
