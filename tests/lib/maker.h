/* tests/lib/maker.h - repositories as tests want them, lies included. */
#ifndef DM_TESTS_MAKER_H
#define DM_TESTS_MAKER_H

#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "fs/format/commit.h"
#include "fs/format/tree.h"

struct dm_err;

/* What is done to the where behind an object. */
enum maker_where {
	MAKER_RIGHT,
	MAKER_SHORT, /* a row less */
	MAKER_LONG,  /* a row more */
	MAKER_SHAPE, /* the other shape */
	MAKER_ASIDE, /* right in form, but every place is off by one */
};

/*
 * One entry, or the root.  Zeroed fields are the plain truth.  All pointers
 * are borrowed.
 */
struct maker_entry {
	char name[256];
	enum tree_kind kind;
	const char *data;         /* a file's content, a link's target */
	size_t size;              /* of data */
	size_t chunk;             /* bytes a chunk, of files over 1 MiB */
	struct maker_entry *kids; /* of a directory, in any order */
	size_t nkids;
	const struct maker_entry *same; /* take that one's content */
	/* Lies: added to what the parent says of it. */
	int64_t more_entries, more_files, more_size, more_level;
	/* Lies about its own children. */
	enum maker_where where;
	const char *first; /* an index says that of its second page */
	/* These bytes stand in its page or list, whose id is as if they did
	 * by right; of a file of one object, in the bytes, whose id does not
	 * know. */
	const char *spoil;
	size_t spoil_at, spoil_size; /* at past the end: nowhere */
	/* Set by maker_write: as the parent's record has them. */
	struct tree_entry record;
	uint32_t ordinal;     /* in the pack of trees */
	uint32_t data_first;  /* in the pack of data */
	uint32_t data_chunks; /* from there on */
};

/*
 * Write a repository with one commit, on main, to the folder dir, which
 * exists: data in one pack, trees and lists in another.  Pages hold page
 * entries, indexes index children (0: as many as fit).  *c borrows nothing.
 */
int maker_write(const char *dir, struct maker_entry *root, size_t page,
    size_t index, struct digest *id, struct commit *c,
    struct dm_err *err) DM_MUST_CHECK;

#endif
