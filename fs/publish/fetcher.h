/* fs/publish/fetcher.h - packs come from an origin into a folder. */
#ifndef DM_PUBLISH_FETCHER_H
#define DM_PUBLISH_FETCHER_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/pack/moved.h"

struct digest;
struct dm_buf;
struct dm_err;
struct folder;
struct origin;

/*
 * A few threads that fetch whole packs.  A pack gets its name when its
 * directory was compared with its id and every object with its digest; until
 * then it is ID.tmp, from whose end on a later run goes on.  Another that is to
 * fetch it at the same time waits while that grows; once it has not for a tenth
 * of the timeout, it fetches the pack itself, as ID.2.tmp.
 *
 * Threads: want and need from one.
 */
struct fetcher;

struct fetcher_options {
	struct folder *folder;
	struct origin *origin;
	uint64_t timeout_ms; /* without a byte of a pack; of a small file */
	bool check; /* compare packs that are there, too, and replace them */
};

/* *opt is copied, what it points to is borrowed. */
int fetcher_open(struct fetcher **out, const struct fetcher_options *opt,
    struct dm_err *err) DM_MUST_CHECK;

/* Ends the threads.  No transfer is under way then. */
void fetcher_close(struct fetcher *f);

/* Begin to fetch a pack, unless it is there. */
int fetcher_want(struct fetcher *f, const struct moved_place *pack,
    struct dm_err *err) DM_MUST_CHECK;

/* The same, and wait until it, or its file below moved/, is there; with gone,
 * the latter is not enough.  DM_NOTFOUND, DM_CORRUPT, ... */
int fetcher_need(struct fetcher *f, const struct moved_place *pack, bool gone,
    struct dm_err *err) DM_MUST_CHECK;

/* Append the file path, whose SHA-256 is id, to out. */
int fetcher_file(struct fetcher *f, const char *path, const struct digest *id,
    struct dm_buf *out, struct dm_err *err) DM_MUST_CHECK;

struct fetcher_counts {
	uint64_t packs, bytes; /* that came */
};
void fetcher_counts(struct fetcher *f, struct fetcher_counts *out);

#endif
