/* fs/source/rollback.h - does a ref come as new as it was seen before? */
#ifndef DM_SOURCE_ROLLBACK_H
#define DM_SOURCE_ROLLBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "fs/format/ref.h"

struct digest;
struct dm_err;
struct resolved;

/*
 * Compare what origin says that a ref is now with a state that was seen
 * before.  DM_STALE: the sequence is lower, or the same for another commit.
 * seen: "this machine has seen", for the text.
 */
struct rollback_before {
	const char *seen;
	const struct digest *commit;
	uint64_t sequence;
};
int rollback_compare(const char *origin, const struct resolved *now,
    const struct rollback_before *before, struct dm_err *err) DM_MUST_CHECK;

/*
 * Compare with what the file DIR/ID, seen_refs.h, says of the repository id,
 * and remember it there if it is newer; with allow, whatever it is.  A file
 * that cannot be read, understood or written is a warning in the log: it
 * guards, and must not keep anybody from working.
 */
int rollback_check(const char *dir, const uint8_t id[REPO_ID_SIZE],
    const char *origin, const struct resolved *now, bool allow,
    struct dm_err *err) DM_MUST_CHECK;

#endif
