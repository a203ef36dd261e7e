/* datamount umount: end mounts. */
#include <stdio.h>

#include "cache/base/err.h"
#include "fs/cmd/commands.h"
#include "fs/mount/mount.h"

/* One that fails does not keep the others mounted. */
static int
run_umount(int argc, char **argv, struct dm_err *err)
{
	struct cmd_args a;
	int status = CMD_DONE;

	if (cmd_parse(&a, &cmd_umount, argc, argv, 1, -1, err) < 0)
		return -1;
	for (int i = 0; i < a.n; i++) {
		struct dm_err why = { 0 };

		if (mount_unmount(a.operands[i], cmd_flag(&a, "lazy"), &why) <
		    0)
			status = cmd_report(&why);
	}
	return status;
}

static const struct cmd_option options[] = {
	{ "lazy", 0, NULL, "even if it is in use: users keep the old version" },
	{ 0 },
};

const struct cmd cmd_umount = {
	.name = "umount",
	.args = "DIR...",
	.help = "unmount",
	.options = options,
	.run = run_umount,
};
