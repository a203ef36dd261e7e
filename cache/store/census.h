/* cache/store/census.h - every blob on disk: how large, how long unused. */
#ifndef DM_STORE_CENSUS_H
#define DM_STORE_CENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"

struct dm_err;
struct stat;

/* One blob: the files of one key. */
struct census_blob {
	struct digest key;
	uint64_t bytes; /* disk space of all its files */
	int64_t used_s; /* CLOCK_REALTIME: the last use that is known of */
	bool pinned;
};

struct census {
	struct census_blob *blob; /* by key, once sorted */
	size_t n, room;
	uint64_t bytes; /* of all, and of what is no blob's */
};

/* Is a file of that name one that is being written?  Was it left
 * so, by whoever was killed? */
bool census_is_temporary(const char *name);
bool census_is_leftover(const char *name, const struct stat *st);

/* Read the folders of the cache whose directory is root, and remove leftovers.
 * Last uses are those of the files.  The caller releases it, also on failure.
 */
int census_take(struct census *c, int root, struct dm_err *err) DM_MUST_CHECK;
void census_release(struct census *c);

/* The blob of that key, or NULL. */
struct census_blob *census_find(struct census *c, const struct digest *key);

/* Mark what the files in pins/ name. */
int census_mark_pinned(struct census *c, int root,
    struct dm_err *err) DM_MUST_CHECK;

/* Call each for the keys in one file of the folder pins; one that is gone has
 * none.  Lines that are no keys are remarks. */
int census_pin_read(int pins, const char *name,
    void (*each)(void *arg, const struct digest *key), void *arg,
    struct dm_err *err) DM_MUST_CHECK;

/* Is a file of that name a pin, rather than one that is being written? */
bool census_pin_named(const char *name);

/* Coldest first; census_find does not work any more. */
void census_sort_by_use(struct census *c);

#endif
