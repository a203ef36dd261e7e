/* fs/version/chunked.h - bytes of a file that is a list of chunks. */
#ifndef DM_VERSION_CHUNKED_H
#define DM_VERSION_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "cache/cache.h"

struct dm_err;
struct origin;
struct page_table;

/* The file: where its top list lies, and how large its tree says it is.  A
 * plain value; all is borrowed. */
struct chunked {
	struct page_table *pages;
	struct cache *cache;
	struct origin *origin;
	struct digest id;
	struct cache_place at;
	uint64_t size;
	bool here; /* fetch no list: DM_NOTFOUND if the cache has it not */
};

/* Fill size bytes at buf from off on; off + size <= f->size. */
int chunked_read(const struct chunked *f, void *buf, size_t size, uint64_t off,
    struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* Call each with the place and the size of each chunk that holds some of the
 * size bytes from off on; off + size <= f->size.  With a wait, some may have
 * been given when it returns DM_AGAIN; they come again. */
int chunked_places(const struct chunked *f, uint64_t off, uint64_t size,
    void (*each)(void *arg, const struct cache_place *at, uint32_t size),
    void *arg, struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* What the top list says of the file: the digest of its content, how many
 * chunks it has. */
int chunked_stat(const struct chunked *f, struct digest *whole,
    uint64_t *chunks, struct cache_wait *wait,
    struct dm_err *err) DM_MUST_CHECK;

/* How many of its bytes the cache probably has. */
int chunked_present(const struct chunked *f, uint64_t *bytes,
    struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* *whole: the file is all the plain bytes of one pack, by the pack's own
 * directory.  Only what is here is looked at: what would have to be fetched
 * first counts as no. */
int chunked_pack(const struct chunked *f, struct digest *pack, bool *whole,
    struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

#endif
