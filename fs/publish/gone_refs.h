/* fs/publish/gone_refs.h - the numbers of refs that were deleted: refs/gone. */
#ifndef DM_PUBLISH_GONE_REFS_H
#define DM_PUBLISH_GONE_REFS_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct dm_err;
struct ref;

/*
 * A reader takes a lower number than it has seen for a rollback.  So a ref
 * that is made anew goes on counting where the one before it stopped.
 *
 * The file, of lines as in refs/all, is a hint: lines that do not parse are
 * dropped, and without it a ref begins at 1 and readers are warned.  fd is the
 * repository's folder; the publishers' lock is held.
 */

/* The last number of the ref, 0 if it was never deleted. */
int gone_refs_last(int fd, bool tag, const char *name, uint64_t *sequence,
    struct dm_err *err) DM_MUST_CHECK;

/* Note that the ref is about to be deleted. */
int gone_refs_note(int fd, bool tag, const char *name, const struct ref *ref,
    struct dm_err *err) DM_MUST_CHECK;

#endif
