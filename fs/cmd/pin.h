/* fs/cmd/pin.h - .source files: where they are, what they pin, how they move.
 */
#ifndef DM_CMD_PIN_H
#define DM_CMD_PIN_H

#include <limits.h>
#include <stdbool.h>

#include "cache/base/attr.h"
#include "fs/format/source_file.h"

struct dm_err;

/* A mount point and the file beside it; absolute paths. */
struct pin_place {
	char dir[PATH_MAX];    /* symlinks resolved; may not exist yet */
	char source[PATH_MAX]; /* "" if none is wanted */
};

/*
 * The place for the mount point dir as the user wrote it.  The file is
 * source, if that is not NULL, else dir's name with ".source", beside the name
 * that the user wrote, which may be a symlink.
 */
int pin_place(struct pin_place *out, const char *dir, const char *source,
    struct dm_err *err) DM_MUST_CHECK;

/* Is this operand the name of a .source file, and no repository's? */
bool pin_is_file(const char *path);

/* Is a file of that name, by what is in it, meant for us, whether or not it is
 * valid?  Others have files of that name, too. */
bool pin_is_ours(const char *path);

/* Read and check a .source file.  DM_INVALID names the file and the line; the
 * marks that Git leaves after a merge are named as such. */
int pin_read(const char *path, struct source_file *out, bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/* Write it, by a temporary name, fsync and rename. */
int pin_write(const char *path, const struct source_file *pin,
    struct dm_err *err) DM_MUST_CHECK;

/*
 * Make the repositories of a pin that was read from path absolute.  A relative
 * one counts from the file's directory, and must stay in the Git work tree,
 * or, where there is none, in that directory.  DM_DENIED if it does not.
 */
int pin_absolute(const char *path, struct source_file *pin,
    struct dm_err *err) DM_MUST_CHECK;

/* The opposite, for a pin about to be written to path: folders in the same
 * Git work tree become relative, so that a clone finds its own. */
int pin_relative(const char *path, struct source_file *pin,
    struct dm_err *err) DM_MUST_CHECK;

/* Make Git ignore the mount point dir and track the file source ("" for none),
 * and say so on standard error.  A mount without it is still a mount: what
 * fails is said, too, and no error. */
void pin_track(const char *dir, const char *source, bool quiet);

/* Is this repository a folder that others could have put there?  DM_DENIED,
 * unless it and its file datamount belong to this user or to root.  A folder
 * that does not exist is left to those who open it. */
int pin_check_owner(const char *folder, struct dm_err *err) DM_MUST_CHECK;

/* Is what ref is now older than what file name pinned from it, or is it
 * something else with the same sequence?  Then DM_STALE. */
struct resolved;
int pin_check_rollback(const struct source_file *pin, const char *name,
    const char *ref, const struct resolved *now,
    struct dm_err *err) DM_MUST_CHECK;

#endif
