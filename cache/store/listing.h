/* cache/store/listing.h - the names in a directory of the cache. */
#ifndef DM_STORE_LISTING_H
#define DM_STORE_LISTING_H

#include <dirent.h>

#include "cache/base/attr.h"

struct dm_err;

/*
 * "There is nothing" and "it cannot be said what there is" are told apart:
 * who takes the second for the first evicts what is pinned, and calls a cache
 * sound that nobody looked at.
 */

/* Open name below the directory at; *out is NULL if there is no such name.
 * The caller closes it (listing_closep). */
int listing_open(DIR **out, int at, const char *name,
    struct dm_err *err) DM_MUST_CHECK;

/* The same; what stands there and is no directory has no names, either. */
int listing_open_any(DIR **out, int at, const char *name,
    struct dm_err *err) DM_MUST_CHECK;

/* The next name but "." and ".."; *name is NULL after the last. */
int listing_next(const char **name, DIR *dir, struct dm_err *err) DM_MUST_CHECK;

void listing_closep(DIR **dir); /* for DM_AUTO; NULL is fine */

#endif
