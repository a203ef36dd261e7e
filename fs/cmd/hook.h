/* fs/cmd/hook.h - Git hooks that call `datamount sync`. */
#ifndef DM_CMD_HOOK_H
#define DM_CMD_HOOK_H

#include <stdbool.h>

#include "cache/base/attr.h"

struct dm_err;

/*
 * Install post-checkout, post-merge and post-rewrite in the work tree at top.
 * A hook that is there keeps what it does: a line is put into it; one that
 * has the line is left alone.  DM_INVALID if it is no shell script that Git
 * runs: the text says what to add to it.  Nothing is changed then.
 */
int hook_install(const char *top, bool quiet, struct dm_err *err) DM_MUST_CHECK;

#endif
