/* fs/publish/open_pack.h - a pack that is being written, and what is in it. */
#ifndef DM_PUBLISH_OPEN_PACK_H
#define DM_PUBLISH_OPEN_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "cache/pack/pack_dir.h"
#include "fs/publish/object_index.h"

struct dm_err;
struct pack_name;
struct pack_writer;
struct spool;

/*
 * Its objects, and a hash table over them.  Their bytes go to disk by a spool;
 * those of small ones gather first.
 *
 * Zeros: none is open.  One thread at a time.
 */
struct open_pack {
	struct pack_writer *writer; /* NULL: none is open */
	uint32_t number;
	struct pack_object *object;
	uint32_t count, room;
	uint32_t *slot; /* position in object + 1, or 0 */
	uint32_t slots; /* a power of two, or 0 */
	uint64_t stored;
	void *gathered; /* these bytes wait to be given to the spool */
	size_t size;
};

int open_pack_begin(struct open_pack *o, const char *packs_dir, uint32_t number,
    struct dm_err *err) DM_MUST_CHECK;

/* Close what is open, finished or not. */
void open_pack_release(struct open_pack *o);

/* Append an object, whose bytes are stored.  If they are *owned, they may be
 * taken over: then that is NULL. */
int open_pack_add(struct open_pack *o, struct spool *s,
    const struct pack_object *object, const void *stored, void **owned,
    struct place *at, struct dm_err *err) DM_MUST_CHECK;

/* All is in it: it will have that name once the spool has sealed it. */
int open_pack_end(struct open_pack *o, struct spool *s, struct pack_name *name,
    struct dm_err *err) DM_MUST_CHECK;

bool open_pack_find(const struct open_pack *o, const struct digest *id,
    enum object_kind kind, struct place *at);

#endif
