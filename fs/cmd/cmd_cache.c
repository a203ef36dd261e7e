/* datamount cache: what the cache on this machine holds, and emptying it. */
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cache/base/err.h"
#include "cache/cache.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/config.h"

static int
print_json(const char *dir, const struct cache_usage *u, uint64_t limit,
    const char *free_key, struct dm_err *err)
{
	json_t *o = json_pack("{s:s%, s:I, s:I, s:I, s:I, s:I}", "directory",
	    dir, strlen(dir), "blobs", (json_int_t)u->blobs, free_key,
	    (json_int_t)u->bytes, "pinned", (json_int_t)u->pinned, "limit",
	    (json_int_t)limit, "disk_free", (json_int_t)u->disk_free);
	int rc;

	if (o == NULL)
		return dm_fail(err, DM_INVALID,
		    "the path of the cache directory is not UTF-8");
	rc = json_dumpf(o, stdout, JSON_INDENT(2));
	json_decref(o);
	printf("\n");
	return rc < 0 ? dm_fail(err, DM_IO, "cannot write the output") : 0;
}

static void
print_limit(const char *label, uint64_t limit)
{
	char bytes[CMD_BYTES_TEXT];

	printf("%s%s\n", label,
	    limit == 0 ? "none: a tenth of the disk stays free" :
			 cmd_bytes(bytes, limit));
}

static void
print_coldest(const struct cache_usage *u)
{
	time_t when = (time_t)u->coldest_s;
	char text[32];
	struct tm tm;

	if (when != 0 && gmtime_r(&when, &tm) != NULL &&
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
		printf("coldest    last used %s\n", text);
}

static int
print_status(const struct cmd_args *a, const char *dir, struct dm_err *err)
{
	char bytes[CMD_BYTES_TEXT], left[CMD_BYTES_TEXT];
	struct cache_usage u;
	uint64_t limit;

	if (cache_usage(dir, &u, err) < 0 || cache_limit(dir, &limit, err) < 0)
		return -1;
	if (cmd_flag(a, "json"))
		return print_json(dir, &u, limit, "bytes", err);
	printf("directory  %s\n", dir);
	printf("blobs      %" PRIu64 "\n", u.blobs);
	printf("bytes      %s\n", cmd_bytes(bytes, u.bytes));
	print_limit("limit      ", limit);
	if (u.pinned > 0)
		printf("pinned     %s\n", cmd_bytes(bytes, u.pinned));
	print_coldest(&u);
	printf("disk free  %s\n", cmd_bytes(left, u.disk_free));
	return CMD_DONE;
}

/* Say what the limit is, or set it: BYTES, or none. */
static int
change_limit(const struct cmd_args *a, const char *dir, struct dm_err *err)
{
	const char *text = a->n > 1 ? a->operands[1] : NULL;
	uint64_t limit = 0;

	if (text == NULL) {
		if (cache_limit(dir, &limit, err) < 0)
			return -1;
		print_limit("", limit);
		return CMD_DONE;
	}
	if (strcmp(text, "none") != 0 &&
	    (!cmd_parse_bytes(text, &limit) || limit == 0))
		return cmd_usage(err,
		    "cache limit: a number of bytes, such as 20G, or none, not"
		    " %.40s",
		    text);
	if (cache_set_limit(dir, limit, err) < 0)
		return -1;
	return CMD_DONE;
}

static int
clear(const struct cmd_args *a, const char *dir, struct dm_err *err)
{
	char bytes[CMD_BYTES_TEXT];
	struct cache_usage freed;

	if (cache_clear(dir, &freed, err) < 0)
		return -1;
	if (cmd_flag(a, "json"))
		return print_json(dir, &freed, 0, "freed", err);
	printf("freed %s in %" PRIu64 " blobs of %s\n",
	    cmd_bytes(bytes, freed.bytes), freed.blobs, dir);
	return CMD_DONE;
}

static int
run_cache(int argc, char **argv, struct dm_err *err)
{
	struct cmd_args a;
	char dir[PATH_MAX];

	if (cmd_parse(&a, &cmd_cache, argc, argv, 1, 2, err) < 0 ||
	    config_cache_dir(dir, &a, err) < 0)
		return -1;
	if (strcmp(a.operands[0], "limit") == 0)
		return change_limit(&a, dir, err);
	if (a.n > 1)
		return cmd_usage(err, "cache %s: too many operands",
		    a.operands[0]);
	if (strcmp(a.operands[0], "status") == 0)
		return print_status(&a, dir, err);
	if (strcmp(a.operands[0], "clear") == 0)
		return clear(&a, dir, err);
	return cmd_usage(err, "cache: status, limit or clear, not %.40s",
	    a.operands[0]);
}

static const struct cmd_option options[] = {
	{ "cache", 0, "DIR", "the cache in DIR" },
	{ "json", 0, NULL, "print JSON, sizes in bytes" },
	{ 0 },
};

const struct cmd cmd_cache = {
	.name = "cache",
	.args = "status|clear|limit [BYTES|none]",
	.help = "say what the local cache holds, bound it, or empty it",
	.options = options,
	.run = run_cache,
};

/* ---- fsck ---- */

static void
on_progress(void *arg, uint64_t bytes)
{
	progress_update(arg, 0, bytes, 0);
}

static int
run_fsck(int argc, char **argv, struct dm_err *err)
{
	char dir[PATH_MAX], bytes[CMD_BYTES_TEXT];
	struct cache_check check;
	struct progress *progress;
	struct cmd_args a;
	int rc;

	if (cmd_parse(&a, &cmd_fsck, argc, argv, 0, 0, err) < 0 ||
	    config_cache_dir(dir, &a, err) < 0)
		return -1;
	progress = progress_new("checking", cmd_flag(&a, "quiet"));
	rc = cache_fsck(dir, &check, on_progress, progress, err);
	progress_free(progress);
	if (rc < 0)
		return -1;
	printf("%s: %" PRIu64 " blobs, %" PRIu64 " pieces, %s: %" PRIu64
	       " damaged%s\n",
	    dir, check.blobs, check.pieces, cmd_bytes(bytes, check.bytes),
	    check.bad, check.bad > 0 ? " and dropped" : "");
	return check.bad > 0 ? CMD_DAMAGE : CMD_DONE;
}

static const struct cmd_option fsck_options[] = {
	{ "cache", 0, "DIR", "the cache in DIR" },
	{ 0 },
};

const struct cmd cmd_fsck = {
	.name = "fsck",
	.args = "",
	.help = "check every byte of the local cache, drop what is damaged",
	.options = fsck_options,
	.run = run_fsck,
};
