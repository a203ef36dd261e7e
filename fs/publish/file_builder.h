/* fs/publish/file_builder.h - a large file's chunks become its chunk list. */
#ifndef DM_PUBLISH_FILE_BUILDER_H
#define DM_PUBLISH_FILE_BUILDER_H

#include <stdint.h>

#include "cache/base/attr.h"
#include "fs/publish/object_index.h"

struct digest;
struct dm_err;
struct packer;

/* Takes one large file's chunks in order; list pages go to the packer as they
 * fill.  To be used for one file after the other, by one thread at a time. */
struct file_builder;

struct file_builder *file_builder_new(struct packer *p); /* NULL: no memory */
void file_builder_free(struct file_builder *fb);

int file_builder_add(struct file_builder *fb, uint32_t size,
    const struct digest *id, const struct place *at,
    struct dm_err *err) DM_MUST_CHECK;

/* The file ends; whole is the digest of its content, *id that of its list. */
int file_builder_end(struct file_builder *fb, const struct digest *whole,
    struct digest *id, struct dm_err *err) DM_MUST_CHECK;

#endif
