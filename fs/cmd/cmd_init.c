/* datamount init: an empty repository in a folder. */
#include <stdio.h>

#include "cache/base/io.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/config.h"
#include "fs/publish/publish.h"

static int
run_init(int argc, char **argv, struct dm_err *err)
{
	DM_AUTO(dm_freep) char *repo = NULL;
	char id[REPO_ID_HEX + 1];
	struct cmd_args a;

	if (cmd_parse(&a, &cmd_init, argc, argv, 1, 1, err) < 0 ||
	    config_expand(&repo, a.operands[0], err) < 0 ||
	    publish_init(repo, id, err) < 0)
		return -1;
	(void)puts(id); /* main reports what stdout refuses */
	return CMD_DONE;
}

static const struct cmd_option options[] = { { 0 } };

const struct cmd cmd_init = {
	.name = "init",
	.args = "REPO",
	.help = "make an empty repository in a folder, and print its id",
	.options = options,
	.run = run_init,
};
