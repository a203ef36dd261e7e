/* datamount umount: end mounts. */
#include <stdio.h>

#include "cache/base/err.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/many.h"
#include "fs/mount/mount.h"

/* In a process of its own. */
static enum many_end
unmount_one(void *arg, const char *dir)
{
	const struct cmd_args *a = arg;
	struct dm_err err = { 0 };

	if (mount_unmount(dir, cmd_flag(a, "lazy"), &err) == 0)
		return MANY_CHANGED;
	(void)cmd_report(&err);
	return MANY_FAILED;
}

/* All below the work tree, or the current directory. */
static int
unmount_all(struct cmd_args *a, struct dm_err *err)
{
	DM_AUTO(many_release) struct many m = { 0 };
	char top[PATH_MAX];
	bool in_git = false;

	if (many_top(top, &in_git, err) < 0 ||
	    many_add_mounts(&m, top, true, err) < 0 ||
	    many_run(&m, unmount_one, a, err) < 0)
		return -1;
	if (!cmd_flag(a, "quiet"))
		(void)fprintf(stderr,
		    "datamount: %zu unmounted, %zu failed, below %s\n",
		    many_count(&m, MANY_CHANGED), many_count(&m, MANY_FAILED),
		    top);
	return many_count(&m, MANY_FAILED) > 0 ? CMD_FAILED : CMD_DONE;
}

/* One that fails does not keep the others mounted. */
static int
run_umount(int argc, char **argv, struct dm_err *err)
{
	struct cmd_args a;
	int status = CMD_DONE;

	if (cmd_parse(&a, &cmd_umount, argc, argv, 0, -1, err) < 0)
		return -1;
	if (cmd_flag(&a, "all") && a.n > 0)
		return cmd_usage(err, "umount: --all or %s?", a.operands[0]);
	if (cmd_flag(&a, "all"))
		return unmount_all(&a, err);
	if (a.n == 0)
		return cmd_usage(err,
		    "umount: too few operands: datamount umount %s",
		    cmd_umount.args);
	for (int i = 0; i < a.n; i++) {
		struct dm_err why = { 0 };

		if (mount_unmount(a.operands[i], cmd_flag(&a, "lazy"), &why) <
		    0)
			status = cmd_report(&why);
	}
	return status;
}

static const struct cmd_option options[] = {
	{ "all", 0, NULL, "every mount in this Git work tree" },
	{ "lazy", 0, NULL, "even if it is in use: users keep the old version" },
	{ 0 },
};

const struct cmd cmd_umount = {
	.name = "umount",
	.args = "DIR... | --all",
	.help = "unmount",
	.options = options,
	.run = run_umount,
};
