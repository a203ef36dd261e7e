#include "fs/mount/xattr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cache/base/err.h"
#include "fs/mount/fault.h"
#include "fs/mount/mount.h"
#include "fs/mount/worker.h"

enum { XATTR_VALUE_MAX = 4096 + 1 };

/* Write the value, which may then be "" for "does not exist". */
typedef int (*value_fn)(struct task *t, const struct version_node *node,
    char out[XATTR_VALUE_MAX], struct dm_err *err);

static int
value_digest(struct task *t, const struct version_node *node,
    char out[XATTR_VALUE_MAX], struct dm_err *err)
{
	struct digest d;

	if (version_digest(t->worker->version, node, &d, &t->wait, err) < 0)
		return -1;
	digest_hex(&d, out);
	return 0;
}

static int
value_cached(struct task *t, const struct version_node *node,
    char out[XATTR_VALUE_MAX], struct dm_err *err)
{
	uint64_t chunks, cached;

	if (version_file_state(t->worker->version, node, &chunks, &cached,
		&t->wait, err) < 0)
		return -1;
	(void)snprintf(out, XATTR_VALUE_MAX, "%ju", (uintmax_t)cached);
	return 0;
}

static int
value_chunks(struct task *t, const struct version_node *node,
    char out[XATTR_VALUE_MAX], struct dm_err *err)
{
	uint64_t chunks, cached;

	if (version_file_state(t->worker->version, node, &chunks, &cached,
		&t->wait, err) < 0)
		return -1;
	(void)snprintf(out, XATTR_VALUE_MAX, "%ju", (uintmax_t)chunks);
	return 0;
}

static int
value_commit(struct task *t, const struct version_node *node,
    char out[XATTR_VALUE_MAX], struct dm_err *err)
{
	(void)node;
	(void)err;
	digest_hex(&t->worker->start.spec->pin.commit, out);
	return 0;
}

static int
value_source(struct task *t, const struct version_node *node,
    char out[XATTR_VALUE_MAX], struct dm_err *err)
{
	(void)node;
	(void)err;
	(void)snprintf(out, XATTR_VALUE_MAX, "%s",
	    t->worker->start.spec->source_path);
	return 0;
}

static int
value_repo(struct task *t, const struct version_node *node,
    char out[XATTR_VALUE_MAX], struct dm_err *err)
{
	(void)node;
	(void)err;
	(void)snprintf(out, XATTR_VALUE_MAX, "%s",
	    t->worker->start.spec->pin.repository[0]);
	return 0;
}

enum on { ON_FILE, ON_ROOT };

static const struct {
	const char *name;
	enum on on;
	value_fn value;
} values[] = {
	{ "user.datamount.digest", ON_FILE, value_digest },
	{ "user.datamount.cached", ON_FILE, value_cached },
	{ "user.datamount.chunks", ON_FILE, value_chunks },
	{ "user.datamount.commit", ON_ROOT, value_commit },
	{ "user.datamount.source", ON_ROOT, value_source },
	{ "user.datamount.repo", ON_ROOT, value_repo },
};

static value_fn
find(const char *name, const struct version_node *node)
{
	bool file = node->kind == TREE_FILE || node->kind == TREE_EXEC;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (strcmp(values[i].name, name) != 0)
			continue;
		if ((values[i].on == ON_FILE && !file) ||
		    (values[i].on == ON_ROOT && node->ino != FUSE_ROOT_ID))
			return NULL;
		return values[i].value;
	}
	return NULL;
}

int
xattr_run(struct task *t, struct dm_err *err)
{
	struct version_node node;
	char value[XATTR_VALUE_MAX] = "";
	value_fn fn;
	size_t n;

	/* Why it failed must be told even while it cannot be looked up. */
	if (strcmp(t->name, "user.datamount.error") == 0) {
		(void)fault_text(t->worker, t->ino, value, sizeof(value));
	} else {
		if (version_node(t->worker->version, t->ino, &node, &t->wait,
			err) < 0)
			return -1;
		fn = find(t->name, &node);
		if (fn != NULL && fn(t, &node, value, err) < 0)
			return -1;
	}
	n = strlen(value);
	task_settle(t);
	if (n == 0)
		(void)fuse_reply_err(t->req, ENODATA);
	else if (t->size == 0)
		(void)fuse_reply_xattr(t->req, n);
	else if (t->size < n)
		(void)fuse_reply_err(t->req, ERANGE);
	else
		(void)fuse_reply_buf(t->req, value, n);
	return 0;
}
