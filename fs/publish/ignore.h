/* fs/publish/ignore.h - which paths are left out of a version. */
#ifndef DM_PUBLISH_IGNORE_H
#define DM_PUBLISH_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/base/attr.h"

struct dm_err;

/*
 * Patterns as in a .gitignore file: one a line; # begins a comment, ! takes
 * back what an earlier line left out, a slash at the end means directories
 * only, one elsewhere ties the pattern to the root, ** stands for any number
 * of directories.  The last pattern that matches decides.
 *
 * Threads: any, once all patterns were added.
 */
struct ignore;

struct ignore *ignore_new(void); /* NULL: no memory */
void ignore_free(struct ignore *ig);

/* Add one pattern; an empty one is fine.  DM_INVALID: too long. */
int ignore_add(struct ignore *ig, const char *pattern,
    struct dm_err *err) DM_MUST_CHECK;

/* Add every line of a .datamountignore file. */
int ignore_add_lines(struct ignore *ig, const char *text, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

/* Is path, relative to the root, left out?  The caller does not ask about
 * what lies in a directory that is. */
bool ignore_match(const struct ignore *ig, const char *path, bool is_dir);

#endif
