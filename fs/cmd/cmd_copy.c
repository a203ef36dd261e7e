/* datamount clone and push: versions travel from repository to repository. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/config.h"
#include "fs/publish/copy.h"
#include "fs/source/source.h"

struct list {
	struct ref_line *ref;
	size_t n, room;
	bool branches, tags; /* of those that the source names */
	struct dm_err gone;  /* why the last one was passed over */
	struct repo *repo;
	uint64_t now;
};

struct view {
	struct progress *progress;
};

static void
show_progress(void *arg, uint64_t packs, uint64_t bytes)
{
	struct view *v = arg;

	progress_update(v->progress, packs, bytes, 0);
}

static void
show_ref(void *arg, const struct ref_line *ref)
{
	char hex[DIGEST_HEX + 1];

	(void)arg;
	digest_hex(&ref->ref.commit, hex);
	(void)printf("%s/%s %s\n", ref->tag ? "tags" : "heads", ref->name,
	    hex); /* main reports what stdout refuses */
}

static int
add(struct list *l, const struct ref_line *ref, struct dm_err *err)
{
	if (l->n == l->room) {
		size_t room = l->room == 0 ? 16 : 2 * l->room;
		struct ref_line *q = reallocarray(l->ref, room, sizeof(*q));

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "refs");
		l->ref = q;
		l->room = room;
	}
	l->ref[l->n++] = *ref;
	return 0;
}

/* Ask the source what a name means now. */
static int
add_name(struct list *l, const char *name, uint64_t at, struct dm_err *err)
{
	struct ref_line ref = { 0 };
	struct resolved is;
	const char *slash;

	if (repo_resolve(l->repo, name, &is, err) < 0)
		return -1;
	slash = strchr(is.name, '/');
	if (slash == NULL)
		return dm_fail(err, DM_INVALID,
		    "%s is no branch or tag: put a tag on it first", name);
	ref.tag = strncmp(is.name, "tags/", 5) == 0;
	(void)snprintf(ref.name, sizeof(ref.name), "%s", slash + 1);
	ref.ref.commit = is.commit;
	ref.ref.sequence = is.sequence;
	ref.ref.time = at;
	return add(l, &ref, err);
}

/* refs/all names them; what they are, they say themselves. */
static int
add_line(void *arg, const struct ref_line *line, struct dm_err *err)
{
	struct list *l = arg;
	char name[DM_REF_NAME_MAX + 8];

	if (line->tag ? !l->tags : !l->branches)
		return 0;
	(void)snprintf(name, sizeof(name), "%s/%s",
	    line->tag ? "tags" : "heads", line->name);
	if (add_name(l, name, line->ref.time, err) == 0)
		return 0;
	if (err->code != DM_NOTFOUND)
		return -1;
	/* deleted: refs/all is a hint, and may be old */
	l->gone = *err;
	*err = (struct dm_err){ 0 };
	return 0;
}

static int
list_refs(struct list *l, const struct cmd_args *a, bool clone,
    struct dm_err *err)
{
	bool named = a->n > 2;

	l->now = (uint64_t)time(NULL);
	l->branches = !named;
	l->tags = clone ? !named : cmd_flag(a, "tags");
	for (int i = 2; i < a->n; i++)
		if (add_name(l, a->operands[i], l->now, err) < 0)
			return -1;
	if ((l->branches || l->tags) &&
	    repo_refs(l->repo, add_line, l, err) < 0)
		return -1;
	if (l->n == 0 && l->gone.code != DM_OK) {
		*err = l->gone;
		return -1;
	}
	if (l->n == 0 && !clone)
		return dm_fail(err, DM_NOTFOUND,
		    "%s has no branch: nothing to push", a->operands[0]);
	return 0;
}

static int
copy(const struct cmd_args *a, struct session *s, const char *to, bool clone,
    struct dm_err *err)
{
	struct view view = { 0 };
	bool quiet = cmd_flag(a, "quiet");
	struct copy_options o = { .from = s->repo->origin,
		.to = to,
		.make = clone,
		.force = !clone && cmd_flag(a, "force"),
		.progress = show_progress,
		.moved = show_ref,
		.arg = &view };
	struct copy_result r = { 0 };
	struct list l = { .repo = s->repo };
	char bytes[CMD_BYTES_TEXT];
	uint64_t seconds;
	int rc;

	if (cmd_number(a, "timeout", false, CMD_TIMEOUT_S, &seconds, err) < 0 ||
	    repo_identify(s->repo, err) < 0)
		return -1;
	o.timeout_ms = seconds * 1000;
	memcpy(o.id, s->repo->id, REPO_ID_SIZE);
	rc = list_refs(&l, a, clone, err);
	if (rc == 0) {
		view.progress = progress_new(clone ? "clone" : "push", quiet);
		rc = copy_versions(&o, l.ref, l.n, &r, err);
		progress_free(view.progress);
	}
	free(l.ref);
	if (rc < 0)
		return -1;
	if (!quiet)
		(void)fprintf(stderr,
		    "%llu packs, %s, and %llu commits travelled; "
		    "%llu refs moved\n",
		    (unsigned long long)r.packs, cmd_bytes(bytes, r.bytes),
		    (unsigned long long)r.commits, (unsigned long long)r.refs);
	return CMD_DONE;
}

static int
run_copy(const struct cmd *cmd, int argc, char **argv, struct dm_err *err)
{
	DM_AUTO(dm_freep) char *to = NULL;
	struct source_name from;
	struct session s;
	struct cmd_args a;
	int rc;

	if (cmd_parse(&a, cmd, argc, argv, 2, -1, err) < 0 ||
	    config_name_parse(&from, a.operands[0], err) < 0 ||
	    config_expand(&to, a.operands[1], err) < 0)
		return -1;
	if (from.ref_given)
		return cmd_usage(err,
		    "name branches and tags behind the repositories, not with "
		    "@");
	if (session_open(&s, &a, from.repo, err) < 0)
		return -1;
	rc = copy(&a, &s, to, cmd == &cmd_clone, err);
	session_close(&s);
	return rc;
}

static int
run_clone(int argc, char **argv, struct dm_err *err)
{
	return run_copy(&cmd_clone, argc, argv, err);
}

static int
run_push(int argc, char **argv, struct dm_err *err)
{
	return run_copy(&cmd_push, argc, argv, err);
}

static const struct cmd_option clone_options[] = {
	CMD_SESSION_OPTIONS,
	{ 0 },
};

static const struct cmd_option push_options[] = {
	{ "tags", 0, NULL, "all tags too" },
	{ "force", 'f', NULL, "move branches and tags that lead elsewhere" },
	CMD_SESSION_OPTIONS,
	{ 0 },
};

const struct cmd cmd_clone = {
	.name = "clone",
	.args = "SRC DST [REF...]",
	.help = "copy a repository, or some of its refs, to a folder",
	.options = clone_options,
	.run = run_clone,
};

const struct cmd cmd_push = {
	.name = "push",
	.args = "SRC DST [REF...]",
	.help = "bring a copy of a repository up to date",
	.options = push_options,
	.run = run_push,
};
