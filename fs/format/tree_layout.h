/* fs/format/tree_layout.h - for tree*.c only: where a tree's fields lie. */
#ifndef DM_FORMAT_TREE_LAYOUT_H
#define DM_FORMAT_TREE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "fs/format/header.h"
#include "fs/format/tree.h"

enum {
	AT_TOTAL_CHILDREN = HEADER_SIZE,
	AT_TOTAL_ENTRIES = HEADER_SIZE + 8,
	AT_TOTAL_FILES = HEADER_SIZE + 16,
	AT_TOTAL_BYTES = HEADER_SIZE + 24,
	TREE_RECORDS = HEADER_SIZE + 32,

	/* in any record */
	AT_NAME_OFF = 0,
	AT_NAME_LEN = 4,

	/* in a record of level 0 */
	TREE_RECORD = 64,
	AT_ENTRY_KIND = 6,
	AT_HOW = 7,
	AT_SIZE = 8,
	AT_BEFORE = 16,
	AT_FILES = 24,
	AT_ID = 32,

	/* in a record of an index */
	TREE_INDEX_RECORD = 80,
	AT_INDEX_ZERO = 6,
	AT_CHILDREN_BEFORE = 8,
	AT_ENTRIES_BEFORE = 16,
	AT_INDEX_FILES = 24,
	AT_INDEX_BYTES = 32,
	AT_INDEX_ZERO8 = 40,
	AT_INDEX_ID = 48,
};

size_t tree_record_size(uint8_t level);

/* Order of names: by bytes, a prefix first. */
int tree_name_compare(const char *a, size_t a_len, const char *b, size_t b_len);

/* What is wrong with an entry or a child taken by itself (its name, and the
 * sums before it, aside), or NULL. */
const char *tree_entry_fault(const struct tree_entry *e);
const char *tree_child_fault(const struct tree_child *c);

#endif
