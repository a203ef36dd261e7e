/* fs/publish/pack_peek.h - what packs themselves say of single objects. */
#ifndef DM_PUBLISH_PACK_PEEK_H
#define DM_PUBLISH_PACK_PEEK_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/object.h"
#include "cache/pack/pack_writer.h"
#include "fs/publish/object_index.h"

struct digest;
struct dm_err;

/*
 * A few packs of a folder, open, of which a record of their directory is read
 * at a time.  They go by the numbers that an index gives them.  That a
 * directory as a whole is what its id says was seen when it was learned, and
 * is for `verify` to see again.
 *
 * One thread at a time.
 */
enum { PACK_PEEK_FILES = 64 };
struct pack_peek {
	const char *packs_dir; /* borrowed */
	struct pack_peek_file {
		uint32_t number;
		bool used;
		int fd; /* -1: it is not as the index says */
		struct pack_name name;
	} file[PACK_PEEK_FILES];
};

void pack_peek_init(struct pack_peek *p, const char *packs_dir);
void pack_peek_release(struct pack_peek *p);

/* Is the pack of that number open? */
bool pack_peek_knows(const struct pack_peek *p, uint32_t number);

/* Open it; another one may be closed for that.  If its file is not what name
 * says, it holds nothing.  DM_REDO: there is no such file any more. */
int pack_peek_open(struct pack_peek *p, uint32_t number,
    const struct pack_name *name, struct dm_err *err) DM_MUST_CHECK;

/* Does an open pack have that object at that place? */
int pack_peek_holds(const struct pack_peek *p, const struct place *at,
    const struct digest *id, enum object_kind kind, bool *holds,
    struct dm_err *err) DM_MUST_CHECK;

#endif
