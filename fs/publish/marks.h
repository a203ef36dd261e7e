/* fs/publish/marks.h - what gc is going to delete: the file gc/marked. */
#ifndef DM_PUBLISH_MARKS_H
#define DM_PUBLISH_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"

struct dm_buf;
struct dm_err;
struct folder;

/*
 * Lines "pack ID TIME", "commit ID TIME", "moved ID TIME", in this order of
 * kinds, strictly ascending by id within one; TIME in seconds since 1970.
 * The file is written under the publishers' lock only.
 */
enum mark_kind { MARK_PACK, MARK_COMMIT, MARK_MOVED, MARK_KINDS };

struct mark {
	enum mark_kind kind;
	struct digest id;
	uint64_t time;
};

struct marks {
	struct mark *mark; /* ascending */
	size_t n, room;
};

/* Starts zeroed.  *gc says whether there is a file: gc was here.  DM_CORRUPT:
 * it is damaged. */
int marks_read(struct folder *f, struct marks *out, bool *gc,
    struct dm_err *err) DM_MUST_CHECK;
int marks_write(struct folder *f, const struct marks *m,
    struct dm_err *err) DM_MUST_CHECK;
void marks_release(struct marks *m);

/* NULL: there is none. */
const struct mark *marks_find(const struct marks *m, enum mark_kind kind,
    const struct digest *id);

/* True if there was one. */
bool marks_remove(struct marks *m, enum mark_kind kind,
    const struct digest *id);

/* Append; sort once all are in. */
int marks_add(struct marks *m, const struct mark *mark,
    struct dm_err *err) DM_MUST_CHECK;
void marks_sort(struct marks *m);

/* Pure: the text, and back. */
int marks_decode(struct marks *out, const char *text, size_t size,
    struct dm_err *err) DM_MUST_CHECK;
int marks_encode(const struct marks *m, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

#endif
