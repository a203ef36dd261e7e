/*
 * datamount mount: resolve, pin, mount.
 *
 * Everything that can be wrong with the version is found first, while nothing
 * has been changed.  Then the mount point is made ready, the pin is written,
 * the mount made; what was done is undone if a later step fails.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/config.h"
#include "fs/cmd/mirrors.h"
#include "fs/cmd/mount_all.h"
#include "fs/cmd/mounting.h"
#include "fs/cmd/pin.h"
#include "fs/source/git.h"
#include "fs/source/source.h"

/* One run of the command. */
struct plan {
	struct cmd_args args;
	const char *shown; /* the mount point as the user wrote it */
	struct pin_place place;
	struct mounting m;
	struct source_file old; /* what the .source file pins */
	bool pinned;            /* it is there */
	bool quiet, use_git;
	bool more_mirrors; /* --mirror names some that were not pinned */

	/* done so far */
	bool made_dir, wrote_pin;
};

/* The name of the .source file as the user would write it. */
static const char *
source_name(const struct plan *p)
{
	const char *slash = strrchr(p->place.source, '/');

	return slash != NULL ? slash + 1 : p->place.source;
}

/* Say what stands in the way of pinning what name and now ask for. */
static int
fail_moved(const struct plan *p, const struct source_name *name,
    const struct resolved *now, struct dm_err *err)
{
	char old[DIGEST_HEX + 1], new[DIGEST_HEX + 1];
	const char *ref = name->ref[0] != '\0' ? name->ref : "main";
	bool same_ref = strcmp(ref, p->old.ref) == 0;

	digest_hex(&p->old.commit, old);
	digest_hex(&now->commit, new);
	return dm_fail(err, DM_STALE,
	    "%s pins %.12s; %s is now %.12s: `datamount %s` mounts the pin, "
	    "`datamount update %s%s%s` moves it",
	    source_name(p), old, ref, new, p->shown, p->shown,
	    same_ref ? "" : " ", same_ref ? "" : ref);
}

/* A ref that is older than its own pin is no news that could be mounted. */
static int
check_sequence(const struct plan *p, const struct source_name *name,
    const struct resolved *now, const struct repo *r, struct dm_err *err)
{
	const char *ref = name->ref[0] != '\0' ? name->ref : "main";

	if (!p->pinned || r->allow_rollback || !r->id_known ||
	    memcmp(r->id, p->old.repo_id, REPO_ID_SIZE) != 0)
		return 0;
	return pin_check_rollback(&p->old, source_name(p), ref, now, err);
}

/* A pin that is there already must pin just what was asked for. */
static int
check_pin(const struct plan *p, const struct source_name *name,
    const struct resolved *now, const struct repo *r, struct dm_err *err)
{
	if (!p->pinned)
		return 0;
	if (r->id_known && memcmp(r->id, p->old.repo_id, REPO_ID_SIZE) != 0)
		return dm_fail(err, DM_STALE,
		    "%s pins a version of another repository, %s: remove it, "
		    "or choose another place",
		    source_name(p), p->old.repository[0]);
	if (strcmp(name->path, p->old.path) != 0)
		return dm_fail(err, DM_STALE,
		    "%s pins the path '/%s', not '/%s': remove it, or choose "
		    "another place",
		    source_name(p), p->old.path, name->path);
	if (!digest_equal(&p->old.commit, &now->commit))
		return fail_moved(p, name, now, err);
	return 0;
}

/* The pin for what a name was resolved to. */
static void
make_pin(struct source_file *pin, const struct source_name *name,
    const struct resolved *now, const struct repo *r)
{
	memset(pin, 0, sizeof(*pin));
	memcpy(pin->repository[0], name->repo, sizeof(pin->repository[0]));
	pin->nrepositories = 1;
	memcpy(pin->repo_id, r->id, sizeof(pin->repo_id));
	pin->commit = now->commit;
	memcpy(pin->path, name->path, sizeof(pin->path));
	if (now->name[0] == '\0')
		return;
	(void)snprintf(pin->ref, sizeof(pin->ref), "%s",
	    name->ref[0] != '\0' ? name->ref : "main");
	pin->sequence = now->sequence;
}

/* Mirrors that are configured, pinned already, named on the command line. */
static int
find_mirrors(struct plan *p, struct dm_err *err)
{
	struct source_file *pin = &p->m.spec.pin;

	if (config_mirrors(pin, err) < 0)
		return -1;
	if (p->pinned) {
		struct source_file old = p->old;

		if (pin_absolute(p->place.source, &old, err) < 0 ||
		    mirrors_copy(pin, &old, err) < 0)
			return -1;
	}
	return mirrors_given(pin, &p->args, &p->more_mirrors, err);
}

/* Find and load what REPO[@REF][:PATH] means now. */
static int
resolve_name(struct plan *p, const struct source_name *name, struct session *s,
    struct dm_err *err)
{
	struct resolved now;

	if (mounting_check_folder(s, err) < 0)
		return -1;
	/* A full id needs no answer, and a pin of it was checked before. */
	if (repo_resolve(s->repo, name->ref, &now, err) < 0)
		return -1;
	if (!p->pinned && repo_identify(s->repo, err) < 0)
		return -1;
	if (check_sequence(p, name, &now, s->repo, err) < 0 ||
	    check_pin(p, name, &now, s->repo, err) < 0)
		return -1;
	make_pin(&p->m.spec.pin, name, &now, s->repo);
	if (p->pinned)
		memcpy(p->m.spec.pin.repo_id, p->old.repo_id, REPO_ID_SIZE);
	if (find_mirrors(p, err) < 0 ||
	    session_mirrors(s, &p->m.spec.pin, err) < 0)
		return -1;
	return mounting_load(&p->m, s, p->pinned, err);
}

static int
load_name(struct plan *p, const char *text, struct dm_err *err)
{
	struct source_name name;
	struct session s;
	int rc;

	if (config_name_parse(&name, text, err) < 0)
		return -1;
	if (p->place.source[0] != '\0' &&
	    pin_read(p->place.source, &p->old, &p->pinned, err) < 0)
		return -1;
	if (mounting_options(&p->m, &p->args, name.repo, err) < 0)
		return -1;
	if (session_open(&s, &p->args, name.repo, err) < 0)
		return -1;
	rc = resolve_name(p, &name, &s, err);
	session_close(&s);
	return rc;
}

/* Load what the .source file pins. */
static int
load_pin(struct plan *p, struct dm_err *err)
{
	struct source_file *pin = &p->m.spec.pin;

	if (pin_read(p->place.source, &p->old, &p->pinned, err) < 0)
		return -1;
	if (!p->pinned && p->args.n == 1 && strchr(p->shown, '/') == NULL)
		return cmd_usage(err,
		    "'%s' is no command, and there is no %s to say what to "
		    "mount there",
		    p->shown, source_name(p));
	if (!p->pinned)
		return dm_fail(err, DM_NOTFOUND,
		    "there is no %s to say what to mount: `datamount "
		    "REPO[@REF] %s` makes it",
		    p->place.source, p->shown);
	*pin = p->old;
	if (pin_absolute(p->place.source, pin, err) < 0 ||
	    mirrors_given(pin, &p->args, &p->more_mirrors, err) < 0 ||
	    mounting_options(&p->m, &p->args, pin->repository[0], err) < 0)
		return -1;
	if (mounting_fetch(&p->m, true, err) < 0)
		return dm_wrap(err, "%s", source_name(p));
	return 0;
}

/* The pin stays as it is, but for new mirrors at its end. */
static int
write_mirrors(const struct plan *p, struct dm_err *err)
{
	struct source_file pin = p->old;
	bool added = false;

	if (pin_absolute(p->place.source, &pin, err) < 0 ||
	    mirrors_given(&pin, &p->args, &added, err) < 0 ||
	    pin_relative(p->place.source, &pin, err) < 0)
		return -1;
	return added ? pin_write(p->place.source, &pin, err) : 0;
}

/* Write the pin, unless it is there.  Outside of Git nobody waits for it. */
static int
write_pin(struct plan *p, struct dm_err *err)
{
	struct source_file pin = p->m.spec.pin;
	char dir[PATH_MAX], top[PATH_MAX];
	struct dm_err why = { 0 };
	bool in_git = false;

	if (p->place.source[0] == '\0')
		return 0;
	if (p->pinned)
		return p->more_mirrors ? write_mirrors(p, err) : 0;
	if (pin_relative(p->place.source, &pin, err) < 0)
		return -1;
	if (pin_write(p->place.source, &pin, &why) == 0) {
		p->wrote_pin = true;
		return 0;
	}
	(void)snprintf(dir, sizeof(dir), "%.*s",
	    (int)(strrchr(p->place.source, '/') - p->place.source) + 1,
	    p->place.source);
	if (git_work_tree(dir, top, &in_git, err) < 0)
		return -1;
	if (in_git) {
		*err = why;
		return dm_wrap(err, "the pin cannot be written");
	}
	(void)fprintf(stderr,
	    "datamount: no pin is written: %s (--no-source says that none is "
	    "wanted)\n",
	    why.text);
	p->place.source[0] = p->m.spec.source_path[0] = '\0';
	return 0;
}

static void
track(const struct plan *p)
{
	if (p->use_git)
		pin_track(p->place.dir, p->place.source, p->quiet);
}

static void
say_mounted(const struct plan *p)
{
	const struct commit *c = &p->m.commit;
	char id[DIGEST_HEX + 1], bytes[CMD_BYTES_TEXT];

	if (p->quiet)
		return;
	digest_hex(&p->m.spec.pin.commit, id);
	(void)fprintf(stderr,
	    "datamount: %s shows %.12s%s%s%s: %llu files, %s\n", p->shown, id,
	    p->m.spec.pin.ref[0] != '\0' ? " (" : "", p->m.spec.pin.ref,
	    p->m.spec.pin.ref[0] != '\0' ? ")" : "",
	    (unsigned long long)c->files, cmd_bytes(bytes, c->bytes));
}

/*
 * In the foreground mount_run returns only after the unmount; what is to be
 * said and done when the mount is usable is then done by a child, which waits
 * for the word on a pipe and passes it on.
 */
static int
follow(const struct plan *p, int *word, pid_t *child, struct dm_err *err)
{
	int fds[2];
	char byte;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return dm_fail_errno(err, "pipe");
	(void)fflush(NULL);
	*child = fork();
	if (*child < 0) {
		(void)dm_fail_errno(err, "fork");
		(void)close(fds[0]);
		(void)close(fds[1]);
		return -1;
	}
	*word = fds[1];
	if (*child > 0) {
		(void)close(fds[0]);
		/* The child has it, and ends when it has passed on the word. */
		if (p->m.spec.notify_fd >= 0)
			(void)close(p->m.spec.notify_fd);
		return 0;
	}
	(void)close(fds[1]);
	if (read(fds[0], &byte, 1) == 1) {
		track(p);
		say_mounted(p);
		/* Who does not listen any more does not mind. */
		if (p->m.spec.notify_fd >= 0 &&
		    write(p->m.spec.notify_fd, "\n", 1) < 0)
			_exit(1);
	}
	_exit(0);
}

static int
run_foreground(struct plan *p, struct dm_err *err)
{
	struct mount_spec spec = p->m.spec;
	pid_t child = -1;
	int rc;

	if (follow(p, &spec.notify_fd, &child, err) < 0)
		return -1;
	rc = mount_run(&spec, err);
	/* The mount may have reaped it already. */
	(void)waitpid(child, NULL, 0);
	return rc;
}

static int
run_background(struct plan *p, struct dm_err *err)
{
	(void)fflush(NULL);
	if (mount_run(&p->m.spec, err) < 0)
		return -1;
	track(p);
	say_mounted(p);
	return 0;
}

static bool
below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* Change things, from the first to the last. */
static int
perform(struct plan *p, struct dm_err *err)
{
	if (mount_point_prepare(p->place.dir, &p->made_dir, err) < 0)
		return -1;
	/* It exists now: symlinks in it can be told. */
	if (realpath(p->place.dir, p->m.spec.dir) == NULL)
		return dm_fail_errno(err, "%s", p->place.dir);
	if (below(p->m.spec.record_trace, p->m.spec.dir))
		return dm_fail(err, DM_INVALID,
		    "--record-trace %s: the mount will hide it: write it "
		    "somewhere else",
		    p->m.spec.record_trace);
	if (write_pin(p, err) < 0)
		return -1;
	return p->m.spec.foreground ? run_foreground(p, err) :
				      run_background(p, err);
}

static int
prepare(struct plan *p, struct dm_err *err)
{
	const struct cmd_args *a = &p->args;
	const char *source;
	uint64_t fd;

	if (cmd_number(a, "notify-fd", false, UINT64_MAX, &fd, err) < 0)
		return -1;
	if (cmd_flag(a, "no-source") && cmd_value(a, "source") != NULL)
		return cmd_usage(err, "mount: --source or --no-source?");
	if (fd != UINT64_MAX)
		p->m.spec.notify_fd = (int)fd;
	p->quiet = cmd_flag(a, "quiet");
	p->shown = a->operands[a->n - 1];
	if (a->n == 1 && pin_is_file(p->shown))
		return cmd_usage(err,
		    "mount: where? `datamount %s DIR` mounts what it pins",
		    p->shown);
	source = cmd_value(a, "source");
	if (a->n == 2 && pin_is_file(a->operands[0]))
		source = a->operands[0];
	if (pin_place(&p->place, p->shown, source, err) < 0)
		return -1;
	if (cmd_flag(a, "no-source") && a->n == 2)
		p->place.source[0] = '\0';
	memcpy(p->m.spec.source_path, p->place.source,
	    sizeof(p->m.spec.source_path));
	return 0;
}

static int
run_plan(struct plan *p, struct dm_err *err)
{
	const struct cmd_args *a = &p->args;
	int rc;

	if (prepare(p, err) < 0)
		return -1;
	if (a->n == 2 && !pin_is_file(a->operands[0]))
		rc = load_name(p, a->operands[0], err);
	else
		rc = load_pin(p, err);
	if (rc < 0 || perform(p, err) == 0)
		return rc;
	/* Leave nothing half done; the error is what failed first. */
	if (p->wrote_pin)
		(void)unlink(p->place.source);
	if (p->made_dir)
		(void)rmdir(p->place.dir);
	return -1;
}

static int
mount_args(const struct cmd_args *a, bool use_git, struct dm_err *err)
{
	struct plan *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return dm_fail(err, DM_NOMEM, "mount");
	mounting_init(&p->m);
	p->args = *a;
	p->use_git = use_git;
	rc = run_plan(p, err);
	mounting_release(&p->m);
	free(p);
	return rc;
}

/* What --all does for each file. */
static int
mount_pinned(const struct cmd_args *a, const char *source, const char *dir,
    struct dm_err *err)
{
	char file[PATH_MAX], at[PATH_MAX], *operands[] = { file, at };
	struct cmd_args one = *a;

	(void)snprintf(file, sizeof(file), "%s", source);
	(void)snprintf(at, sizeof(at), "%s", dir);
	one.operands = operands;
	one.n = 2;
	return mount_args(&one, false, err);
}

static int
run_mount(int argc, char **argv, struct dm_err *err)
{
	struct cmd_args a;

	if (cmd_parse(&a, &cmd_mount, argc, argv, 0, 2, err) < 0)
		return -1;
	if (cmd_flag(&a, "all") &&
	    (cmd_value(&a, "record-trace") != NULL ||
		cmd_value(&a, "replay-trace") != NULL))
		return cmd_usage(err,
		    "mount: a trace belongs to one mount, not to --all");
	if (cmd_flag(&a, "all"))
		return mount_all(&a, mount_pinned, err);
	if (a.n == 0)
		return cmd_usage(err,
		    "mount: too few operands: datamount mount %s",
		    cmd_mount.args);
	return mount_args(&a, !cmd_flag(&a, "no-git"), err);
}

static const struct cmd_option options[] = {
	{ "all", 0, NULL, "every .source file that Git tracks here" },
	{ "source", 0, "FILE", "pin in FILE, not in DIR.source" },
	{ "no-source", 0, NULL, "write no pin" },
	{ "no-git", 0, NULL, "leave Git alone" },
	{ "mirror", 0, "REPO", "also read from this copy; may be repeated" },
	CMD_MOUNT_OPTIONS,
	{ "notify-fd", 0, "N", "write a newline to descriptor N once usable" },
	CMD_SESSION_OPTIONS,
	{ 0 },
};

const struct cmd cmd_mount = {
	.name = "mount",
	.args = "REPO[@REF][:PATH] DIR | DIR | FILE.source DIR | --all",
	.help = "mount a version and pin it, or mount what is pinned",
	.options = options,
	.run = run_mount,
};
