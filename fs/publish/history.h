/* fs/publish/history.h - commits are fetched before they are asked for. */
#ifndef DM_PUBLISH_HISTORY_H
#define DM_PUBLISH_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct digest;
struct dm_buf;
struct dm_err;
struct fetcher;
struct origin;

/*
 * A commit names its parents, so a history is one request after the other.
 * refs/log names all commits at once: what it says, a hint, is good enough to
 * fetch many at a time.  What does not come is left to who asks for it.
 */
struct history;

struct history_options {
	struct fetcher *fetcher;
	struct origin *origin; /* of the fetcher */
	uint64_t timeout_ms;
	/* Is that commit here?  Then it and what is behind it is not wanted. */
	bool (*known)(void *arg, const struct digest *id);
	void *arg;
};

/* Fetch what the commits from, known or not, lead to.  Borrows *opt until it
 * returns. */
int history_open(struct history **out, const struct history_options *opt,
    const struct digest *from, size_t n, struct dm_err *err) DM_MUST_CHECK;
void history_close(struct history *h);

/* Move the text of a commit to out, which is empty.  False: it did not come,
 * or was taken. */
bool history_take(struct history *h, const struct digest *id,
    struct dm_buf *out);

#endif
