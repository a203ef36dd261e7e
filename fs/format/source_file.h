/* fs/format/source_file.h - the .source file: which version, and where from. */
#ifndef DM_FORMAT_SOURCE_FILE_H
#define DM_FORMAT_SOURCE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "fs/format/limits.h"
#include "fs/format/ref.h"

struct dm_buf;
struct dm_err;

/*
 * "key = value" lines in this order, # comments and empty lines between them:
 *   version = 1
 *   repository = URL or path   one to eight lines; the first is the origin,
 *                              the others mirrors
 *   repository-id = HEX32
 *   commit = HEX64
 *   path = /sub/dir            absent: the root
 *   ref = NAME                 absent: none was named
 *   sequence = N               of the ref when it was resolved; with ref only
 * Unknown, doubled or disordered keys and control bytes are refused.
 */
enum { SOURCE_URL_MAX = 2000, SOURCE_MIRRORS_MAX = 8 };
struct source_file {
	char repository[SOURCE_MIRRORS_MAX][SOURCE_URL_MAX + 1];
	unsigned nrepositories;
	uint8_t repo_id[REPO_ID_SIZE];
	struct digest commit;
	char path[DM_PATH_MAX + 1]; /* "" for the root; no leading slash here */
	char ref[DM_REF_NAME_MAX + 1]; /* "" if none */
	uint64_t sequence;
};

/* DM_INVALID names the line and what is wrong with it. */
int source_file_decode(struct source_file *out, const void *text, size_t size,
    struct dm_err *err) DM_MUST_CHECK;

/* The canonical text, with one comment line on top that says what it is. */
int source_file_encode(const struct source_file *s, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

#endif
