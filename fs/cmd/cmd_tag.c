/* datamount tag: a name that stays. */
#include "fs/cmd/commands.h"
#include "fs/cmd/ref_names.h"

static int
run_tag(int argc, char **argv, struct dm_err *err)
{
	return ref_names_run(&cmd_tag, true, argc, argv, err);
}

static const struct cmd_option options[] = { REF_NAMES_OPTIONS };

const struct cmd cmd_tag = {
	.name = "tag",
	.args = "REPO[@REF] NAME | -l REPO | --delete NAME REPO",
	.help = "name a version (a name that stays), and print its id",
	.options = options,
	.run = run_tag,
};
