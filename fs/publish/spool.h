/* fs/publish/spool.h - a thread that writes packs to disk. */
#ifndef DM_PUBLISH_SPOOL_H
#define DM_PUBLISH_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct dm_err;
struct pack_writer;

/*
 * Does what it is told in that order.  So packs become durable one after the
 * other: one that is spoken of before those that speak of it.
 *
 * What waits is bounded in bytes.  After a failure nothing is done any more,
 * and every call says why.  Calls come from one thread at a time.
 */
struct spool;

int spool_open(struct spool **out, struct dm_err *err) DM_MUST_CHECK;

/* Ends the thread; what waits is dropped. */
void spool_close(struct spool *s);

/* Have *data put into the pack.  It is taken over: then it is NULL.  w is
 * borrowed until it is sealed, or the spool is closed. */
int spool_write(struct spool *s, struct pack_writer *w, void **data,
    size_t size, struct dm_err *err) DM_MUST_CHECK;

/* Seal a pack that has ended. */
int spool_seal(struct spool *s, struct pack_writer *w,
    struct dm_err *err) DM_MUST_CHECK;

/* How many packs were sealed so far?  Waits for at least that many. */
int spool_sealed(struct spool *s, uint64_t least, uint64_t *sealed,
    struct dm_err *err) DM_MUST_CHECK;

#endif
