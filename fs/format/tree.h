/* fs/format/tree.h - one directory's entries, as pages and indexes of pages. */
#ifndef DM_FORMAT_TREE_H
#define DM_FORMAT_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"

struct dm_buf;
struct dm_err;

/*
 * Layout (little-endian; datamount-repository(5) is normative):
 *   header   "DMo1" · kind u8 (OBJECT_TREE) · level u8 · 0 u16 · count u32 ·
 *            heap u32
 *   totals   children u64 · entries u64 · files u64 · bytes u64
 *   records  count of 64 bytes (level 0: name_off u32 · name_len u16 ·
 *            kind u8 · how u8 · size u64 · before u64 · files u64 · id[32])
 *            or of 80 (level > 0: name_off u32 · name_len u16 · 0 u16 ·
 *            children_before u64 · entries_before u64 · files u64 ·
 *            bytes u64 · 0 u64 · id[32])
 *   heap     names in order without gaps; a symlink's target follows its name
 *
 * children: direct entries of the directory that this object covers (level 0:
 * count).  entries: the pre-order entries it covers, each direct one and all
 * below it.  files, bytes: regular files among them, and their bytes.
 * before: entries of this page that precede, in pre-order.
 *
 * Canonical: names strictly ascending by bytes; offsets, sums and reserved
 * bytes as above and nothing else; so equal contents have equal bytes.
 */
enum tree_kind {
	TREE_FILE = 1,
	TREE_EXEC = 2, /* a regular file with the executable bits */
	TREE_DIR = 3,
	TREE_SYMLINK = 4,
};

enum tree_how {
	TREE_SHA256 = 0,  /* id is the SHA-256 of the content */
	TREE_FOREIGN = 1, /* id is the SHA-256 of a foreign store's tag */
};

/* An entry of a page; name and target are borrowed, and not NUL-terminated. */
struct tree_entry {
	const char *name;
	uint16_t name_len;
	enum tree_kind kind;
	uint8_t how;   /* files: enum tree_how (0 if empty); directories: level
			* of the tree; symlinks: 0 */
	uint64_t size; /* bytes: of a file, of all files below a directory, of a
			* symlink's target */
	uint64_t
	    before; /* entries of this page before this one, in pre-order */
	uint64_t
	    entries; /* entries below a directory, itself not counted; else 0 */
	uint64_t
	    files; /* regular files: 1 for a file, those below a directory */
	struct digest
	    id; /* file: content if size <= DM_SMALL_FILE_MAX (zero if it
		 * is empty), else chunk list; directory: tree; symlink: 0 */
	const char *target; /* of a symlink: size bytes; else NULL */
};

/* A child of an index. */
struct tree_child {
	const char *name; /* the first entry's name */
	uint16_t name_len;
	uint64_t children_before, entries_before;
	uint64_t children, entries, files, bytes; /* of the child */
	struct digest id;
};

/* A validated page or index; borrows its bytes. */
struct tree {
	const uint8_t *data;
	size_t size;
	uint8_t level;
	uint32_t count; /* records */
	uint64_t children, entries, files, bytes;
	const uint8_t *records;
	const char *heap;
};

/* Validate size bytes; only the canonical form passes.  DM_CORRUPT. */
int tree_decode(struct tree *out, const void *data, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

/* Record i < count of a level-0 page, of an index. */
void tree_entry_at(const struct tree *t, uint32_t i, struct tree_entry *out);
void tree_child_at(const struct tree *t, uint32_t i, struct tree_child *out);

/* Page: the entry of that name, or *found = false.  Index: the only child
 * that can hold that name, or *found = false if it precedes the first. */
void tree_find(const struct tree *t, const char *name, size_t name_len,
    uint32_t *i, bool *found);

/* The record that covers pre-order position pos < t->entries (an entry covers
 * itself and all below it), and the one that covers direct child n <
 * t->children (page: n itself). */
uint32_t tree_by_entry(const struct tree *t, uint64_t pos);
uint32_t tree_by_child(const struct tree *t, uint64_t n);

/* May a name stand in a tree: 1 to 255 bytes, not . or .., no / or NUL. */
bool tree_name_valid(const char *name, size_t name_len);

/* Is it .git or one of the names that some file system takes for it: other
 * case, HFS+ ignorable code points, NTFS git~1, trailing dots or spaces,
 * streams. */
bool tree_name_is_git(const char *name, size_t name_len);

/* Does a link's target stay below a root that lies depth directories above
 * the link (0: the link is in the root): relative, with .. only at its
 * beginning and at most depth times. */
bool tree_target_stays(const char *target, size_t size, unsigned depth);

/*
 * Encoders.  A page: init, entries in ascending order (before is computed;
 * name, kind, how, size, entries, files, id, target count), then
 * tree_page_finish appends the object to out.  DM_INVALID: a bad or disordered
 * name, a limit.  An index: likewise with the children (name, children,
 * entries, files, bytes, id count).  After finish an encoder is empty and can
 * be used again; after a failure it can only be freed.
 */
struct tree_encoder;
struct tree_encoder *tree_encoder_new(uint8_t level); /* NULL: no memory */
void tree_encoder_free(struct tree_encoder *e);
int tree_encode_entry(struct tree_encoder *e, const struct tree_entry *entry,
    struct dm_err *err) DM_MUST_CHECK;
int tree_encode_child(struct tree_encoder *e, const struct tree_child *child,
    struct dm_err *err) DM_MUST_CHECK;
uint32_t tree_encoder_count(const struct tree_encoder *e);

/* What an index record says of a finished object; name is borrowed from the
 * encoder until its next use. */
int tree_encode_finish(struct tree_encoder *e, struct dm_buf *out,
    struct tree_child *summary, struct dm_err *err) DM_MUST_CHECK;

/*
 * Must a new page (level 0) or index (level > 0) begin before a record of this
 * name, when the present one holds count records and heap bytes of names and
 * targets, and the record would add more bytes?  The rule for directories of
 * more than TREE_PAGE_SOLE entries; a smaller one is one page unless the heap
 * is full: for it, pass 0 as count.
 */
bool tree_split_before(uint8_t level, uint32_t count, uint64_t heap,
    const char *name, size_t name_len, uint64_t more);

#endif
