/* datamount help: what the commands are, what the options of one are. */
#include <stdio.h>

#include "cache/base/err.h"
#include "fs/cmd/commands.h"

static void
print_all(void)
{
	printf("usage: datamount REPO[@REF][:PATH] DIR   mount a version, and "
	       "pin it in DIR.source\n"
	       "       datamount DIR                    mount what DIR.source "
	       "pins\n"
	       "       datamount COMMAND ...\n\n");
	for (size_t i = 0; i < ncommands; i++)
		printf("  %-8s %s\n", commands[i]->name, commands[i]->help);
	printf("\n`datamount COMMAND --help` lists a command's options; "
	       "datamount(1) says the rest.\n");
}

static int
run_help(int argc, char **argv, struct dm_err *err)
{
	const struct cmd *about;
	struct cmd_args a;

	if (cmd_parse(&a, &cmd_help, argc, argv, 0, 1, err) < 0)
		return -1;
	if (a.n == 0) {
		print_all();
		return CMD_DONE;
	}
	about = command_find(a.operands[0]);
	if (about == NULL)
		return cmd_usage(err, "there is no command %s", a.operands[0]);
	cmd_print_help(about);
	return CMD_DONE;
}

static const struct cmd_option options[] = { { 0 } };

const struct cmd cmd_help = {
	.name = "help",
	.args = "[COMMAND]",
	.help = "list the commands, or the options of one",
	.options = options,
	.run = run_help,
};
