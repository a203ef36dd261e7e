/* fs/publish/tree_builder.h - entries in walking order become trees. */
#ifndef DM_PUBLISH_TREE_BUILDER_H
#define DM_PUBLISH_TREE_BUILDER_H

#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "fs/format/tree.h"
#include "fs/publish/object_index.h"

struct dm_err;
struct packer;

/*
 * Takes directories and their entries in the order of a walk, names ascending,
 * and gives their pages and indexes to the packer as they fill: memory grows
 * with the depth of the tree, not with its entries.  One thread at a time.
 */
struct tree_builder;

struct tree_builder *tree_builder_new(struct packer *p); /* NULL: no memory */
void tree_builder_free(struct tree_builder *tb);

/* A directory begins; it will have count entries.  The first is the root,
 * whose name is ignored. */
int tree_builder_begin(struct tree_builder *tb, const char *name,
    size_t name_len, uint64_t count, struct dm_err *err) DM_MUST_CHECK;

/* An entry that is no directory, and where its object lies. */
int tree_builder_add(struct tree_builder *tb, const struct tree_entry *entry,
    const struct place *at, struct dm_err *err) DM_MUST_CHECK;

/* The directory ends and becomes an entry of the one around it. */
int tree_builder_end(struct tree_builder *tb, struct dm_err *err) DM_MUST_CHECK;

/* The root, once it has ended: its level, totals and id. */
void tree_builder_root(const struct tree_builder *tb, uint8_t *level,
    struct tree_child *out);

#endif
