#include "fs/cmd/mount_all.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/base/err.h"
#include "fs/cmd/many.h"
#include "fs/cmd/mounting.h"
#include "fs/cmd/pin.h"
#include "fs/source/git.h"

#define SUFFIX ".source"
enum { SUFFIX_LEN = sizeof(SUFFIX) - 1 };

/* A mount that is there, and has a .source file. */
struct shown {
	struct mount_spec spec;
	struct shown *next;
};

/* One run of the command. */
struct all {
	const struct cmd_args *args;
	mount_all_fn mount_one;
	char top[PATH_MAX];
	bool quiet;
	struct shown *shown;
	struct many pins;
};

static void
release(struct all *a)
{
	struct shown *s;

	while ((s = a->shown) != NULL) {
		a->shown = s->next;
		free(s);
	}
	many_release(&a->pins);
}

/* Add the file, unless it is none that can be mounted. */
static int
add_pin(void *arg, const char *path, struct dm_err *err)
{
	struct all *a = arg;
	char source[PATH_MAX];
	const char *why = NULL, *name = strrchr(path, '/');
	struct stat st;

	name = name != NULL ? name + 1 : path;
	if (snprintf(source, sizeof(source), "%s/%s", a->top, path) >=
	    (int)sizeof(source))
		return dm_fail(err, DM_INVALID, "%s: path too long", path);
	if (lstat(source, &st) < 0)
		why = "Git tracks it, but it is not there";
	else if (!S_ISREG(st.st_mode) || strcmp(name, SUFFIX) == 0 ||
	    !pin_is_ours(source))
		why = "not a file of datamount's";
	if (why == NULL)
		return many_add(&a->pins, source, err);
	if (!a->quiet)
		(void)fprintf(stderr, "datamount: skipped %s: %s\n", path, why);
	return 0;
}

/* Note what is mounted there.  A daemon that does not answer is no reason to
 * stop: its mount point will not be free. */
static int
note_shown(void *arg, const char *dir, struct dm_err *err)
{
	struct all *a = arg;
	struct shown *s = calloc(1, sizeof(*s));
	struct dm_err ignored;
	bool found = false;

	if (s == NULL)
		return dm_fail(err, DM_NOMEM, "list of mounts");
	if (mounting_current(dir, &s->spec, &found, &ignored) < 0 || !found ||
	    s->spec.source_path[0] == '\0') {
		free(s);
		return 0;
	}
	s->next = a->shown;
	a->shown = s;
	return 0;
}

static const struct mount_spec *
find_shown(const struct all *a, const char *source)
{
	for (const struct shown *s = a->shown; s != NULL; s = s->next)
		if (strcmp(s->spec.source_path, source) == 0)
			return &s->spec;
	return NULL;
}

static int
check_shown(const struct mount_spec *now, const char *source,
    struct dm_err *err)
{
	char old[DIGEST_HEX + 1], new[DIGEST_HEX + 1];
	struct source_file pin;
	bool found = false;

	if (pin_read(source, &pin, &found, err) < 0)
		return -1;
	if (!found ||
	    (digest_equal(&pin.commit, &now->pin.commit) &&
		strcmp(pin.path, now->pin.path) == 0))
		return 0;
	digest_hex(&now->pin.commit, old);
	digest_hex(&pin.commit, new);
	return dm_fail(err, DM_STALE,
	    "%s shows %.12s:/%s, but its pin is %.12s:/%s: `datamount sync` "
	    "moves it",
	    now->dir, old, now->pin.path, new, pin.path);
}

/* In a process of its own. */
static enum many_end
mount_pin(void *arg, const char *source)
{
	const struct all *a = arg;
	const struct mount_spec *now = find_shown(a, source);
	struct dm_err err = { 0 };
	char dir[PATH_MAX];
	int rc;

	(void)snprintf(dir, sizeof(dir), "%.*s",
	    (int)(strlen(source) - SUFFIX_LEN), source);
	if (now != NULL)
		rc = check_shown(now, source, &err);
	else
		rc = a->mount_one(a->args, source, dir, &err);
	if (rc == 0)
		return now != NULL ? MANY_AS_IT_WAS : MANY_CHANGED;
	(void)dm_wrap(&err, "%s", source + strlen(a->top) + 1);
	(void)cmd_report(&err);
	return MANY_FAILED;
}

/* One at a time: Git locks its index. */
static void
track_all(const struct all *a)
{
	char dir[PATH_MAX];

	for (size_t i = 0; i < a->pins.n; i++) {
		const struct many_item *item = &a->pins.items[i];

		(void)snprintf(dir, sizeof(dir), "%.*s",
		    (int)(strlen(item->name) - SUFFIX_LEN), item->name);
		if (item->end == MANY_CHANGED)
			pin_track(dir, item->name, a->quiet);
	}
}

static int
run_all(struct all *a, struct dm_err *err)
{
	bool in_git = false;
	size_t failed;

	if (many_top(a->top, &in_git, err) < 0)
		return -1;
	if (!in_git)
		return dm_fail(err, DM_NOTFOUND,
		    "%s is in no Git work tree, so nothing says what to mount",
		    a->top);
	if (git_each_tracked(a->top, "*" SUFFIX, add_pin, a, err) < 0 ||
	    mount_each(note_shown, a, err) < 0 ||
	    many_run(&a->pins, mount_pin, a, err) < 0)
		return -1;
	if (!cmd_flag(a->args, "no-git"))
		track_all(a);
	failed = many_count(&a->pins, MANY_FAILED);
	if (!a->quiet)
		(void)fprintf(stderr,
		    "datamount: %zu mounted, %zu were already, %zu failed, in "
		    "%s\n",
		    many_count(&a->pins, MANY_CHANGED),
		    many_count(&a->pins, MANY_AS_IT_WAS), failed, a->top);
	return failed > 0 ? CMD_FAILED : CMD_DONE;
}

int
mount_all(const struct cmd_args *a, mount_all_fn mount_one, struct dm_err *err)
{
	static const char *const alone[] = { "source", "no-source",
		"foreground", "notify-fd" };
	struct all all = { .args = a, .mount_one = mount_one };
	int rc;

	if (a->n > 0)
		return cmd_usage(err, "mount: --all or %s?", a->operands[0]);
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++)
		if (cmd_flag(a, alone[i]))
			return cmd_usage(err, "mount: --all or --%s?",
			    alone[i]);
	all.quiet = cmd_flag(a, "quiet");
	rc = run_all(&all, err);
	release(&all);
	return rc;
}
