/* datamount mount: resolve, pin, mount. */
#include "fs/cmd/commands.h"

#include "cache/base/err.h"

static int
run_mount(int argc, char **argv, struct dm_err *err)
{
	struct cmd_args a;

	if (cmd_parse(&a, &cmd_mount, argc, argv, 1, 2, err) < 0)
		return -1;
	return dm_fail(err, DM_NOTFOUND, "this build cannot mount");
}

static const struct cmd_option options[] = { { 0 } };

const struct cmd cmd_mount = {
	.name = "mount",
	.args = "REPO[@REF][:PATH] DIR | DIR",
	.help = "mount a version and pin it, or mount what DIR.source pins",
	.options = options,
	.run = run_mount,
};
