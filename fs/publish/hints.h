/* fs/publish/hints.h - refs/all and refs/log, from the refs and commits. */
#ifndef DM_PUBLISH_HINTS_H
#define DM_PUBLISH_HINTS_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/base/attr.h"

struct digest;
struct dm_err;
struct folder;
struct ref_line;

/* Every ref of the repository, ascending by "heads/NAME", "tags/NAME".  The
 * caller frees *out. */
int hints_refs(struct folder *f, struct ref_line **out, size_t *n,
    struct dm_err *err) DM_MUST_CHECK;

/* What ref means: a branch, a tag, a commit id or a unique prefix of 8 or
 * more digits of one.  DM_NOTFOUND, DM_INVALID (ambiguous). */
int hints_resolve(struct folder *f, const char *ref, struct digest *out,
    struct dm_err *err) DM_MUST_CHECK;

/*
 * Bring refs/all and refs/log in accord with the refs and commits, under the
 * publishers' lock; files that are in accord are not written.  So it repairs,
 * too, what a publisher left that died behind moving its ref.
 */
int hints_refresh(struct folder *f, struct dm_err *err) DM_MUST_CHECK;

#endif
