/*
 * datamount diff: what differs between two versions.
 *
 * Both are walked side by side; directories with the same id are the same,
 * and are not looked into.
 */
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/config.h"
#include "fs/cmd/look.h"
#include "fs/cmd/pin.h"
#include "fs/format/tree_layout.h"

struct difference {
	struct version *a, *b;
	struct dm_buf path;
	bool raw, json, silent;
	struct look_json array;
	uint64_t added, deleted, modified; /* entries */
	uint64_t added_bytes, deleted_bytes;
};

static bool
is_file(const struct version_node *n)
{
	return n->kind == TREE_FILE || n->kind == TREE_EXEC;
}

static void
set_side(json_t *o, const char *kind_key, const char *size_key,
    const struct version_node *n)
{
	if (n == NULL)
		return;
	json_object_set_new(o, kind_key, json_string(look_kind(n->kind)));
	json_object_set_new(o, size_key, json_integer((json_int_t)n->size));
}

static void
print_json(struct difference *d, char what, const struct version_node *a,
    const struct version_node *b)
{
	json_t *o = json_object();

	json_object_set_new(o, "change", json_stringn(&what, 1));
	look_json_name(o, "path", d->path.data, d->path.size);
	set_side(o, "old_kind", "old_size", a);
	set_side(o, "kind", "size", b);
	look_json_add(&d->array, o);
}

static void
print_line(const struct difference *d, char what, const struct version_node *a,
    const struct version_node *b)
{
	printf("%c ", what);
	if (d->raw) {
		(void)fwrite(d->path.data, 1, d->path.size, stdout);
		(void)putchar('\0');
		return;
	}
	look_print_name(d->path.data, d->path.size);
	if ((a != NULL ? a : b)->kind == TREE_DIR)
		(void)putchar('/');
	if (a != NULL)
		printf("  %llu", (unsigned long long)a->size);
	if (a != NULL && b != NULL)
		printf(" ->");
	if (b != NULL)
		printf("%s%llu", a != NULL ? " " : "  ",
		    (unsigned long long)b->size);
	(void)putchar('\n');
}

/* One entry differs; a or b is NULL if it is on one side only. */
static void
report(struct difference *d, const struct version_node *a,
    const struct version_node *b)
{
	char what = 'M';

	if (a == NULL)
		what = 'A';
	else if (b == NULL)
		what = 'D';
	d->added += a == NULL;
	d->deleted += b == NULL;
	d->modified += a != NULL && b != NULL;
	if (a != NULL && is_file(a))
		d->deleted_bytes += a->size;
	if (b != NULL && is_file(b))
		d->added_bytes += b->size;
	if (d->json && !d->silent)
		print_json(d, what, a, b);
	else if (!d->silent)
		print_line(d, what, a, b);
}

/* Everything of one side.  Directories are named only if they are empty. */
static int
report_one(void *arg, const struct dm_buf *path,
    const struct version_node *node, struct dm_err *err)
{
	struct difference *d = arg;

	(void)path; /* it is d->path */
	(void)err;
	if (node->kind != TREE_DIR || node->entries == 0)
		report(d, NULL, node);
	return 0;
}

static int
report_old(void *arg, const struct dm_buf *path,
    const struct version_node *node, struct dm_err *err)
{
	struct difference *d = arg;

	(void)path; /* it is d->path */
	(void)err;
	if (node->kind != TREE_DIR || node->entries == 0)
		report(d, node, NULL);
	return 0;
}

static int
report_side(struct difference *d, bool old, const struct version_node *node,
    struct dm_err *err)
{
	int (*each)(void *, const struct dm_buf *, const struct version_node *,
	    struct dm_err *) = old ? report_old : report_one;

	if (each(d, &d->path, node, err) < 0)
		return -1;
	if (node->kind != TREE_DIR)
		return 0;
	return look_walk(old ? d->a : d->b, node, &d->path, each, d, err);
}

static int
same_target(struct difference *d, const struct version_node *a,
    const struct version_node *b, bool *same, struct dm_err *err)
{
	char old[DM_TARGET_MAX + 1], new[DM_TARGET_MAX + 1];

	if (version_readlink(d->a, a, old, NULL, err) < 0 ||
	    version_readlink(d->b, b, new, NULL, err) < 0)
		return -1;
	*same = strcmp(old, new) == 0;
	return 0;
}

static int diff_dirs(struct difference *d, const struct version_node *a,
    const struct version_node *b, struct dm_err *err);

/* Two entries of one name. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static int
diff_pair(struct difference *d, const struct version_node *a,
    const struct version_node *b, struct dm_err *err)
{
	bool same = a->kind == b->kind && a->size == b->size &&
	    digest_equal(&a->id, &b->id);

	if (a->kind == TREE_DIR && b->kind == TREE_DIR)
		return same && a->how == b->how ? 0 : diff_dirs(d, a, b, err);
	if (same && a->kind == TREE_SYMLINK &&
	    same_target(d, a, b, &same, err) < 0)
		return -1;
	if (same)
		return 0;
	if (a->kind != TREE_DIR && b->kind != TREE_DIR) {
		report(d, a, b);
		return 0;
	}
	if (report_side(d, true, a, err) < 0)
		return -1;
	return report_side(d, false, b, err);
}

/* Bytewise, as trees are sorted; what has ended comes last. */
static int
compare(const struct look_entry *a, const struct look_entry *b)
{
	if (a == NULL || b == NULL)
		return a == NULL ? 1 : -1;
	return tree_name_compare(a->name, a->name_len, b->name, b->name_len);
}

/* The lesser of two entries, or both. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static int
diff_entries(struct difference *d, const struct look_entry *a,
    const struct look_entry *b, int order, struct dm_err *err)
{
	const struct look_entry *e = order <= 0 ? a : b;
	size_t size = d->path.size;
	int rc = look_path_push(&d->path, e->name, e->name_len, err);

	if (rc == 0 && order == 0)
		rc = diff_pair(d, &a->node, &b->node, err);
	else if (rc == 0)
		rc = report_side(d, order < 0, &e->node, err);
	look_path_pop(&d->path, size);
	return rc;
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static int
diff_dirs(struct difference *d, const struct version_node *a,
    const struct version_node *b, struct dm_err *err)
{
	struct look_entry *ea = NULL, *eb = NULL;
	struct look_dir da, db;
	int rc, order;

	look_dir_init(&da, d->a, a);
	look_dir_init(&db, d->b, b);
	rc = look_dir_next(&da, &ea, err);
	if (rc == 0)
		rc = look_dir_next(&db, &eb, err);
	while (rc == 0 && (ea != NULL || eb != NULL)) {
		order = compare(ea, eb);
		rc = diff_entries(d, ea, eb, order, err);
		if (rc == 0 && order <= 0)
			rc = look_dir_next(&da, &ea, err);
		if (rc == 0 && order >= 0)
			rc = look_dir_next(&db, &eb, err);
	}
	look_dir_release(&da);
	look_dir_release(&db);
	return rc;
}

static void
print_totals(FILE *to, const struct difference *d)
{
	char more[CMD_BYTES_TEXT], less[CMD_BYTES_TEXT];

	(void)fprintf(to,
	    "%llu added, %llu deleted, %llu modified; "
	    "%s new or changed, %s gone or replaced\n",
	    (unsigned long long)d->added, (unsigned long long)d->deleted,
	    (unsigned long long)d->modified, cmd_bytes(more, d->added_bytes),
	    cmd_bytes(less, d->deleted_bytes));
}

static int
diff_versions(struct look *a, struct look *b, const struct cmd_args *args,
    struct dm_err *err)
{
	struct difference d = { .a = a->version,
		.b = b->version,
		.path = DM_BUF(DM_PATH_MAX),
		.raw = cmd_flag(args, "null"),
		.json = cmd_flag(args, "json"),
		.silent = cmd_flag(args, "stat") };
	struct version_node root_a, root_b;
	int rc;

	version_root(d.a, &root_a);
	version_root(d.b, &root_b);
	rc = diff_pair(&d, &root_a, &root_b, err);
	dm_buf_release(&d.path);
	if (rc < 0)
		return -1;
	if (d.json && !d.silent)
		look_json_end(&d.array);
	if (d.silent || !cmd_flag(args, "quiet"))
		print_totals(d.silent ? stdout : stderr, &d);
	return CMD_DONE;
}

/* ---- what A and B name ---- */

/* Whether an operand is a repository: with @, or no name of a ref, or a short
 * name for one, or a folder with one in it. */
static int
names_repository(const char *text, bool *yes, struct dm_err *err)
{
	char file[SOURCE_URL_MAX + 16];
	int n = snprintf(file, sizeof(file), "%s/datamount", text);

	if (config_is_short_name(text, yes, err) < 0)
		return -1;
	*yes = *yes || strchr(text, '@') != NULL || n < 0 ||
	    (size_t)n >= sizeof(file) || access(file, F_OK) == 0 ||
	    (!ref_name_valid(text, strlen(text)) &&
		strspn(text, "0123456789abcdef") != strlen(text));
	return 0;
}

/* The repository of the only .source file of the working directory. */
static int
repo_of_source(char repo[SOURCE_URL_MAX + 1], struct dm_err *err)
{
	struct source_file pin;
	char path[PATH_MAX];
	glob_t g = { 0 };
	bool found = false;
	int rc = -1;

	/* Nothing else runs yet. */
	/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
	if (glob("*.source", 0, NULL, &g) != 0 || g.gl_pathc != 1)
		(void)dm_fail(err, DM_INVALID,
		    "diff: name the repository (REPO@REF), or run this beside "
		    "exactly one .source file");
	else if (realpath(g.gl_pathv[0], path) == NULL)
		(void)dm_fail_errno(err, "%s", g.gl_pathv[0]);
	else
		rc = pin_read(path, &pin, &found, err);
	globfree(&g);
	if (rc < 0 || pin_absolute(path, &pin, err) < 0)
		return -1;
	if (pin.repository[0][0] == '/' &&
	    pin_check_owner(pin.repository[0], err) < 0)
		return -1;
	memcpy(repo, pin.repository[0], SOURCE_URL_MAX + 1);
	return 0;
}

static int
diff_with(struct session *sa, struct look *a, const struct cmd_args *args,
    struct dm_err *err)
{
	struct session other = { 0 }, *sb = sa;
	struct source_name name;
	struct look b;
	bool named;
	int rc;

	if (names_repository(args->operands[1], &named, err) < 0)
		return -1;
	if (named) {
		if (config_name_parse(&name, args->operands[1], err) < 0 ||
		    session_open(&other, args, name.repo, err) < 0)
			return -1;
		sb = &other;
	}
	if (sb != sa && session_configured_mirrors(sb, name.repo, err) < 0) {
		session_close(sb);
		return -1;
	}
	rc = look_open(&b, sb->repo, sb == sa ? args->operands[1] : name.ref,
	    true, err);
	if (rc == 0) {
		rc = diff_versions(a, &b, args, err);
		look_close(&b);
	}
	if (sb != sa)
		session_close(&other);
	return rc;
}

static int
run_diff(int argc, char **argv, struct dm_err *err)
{
	struct source_name name = { 0 };
	struct cmd_args args;
	struct session s;
	struct look a;
	bool named;
	int rc;

	if (cmd_parse(&args, &cmd_diff, argc, argv, 2, 2, err) < 0 ||
	    names_repository(args.operands[0], &named, err) < 0)
		return -1;
	if (named) {
		if (config_name_parse(&name, args.operands[0], err) < 0)
			return -1;
	} else {
		if (repo_of_source(name.repo, err) < 0)
			return -1;
		(void)snprintf(name.ref, sizeof(name.ref), "%s",
		    args.operands[0]);
	}
	if (session_open(&s, &args, name.repo, err) < 0)
		return -1;
	rc = session_configured_mirrors(&s, name.repo, err);
	if (rc == 0)
		rc = look_open(&a, s.repo, name.ref, true, err);
	if (rc == 0) {
		rc = diff_with(&s, &a, &args, err);
		look_close(&a);
	}
	session_close(&s);
	return rc;
}

static const struct cmd_option options[] = {
	{ "stat", 0, NULL, "print the totals only" },
	{ "null", 'z', NULL, "names as they are, each ended by a NUL" },
	{ "json", 0, NULL, "as JSON; a name that is not UTF-8 as path_hex" },
	CMD_SESSION_OPTIONS,
	{ 0 },
};

const struct cmd cmd_diff = {
	.name = "diff",
	.args = "A B",
	.help = "list what differs between two versions (REPO@REF, or a ref)",
	.options = options,
	.run = run_diff,
};
