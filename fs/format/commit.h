/* fs/format/commit.h - one immutable version of a dataset. */
#ifndef DM_FORMAT_COMMIT_H
#define DM_FORMAT_COMMIT_H

#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"

struct dm_buf;
struct dm_err;

/*
 * Canonical text, one "key value" line each, in this order:
 *   format 1
 *   tree HEX          id of the root tree
 *   level N           its level
 *   entries N         pre-order entries below the root
 *   files N
 *   bytes N
 *   at HEX OFF LEN N  where the root was first stored: pack, offset and length
 *                     of its directory, ordinal
 *   parent HEX        none to 16 of them
 *   time N            seconds since 1970 UTC
 *   author TEXT       may be absent
 *   x-NAME TEXT       free keys, strictly ascending; at most 64
 * then an empty line, then the message to the end.  Numbers: decimal, no sign,
 * no leading zeros.  Text: UTF-8 without control bytes; the message may have
 * newlines and tabs.
 */
enum { COMMIT_PARENTS_MAX = 16, COMMIT_KEYS_MAX = 64, COMMIT_AUTHOR_MAX = 512 };

struct commit {
	struct digest tree;
	uint8_t level;
	uint64_t entries, files, bytes;
	struct digest at_pack;
	uint64_t at_dir_off;
	uint32_t at_dir_len, at_ordinal;
	struct digest parents[COMMIT_PARENTS_MAX];
	unsigned nparents;
	uint64_t time;
	char author[COMMIT_AUTHOR_MAX + 1]; /* "" if absent */
	const char *keys; /* the x- lines as they stand, borrowed; keys_size */
	size_t keys_size;
	const char *message; /* borrowed, not NUL-terminated */
	size_t message_size;
};

/* Validate; *out borrows text.  DM_CORRUPT; DM_INVALID if the format line
 * names a later version ("made by a newer datamount"). */
int commit_decode(struct commit *out, const void *text, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

/* Append the text; DM_INVALID if a field breaks a rule above. */
int commit_encode(const struct commit *c, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

#endif
