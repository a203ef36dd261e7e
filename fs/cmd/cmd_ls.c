/* datamount ls: what is in a version. */
#include <stdio.h>
#include <string.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/look.h"

struct listing {
	bool is_long, raw, json;
	struct look_json array;
};

static json_t *
entry_json(const struct dm_buf *path, const struct version_node *node)
{
	char hex[DIGEST_HEX + 1];
	json_t *o = json_object();

	look_json_name(o, "path", path->data, path->size);
	json_object_set_new(o, "kind", json_string(look_kind(node->kind)));
	json_object_set_new(o, "size", json_integer((json_int_t)node->size));
	if (!digest_is_zero(&node->id)) {
		digest_hex(&node->id, hex);
		json_object_set_new(o, "id", json_string(hex));
	}
	if (node->kind == TREE_DIR) {
		json_object_set_new(o, "entries",
		    json_integer((json_int_t)node->entries));
		json_object_set_new(o, "files",
		    json_integer((json_int_t)node->files));
	}
	return o;
}

static int
print_entry(void *arg, const struct dm_buf *path,
    const struct version_node *node, struct dm_err *err)
{
	struct listing *l = arg;
	char hex[DIGEST_HEX + 1] = "-";

	(void)err;
	if (l->json) {
		look_json_add(&l->array, entry_json(path, node));
		return 0;
	}
	if (!digest_is_zero(&node->id))
		digest_hex(&node->id, hex);
	if (l->is_long)
		printf("%-7s %12llu %-64s ", look_kind(node->kind),
		    (unsigned long long)node->size, hex);
	if (l->raw)
		(void)fwrite(path->data, 1, path->size, stdout);
	else
		look_print_name(path->data, path->size);
	(void)putchar(l->raw ? '\0' : '\n');
	return 0;
}

static int
list_one(struct listing *l, struct version *v, const struct version_node *dir,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf name = DM_BUF(DM_NAME_MAX);
	struct look_entry *e;
	struct look_dir d;
	int rc;

	look_dir_init(&d, v, dir);
	while ((rc = look_dir_next(&d, &e, err)) == 0 && e != NULL) {
		dm_buf_clear(&name);
		rc = dm_buf_append(&name, e->name, e->name_len, err);
		if (rc == 0)
			rc = print_entry(l, &name, &e->node, err);
		if (rc < 0)
			break;
	}
	look_dir_release(&d);
	return rc;
}

static int
list(struct listing *l, const struct look_name *name, bool recursive,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf path = DM_BUF(DM_PATH_MAX);
	struct version *v = name->look.version;
	struct version_node node;

	if (look_path(v, name->name.path, &node, err) < 0)
		return -1;
	if (node.kind != TREE_DIR) {
		if (look_path_push(&path, name->name.path,
			strlen(name->name.path), err) < 0)
			return -1;
		return print_entry(l, &path, &node, err);
	}
	return recursive ? look_walk(v, &node, &path, print_entry, l, err) :
			   list_one(l, v, &node, err);
}

static int
run_ls(int argc, char **argv, struct dm_err *err)
{
	struct listing l = { 0 };
	struct cmd_args a;
	struct look_name name;
	int rc;

	if (cmd_parse(&a, &cmd_ls, argc, argv, 1, 1, err) < 0 ||
	    look_name_open(&name, &a, a.operands[0], err) < 0)
		return -1;
	l.is_long = cmd_flag(&a, "long");
	l.raw = cmd_flag(&a, "null");
	l.json = cmd_flag(&a, "json");
	rc = list(&l, &name, cmd_flag(&a, "recursive"), err);
	if (rc == 0 && l.json)
		look_json_end(&l.array);
	look_name_close(&name);
	return rc;
}

static const struct cmd_option options[] = {
	{ "long", 'l', NULL,
	    "kind, size and id too (of a file over 1 MiB: its chunk list's)" },
	{ "recursive", 'R', NULL, "everything below, with paths" },
	{ "null", 'z', NULL, "names as they are, each ended by a NUL" },
	{ "json", 0, NULL, "as JSON; a name that is not UTF-8 as path_hex" },
	CMD_SESSION_OPTIONS,
	{ 0 },
};

const struct cmd cmd_ls = {
	.name = "ls",
	.args = "REPO[@REF][:PATH]",
	.help = "list a directory of a version",
	.options = options,
	.run = run_ls,
};
