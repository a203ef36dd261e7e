/* fs/publish/members.h - an archive's members, in any order, become a tree. */
#ifndef DM_PUBLISH_MEMBERS_H
#define DM_PUBLISH_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "fs/format/tree.h"
#include "fs/publish/object_index.h"

struct dm_err;
struct ignore;
struct tree_builder;

/*
 * Takes members as they come, and what their contents turned out to be when
 * that is known; gives a tree in order at the end.  A member replaces an
 * earlier one of its path, as extracting would; directories that are not
 * members are made.
 *
 * All is kept in a temporary SQLite file that has no name: memory does not
 * grow with the members.  One thread at a time.
 */
struct members;

int members_open(struct members **out, const char *tmp_dir,
    struct dm_err *err) DM_MUST_CHECK;
void members_close(struct members *m);

struct member {
	enum tree_kind kind;
	uint64_t content;   /* of a file: a number > 0, or 0: it is empty */
	const char *target; /* of a symlink */
};

/* path: components that are neither empty, . nor .., divided by single
 * slashes.  DM_INVALID, by name: a limit; it lies below what is no directory;
 * it would replace a directory that is not empty. */
int members_add(struct members *m, const char *path, const struct member *what,
    struct dm_err *err) DM_MUST_CHECK;

/* The present member of that path; its target is not told. */
int members_find(struct members *m, const char *path, struct member *out,
    bool *found, struct dm_err *err) DM_MUST_CHECK;

/* What content number no is: each number once. */
int members_content(struct members *m, uint64_t no, uint64_t size,
    const struct digest *id, const struct place *at,
    struct dm_err *err) DM_MUST_CHECK;

/* Give the tree what is not left out.  DM_INVALID: as walk(). */
struct members_tree {
	struct tree_builder *trees;
	const struct ignore *ignore;
	bool all_symlinks;
};
int members_tree(struct members *m, const struct members_tree *to,
    struct dm_err *err) DM_MUST_CHECK;

#endif
