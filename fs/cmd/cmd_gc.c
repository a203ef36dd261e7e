/* datamount gc: free what no ref of a repository reaches. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/config.h"
#include "fs/publish/gc.h"

enum { GRACE_HOURS = 24, HOUR_S = 3600 };

struct view {
	bool dry;
};

/* One line for each thing of a dry run. */
static void
say(void *arg, enum gc_act act, enum mark_kind kind, const struct digest *id,
    uint64_t bytes)
{
	static const char *const acts[] = { [GC_MARK] = "mark",
		[GC_DELETE] = "delete",
		[GC_REPACK] = "repack" };
	static const char *const kinds[] = { [MARK_PACK] = "pack",
		[MARK_COMMIT] = "commit",
		[MARK_MOVED] = "moved" };
	const struct view *v = arg;
	char hex[DIGEST_HEX + 1];

	if (!v->dry)
		return;
	digest_hex(id, hex);
	(void)printf("%s %s %s %llu\n", acts[act], kinds[kind], hex,
	    (unsigned long long)bytes);
}

static void
say_left(void *arg, const char *path, uint64_t bytes)
{
	const struct view *v = arg;

	if (v->dry)
		(void)printf("delete temporary %s %llu\n", path,
		    (unsigned long long)bytes);
}

static void
warn(void *arg, const char *text)
{
	(void)arg;
	(void)fprintf(stderr, "datamount: warning: %s\n", text);
}

static void
report(const struct gc_result *r, bool dry)
{
	char kept[CMD_BYTES_TEXT], marked[CMD_BYTES_TEXT], gone[CMD_BYTES_TEXT];

	if (r->repacked > 0) {
		char from[CMD_BYTES_TEXT], to[CMD_BYTES_TEXT];

		(void)fprintf(stderr,
		    "%llu packs (%s) are replaced by %llu (%s)\n",
		    (unsigned long long)r->repacked,
		    cmd_bytes(from, r->repacked_bytes),
		    (unsigned long long)r->new_packs,
		    cmd_bytes(to, r->new_bytes));
	}
	if (r->temps > 0)
		(void)fprintf(stderr,
		    "%llu temporary files (%s) that nobody goes on with %s "
		    "deleted\n",
		    (unsigned long long)r->temps,
		    cmd_bytes(gone, r->temp_bytes), dry ? "would be" : "were");
	(void)fprintf(stderr,
	    "%llu packs (%s) are kept; %llu (%s) %s marked; "
	    "%llu (%s) and %llu commits %s deleted\n",
	    (unsigned long long)r->packs, cmd_bytes(kept, r->bytes),
	    (unsigned long long)r->marked, cmd_bytes(marked, r->marked_bytes),
	    dry ? "would be" : "are", (unsigned long long)r->deleted,
	    cmd_bytes(gone, r->deleted_bytes), (unsigned long long)r->commits,
	    dry ? "would be" : "were");
}

static int
run_gc(int argc, char **argv, struct dm_err *err)
{
	DM_AUTO(dm_freep) char *repo = NULL;
	struct gc_options o = { .say = say, .left = say_left, .warn = warn };
	struct gc_result r;
	struct view view;
	struct cmd_args a;
	uint64_t hours;

	if (cmd_parse(&a, &cmd_gc, argc, argv, 1, 1, err) < 0 ||
	    cmd_number(&a, "grace", false, GRACE_HOURS, &hours, err) < 0 ||
	    config_expand(&repo, a.operands[0], err) < 0)
		return -1;
	if (strchr(repo, '@') != NULL && access(repo, F_OK) < 0)
		return cmd_usage(err,
		    "gc cares for a whole repository: name it without @");
	if (hours > UINT32_MAX)
		return cmd_usage(err, "--grace: that is for ever");
	view.dry = cmd_flag(&a, "dry-run");
	o.repo = repo;
	o.dry_run = view.dry;
	o.repack = cmd_flag(&a, "repack");
	o.grace_s = hours * HOUR_S;
	o.arg = &view;
	if (gc_run(&o, &r, err) < 0)
		return -1;
	if (!cmd_flag(&a, "quiet"))
		report(&r, view.dry);
	return CMD_DONE;
}

static const struct cmd_option options[] = {
	{ "dry-run", 'n', NULL, "print what would be done, change nothing" },
	{ "grace", 0, "HOURS",
	    "delete what was marked so long ago (default: 24)" },
	{ "repack", 0, NULL, "rewrite packs of which little is needed" },
	{ 0 },
};

const struct cmd cmd_gc = {
	.name = "gc",
	.args = "REPO",
	.help = "free what no branch or tag reaches",
	.options = options,
	.run = run_gc,
};
