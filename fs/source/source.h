/* fs/source/source.h - what turns a name into a version that can be opened. */
#ifndef DM_SOURCE_SOURCE_H
#define DM_SOURCE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "fs/format/commit.h"
#include "fs/format/limits.h"
#include "fs/format/ref.h"
#include "fs/format/source_file.h"

struct cache;
struct dm_buf;
struct dm_err;
struct net;
struct origin;

/*
 * A name as users write it: REPO[@REF][:PATH].  Behind scheme and authority
 * the first @ ends REPO and the first : after it ends REF; in a repository
 * path they are written %40 and %3A.  Without @ there is no :PATH in a folder
 * or URL name (REPO@:PATH means the default ref).
 */
struct source_name {
	char repo[SOURCE_URL_MAX + 1]; /* decoded; made absolute if a folder */
	char ref[DM_REF_NAME_MAX + 1]; /* "" if none was given */
	bool ref_given;                /* there was an @ */
	char path[DM_PATH_MAX + 1];    /* no slash at either end; "" the root */
};

/* Pure but for the working directory, from which a relative folder's path is
 * made absolute.  DM_INVALID. */
int source_name_parse(struct source_name *out, const char *text,
    struct dm_err *err) DM_MUST_CHECK;

/* A repository that was opened: its origin, its identity. */
struct repo {
	struct net *net;       /* borrowed */
	struct cache *cache;   /* borrowed */
	struct origin *origin; /* owned */
	uint8_t id[REPO_ID_SIZE];
	bool id_known;       /* the datamount file was read */
	uint64_t timeout_ms; /* of finding a name, a ref, a commit */

	/* Set behind repo_open: where what was seen of refs is remembered,
	 * rollback.h; owned; NULL: nowhere. */
	char *seen_dir;
	bool allow_rollback; /* take refs that are older than was seen */
};

/* Open without I/O.  net and cache are borrowed and outlive it.  The caller
 * closes *out. */
int repo_open(struct repo **out, struct net *net, struct cache *cache,
    const char *url, uint64_t timeout_ms, struct dm_err *err) DM_MUST_CHECK;
void repo_close(struct repo *r);

/* Read and check the datamount file.  DM_NOTFOUND: no repository there;
 * DM_CORRUPT: something else is there (say, an HTML page); DM_INVALID: made by
 * a later version of datamount. */
int repo_identify(struct repo *r, struct dm_err *err) DM_MUST_CHECK;

/* What a ref means now.  ref: "" or a branch, a tag, a commit id or a unique
 * prefix of 8 or more digits of one; branches win over tags; heads/X and tags/X
 * say which.  Identifies the repository too, unless ref is a full id: that
 * needs no request at all.  *name is "heads/X", "tags/X" or "" for an id;
 * sequence 0 for an id.  DM_NOTFOUND with what there is; DM_INVALID: ambiguous;
 * DM_STALE: an older state of the ref than was seen before.
 */
struct resolved {
	struct digest commit;
	char name[DM_REF_NAME_MAX + 8];
	uint64_t sequence;
};
int repo_resolve(struct repo *r, const char *ref, struct resolved *out,
    struct dm_err *err) DM_MUST_CHECK;

/* Fetch the commit (from the cache, if it has it: also with the origin down)
 * into text, and decode it; *out borrows text. */
int repo_commit(struct repo *r, const struct digest *id, struct dm_buf *text,
    struct commit *out, struct dm_err *err) DM_MUST_CHECK;

/* Call each for every line of refs/all (every ref), refs/log (every commit,
 * oldest first).  A missing file is no line.  each returns -1 to stop. */
int repo_refs(struct repo *r,
    int (*each)(void *arg, const struct ref_line *line, struct dm_err *err),
    void *arg, struct dm_err *err) DM_MUST_CHECK;
int repo_log(struct repo *r,
    int (*each)(void *arg, const struct log_line *line, struct dm_err *err),
    void *arg, struct dm_err *err) DM_MUST_CHECK;

#endif
