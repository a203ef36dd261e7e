/* fs/cmd/mirrors.h - further places where a pin's files are. */
#ifndef DM_CMD_MIRRORS_H
#define DM_CMD_MIRRORS_H

#include <stdbool.h>

#include "cache/base/attr.h"

struct cmd_args;
struct dm_err;
struct source_file;

/* Add those of --mirror that pin does not have yet: URLs, folders, short
 * names, without a ref.  *added: there was one. */
int mirrors_given(struct source_file *pin, const struct cmd_args *a,
    bool *added, struct dm_err *err) DM_MUST_CHECK;

/* Add all repositories of other that pin does not have yet. */
int mirrors_copy(struct source_file *pin, const struct source_file *other,
    struct dm_err *err) DM_MUST_CHECK;

#endif
