/* fs/cmd/ref_names.h - what tag and branch have in common. */
#ifndef DM_CMD_REF_NAMES_H
#define DM_CMD_REF_NAMES_H

#include <stdbool.h>

#include "fs/cmd/cmd.h"

struct cmd;
struct dm_err;

/* The options that both take; ends a table. */
#define REF_NAMES_OPTIONS                                          \
	{ "list", 'l', NULL, "list them: name and commit" },       \
	    { "force", 'f', NULL, "move one that is there" },      \
	    { "delete", 'd', "NAME", "delete it (commits stay)" }, \
	    CMD_SESSION_OPTIONS,                                   \
	{                                                          \
		0                                                  \
	}

/* Run `tag` or `branch`: REPO[@REF] NAME, or --list or --delete. */
int ref_names_run(const struct cmd *cmd, bool tag, int argc, char **argv,
    struct dm_err *err);

#endif
