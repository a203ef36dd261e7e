/* fs/publish/copy.h - versions travel from repository to repository. */
#ifndef DM_PUBLISH_COPY_H
#define DM_PUBLISH_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "fs/format/ref.h"

struct digest;
struct dm_err;
struct origin;

struct copy_options {
	struct origin *from;
	uint64_t timeout_ms;      /* of each transfer */
	const char *to;           /* a folder */
	uint8_t id[REPO_ID_SIZE]; /* of the repository that from is */
	bool make;                /* to, if it is no repository yet */
	bool force; /* refs may move to where they do not lead, tags at all */

	/* On the caller's thread, now and then; of each ref that has moved, to
	 * stay so.  Not NULL. */
	void (*progress)(void *arg, uint64_t packs, uint64_t bytes);
	void (*moved)(void *arg, const struct ref_line *ref);
	void *arg;
};

struct copy_result {
	uint64_t commits, packs, bytes; /* that travelled */
	uint64_t refs;                  /* that moved */
};

/*
 * Bring what the n refs need into the folder, and then the refs: packs, only
 * the missing ones, commits, refs.  What came before it was stopped need not
 * come again.  Numbers of refs are kept where they are greater.
 *
 * DM_INVALID: another repository, or a ref that would be lost.
 */
int copy_versions(const struct copy_options *opt, const struct ref_line *ref,
    size_t n, struct copy_result *out, struct dm_err *err) DM_MUST_CHECK;

/* Compare every pack of one version of the folder, and fetch what is damaged
 * or missing; *left counts what could not be mended.  opt->to is the
 * repository; id, make and force do not count. */
int copy_repair(const struct copy_options *opt, const struct digest *commit,
    struct copy_result *out, uint64_t *left, struct dm_err *err) DM_MUST_CHECK;

#endif
