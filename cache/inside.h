/* cache/inside.h - what the files of the door share. */
#ifndef DM_CACHE_INSIDE_H
#define DM_CACHE_INSIDE_H

#include "cache/base/attr.h"

struct cache;
struct digest;
struct blob;

/* Begin a call; its blob, good until cache_leave().  NULL: the cache closes,
 * or there is no memory; then there is nothing to leave. */
struct blob *cache_enter(struct cache *c, const struct digest *pack);
void cache_leave(struct cache *c);

#endif
