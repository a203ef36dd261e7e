/* datamount sync: make mounts show what their .source files pin now. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/hook.h"
#include "fs/cmd/mounting.h"
#include "fs/cmd/pin.h"
#include "fs/source/git.h"

/* One run of the command. */
struct run {
	struct cmd_args args;
	char top[PATH_MAX]; /* mounts below it are meant */
	unsigned failed;
	struct mounting old, next; /* of the mount at hand */
};

/* The pin, if it is not what is mounted. */
static int
find_next(struct run *r, bool *differs, struct dm_err *err)
{
	const struct mount_spec *old = &r->old.spec;
	struct source_file *pin = &r->next.spec.pin;
	bool found = false;

	*differs = false;
	if (old->source_path[0] == '\0')
		return 0; /* mounted without a pin */
	r->next.spec = *old;
	if (pin_read(old->source_path, pin, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND,
		    "%s is gone: %s still shows %s", old->source_path, old->dir,
		    "what it pinned");
	if (pin_absolute(old->source_path, pin, err) < 0)
		return -1;
	*differs = !digest_equal(&pin->commit, &old->pin.commit) ||
	    strcmp(pin->path, old->pin.path) != 0;
	return 0;
}

static void
say_switched(const struct run *r)
{
	char old[DIGEST_HEX + 1], new[DIGEST_HEX + 1];

	if (cmd_flag(&r->args, "quiet"))
		return;
	digest_hex(&r->old.spec.pin.commit, old);
	digest_hex(&r->next.spec.pin.commit, new);
	(void)fprintf(stderr, "datamount: %s: %.12s -> %.12s\n",
	    r->old.spec.dir, old, new);
}

static int
sync_one(struct run *r, const char *dir, struct dm_err *err)
{
	bool found = false, differs = false;

	if (mounting_current(dir, &r->old.spec, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND,
		    "nothing is mounted at %s: `datamount %s` mounts what is "
		    "pinned",
		    dir, dir);
	if (find_next(r, &differs, err) < 0)
		return -1;
	if (!differs)
		return 0;
	if (mounting_fetch(&r->next, true, err) < 0 ||
	    mounting_fetch(&r->old, false, err) < 0 ||
	    mounting_switch(&r->next, &r->old, cmd_flag(&r->args, "lazy"),
		err) < 0)
		return dm_wrap(err, "%s", dir);
	say_switched(r);
	return 0;
}

/* One mount that fails does not keep the others from following. */
static void
sync_and_report(struct run *r, const char *dir)
{
	struct dm_err err = { 0 };

	mounting_init(&r->old);
	mounting_init(&r->next);
	r->next.quiet = cmd_flag(&r->args, "quiet");
	if (sync_one(r, dir, &err) < 0) {
		(void)cmd_report(&err);
		r->failed++;
	}
	mounting_release(&r->old);
	mounting_release(&r->next);
}

/* Mount points are collected first: what is done to them changes the list. */
struct list {
	struct dm_buf dirs; /* each ended by a NUL */
	const char *top;
};

static int
note_below(void *arg, const char *dir, struct dm_err *err)
{
	struct list *l = arg;
	size_t n = strcmp(l->top, "/") == 0 ? 0 : strlen(l->top);

	if (strncmp(dir, l->top, n) != 0 || dir[n] != '/')
		return 0;
	return dm_buf_append(&l->dirs, dir, strlen(dir) + 1, err);
}

static int
sync_all(struct run *r, struct dm_err *err)
{
	enum { LIST_MAX = 16 << 20 };
	struct list l = { .dirs = DM_BUF(LIST_MAX), .top = r->top };
	int rc = mount_each(note_below, &l, err);

	for (size_t at = 0; rc == 0 && at < l.dirs.size;
	     at += strlen(l.dirs.data + at) + 1)
		sync_and_report(r, l.dirs.data + at);
	dm_buf_release(&l.dirs);
	return rc;
}

static int
sync_operands(struct run *r, struct dm_err *err)
{
	char dir[PATH_MAX];

	for (int i = 0; i < r->args.n; i++) {
		if (realpath(r->args.operands[i], dir) == NULL)
			return dm_fail_errno(err, "%s", r->args.operands[i]);
		sync_and_report(r, dir);
	}
	return 0;
}

/* The Git work tree, or else the directory, that we stand in. */
static int
find_top(struct run *r, bool *in_git, struct dm_err *err)
{
	char cwd[PATH_MAX];

	if (getcwd(cwd, sizeof(cwd)) == NULL)
		return dm_fail_errno(err, "find the working directory");
	if (git_work_tree(cwd, r->top, in_git, err) < 0)
		return -1;
	if (!*in_git)
		memcpy(r->top, cwd, sizeof(r->top));
	return 0;
}

static int
sync_run(struct run *r, int argc, char **argv, struct dm_err *err)
{
	bool in_git = false;

	if (cmd_parse(&r->args, &cmd_sync, argc, argv, 0, -1, err) < 0 ||
	    find_top(r, &in_git, err) < 0)
		return -1;
	if (cmd_flag(&r->args, "install-hook")) {
		if (!in_git)
			return dm_fail(err, DM_NOTFOUND,
			    "%s is in no Git work tree, so there is no place "
			    "for a hook",
			    r->top);
		return hook_install(r->top, cmd_flag(&r->args, "quiet"), err);
	}
	if ((r->args.n > 0 ? sync_operands(r, err) : sync_all(r, err)) < 0)
		return -1;
	return r->failed > 0 ? CMD_FAILED : CMD_DONE;
}

static int
run_sync(int argc, char **argv, struct dm_err *err)
{
	struct run *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return dm_fail(err, DM_NOMEM, "sync");
	rc = sync_run(r, argc, argv, err);
	free(r);
	return rc;
}

static const struct cmd_option options[] = {
	{ "lazy", 0, NULL, "leave the old version to those who use it" },
	{ "install-hook", 0, NULL, "sync after each checkout, merge, rebase" },
	{ 0 },
};

const struct cmd cmd_sync = {
	.name = "sync",
	.args = "[DIR]...",
	.help = "make mounts in this Git work tree show what is pinned now",
	.options = options,
	.run = run_sync,
};
