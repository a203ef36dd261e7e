/* datamount commit: a directory becomes a version. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/config.h"
#include "fs/cmd/date.h"
#include "fs/format/limits.h"
#include "fs/publish/publish.h"

enum { EXCLUDES_MAX = 64 };

struct view {
	struct progress *progress;
};

static void
show_progress(void *arg, uint64_t files, uint64_t bytes)
{
	struct view *v = arg;

	progress_update(v->progress, files, bytes, 0);
}

static void
warn(void *arg, const char *text)
{
	(void)arg;
	(void)fprintf(stderr, "datamount: warning: %s\n", text);
}

/* The message of -m, or of the file of -F. */
static int
get_message(const struct cmd_args *a, struct dm_buf *out, struct dm_err *err)
{
	const char *text = cmd_value(a, "message");
	const char *file = cmd_value(a, "file");
	bool found = true;

	if ((text == NULL) == (file == NULL))
		return cmd_usage(err,
		    "give the version's message with -m MESSAGE or -F FILE");
	if (text != NULL)
		return dm_buf_append(out, text, strlen(text), err);
	if (dm_file_read(AT_FDCWD, strcmp(file, "-") == 0 ? "/dev/stdin" : file,
		out, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND, "%s: no such file", file);
	if (out->size > 0 && strlen(out->data) != out->size)
		return dm_fail(err, DM_INVALID, "%s: not a text", file);
	return out->size > 0 ? 0 : dm_buf_append(out, "", 0, err);
}

static int
get_options(const struct cmd_args *a, struct publish_options *o,
    const char **excludes, struct dm_err *err)
{
	const char *symlinks = cmd_value(a, "symlinks");
	const char *date = cmd_value(a, "date");

	o->author = cmd_value(a, "author");
	if (o->author == NULL)
		o->author = secure_getenv("DATAMOUNT_AUTHOR");
	if (o->author != NULL && *o->author == '\0')
		o->author = NULL;
	if (date != NULL && !date_parse(&o->time, date))
		return cmd_usage(err,
		    "--date: '%.60s' is neither seconds since 1970 nor like"
		    " 2024-05-31T12:00:00Z",
		    date);
	if (symlinks != NULL && strcmp(symlinks, "keep") != 0 &&
	    strcmp(symlinks, "refuse") != 0)
		return cmd_usage(err, "--symlinks is keep or refuse");
	o->all_symlinks = symlinks != NULL && strcmp(symlinks, "keep") == 0;
	o->rehash = cmd_flag(a, "rehash");
	o->excludes = excludes;
	while (o->nexcludes < EXCLUDES_MAX &&
	    (excludes[o->nexcludes] =
		    cmd_value_at(a, "exclude", (int)o->nexcludes)) != NULL)
		o->nexcludes++;
	return 0;
}

static void
report(const struct publish_options *o, const struct publish_result *r,
    bool quiet)
{
	char size[CMD_BYTES_TEXT], stored[CMD_BYTES_TEXT];
	char hex[DIGEST_HEX + 1];

	digest_hex(&r->commit, hex);
	(void)puts(hex); /* main reports what stdout refuses */
	if (r->unchanged)
		(void)fprintf(stderr,
		    "%s is unchanged: %s stays at this version\n",
		    o->stream ? "the archive" : o->dir, o->branch);
	else if (!quiet)
		(void)fprintf(stderr,
		    "committed %llu files, %s; stored %s new in %llu packs\n",
		    (unsigned long long)r->files, cmd_bytes(size, r->bytes),
		    cmd_bytes(stored, r->stored), (unsigned long long)r->packs);
}

static int
commit(const struct cmd_args *a, const struct publish_target *to,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf message = DM_BUF(DM_MESSAGE_MAX);
	const char *excludes[EXCLUDES_MAX + 1];
	bool quiet = cmd_flag(a, "quiet");
	struct view view = { 0 };
	char cache_dir[PATH_MAX];
	struct publish_options o = {
		.dir = a->operands[0],
		.repo = to->repo,
		.branch = *to->ref == '\0' ? "main" : to->ref,
		.progress = show_progress,
		.warn = warn,
		.arg = &view,
	};
	struct publish_result r;
	int rc;

	o.stream = strcmp(o.dir, "-") == 0;
	if (o.stream && isatty(STDIN_FILENO) == 1)
		return cmd_usage(err,
		    "- reads a tar archive from standard input, which is a"
		    " terminal");
	if (o.stream && cmd_value(a, "file") != NULL &&
	    strcmp(cmd_value(a, "file"), "-") == 0)
		return cmd_usage(err,
		    "standard input is the archive: give the message with -m");
	if (get_message(a, &message, err) < 0 ||
	    get_options(a, &o, excludes, err) < 0 ||
	    config_cache_dir(cache_dir, a, err) < 0)
		return -1;
	o.cache_dir = cache_dir;
	o.message = message.data;
	view.progress = progress_new("commit", quiet);
	rc = publish_commit(&o, &r, err);
	progress_free(view.progress);
	if (rc < 0)
		return -1;
	report(&o, &r, quiet);
	return CMD_DONE;
}

static int
run_commit(int argc, char **argv, struct dm_err *err)
{
	DM_AUTO(dm_freep) char *repo = NULL;
	struct publish_target to;
	struct cmd_args a;
	int rc;

	if (cmd_parse(&a, &cmd_commit, argc, argv, 2, 2, err) < 0 ||
	    config_expand(&repo, a.operands[1], err) < 0 ||
	    publish_target_parse(&to, repo, err) < 0)
		return -1;
	rc = commit(&a, &to, err);
	publish_target_release(&to);
	return rc;
}

static const struct cmd_option options[] = {
	{ "message", 'm', "MESSAGE", "what this version is" },
	{ "file", 'F', "FILE", "take the message from FILE (- for stdin)" },
	{ "author", 0, "TEXT", "who made it (default: $DATAMOUNT_AUTHOR)" },
	{ "date", 0, "TIME", "when: seconds since 1970, or ISO 8601" },
	{ "exclude", 0, "PATTERN", "leave out, as a line of .datamountignore" },
	{ "symlinks", 0, "keep", "keep symlinks that leave the directory" },
	{ "rehash", 0, NULL, "read files that seem unchanged, too" },
	{ 0 },
};

const struct cmd cmd_commit = {
	.name = "commit",
	.args = "DIR|- REPO[@BRANCH] -m MESSAGE",
	.help = "publish a directory, or a tar stream, as a new version",
	.options = options,
	.run = run_commit,
};
