/* fs/source/git.h - make Git follow a .source file, and leave the data alone.
 */
#ifndef DM_SOURCE_GIT_H
#define DM_SOURCE_GIT_H

#include <limits.h>
#include <stdbool.h>

#include "cache/base/attr.h"

struct dm_err;

/*
 * Everything is asked of the git program, which is run without a shell and
 * without the variables by which a hook would tie it to another repository.
 * Where there is no git, or no work tree, nothing is found and nothing is
 * done.
 *
 * Paths are absolute.  Threads: the calling process must have no other one
 * that changes the environment.
 */

/* The top of the work tree that holds the directory dir.  With symlinks
 * resolved.  What lies in .git is in no work tree. */
int git_work_tree(const char *dir, char top[PATH_MAX], bool *found,
    struct dm_err *err) DM_MUST_CHECK;

struct git_tracking {
	bool ignored; /* a line for dir was put into .gitignore */
	bool added;   /* the .source file was staged: it was not tracked */
	bool staged_ignore; /* so was .gitignore: the line is its only change */
};

/*
 * See that Git ignores the mount point dir, which exists, and tracks the file
 * source ("" for none).  A failure leaves what was done before it, which is
 * harmless, and says what is left to do.
 */
int git_track(const char *dir, const char *source, struct git_tracking *out,
    struct dm_err *err) DM_MUST_CHECK;

/* "2.39.5", or *found = false: there is no git program. */
int git_version(char out[PATH_MAX], bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/* Call each with the files that Git tracks in the work tree at top and whose
 * names match the pathspec; relative to top, in order, each once. */
int git_each_tracked(const char *top, const char *pathspec,
    int (*each)(void *arg, const char *path, struct dm_err *err), void *arg,
    struct dm_err *err) DM_MUST_CHECK;

/* Where Git looks for hooks in the work tree at top; core.hooksPath is
 * followed. */
int git_hooks_dir(const char *top, char dir[PATH_MAX],
    struct dm_err *err) DM_MUST_CHECK;

#endif
