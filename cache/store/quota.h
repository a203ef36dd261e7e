/* cache/store/quota.h - how much the cache may hold, whoever fills it. */
#ifndef DM_STORE_QUOTA_H
#define DM_STORE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct census;
struct dm_err;

/*
 * What the cache holds is counted in a small file that all its processes add
 * to before they write; the count may be wrong or lost, and is corrected from
 * the directory.  Who would pass the limit evicts first, the coldest blobs down
 * to 95 %; one process at a time does that, and the others store nothing while
 * it does.
 *
 * The limit is the lower of what this process was given and what the file
 * `limit` in the cache says; without either, a tenth of the disk and of its
 * inodes is left free.
 *
 * root is a descriptor of the cache's directory.  Threads: any call from any
 * thread.  Locks itself (DM_RANK_QUOTA); evicts unlocked.
 */
struct quota;

int quota_open(struct quota **out, uint64_t limit,
    struct dm_err *err) DM_MUST_CHECK;

/* Give back what was taken and not used. */
void quota_close(struct quota *q, int root);

/* Raise the last uses in a census to what more is known of them.  Set before
 * there are threads. */
typedef void (*quota_uses_fn)(void *arg, struct census *c);
void quota_set_uses(struct quota *q, quota_uses_fn uses, void *arg);

/* May so many bytes be written?  If so, say afterwards how many were. */
bool quota_take(struct quota *q, int root, uint64_t bytes);
void quota_used(struct quota *q, int root, uint64_t taken, uint64_t used);

/* How often quota_take() said no because somebody else was evicting. */
uint64_t quota_refused_for_now(const struct quota *q);

/* The limit, in bytes; 0: by what is free. */
uint64_t quota_limit(struct quota *q, int root);

/* May a blob that takes so many bytes grow?  A quarter of the limit is most. */
bool quota_blob_may_grow(struct quota *q, uint64_t bytes);

/* Count what there is, now and then, and evict what is too much. */
void quota_tick(struct quota *q, int root);

/* The file `limit`: 0 is none. */
int quota_limit_get(uint64_t *limit, int root,
    struct dm_err *err) DM_MUST_CHECK;
int quota_limit_set(uint64_t limit, int root, struct dm_err *err) DM_MUST_CHECK;

#endif
