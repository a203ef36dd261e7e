/*
 * datamount pin, unpin: what the cache is to keep.
 *
 * The blobs that a version needs are those that the cache is asked for while
 * the whole tree is walked and every file asked how much of it is here: so
 * metadata is fetched, data is not, and what a repository has moved counts
 * where it lies now.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/cache.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/config.h"
#include "fs/cmd/look.h"
#include "fs/cmd/prefetch.h"
#include "fs/cmd/shown.h"

enum { PREFIX_MIN = 8 };

/* ---- names ---- */

/* The name of a pin that was given none: the commit's id, and for a part of it
 * the digest of its path. */
static void
own_name(char name[CACHE_PIN_NAME + 1], const struct shown *s)
{
	char commit[DIGEST_HEX + 1], part[DIGEST_HEX + 1];
	struct digest path;

	digest_hex(&s->commit, commit);
	digest_of(&path, s->path, strlen(s->path));
	digest_hex(&path, part);
	(void)snprintf(name, CACHE_PIN_NAME + 1, "%s%s%.16s", commit,
	    s->path[0] != '\0' ? "." : "", s->path[0] != '\0' ? part : "");
}

/* ---- pin ---- */

struct counting {
	struct version *version;
	uint64_t bytes, cached; /* of all files */
};

static int
count_entry(void *arg, const struct dm_buf *path,
    const struct version_node *node, struct dm_err *err)
{
	struct counting *c = arg;
	uint64_t chunks, cached;

	if (node->kind != TREE_FILE && node->kind != TREE_EXEC)
		return 0;
	if (version_file_state(c->version, node, &chunks, &cached, NULL, err) <
	    0)
		return dm_wrap(err, "%s", path->data);
	c->bytes += node->size;
	c->cached += cached;
	return 0;
}

/* Look at everything, and write down what the cache was asked for. */
static int
write_pin(struct shown *s, const char *name, struct counting *c,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf path = DM_BUF(DM_PATH_MAX);
	DM_AUTO(dm_freep) struct digest *key = NULL;
	struct version_node root;
	size_t n = 0;

	*c = (struct counting){ .version = s->look.version };
	version_root(c->version, &root);
	if (look_walk(c->version, &root, &path, count_entry, c, err) < 0 ||
	    cache_asked(s->session.cache, &key, &n, err) < 0)
		return -1;
	return cache_pin_put(cache_dir(s->session.cache), name, s->text, key, n,
	    err);
}

static void
say_pinned(const struct shown *s, const struct counting *c)
{
	char all[CMD_BYTES_TEXT], here[CMD_BYTES_TEXT], limit[CMD_BYTES_TEXT];
	struct cache_counts counts;

	cache_counts(s->session.cache, &counts);
	(void)fprintf(stderr, "pinned %s: %s of %s are in the cache%s\n",
	    s->text, cmd_bytes(here, c->cached), cmd_bytes(all, c->bytes),
	    c->cached < c->bytes ?
		"; `datamount pin --fetch` or prefetch brings the rest" :
		"");
	if (counts.limit != 0 && c->bytes > counts.limit)
		(void)fprintf(stderr,
		    "datamount: the cache may hold %s: not all of it will stay;"
		    " `datamount cache limit` gives it more\n",
		    cmd_bytes(limit, counts.limit));
}

/* Bring what is missing, and write the pin again: what the repository has
 * moved is known only now. */
static int
fetch(struct shown *s, const char *name, bool quiet, struct counting *c,
    struct dm_err *err)
{
	if (prefetch_version(s->look.version, s->session.cache, quiet, err) < 0)
		return -1;
	return write_pin(s, name, c, err);
}

static int
pin(struct shown *s, const struct cmd_args *a, struct dm_err *err)
{
	char name[CACHE_PIN_NAME + 1];
	bool quiet = cmd_flag(a, "quiet");
	struct counting c;

	own_name(name, s);
	if (cmd_value(a, "name") != NULL)
		(void)snprintf(name, sizeof(name), "%s", cmd_value(a, "name"));
	if (shown_load(s, err) < 0 || write_pin(s, name, &c, err) < 0)
		return -1;
	if (cmd_flag(a, "fetch") && c.cached < c.bytes &&
	    fetch(s, name, quiet, &c, err) < 0)
		return -1;
	printf("%s\n", name);
	if (!quiet)
		say_pinned(s, &c);
	return CMD_DONE;
}

/* ---- list ---- */

static int
print_pin(void *arg, const struct cache_pin *p, struct dm_err *err)
{
	char bytes[CMD_BYTES_TEXT];

	(void)arg;
	(void)err;
	printf("%s  %s in %" PRIu64 " of %" PRIu64 " blobs  %s\n", p->name,
	    cmd_bytes(bytes, p->bytes), p->here, p->blobs, p->note);
	return 0;
}

static int
print_pin_json(void *arg, const struct cache_pin *p, struct dm_err *err)
{
	json_t *o = json_pack("{s:s, s:I, s:I, s:I}", "name", p->name, "blobs",
	    (json_int_t)p->blobs, "blobs_here", (json_int_t)p->here, "bytes",
	    (json_int_t)p->bytes);

	if (o == NULL)
		return dm_fail(err, DM_NOMEM, "list of pins");
	look_json_name(o, "version", p->note, strlen(p->note));
	look_json_add(arg, o);
	return 0;
}

static int
list(const struct cmd_args *a, struct dm_err *err)
{
	struct look_json array = { 0 };
	bool json = cmd_flag(a, "json");
	char dir[PATH_MAX];

	if (config_cache_dir(dir, a, err) < 0 ||
	    cache_pins(dir, json ? print_pin_json : print_pin, &array, err) < 0)
		return -1;
	if (json)
		look_json_end(&array);
	return CMD_DONE;
}

static int
run_pin(int argc, char **argv, struct dm_err *err)
{
	const char *name;
	struct cmd_args a;
	struct shown s;
	int rc;

	if (cmd_parse(&a, &cmd_pin, argc, argv, 0, 1, err) < 0)
		return -1;
	name = cmd_value(&a, "name");
	if (a.n == 0 && (name != NULL || cmd_flag(&a, "fetch")))
		return cmd_usage(err, "pin: what? give DIR or REPO@REF");
	if (a.n > 0 && (cmd_flag(&a, "list") || cmd_flag(&a, "json")))
		return cmd_usage(err, "pin: --list or %s?", a.operands[0]);
	if (name != NULL && !cache_pin_name_valid(name))
		return cmd_usage(err,
		    "pin: --name is of letters, digits, '.', '_', '-', at most"
		    " %d, and not '%.40s'",
		    CACHE_PIN_NAME, name);
	if (a.n == 0)
		return list(&a, err);
	if (shown_find(&s, &a, a.operands[0], true, err) < 0)
		return -1;
	rc = pin(&s, &a, err);
	shown_close(&s);
	return rc;
}

static const struct cmd_option pin_options[] = {
	{ "name", 0, "NAME", "call it so (the commit's id)" },
	{ "fetch", 0, NULL, "bring what is missing, too" },
	{ "list", 'l', NULL, "list what is pinned" },
	{ "json", 0, NULL, "list it as JSON, sizes in bytes" },
	CMD_SESSION_OPTIONS,
	{ 0 },
};

const struct cmd cmd_pin = {
	.name = "pin",
	.args = "[DIR|FILE.source|REPO@REF[:PATH]]",
	.help = "keep a version in the cache, or list what is kept",
	.options = pin_options,
	.run = run_pin,
};

/* ---- unpin ---- */

struct search {
	const char *begin; /* of a name */
	char name[CACHE_PIN_NAME + 1];
	unsigned n;
};

static int
compare_name(void *arg, const struct cache_pin *p, struct dm_err *err)
{
	struct search *s = arg;

	(void)err;
	if (strncmp(p->name, s->begin, strlen(s->begin)) != 0)
		return 0;
	s->n++;
	(void)snprintf(s->name, sizeof(s->name), "%s", p->name);
	return 0;
}

/* A pin of that name, or the only one whose name begins so. */
static int
unpin_name(const char *dir, const char *name, bool *found, struct dm_err *err)
{
	struct search s = { .begin = name };

	if (cache_pin_remove(dir, name, found, err) < 0)
		return -1;
	if (*found || strlen(name) < PREFIX_MIN)
		return 0;
	if (cache_pins(dir, compare_name, &s, err) < 0)
		return -1;
	if (s.n > 1)
		return dm_fail(err, DM_INVALID,
		    "%u pins begin with %.40s: give more of the name", s.n,
		    name);
	return s.n == 1 ? cache_pin_remove(dir, s.name, found, err) : 0;
}

/* What is pinned there now, under the name that it got without one. */
static int
unpin_shown(const struct cmd_args *a, const char *operand, bool *found,
    struct dm_err *err)
{
	char name[CACHE_PIN_NAME + 1];
	struct shown s;
	int rc;

	if (shown_find(&s, a, operand, true, err) < 0)
		return dm_wrap(err, "no pin has the name %.60s", operand);
	own_name(name, &s);
	rc = cache_pin_remove(cache_dir(s.session.cache), name, found, err);
	if (rc == 0 && !*found)
		rc = dm_fail(err, DM_NOTFOUND,
		    "%s is not pinned, or under a name: `datamount pin` lists"
		    " them",
		    s.text);
	shown_close(&s);
	return rc;
}

static int
unpin(const struct cmd_args *a, const char *operand, struct dm_err *err)
{
	char dir[PATH_MAX];
	bool found = false;

	if (config_cache_dir(dir, a, err) < 0 ||
	    unpin_name(dir, operand, &found, err) < 0)
		return -1;
	return found ? 0 : unpin_shown(a, operand, &found, err);
}

static int
run_unpin(int argc, char **argv, struct dm_err *err)
{
	int status = CMD_DONE;
	struct cmd_args a;

	if (cmd_parse(&a, &cmd_unpin, argc, argv, 1, -1, err) < 0)
		return -1;
	for (int i = 0; i < a.n; i++) {
		struct dm_err why = { 0 };

		if (unpin(&a, a.operands[i], &why) < 0)
			status = cmd_report(&why);
	}
	return status;
}

static const struct cmd_option unpin_options[] = {
	CMD_SESSION_OPTIONS,
	{ 0 },
};

const struct cmd cmd_unpin = {
	.name = "unpin",
	.args = "NAME|DIR|FILE.source|REPO@REF[:PATH]...",
	.help = "let the cache evict a version again",
	.options = unpin_options,
	.run = run_unpin,
};
