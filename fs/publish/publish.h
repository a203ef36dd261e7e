/* fs/publish/publish.h - a directory becomes a commit of a repository. */
#ifndef DM_PUBLISH_PUBLISH_H
#define DM_PUBLISH_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "fs/format/ref.h"

struct dm_err;

/*
 * Publishing into repositories that are folders.  What a function returned
 * from is durable; killed at any moment before, it leaves the refs as they
 * were, or as they were to be.
 *
 * DM_STALE: somebody else was faster, or a file changed: run it again.
 * DM_REDO: gc was faster, more than once, or the stream is read: the same.
 * DM_INVALID: refused, the text says why and what to do.
 */

/* A repository and a name in it: REPO[@REF]; %40 is an @ of the folder. */
struct publish_target {
	char *repo;
	char ref[DM_REF_NAME_MAX + 1]; /* "" if none was given */
};
int publish_target_parse(struct publish_target *out, const char *text,
    struct dm_err *err) DM_MUST_CHECK;
void publish_target_release(struct publish_target *t);

int publish_init(const char *repo, char id[REPO_ID_HEX + 1],
    struct dm_err *err) DM_MUST_CHECK;

struct publish_options {
	const char *dir;
	bool stream; /* not dir: a tar archive on standard input */
	const char *repo;
	const char *branch;
	const char *message;
	const char *author;    /* NULL: none */
	uint64_t time;         /* seconds since 1970; 0: now */
	const char *cache_dir; /* remembers what was read; NULL: the usual */
	const char *const *excludes;
	size_t nexcludes;
	bool all_symlinks; /* also those that leave dir */
	bool rehash;       /* read files that seem unchanged, too */

	/* Both on the caller's thread; neither may be NULL. */
	void (*progress)(void *arg, uint64_t files, uint64_t bytes);
	void (*warn)(void *arg, const char *text);
	void *arg;
};

struct publish_result {
	struct digest commit;
	bool unchanged; /* commit is what the branch was already */
	uint64_t files, bytes;
	uint64_t stored; /* bytes that the repository grew by */
	uint64_t packs;
};

int publish_commit(const struct publish_options *opt,
    struct publish_result *out, struct dm_err *err) DM_MUST_CHECK;

/* Make the branch or tag name the commit that ref means ("": main).  One that
 * is there is moved only with force. */
int publish_ref(const char *repo, bool tag, const char *name, const char *ref,
    bool force, struct digest *out, struct dm_err *err) DM_MUST_CHECK;
int publish_ref_delete(const char *repo, bool tag, const char *name,
    struct dm_err *err) DM_MUST_CHECK;

/* Call each for every branch or tag, by name. */
int publish_refs(const char *repo, bool tag,
    void (*each)(void *arg, const struct ref_line *line), void *arg,
    struct dm_err *err) DM_MUST_CHECK;

#endif
