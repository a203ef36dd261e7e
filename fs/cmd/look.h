/* fs/cmd/look.h - what the commands share that look into a version. */
#ifndef DM_CMD_LOOK_H
#define DM_CMD_LOOK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/buf.h"
#include "fs/cmd/cmd.h"
#include "fs/format/commit.h"
#include "fs/source/source.h"
#include "fs/version/version.h"

/* A version that a ref names, opened. */
struct look {
	struct resolved ref;
	struct dm_buf text; /* of the commit, which borrows it */
	struct commit commit;
	struct version *version;
};

/* ref: as repo_resolve takes it.  all_symlinks: as version_options.  Close
 * before the repository. */
int look_open(struct look *out, struct repo *repo, const char *ref,
    bool all_symlinks, struct dm_err *err) DM_MUST_CHECK;
void look_close(struct look *l);

/* Both at once, for a command whose operand is a name. */
struct look_name {
	struct source_name name;
	struct session session;
	struct look look;
};
int look_name_open(struct look_name *out, const struct cmd_args *a,
    const char *text, struct dm_err *err) DM_MUST_CHECK;
/* Without its mirrors. */
int look_name_open_alone(struct look_name *out, const struct cmd_args *a,
    const char *text, struct dm_err *err) DM_MUST_CHECK;
void look_name_close(struct look_name *l);

/* The entry of a path ("" the root).  DM_NOTFOUND. */
int look_path(struct version *v, const char *path, struct version_node *out,
    struct dm_err *err) DM_MUST_CHECK;

/*
 * The entries of one directory, one after the other, while the version may
 * be asked other things.  Init, next until it gives NULL, release.
 */
struct look_entry {
	char name[DM_NAME_MAX + 1];
	size_t name_len;
	struct version_node node;
};
struct look_dir {
	struct version *version;
	struct version_node dir;
	uint64_t next;
	struct look_entry *batch;
	unsigned n, i;
	bool ended;
};
void look_dir_init(struct look_dir *d, struct version *v,
    const struct version_node *dir);
int look_dir_next(struct look_dir *d, struct look_entry **out,
    struct dm_err *err) DM_MUST_CHECK;
void look_dir_release(struct look_dir *d);

/* Append "/NAME" (without the slash if path is empty); look_path_pop goes
 * back to size bytes. */
int look_path_push(struct dm_buf *path, const char *name, size_t name_len,
    struct dm_err *err) DM_MUST_CHECK;
void look_path_pop(struct dm_buf *path, size_t size);

/* Call each for everything below dir, in pre-order, with its path, which
 * begins with what path holds.  -1 ends the walk. */
int look_walk(struct version *v, const struct version_node *dir,
    struct dm_buf *path,
    int (*each)(void *arg, const struct dm_buf *path,
	const struct version_node *node, struct dm_err *err),
    void *arg, struct dm_err *err) DM_MUST_CHECK;

/* "file", "exec", "dir", "symlink". */
const char *look_kind(enum tree_kind kind);

/* Print a name on stdout.  Names with control bytes, quotes, backslashes, or
 * that are not UTF-8, stand in quotes with C escapes, as git prints them. */
void look_print_name(const char *name, size_t size);

/* Set key to a name; if it is not UTF-8, KEY_hex to its bytes in hex. */
void look_json_name(json_t *object, const char *key, const char *name,
    size_t size);

/* Print an array of objects, one a line: begin, each (which frees o), end. */
struct look_json {
	bool any;
};
void look_json_add(struct look_json *j, json_t *o);
void look_json_end(struct look_json *j);

/* "2026-11-21T08:00:00Z" */
enum { LOOK_TIME_TEXT = 32 };
const char *look_time(char out[LOOK_TIME_TEXT], uint64_t time);

/* The message's first line. */
size_t look_subject(const struct commit *c);

/* One option of every command that reads symlinks: --symlinks all|inside. */
int look_symlinks(const struct cmd_args *a, bool *all,
    struct dm_err *err) DM_MUST_CHECK;

#endif
