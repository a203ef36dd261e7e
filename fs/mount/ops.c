/*
 * The operations.  Each decodes its request, calls the version (which knows
 * nothing of FUSE) and answers once, last; if that says DM_AGAIN, task.c runs
 * it again later.
 */
#include "fs/mount/ops.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "cache/base/err.h"
#include "cache/base/log.h"
#include "fs/mount/attr.h"
#include "fs/mount/fault.h"
#include "fs/mount/late.h"
#include "fs/mount/mount.h"
#include "fs/mount/passthrough.h"
#include "fs/mount/scout.h"
#include "fs/mount/tracing.h"
#include "fs/mount/worker.h"
#include "fs/mount/xattr.h"

enum {
	OPS_MAX_BACKGROUND = 1024, /* with 12, hits starve behind misses */
	OPS_CONGESTION = 768,
	OPS_BLOCK = 4096,
};

static void
count(fuse_req_t req, enum shared_stat which)
{
	struct worker *w = fuse_req_userdata(req);

	shared_count(w->start.shared, which, 1);
}

/* Have the scout do what was planned, if what is known here says where. */
static bool
send_scout(const struct task *t, const struct scouting_plan *plan)
{
	struct scout_order o = {
		.first = plan->first,
		.count = plan->count,
		.files = plan->files,
	};

	return version_recall_path(t->worker->version, plan->dir, o.path,
		   sizeof(o.path)) &&
	    strlen(o.path) < sizeof(o.path) - 1 && /* it was not cut off */
	    scout_send(t->worker->start.order_fd, &o);
}

static bool
has_scout(const struct task *t)
{
	return atomic_load(&t->worker->start.shared->scout) != 0;
}

/* A reader has read the file: what follows? */
static void
scout_files(const struct task *t, const struct version_node *file)
{
	struct scouting_plan plan[SCOUTING_PLANS];
	unsigned n = 0;

	/* A trail is followed while there is no scout, too. */
	if (!tracing_foretold(t->worker, file, (uint64_t)t->off) &&
	    t->off == 0 && has_scout(t))
		n = scouting_read(&t->worker->scouting, file, plan);
	/* For want of room: the reader asks for himself. */
	for (unsigned i = 0; i < n; i++)
		(void)send_scout(t, &plan[i]);
}

static void
scout_names(const struct task *t, const struct version_node *dir)
{
	struct scouting_plan plan;

	if (scouting_lookup(&t->worker->scouting, dir, &plan) &&
	    send_scout(t, &plan))
		scouting_listed(&t->worker->scouting, &plan);
}

static void
op_init(void *userdata, struct fuse_conn_info *conn)
{
	/* Not READDIRPLUS_AUTO: who opens files that he has listed would have
	 * to look up each. */
	static const unsigned wanted[] = { FUSE_CAP_ASYNC_READ,
		FUSE_CAP_PARALLEL_DIROPS, FUSE_CAP_READDIRPLUS,
		FUSE_CAP_CACHE_SYMLINKS, FUSE_CAP_NO_OPEN_SUPPORT,
		FUSE_CAP_NO_OPENDIR_SUPPORT, FUSE_CAP_EXPLICIT_INVAL_DATA };

	conn->want = 0;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		conn->want |= conn->capable & wanted[i];
	conn->max_write = WORKER_IO_MAX; /* libfuse derives from it how many
					  * pages a read may have */
	conn->max_read = WORKER_IO_MAX;  /* as the mount option says */
	conn->max_readahead = WORKER_IO_MAX;
	conn->max_background = OPS_MAX_BACKGROUND;
	conn->congestion_threshold = OPS_CONGESTION;
	passthrough_init(userdata, conn);
}

static int
run_lookup(struct task *t, struct dm_err *err)
{
	struct version *v = t->worker->version;
	struct fuse_entry_param e = { .entry_timeout = ATTR_TIMEOUT };
	struct version_node dir, node;
	bool found;

	if (version_node(v, t->ino, &dir, &t->wait, err) < 0 ||
	    version_lookup(v, &dir, t->name, strlen(t->name), &node, &found,
		&t->wait, err) < 0) {
		if (err->code == DM_OFFLINE && !t->late && !t->scout)
			late_note(t);
		return -1;
	}
	if (found) {
		attr_entry(t->worker, &node, &e);
		/* The scout looks names up, too, where it is given paths. */
		if (has_scout(t))
			scout_names(t, &dir);
	}
	task_settle(t);
	(void)fuse_reply_entry(t->req, &e); /* ino 0: there is none, for ever */
	return 0;
}

static void
op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct task *t = task_of(req);

	count(req, STAT_lookup);
	if (strlen(name) > DM_NAME_MAX) {
		(void)fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	t->name = name;
	t->ino = parent;
	t->off = 0; /* all names of a directory are one place */
	t->size = 1;
	t->late = late_again(t);
	task_start(req, parent, "lookup", run_lookup);
}

static int
run_getattr(struct task *t, struct dm_err *err)
{
	struct version_node node = t->worker->root;
	struct stat st;

	if (t->ino != FUSE_ROOT_ID &&
	    version_node(t->worker->version, t->ino, &node, &t->wait, err) < 0)
		return -1;
	attr_fill(t->worker, &node, &st);
	task_settle(t);
	(void)fuse_reply_attr(t->req, &st, ATTR_TIMEOUT);
	return 0;
}

static void
op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	count(req, STAT_getattr);
	task_start(req, ino, "getattr", run_getattr);
}

static int
run_readlink(struct task *t, struct dm_err *err)
{
	struct version *v = t->worker->version;
	char target[DM_TARGET_MAX + 1];
	struct version_node node;

	if (version_node(v, t->ino, &node, &t->wait, err) < 0 ||
	    version_readlink(v, &node, target, &t->wait, err) < 0)
		return -1;
	task_settle(t);
	(void)fuse_reply_readlink(t->req, target);
	return 0;
}

static void
op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	count(req, STAT_readlink);
	task_start(req, ino, "readlink", run_readlink);
}

static int
run_read(struct task *t, struct dm_err *err)
{
	struct version *v = t->worker->version;
	struct shared *s = t->worker->start.shared;
	struct version_node node;
	size_t n = 0;

	if (t->size > WORKER_IO_MAX || t->off < 0)
		return dm_fail(err, DM_INVALID, "%zu bytes at %jd", t->size,
		    (intmax_t)t->off);
	if (version_node(v, t->ino, &node, &t->wait, err) < 0)
		return -1;
	tracing_note(t->worker, &node, (uint64_t)t->off, t->size);
	if (version_read(v, &node, t->on->buf, t->size, (uint64_t)t->off, &n,
		&t->wait, err) < 0) {
		if (err->code == DM_OFFLINE && !t->late && !t->scout)
			late_note(t);
		return -1;
	}
	if (!t->scout)
		scout_files(t, &node);
	shared_count(s, STAT_read, 1);
	shared_count(s, STAT_bytes_read, n);
	fault_clear(t->worker, t->ino);
	task_settle(t);
	(void)fuse_reply_buf(t->req, t->on->buf, n);
	return 0;
}

static void
op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct task *t = task_of(req);

	(void)fi;
	t->ino = ino;
	t->size = size;
	t->off = off;
	t->late = late_again(t);
	task_start(req, ino, "read", run_read);
}

/* A listing in the making. */
struct listing {
	struct task *task;
	bool plus;
	size_t room, used;
};

/* Add one entry whose successor has the offset next; false: no room. */
static bool
add(struct listing *l, const char *name, const struct fuse_entry_param *e,
    uint64_t next)
{
	char *at = l->task->on->buf + l->used;
	size_t room = l->room - l->used, n;

	if (l->plus)
		n = fuse_add_direntry_plus(l->task->req, at, room, name, e,
		    (off_t)next);
	else
		n = fuse_add_direntry(l->task->req, at, room, name, &e->attr,
		    (off_t)next);
	if (n > room)
		return false;
	l->used += n;
	return true;
}

/* . and .. have a number and a type only: the kernel has their inodes. */
static bool
add_dots(struct listing *l, const struct version_node *dir, uint64_t off)
{
	struct fuse_entry_param e = { 0 };

	e.attr.st_mode = S_IFDIR;
	e.attr.st_ino = dir->ino;
	if (off == 0 && !add(l, ".", &e, 1))
		return false;
	e.attr.st_ino = dir->parent;
	return off > 1 || add(l, "..", &e, OPS_DOTS);
}

static bool
add_child(void *arg, uint64_t n, const char *name, size_t name_len,
    const struct version_node *node)
{
	struct listing *l = arg;
	struct fuse_entry_param e;
	char text[DM_NAME_MAX + 1];

	if (name_len > DM_NAME_MAX)
		return true; /* the decoder lets none through */
	memcpy(text, name, name_len);
	text[name_len] = '\0';
	attr_entry(l->task->worker, node, &e);
	return add(l, text, &e, n + 1 + OPS_DOTS);
}

static int
list(struct task *t, bool plus, struct dm_err *err)
{
	struct version *v = t->worker->version;
	struct listing l = { .task = t, .plus = plus };
	uint64_t off = (uint64_t)t->off;
	struct version_node dir;

	l.room = t->size < WORKER_IO_MAX ? t->size : WORKER_IO_MAX;
	if (version_node(v, t->ino, &dir, &t->wait, err) < 0)
		return -1;
	if (add_dots(&l, &dir, off) &&
	    version_list(v, &dir, off > OPS_DOTS ? off - OPS_DOTS : 0,
		add_child, &l, &t->wait, err) < 0)
		return -1;
	task_settle(t);
	(void)fuse_reply_buf(t->req, t->on->buf, l.used);
	return 0;
}

static int
run_readdir(struct task *t, struct dm_err *err)
{
	return list(t, false, err);
}

static int
run_readdirplus(struct task *t, struct dm_err *err)
{
	return list(t, true, err);
}

static void
op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct task *t = task_of(req);

	(void)fi;
	count(req, STAT_readdir);
	t->size = size;
	t->off = off;
	task_start(req, ino, "readdir", run_readdir);
}

static void
op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct task *t = task_of(req);

	(void)fi;
	count(req, STAT_readdirplus);
	t->size = size;
	t->off = off;
	task_start(req, ino, "readdirplus", run_readdirplus);
}

/* ENOSYS, once: the kernel never asks again, and opens by itself. */
static void
op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	(void)fuse_reply_err(req, ENOSYS);
}

static void
op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct worker *w = fuse_req_userdata(req);
	struct statvfs st;

	(void)ino;
	count(req, STAT_statfs);
	memset(&st, 0, sizeof(st));
	st.f_bsize = OPS_BLOCK;
	st.f_frsize = OPS_BLOCK;
	st.f_blocks = (w->root.size + OPS_BLOCK - 1) / OPS_BLOCK;
	st.f_files = w->root.entries + 1;
	st.f_namemax = DM_NAME_MAX;
	(void)fuse_reply_statfs(req, &st);
}

static void
op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct task *t = task_of(req);

	count(req, STAT_getxattr);
	/* ls asks every file for its ACL and security context. */
	if (strncmp(name, "user.", 5) != 0) {
		(void)fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	t->name = name;
	t->size = size;
	task_start(req, ino, "getxattr", xattr_run);
}

/* The mount is read-only, so the kernel refuses changes by itself; these are
 * for root, who can remount it. */
static void
refuse(fuse_req_t req)
{
	count(req, STAT_refused);
	(void)fuse_reply_err(req, EROFS);
}

static void
op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
    struct fuse_file_info *fi)
{
	(void)ino;
	(void)attr;
	(void)to_set;
	(void)fi;
	refuse(req);
}

static void
op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
    dev_t rdev)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)rdev;
	refuse(req);
}

static void
op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent;
	(void)name;
	(void)mode;
	refuse(req);
}

static void
op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent;
	(void)name;
	refuse(req);
}

static void
op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
    const char *name)
{
	(void)target;
	(void)parent;
	(void)name;
	refuse(req);
}

static void
op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
    fuse_ino_t newparent, const char *newname, unsigned flags)
{
	(void)parent;
	(void)name;
	(void)newparent;
	(void)newname;
	(void)flags;
	refuse(req);
}

static void
op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	(void)parent;
	(void)name;
	refuse(req);
}

static void
op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
    size_t size, int flags)
{
	(void)ino;
	(void)name;
	(void)value;
	(void)size;
	(void)flags;
	refuse(req);
}

static void
op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino;
	(void)name;
	refuse(req);
}

static void
op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
    struct fuse_file_info *fi)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)fi;
	refuse(req);
}

/* listxattr, lseek, access and the rest are not here: libfuse answers ENOSYS,
 * and the kernel never asks again.  WRITE does not come this far: worker.c. */
const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.read = op_read,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.open = passthrough_open,
	.release = passthrough_release,
	.opendir = op_opendir,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.setattr = op_setattr,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_unlink,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.create = op_create,
};
