/* fs/publish/object_index.h - which objects a repository has, and where. */
#ifndef DM_PUBLISH_OBJECT_INDEX_H
#define DM_PUBLISH_OBJECT_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/object.h"

struct digest;
struct dm_err;
struct marks;
struct pack_object;
struct pack_name;

/*
 * What the packs' directories say, in an SQLite file of this machine, one for
 * each repository id.  The packs are the truth: opening brings the index up
 * to date with them, and a lost or damaged file costs reading their
 * directories again.  Whatever the file says, what is found is there: the
 * pack's own directory is asked before an object counts as found.
 *
 * Threads: any function but close from any thread (DM_RANK_INDEX).
 */
struct object_index;

/* An object's place: the number of a pack in this index, an ordinal. */
struct place {
	uint32_t pack;
	uint32_t ordinal;
};

/* path: the SQLite file, or NULL: keep it in memory.  packs_dir: the
 * repository's.  Packs that are marked there are left out.  *unusable (unless
 * NULL): path is to blame; if DM_CORRUPT, remove it and call again. */
int object_index_open(struct object_index **out, const char *path,
    const char *packs_dir, const struct marks *marked, bool *unusable,
    struct dm_err *err) DM_MUST_CHECK;
void object_index_close(struct object_index *ix);

/* The file failed since it was opened: none of it is to be relied on. */
bool object_index_failed(struct object_index *ix);

int object_index_find(struct object_index *ix, const struct digest *id,
    enum object_kind kind, struct place *at, bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/* It is no good there: a pack that is added may bring it again. */
int object_index_forget(struct object_index *ix, const struct digest *id,
    enum object_kind kind, struct dm_err *err) DM_MUST_CHECK;

/* Let go of the file's lock, which finds keep for a while: to be called
 * before a wait that has no end in sight. */
int object_index_rest(struct object_index *ix,
    struct dm_err *err) DM_MUST_CHECK;

/* A pack of the index by its number; not by one that object_index_add was
 * given. */
int object_index_pack(struct object_index *ix, uint32_t pack,
    struct pack_name *out, struct dm_err *err) DM_MUST_CHECK;

/* A pack was published: count objects in order.  Until it is written, finds
 * say the caller's number of it; then one of the index. */
int object_index_add(struct object_index *ix, const struct pack_name *name,
    uint32_t number, const struct pack_object *objects, uint32_t count,
    struct dm_err *err) DM_MUST_CHECK;

/* Write what was added, once there is enough by itself.  Packs that were not
 * written are learned from their directories when the index is opened again.
 */
int object_index_flush(struct object_index *ix,
    struct dm_err *err) DM_MUST_CHECK;

#endif
