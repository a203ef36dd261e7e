/* fs/publish/folder.h - a repository that is a folder, and how it changes. */
#ifndef DM_PUBLISH_FOLDER_H
#define DM_PUBLISH_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/base/attr.h"
#include "fs/format/commit.h"
#include "fs/format/ref.h"

struct dm_buf;
struct dm_err;

/*
 * A folder repository as its publishers see it: commits that are added, refs
 * that move.  Whatever these functions return from is durable: files and the
 * directories that name them were synced.
 *
 * Refs change only between folder_lock and folder_unlock.
 *
 * Threads: one at a time.
 */
struct folder {
	int fd;     /* of the folder */
	int lock;   /* of the file lock, or -1 */
	char *path; /* as given */
	uint8_t id[REPO_ID_SIZE];
};

/* Make a repository at path, which may be an empty folder or not exist. */
int folder_init(struct folder **out, const char *path,
    struct dm_err *err) DM_MUST_CHECK;

/* DM_NOTFOUND: no repository; DM_INVALID: a URL, or of a later version. */
int folder_open(struct folder **out, const char *path,
    struct dm_err *err) DM_MUST_CHECK;
void folder_close(struct folder *f);

/* The same for a repository of that identity. */
int folder_init_as(struct folder **out, const char *path,
    const uint8_t id[REPO_ID_SIZE], struct dm_err *err) DM_MUST_CHECK;

/* Be the only publisher; waits for another up to half a minute (DM_STALE). */
int folder_lock(struct folder *f, struct dm_err *err) DM_MUST_CHECK;
void folder_unlock(struct folder *f);

int folder_ref_read(struct folder *f, bool tag, const char *name,
    struct ref *out, bool *found, struct dm_err *err) DM_MUST_CHECK;

/* Can a ref have this name beside the others?  DM_INVALID if there is `a`, and
 * it is to be `a/b`, or the other way round.  Under the lock. */
int folder_ref_room(struct folder *f, bool tag, const char *name,
    struct dm_err *err) DM_MUST_CHECK;

/* Point a ref at a commit: its sequence number grows by one, also where it was
 * deleted meanwhile. */
int folder_ref_move(struct folder *f, bool tag, const char *name,
    const struct digest *commit, struct dm_err *err) DM_MUST_CHECK;
/* Make a ref just that, number and time too. */
int folder_ref_put(struct folder *f, bool tag, const char *name,
    const struct ref *ref, struct dm_err *err) DM_MUST_CHECK;
int folder_ref_remove(struct folder *f, bool tag, const char *name,
    struct dm_err *err) DM_MUST_CHECK;

/* Read a commit into text and decode it; *out borrows text.  DM_CORRUPT if
 * its bytes are not what its id says. */
int folder_commit_read(struct folder *f, const struct digest *id,
    struct dm_buf *text, struct commit *out, bool *found,
    struct dm_err *err) DM_MUST_CHECK;
int folder_commit_write(struct folder *f, const struct commit *c,
    struct digest *id, struct dm_err *err) DM_MUST_CHECK;

/* Write a commit as it came; its id is that of the text. */
int folder_commit_put(struct folder *f, const void *text, size_t size,
    struct digest *id, struct dm_err *err) DM_MUST_CHECK;

/* Make the file path, of at most FOLDER_PATH bytes, hold exactly data; and the
 * folders above it. */
enum { FOLDER_PATH = DM_REF_NAME_MAX };
int folder_put(struct folder *f, const char *path, const void *data,
    size_t size, struct dm_err *err) DM_MUST_CHECK;

/* For DM_AUTO. */
void folder_closep(struct folder **f);

#endif
