/* datamount branch: a name that moves. */
#include "fs/cmd/commands.h"
#include "fs/cmd/ref_names.h"

static int
run_branch(int argc, char **argv, struct dm_err *err)
{
	return ref_names_run(&cmd_branch, false, argc, argv, err);
}

static const struct cmd_option options[] = { REF_NAMES_OPTIONS };

const struct cmd cmd_branch = {
	.name = "branch",
	.args = "REPO[@REF] NAME | -l REPO | --delete NAME REPO",
	.help = "name a version (a name that moves), and print its id",
	.options = options,
	.run = run_branch,
};
