/* fs/cmd/commands.h - the commands there are. */
#ifndef DM_CMD_COMMANDS_H
#define DM_CMD_COMMANDS_H

#include <stddef.h>

#include "fs/cmd/cmd.h"

/* cmd_NAME is in cmd_NAME.c; main.c has them in the order of the help. */
#define DM_COMMAND(name) \
	extern const struct cmd cmd_##name __attribute__((weak))

DM_COMMAND(mount);
DM_COMMAND(umount);
DM_COMMAND(status);
DM_COMMAND(update);
DM_COMMAND(sync);
DM_COMMAND(init);
DM_COMMAND(commit);
DM_COMMAND(tag);
DM_COMMAND(branch);
DM_COMMAND(log);
DM_COMMAND(show);
DM_COMMAND(ls);
DM_COMMAND(cat);
DM_COMMAND(diff);
DM_COMMAND(export);
DM_COMMAND(verify);
DM_COMMAND(cache);
DM_COMMAND(fsck);
DM_COMMAND(help);
DM_COMMAND(version);

extern const struct cmd *const commands[];
extern const size_t ncommands;

/* NULL if there is none of that name. */
const struct cmd *command_find(const char *name);

#endif
