/* fs/publish/pack_file.h - a pack that lies in a folder, read and checked. */
#ifndef DM_PUBLISH_PACK_FILE_H
#define DM_PUBLISH_PACK_FILE_H

#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "cache/pack/pack_dir.h"
#include "cache/pack/pack_writer.h"

struct codec;
struct dm_buf;
struct dm_err;

enum { PACK_PATH = 80 };

/* "packs/AA/ID", or "moved/AA/ID". */
void pack_file_path(char out[PACK_PATH], const char *folder,
    const struct digest *id);

/* An open pack whose directory is what its id says. */
struct pack_file {
	int fd;
	struct pack_name name;
	struct pack_dir dir;
	uint8_t *data; /* that dir borrows */
};

/* path is below at, as in openat(2).  DM_NOTFOUND: no such file; DM_CORRUPT:
 * it is no pack, or another one. */
int pack_file_open(struct pack_file *out, int at, const char *path,
    const struct digest *id, struct dm_err *err) DM_MUST_CHECK;
void pack_file_close(struct pack_file *p);

/* Append object i's stored bytes to stored and the plain ones to plain (both
 * are cleared first), and compare them with their digest.  DM_CORRUPT. */
int pack_file_object(const struct pack_file *p, struct codec *codec, uint32_t i,
    struct dm_buf *stored, struct dm_buf *plain,
    struct dm_err *err) DM_MUST_CHECK;

/* Read and compare every object. */
int pack_file_check(const struct pack_file *p,
    struct dm_err *err) DM_MUST_CHECK;

#endif
