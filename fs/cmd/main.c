/*
 * The program: find the command, run it, print its error.
 *
 * Options may stand before the command's name too, so the name is the first
 * argument that is neither an option nor the value of one of mount's; if that
 * is no command, the whole line is a mount.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "fs/cmd/commands.h"

const struct cmd *const commands[] = {
	&cmd_mount,
	&cmd_umount,
	&cmd_status,
	&cmd_update,
	&cmd_sync,
	&cmd_init,
	&cmd_commit,
	&cmd_tag,
	&cmd_branch,
	&cmd_log,
	&cmd_show,
	&cmd_ls,
	&cmd_cat,
	&cmd_diff,
	&cmd_export,
	&cmd_verify,
	&cmd_prefetch,
	&cmd_pin,
	&cmd_unpin,
	&cmd_gc,
	&cmd_clone,
	&cmd_push,
	&cmd_cache,
	&cmd_fsck,
	&cmd_config,
	&cmd_doctor,
	&cmd_help,
	&cmd_version,
};

const size_t ncommands = sizeof(commands) / sizeof(commands[0]);

const struct cmd *
command_find(const char *name)
{
	for (size_t i = 0; i < ncommands; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

/* Does this argument, an option, take the next one as its value? */
static bool
takes_next(const char *arg)
{
	const struct cmd_option *o = cmd_mount.options;

	if (arg[1] != '-' || strchr(arg, '=') != NULL)
		return false;
	for (; o->name != NULL; o++)
		if (strcmp(o->name, arg + 2) == 0)
			return o->value != NULL;
	return false;
}

/* Where the first operand stands; argc if there is none. */
static int
first_operand(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			return i + 1 < argc ? i + 1 : argc;
		if (argv[i][0] != '-' || argv[i][1] == '\0')
			return i;
		if (takes_next(argv[i]))
			i++;
	}
	return argc;
}

/* What a line without operands asks for. */
static const struct cmd *
find_bare(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 ||
		    strcmp(argv[i], "-h") == 0)
			return &cmd_help;
		if (strcmp(argv[i], "--version") == 0)
			return &cmd_version;
	}
	return NULL;
}

static int
run(int argc, char **argv, struct dm_err *err)
{
	static char mount_name[] = "mount";
	int at = first_operand(argc, argv);
	const struct cmd *cmd;

	if (at == argc) {
		cmd = find_bare(argc, argv);
		if (cmd != NULL)
			return cmd->run(1, argv, err);
		return cmd_usage(err, "no command and no mount point given");
	}
	cmd = strcmp(argv[at - 1], "--") == 0 && at > 1 ?
	    NULL :
	    command_find(argv[at]);
	if (cmd == NULL) {
		argv[0] = mount_name;
		return cmd_mount.run(argc, argv, err);
	}
	argv[0] = argv[at];
	memmove(argv + at, argv + at + 1,
	    (size_t)(argc - at) * sizeof(argv[0]));
	return cmd->run(argc - 1, argv, err);
}

/* A result that could not be written was not delivered; a reader that has
 * seen enough (head) needs no message. */
static int
flush_results(int status)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };

	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (poll(&out, 1, 0) != 1 || (out.revents & POLLERR) == 0)
		(void)fputs("datamount: standard output cannot be written: "
			    "is the disk full?\n",
		    stderr);
	return status == CMD_DONE ? CMD_FAILED : status;
}

int
main(int argc, char **argv)
{
	struct dm_err err = { 0 };
	int status;

	/* A pipe that was closed is an error like others: a mount's daemon
	 * must outlive the terminal that started it. */
	(void)signal(SIGPIPE, SIG_IGN);
	status = run(argc, argv, &err);
	if (status < 0)
		status = cmd_report(&err);
	return flush_results(status);
}
