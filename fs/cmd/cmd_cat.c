/* datamount cat: a file's bytes, verified, on standard output. */
#include <stdio.h>
#include <stdlib.h>

#include "cache/base/err.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/look.h"

enum { CAT_BYTES = 1 << 20 };

static int
copy_out(struct version *v, const struct version_node *file, struct dm_err *err)
{
	char *buf = malloc(CAT_BYTES);
	uint64_t off;
	size_t n;
	int rc = 0;

	if (buf == NULL)
		return dm_fail(err, DM_NOMEM, "read a file");
	for (off = 0; off < file->size; off += n) {
		rc = version_read(v, file, buf, CAT_BYTES, off, &n, NULL, err);
		/* main reports what stdout refuses; a closed pipe is no
		 * error to speak of. */
		if (rc < 0 || fwrite(buf, 1, n, stdout) < n)
			break;
	}
	free(buf);
	return rc;
}

static int
cat(const struct look_name *l, struct dm_err *err)
{
	struct version_node node;

	if (look_path(l->look.version, l->name.path, &node, err) < 0)
		return -1;
	if (node.kind == TREE_DIR)
		return dm_fail(err, DM_INVALID,
		    "'%s' is a directory; `datamount ls` lists it",
		    l->name.path);
	if (node.kind == TREE_SYMLINK)
		return dm_fail(err, DM_INVALID,
		    "'%s' is a symlink; name the file that it points to",
		    l->name.path);
	if (copy_out(l->look.version, &node, err) < 0)
		return dm_wrap(err, "%s", l->name.path);
	return CMD_DONE;
}

static int
run_cat(int argc, char **argv, struct dm_err *err)
{
	struct cmd_args a;
	struct look_name l;
	int rc;

	if (cmd_parse(&a, &cmd_cat, argc, argv, 1, 1, err) < 0 ||
	    look_name_open(&l, &a, a.operands[0], err) < 0)
		return -1;
	rc = cat(&l, err);
	look_name_close(&l);
	return rc;
}

static const struct cmd_option options[] = { CMD_SESSION_OPTIONS, { 0 } };

const struct cmd cmd_cat = {
	.name = "cat",
	.args = "REPO@REF:PATH",
	.help = "print a file of a version",
	.options = options,
	.run = run_cat,
};
