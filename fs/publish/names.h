/* fs/publish/names.h - a directory's names in order, however many. */
#ifndef DM_PUBLISH_NAMES_H
#define DM_PUBLISH_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct dm_err;

/*
 * The names of one directory, ascending by their bytes.  A directory of more
 * than NAMES_RUN of them is sorted in runs that lie in a temporary file, so
 * that memory does not grow with it.  One thread at a time.
 */
struct names;

enum { NAMES_RUN = 65536 };

/* Asked once for each name but . and ..; type is a DT_ constant.  1: keep it;
 * 0: leave it out; -1: stop. */
typedef int (*names_keep_fn)(void *arg, const char *name, unsigned char type,
    struct dm_err *err);

/* Read the directory fd, which stays the caller's.  Temporary files go to
 * tmp_dir. */
int names_read(struct names **out, int fd, const char *tmp_dir,
    names_keep_fn keep, void *arg, struct dm_err *err) DM_MUST_CHECK;
void names_free(struct names *n);

/* How many names there are. */
uint64_t names_count(const struct names *n);

/* The next name; borrowed until the next call.  *name is NULL at the end. */
int names_next(struct names *n, const char **name,
    struct dm_err *err) DM_MUST_CHECK;

#endif
