/*
 * To a mount that passes through, each open is a request.  That costs little
 * beside the reads of a large file, and more than all the reads of a small
 * one.  The kernel takes ENOSYS to the first open as a no to all: so the
 * choice is one for the whole mount.
 *
 * What is passed through is a file that is one pack, all in the cache, each
 * object hashed in this run.  From then on the file of the cache is trusted
 * until it is closed; see datamount-cache(5).  An open never waits for that:
 * what is not so now is read through the daemon.
 */
#include "fs/mount/passthrough.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/mount/mount.h"
#include "fs/mount/opens.h"
#include "fs/mount/worker.h"

/* From this mean size on, reads save more than opens cost.  Opened, read and
 * closed again and again, files of 2 MB took 1.3 to 2.3 ms passed through and
 * 2.1 to 2.8 ms by the daemon's pages; twice that, because a mean hides
 * small files, which lose by it. */
static const uint64_t mean_that_pays = (uint64_t)4 << 20;

static const char *const names[] = {
	[MOUNT_IO_AUTO] = "auto",
	[MOUNT_IO_DAEMON] = "daemon",
	[MOUNT_IO_PASSTHROUGH] = "passthrough",
};

const char *
mount_io_name(enum mount_io io)
{
	return names[io];
}

bool
mount_io_parse(enum mount_io *out, const char *name)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0) {
			*out = (enum mount_io)i;
			return true;
		}
	return false;
}

/* ---- the choice ---- */

static bool
may_administer(void)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capget, &h, data) == 0 &&
	    (data[0].effective >> CAP_SYS_ADMIN & 1) != 0;
}

/* Why files cannot be passed through; NULL: they can. */
static const char *
obstacle(const struct fuse_conn_info *conn)
{
#ifdef FUSE_CAP_PASSTHROUGH
	if ((conn->capable & FUSE_CAP_PASSTHROUGH) == 0)
		return "this kernel cannot: it takes Linux 6.9 or later, with "
		       "CONFIG_FUSE_PASSTHROUGH";
	if (!may_administer())
		return "it takes the capability CAP_SYS_ADMIN: mount as root";
	return NULL;
#else
	(void)conn;
	(void)may_administer;
	return "this program was built with a libfuse that cannot: build it "
	       "with libfuse 3.17 or later (make FUSE_PREFIX=)";
#endif
}

static enum shared_io
choose(const struct worker *w, const char *no, char why[SHARED_IO_TEXT])
{
	enum mount_io asked = w->start.spec->io;
	uint64_t files = w->start.spec->files,
		 mean = files > 0 ? w->start.spec->bytes / files : 0;

	if (asked == MOUNT_IO_DAEMON ||
	    (asked == MOUNT_IO_PASSTHROUGH && !no)) {
		(void)snprintf(why, SHARED_IO_TEXT, "asked for");
		return asked == MOUNT_IO_DAEMON ? SHARED_IO_DAEMON :
						  SHARED_IO_PASSTHROUGH;
	}
	if (no != NULL && (asked != MOUNT_IO_AUTO || mean >= mean_that_pays)) {
		(void)snprintf(why, SHARED_IO_TEXT, "%s", no);
		return SHARED_IO_DAEMON;
	}
	(void)snprintf(why, SHARED_IO_TEXT,
	    "%ju files of %ju KiB in the mean: passing through pays from "
	    "%ju KiB on",
	    (uintmax_t)files, (uintmax_t)mean >> 10,
	    (uintmax_t)mean_that_pays >> 10);
	return mean >= mean_that_pays ? SHARED_IO_PASSTHROUGH :
					SHARED_IO_DAEMON;
}

void
passthrough_init(struct worker *w, struct fuse_conn_info *conn)
{
	struct shared *s = w->start.shared;

	if (atomic_load(&s->io) == SHARED_IO_UNDECIDED)
		atomic_store(&s->io, choose(w, obstacle(conn), s->io_why));
#ifdef FUSE_CAP_PASSTHROUGH
	if (atomic_load(&s->io) != SHARED_IO_PASSTHROUGH)
		return;
	conn->want |= conn->capable & FUSE_CAP_PASSTHROUGH;
	conn->max_backing_stack_depth = FUSE_BACKING_STACKED_UNDER;
#endif
}

int
passthrough_check(const struct worker *w, struct dm_err *err)
{
	const struct shared *s = w->start.shared;

	if (w->start.spec->io != MOUNT_IO_PASSTHROUGH ||
	    atomic_load(&s->io) == SHARED_IO_PASSTHROUGH)
		return 0;
	return dm_fail(err, DM_INVALID, "--io=passthrough: %s", s->io_why);
}

/* ---- open and release ---- */

/* The inode's other open files are passed through; is what they read still
 * what was hashed?  lent->fd >= 0: it is, but its state is another one. */
static int
look_again(struct cache *c, const struct digest *pack,
    const struct cache_lent *open, struct cache_lent *lent, struct dm_err *err)
{
	struct cache_lent now;
	bool same = !cache_lend(c, pack, CACHE_LEND_LOOK, &now) ||
	    now.file != open->file || now.state == open->state;

	dm_closep(&now.fd);
	if (same ||
	    (cache_lend(c, pack, CACHE_LEND_HASH, lent) &&
		lent->file == open->file))
		return 0;
	dm_closep(&lent->fd);
	lent->fd = -1;
	return dm_fail(err, DM_CORRUPT,
	    "the cache's file was changed while it is open and read by the "
	    "kernel alone: close it everywhere, and open it again");
}

/* What may be passed through: lent->fd >= 0. */
static int
find_lent(struct task *t, const struct version_node *node,
    struct cache_lent *lent, struct digest *pack, struct dm_err *err)
{
	struct worker *w = t->worker;
	struct cache_lent open;
	enum opens_mode mode = opens_mode(&w->opens, node->ino, &open);
	bool whole = false;

	if (mode == OPENS_DAEMON ||
	    atomic_load(&w->start.shared->io_broken) != 0)
		return 0;
	if (version_pack(w->version, node, pack, &whole, &t->wait, err) < 0)
		return -1;
	if (!whole)
		return 0;
	if (mode == OPENS_PASSED)
		return look_again(w->cache, pack, &open, lent, err);
	(void)cache_lend(w->cache, pack, CACHE_LEND, lent);
	return 0;
}

static void
answer(struct task *t, const struct opens_answer *a)
{
	/* The kernel takes no flag of the one way together with the other. */
	struct fuse_file_info fi = {
		.fh = a->fh,
		.keep_cache = a->backing == 0,
	};

#ifdef FUSE_CAP_PASSTHROUGH
	fi.backing_id = a->backing;
#endif
	shared_count(t->worker->start.shared, STAT_open, 1);
	if (a->backing != 0)
		shared_count(t->worker->start.shared, STAT_passed, 1);
	task_settle(t);
	/* ENOENT: an earlier worker has answered it. */
	(void)fuse_reply_open(t->req, &fi);
}

static int
run_open(struct task *t, struct dm_err *err)
{
	struct worker *w = t->worker;
	struct cache_lent lent = { .fd = -1 };
	struct opens_answer a = { 0 };
	struct version_node node;
	struct digest pack;
	struct opens_ask ask = {
		.ino = t->ino,
		.unique = t->unique,
		.slot = t->slot,
		.pack = &pack,
	};
	bool added;

	if (t->replayed && opens_find(&w->opens, t->unique, &a)) {
		answer(t, &a);
		return 0;
	}
	if (version_node(w->version, t->ino, &node, &t->wait, err) < 0 ||
	    find_lent(t, &node, &lent, &pack, err) < 0)
		return -1;
	if (lent.fd >= 0) /* its reads will not be seen */
		tracing_note(w, &node, 0, node.size);
	ask.lent = lent.fd >= 0 ? &lent : NULL;
	added = opens_add(&w->opens, &ask, &a);
	dm_closep(&lent.fd);
	if (added) {
		answer(t, &a);
		return 0;
	}
	task_settle(t);
	task_refuse(t, ENFILE);
	return 0;
}

void
passthrough_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct worker *w = fuse_req_userdata(req);

	(void)fi;
	/* ENOSYS, once: the kernel never asks again, and opens by itself. */
	if (atomic_load(&w->start.shared->io) == SHARED_IO_PASSTHROUGH)
		task_start(req, ino, "open", run_open);
	else
		(void)fuse_reply_err(req, ENOSYS);
}

void
passthrough_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct worker *w = fuse_req_userdata(req);

	(void)ino;
	shared_count(w->start.shared, STAT_release, 1);
	opens_remove(&w->opens, fi->fh);
	(void)fuse_reply_err(req, 0);
}
