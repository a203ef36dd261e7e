/* fs/publish/reach.h - which objects of which packs a version needs. */
#ifndef DM_PUBLISH_REACH_H
#define DM_PUBLISH_REACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/pack/moved.h"
#include "cache/pack/pack_writer.h"

struct commit;
struct digest;
struct dm_err;
struct folder;
struct where_pack;
struct pack_file;

/*
 * Walks over trees and chunk lists in the packs of a folder, from their roots
 * down, and notes each object that they need, by the place where it is found.
 * Structured objects are read and compared with their digests; of data, the
 * directories are.  What is found elsewhere than where it was first stored
 * (moved/) counts there.
 *
 * A wrong or missing object ends the walk: DM_CORRUPT, DM_NOTFOUND.
 *
 * Threads: one at a time.
 */
struct reach;

struct reach_hooks {
	/* An object speaks of these packs: they will be needed. */
	int (*want)(void *arg, const struct moved_place *pack,
	    struct dm_err *err);
	/* Now; returns when it can be read, or its moved/ can.  With gone,
	 * moved/ does not help. */
	int (*need)(void *arg, const struct moved_place *pack, bool gone,
	    struct dm_err *err);
	/* An object is damaged or missing: the walk goes on without it.  NULL:
	 * it ends. */
	void (*broken)(void *arg, const struct dm_err *why);
	void *arg;
};

/* hooks may be NULL; f is borrowed. */
int reach_open(struct reach **out, struct folder *f,
    const struct reach_hooks *hooks, struct dm_err *err) DM_MUST_CHECK;
void reach_close(struct reach *r);

/* Everything below the root of a commit. */
int reach_commit(struct reach *r, const struct commit *c,
    struct dm_err *err) DM_MUST_CHECK;

/* Everything below a tree or chunk list that lies, it is said, there, and the
 * object itself. */
int reach_object(struct reach *r, enum object_kind kind,
    const struct digest *id, const struct moved_place *at,
    struct dm_err *err) DM_MUST_CHECK;

/* A pack that was met, in the order of meeting. */
struct reach_pack {
	struct digest id;
	struct pack_name name; /* once sized */
	bool sized;            /* its directory was read */
	bool followed;         /* what it held was found through moved/ */
	bool structured;       /* it holds trees, lists, wheres */
	uint64_t plain;        /* bytes of all objects */
	uint64_t live_plain;   /* of those that are needed */
	uint32_t live;         /* objects that are needed */
	/* for reach.c */
	struct moved_place at;
	uint8_t *bits;
	struct pack_file *file;
	uint8_t *moved_data;
	struct moved moved;
	bool has_moved;
};
size_t reach_count(const struct reach *r);
struct reach_pack *reach_at(const struct reach *r, size_t i);
struct reach_pack *reach_find(const struct reach *r, const struct digest *id);
static inline bool
reach_needs(const struct reach_pack *p, uint32_t ordinal)
{
	return (p->bits[ordinal / 8] >> ordinal % 8 & 1) != 0;
}

/* Open the pack's file again, for a while: until the next call. */
int reach_file(struct reach *r, struct reach_pack *p, struct pack_file **out,
    struct dm_err *err) DM_MUST_CHECK;

/* Where an object is found in the end, by what moved/ says. */
int reach_resolve(struct reach *r, const struct moved_place *at,
    struct moved_place *out, struct dm_err *err) DM_MUST_CHECK;

#endif
