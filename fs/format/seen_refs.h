/* fs/format/seen_refs.h - the newest state of refs that a user has seen. */
#ifndef DM_FORMAT_SEEN_REFS_H
#define DM_FORMAT_SEEN_REFS_H

#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "fs/format/limits.h"

struct dm_buf;
struct dm_err;

/*
 * One text file for each repository:
 *   datamount seen refs 1
 *   heads/NAME HEX SEQUENCE     or tags/NAME; ascending by name, each once
 * One content has one encoding: whatever else decodes is refused.
 */
enum { SEEN_REFS_MAX = 1 << 20, SEEN_REF_NAME_MAX = DM_REF_NAME_MAX + 6 };
struct seen_ref {
	char name[SEEN_REF_NAME_MAX + 2]; /* as that of struct resolved */
	struct digest commit;
	uint64_t sequence; /* at least 1 */
};
struct seen_refs {
	struct seen_ref *ref;
	size_t n;
};

/* DM_CORRUPT names the line.  The caller releases *out, also after a failure.
 */
int seen_refs_decode(struct seen_refs *out, const void *text, size_t size,
    struct dm_err *err) DM_MUST_CHECK;
int seen_refs_encode(const struct seen_refs *s, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;
void seen_refs_release(struct seen_refs *s);

/* NULL if it was never seen. */
const struct seen_ref *seen_refs_find(const struct seen_refs *s,
    const char *name);

/* Replace what there is of that name, or add it. */
int seen_refs_set(struct seen_refs *s, const struct seen_ref *ref,
    struct dm_err *err) DM_MUST_CHECK;

#endif
