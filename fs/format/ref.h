/* fs/format/ref.h - names for commits, and the files beside them. */
#ifndef DM_FORMAT_REF_H
#define DM_FORMAT_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "fs/format/limits.h"

struct dm_buf;
struct dm_err;

/* The file refs/heads/NAME or refs/tags/NAME:
 *   commit HEX
 *   sequence N    one more at each move of the ref
 *   time N        of the move, seconds since 1970 UTC
 */
struct ref {
	struct digest commit;
	uint64_t sequence, time;
};
int ref_decode(struct ref *out, const void *text, size_t size,
    struct dm_err *err) DM_MUST_CHECK;
int ref_encode(const struct ref *r, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

/* Letters, digits and ._-/ ; begins with a letter or digit; no component
 * begins or ends with a dot, no "..", no "//", does not end in "/" or ".lock"
 * or ".tmp"; not of 8 to 64 hex digits only (that is an id). */
bool ref_name_valid(const char *name, size_t size);

/* The file datamount at the root of a repository:
 *   datamount repository 1
 *   id HEX32      16 random bytes
 * DM_INVALID: a later version.  DM_CORRUPT: not such a file. */
enum { REPO_ID_SIZE = 16, REPO_ID_HEX = 32 };
int repo_file_decode(uint8_t id[REPO_ID_SIZE], const void *text, size_t size,
    struct dm_err *err) DM_MUST_CHECK;
int repo_file_encode(const uint8_t id[REPO_ID_SIZE], struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

/* One line of refs/all, "heads/NAME HEX SEQUENCE TIME" (ascending by name),
 * and of refs/log, "HEX PARENT[,PARENT...]|- TIME BRANCH SUBJECT" (oldest
 * first).  Both files are hints: what they say is checked against refs and
 * commits.  The encoders end a line with a newline, the decoders take it with
 * or without. */
struct ref_line {
	bool tag;
	char name[DM_REF_NAME_MAX + 1];
	struct ref ref;
};
int ref_line_decode(struct ref_line *out, const char *line, size_t size,
    struct dm_err *err) DM_MUST_CHECK;
int ref_line_encode(const struct ref_line *l, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

struct log_line {
	struct digest commit;
	struct digest parents[16];
	unsigned nparents;
	uint64_t time;
	char branch[DM_REF_NAME_MAX + 1];
	char subject[101]; /* the message's first line, cut at 100 bytes */
};
int log_line_decode(struct log_line *out, const char *line, size_t size,
    struct dm_err *err) DM_MUST_CHECK;
int log_line_encode(const struct log_line *l, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

/* Set the subject: the first line of a commit's message, tabs made spaces,
 * cut between characters. */
void log_line_subject(struct log_line *l, const char *message, size_t size);

#endif
