/* fs/cmd/commands.h - the commands there are. */
#ifndef DM_CMD_COMMANDS_H
#define DM_CMD_COMMANDS_H

#include <stddef.h>

#include "fs/cmd/cmd.h"

/* In the order of the help. */
extern const struct cmd cmd_mount;
extern const struct cmd cmd_umount;
extern const struct cmd cmd_status;
extern const struct cmd cmd_update;
extern const struct cmd cmd_sync;
extern const struct cmd cmd_init;
extern const struct cmd cmd_commit;
extern const struct cmd cmd_tag;
extern const struct cmd cmd_branch;
extern const struct cmd cmd_log;
extern const struct cmd cmd_show;
extern const struct cmd cmd_ls;
extern const struct cmd cmd_cat;
extern const struct cmd cmd_diff;
extern const struct cmd cmd_export;
extern const struct cmd cmd_verify;
extern const struct cmd cmd_prefetch;
extern const struct cmd cmd_pin;
extern const struct cmd cmd_unpin;
extern const struct cmd cmd_gc;
extern const struct cmd cmd_clone;
extern const struct cmd cmd_push;
extern const struct cmd cmd_cache;
extern const struct cmd cmd_fsck;
extern const struct cmd cmd_config;
extern const struct cmd cmd_doctor;
extern const struct cmd cmd_help;
extern const struct cmd cmd_version;

extern const struct cmd *const commands[];
extern const size_t ncommands;

/* NULL if there is none of that name. */
const struct cmd *command_find(const char *name);

#endif
