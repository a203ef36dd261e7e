/* datamount sync: make mounts show what their .source files pin now. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/hook.h"
#include "fs/cmd/many.h"
#include "fs/cmd/mounting.h"
#include "fs/cmd/pin.h"

/* One run of the command. */
struct run {
	struct cmd_args args;
	char top[PATH_MAX];        /* mounts below it are meant */
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
sync_one(struct run *r, const char *dir, bool *changed, struct dm_err *err)
{
	bool found = false;

	if (mounting_current(dir, &r->old.spec, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND,
		    "nothing is mounted at %s: `datamount %s` mounts what is "
		    "pinned",
		    dir, dir);
	if (find_next(r, changed, err) < 0)
		return -1;
	if (!*changed)
		return 0;
	if (mounting_fetch(&r->next, true, err) < 0 ||
	    mounting_fetch(&r->old, false, err) < 0 ||
	    mounting_switch(&r->next, &r->old, cmd_flag(&r->args, "lazy"),
		err) < 0)
		return dm_wrap(err, "%s", dir);
	say_switched(r);
	return 0;
}

/* In a process of its own. */
static enum many_end
sync_and_report(void *arg, const char *dir)
{
	struct run *r = arg;
	struct dm_err err = { 0 };
	bool changed = false;
	int rc;

	mounting_init(&r->old);
	mounting_init(&r->next);
	r->next.quiet = cmd_flag(&r->args, "quiet");
	rc = sync_one(r, dir, &changed, &err);
	mounting_release(&r->old);
	mounting_release(&r->next);
	if (rc == 0)
		return changed ? MANY_CHANGED : MANY_AS_IT_WAS;
	(void)cmd_report(&err);
	return MANY_FAILED;
}

/* One summary, where there is more than one line to sum up. */
static void
say_all(const struct run *r, const struct many *m)
{
	size_t failed = many_count(m, MANY_FAILED),
	       changed = many_count(m, MANY_CHANGED);

	if (m->n < 2 || failed + changed == 0 || cmd_flag(&r->args, "quiet"))
		return;
	(void)fprintf(stderr,
	    "datamount: %zu of %zu mounts moved to their pins, %zu showed "
	    "them, %zu failed\n",
	    changed, m->n, many_count(m, MANY_AS_IT_WAS), failed);
}

static int
add_operands(const struct run *r, struct many *m, struct dm_err *err)
{
	char dir[PATH_MAX];

	for (int i = 0; i < r->args.n; i++) {
		if (realpath(r->args.operands[i], dir) == NULL)
			return dm_fail_errno(err, "%s", r->args.operands[i]);
		if (many_add(m, dir, err) < 0)
			return -1;
	}
	return 0;
}

static int
sync_all(struct run *r, struct dm_err *err)
{
	DM_AUTO(many_release) struct many m = { 0 };
	int rc;

	if (r->args.n > 0)
		rc = add_operands(r, &m, err);
	else
		rc = many_add_mounts(&m, r->top, false, err);
	if (rc < 0 || many_run(&m, sync_and_report, r, err) < 0)
		return -1;
	say_all(r, &m);
	return many_count(&m, MANY_FAILED) > 0 ? CMD_FAILED : CMD_DONE;
}

static int
sync_run(struct run *r, int argc, char **argv, struct dm_err *err)
{
	bool in_git = false;

	if (cmd_parse(&r->args, &cmd_sync, argc, argv, 0, -1, err) < 0 ||
	    many_top(r->top, &in_git, err) < 0)
		return -1;
	if (cmd_flag(&r->args, "install-hook")) {
		if (!in_git)
			return dm_fail(err, DM_NOTFOUND,
			    "%s is in no Git work tree, so there is no place "
			    "for a hook",
			    r->top);
		return hook_install(r->top, cmd_flag(&r->args, "quiet"), err);
	}
	return sync_all(r, err);
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
