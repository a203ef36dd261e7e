/* datamount version */
#include <stdio.h>

#include "fs/cmd/commands.h"

static int
run_version(int argc, char **argv, struct dm_err *err)
{
	struct cmd_args a;

	if (cmd_parse(&a, &cmd_version, argc, argv, 0, 0, err) < 0)
		return -1;
	printf("datamount " DATAMOUNT_VERSION "\n");
	return CMD_DONE;
}

static const struct cmd_option options[] = { { 0 } };

const struct cmd cmd_version = {
	.name = "version",
	.args = "",
	.help = "print the program's version",
	.options = options,
	.run = run_version,
};
