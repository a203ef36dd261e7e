/*
 * datamount export: a verified plain copy of a version.
 *
 * Each file is written under a temporary name and renamed when it is whole, so
 * a file under its own name is complete, and a run again completes a copy:
 * what is there with the right size and digest stays.  Everything is created
 * relative to open directories, and no link on the way is followed.
 *
 * A directory is counted: whoever still has to make something in it holds it,
 * and who lets it go last gives it its time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/compare.h"
#include "fs/cmd/crew.h"
#include "fs/cmd/look.h"

enum { COPY_BYTES = 1 << 20, COPY_THREADS = 16, TEMP_NAME = 40 };

struct export_run {
	/* immutable while the crew works */
	struct version *version;
	struct timespec times[2];
	mode_t umask;
	bool force;
	/* atomic */
	uint64_t files, bytes, kept;

	/* of the thread that walks */
	struct crew *crew;
	struct progress *progress;
	struct dm_buf path;
	uint64_t total_bytes;
};

struct target {
	int fd;
	unsigned refs; /* atomic */
};

/* One file to be made. */
struct copy {
	struct export_run *run;
	struct target *in;
	struct version_node node;
	char name[DM_NAME_MAX + 1];
	char *path; /* for messages */
};

static struct target *
target_new(int fd)
{
	struct target *t = malloc(sizeof(*t));

	if (t != NULL)
		*t = (struct target){ fd, 1 };
	return t;
}

static int
target_put(const struct export_run *x, struct target *t, struct dm_err *err)
{
	int rc = 0;

	if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return 0;
	if (futimens(t->fd, x->times) < 0)
		rc = dm_fail_errno(err, "set the time of a directory");
	(void)close(t->fd); /* a directory: nothing is written */
	free(t);
	return rc;
}

static void
copy_free(void *job)
{
	struct copy *c = job;
	struct dm_err ignored = { 0 };

	/* do_copy has let the directory go, unless it was never called. */
	if (c->in != NULL && target_put(c->run, c->in, &ignored) < 0)
		c->in = NULL;
	free(c->path);
	free(c);
}

/* Most files are small, and so need not be their buffers. */
static size_t
buffer_size(const struct version_node *node)
{
	return node->size < COPY_BYTES ? (size_t)node->size + 1 : COPY_BYTES;
}

static int
finish(const struct export_run *x, const struct version_node *node, int fd,
    struct dm_err *err)
{
	mode_t mode = node->kind == TREE_EXEC ? 0777 : 0666;

	if (fchmod(fd, mode & ~x->umask) < 0 || futimens(fd, x->times) < 0)
		return dm_fail_errno(err, "set mode and time");
	return 0;
}

/* If the file is there already, *kept; another one is an error unless it may
 * be replaced. */
static int
look_at_old(const struct export_run *x, const struct copy *c, bool *kept,
    struct dm_err *err)
{
	DM_AUTO(dm_closep)
	int fd = openat(c->in->fd, c->name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	*kept = false;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size == c->node.size &&
	    compare_content(x->version, &c->node, fd, kept, err) < 0)
		return -1;
	if (*kept)
		return finish(x, &c->node, fd, err);
	if (!x->force)
		return dm_fail(err, DM_INVALID,
		    "something else of that name is there; --force replaces "
		    "it");
	return 0;
}

static int
copy_bytes(struct version *v, const struct version_node *node, int fd,
    struct dm_err *err)
{
	size_t size = buffer_size(node);
	char *buf = malloc(size);
	uint64_t off;
	size_t n = 0;
	int rc = 0;

	if (buf == NULL)
		return dm_fail(err, DM_NOMEM, "copy a file");
	for (off = 0; rc == 0 && off < node->size; off += n) {
		rc = version_read(v, node, buf, COPY_BYTES, off, &n, NULL, err);
		if (rc == 0 && dm_write_full(fd, buf, n) < 0)
			rc = dm_fail_errno(err, "write");
	}
	free(buf);
	return rc;
}

static void
temp_name(char out[TEMP_NAME], uint64_t ino)
{
	(void)snprintf(out, TEMP_NAME, ".datamount-%llu.tmp",
	    (unsigned long long)ino);
}

static int
create(int dir, const char *temp)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir, temp, flags, 0600);

	/* One may be left of a run that was killed. */
	if (fd < 0 && errno == EEXIST && unlinkat(dir, temp, 0) == 0)
		fd = openat(dir, temp, flags, 0600);
	return fd;
}

static int
make_file(const struct export_run *x, const struct copy *c, struct dm_err *err)
{
	DM_AUTO(dm_closep) int fd = -1;
	char temp[TEMP_NAME];

	temp_name(temp, c->node.ino);
	fd = create(c->in->fd, temp);
	if (fd < 0)
		return dm_fail_errno(err, "create");
	if (copy_bytes(x->version, &c->node, fd, err) == 0 &&
	    finish(x, &c->node, fd, err) == 0) {
		if (renameat(c->in->fd, temp, c->in->fd, c->name) == 0)
			return 0;
		(void)dm_fail_errno(err, "rename");
	}
	(void)unlinkat(c->in->fd, temp, 0); /* best effort: it has failed */
	return -1;
}

static int
do_copy(void *job, struct dm_err *err)
{
	struct copy *c = job;
	struct export_run *x = c->run;
	struct target *in = c->in;
	bool kept = false;

	if (look_at_old(x, c, &kept, err) < 0 ||
	    (!kept && make_file(x, c, err) < 0))
		return dm_wrap(err, "%s", c->path);
	__atomic_add_fetch(&x->files, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&x->bytes, c->node.size, __ATOMIC_RELAXED);
	__atomic_add_fetch(&x->kept, kept, __ATOMIC_RELAXED);
	c->in = NULL;
	return target_put(x, in, err);
}

static int
add_file(struct export_run *x, struct target *in, const struct look_entry *e,
    struct dm_err *err)
{
	struct copy *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->path = strdup(x->path.data)) == NULL) {
		free(c);
		return dm_fail(err, DM_NOMEM, "copy a file");
	}
	c->run = x;
	c->in = in;
	c->node = e->node;
	memcpy(c->name, e->name, e->name_len + 1);
	__atomic_add_fetch(&in->refs, 1, __ATOMIC_RELAXED);
	progress_update(x->progress,
	    __atomic_load_n(&x->files, __ATOMIC_RELAXED),
	    __atomic_load_n(&x->bytes, __ATOMIC_RELAXED), x->total_bytes);
	return crew_add(x->crew, c, err);
}

static int
add_symlink(struct export_run *x, const struct target *in,
    const struct look_entry *e, struct dm_err *err)
{
	char want[DM_TARGET_MAX + 1], is[DM_TARGET_MAX + 1];
	char temp[TEMP_NAME];
	ssize_t n;

	if (version_readlink(x->version, &e->node, want, NULL, err) < 0)
		return -1;
	n = readlinkat(in->fd, e->name, is, sizeof(is) - 1);
	if (n >= 0 && (size_t)n == strlen(want) &&
	    memcmp(is, want, (size_t)n) == 0)
		return 0;
	if ((n >= 0 || errno != ENOENT) && !x->force)
		return dm_fail(err, DM_INVALID,
		    "something else of that name is there; --force replaces "
		    "it");
	temp_name(temp, e->node.ino);
	(void)unlinkat(in->fd, temp, 0); /* of a run that was killed */
	if (symlinkat(want, in->fd, temp) < 0 ||
	    utimensat(in->fd, temp, x->times, AT_SYMLINK_NOFOLLOW) < 0 ||
	    renameat(in->fd, temp, in->fd, e->name) < 0)
		return dm_fail_errno(err, "create the symlink");
	return 0;
}

static int export_dir(struct export_run *x, const struct version_node *dir,
    int fd, struct dm_err *err);

/* Depth is bounded by DM_DEPTH_MAX, which the version enforces. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static int
add_dir(struct export_run *x, const struct target *in,
    const struct look_entry *e, struct dm_err *err)
{
	int fd;

	if (mkdirat(in->fd, e->name, 0777) < 0 && errno != EEXIST)
		return dm_fail_errno(err, "create the directory");
	fd = openat(in->fd, e->name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return dm_fail_errno(err, "open the directory");
	return export_dir(x, &e->node, fd, err);
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static int
add_entry(struct export_run *x, struct target *in, const struct look_entry *e,
    struct dm_err *err)
{
	size_t size = x->path.size;
	int rc = look_path_push(&x->path, e->name, e->name_len, err);

	if (rc < 0)
		return -1;
	if (e->node.kind == TREE_DIR) {
		/* Its errors name their own paths. */
		rc = add_dir(x, in, e, err);
	} else if (e->node.kind == TREE_SYMLINK) {
		rc = add_symlink(x, in, e, err);
		if (rc < 0)
			(void)dm_wrap(err, "%s", x->path.data);
	} else {
		rc = add_file(x, in, e, err);
	}
	look_path_pop(&x->path, size);
	return rc;
}

/* Takes fd over. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static int
export_dir(struct export_run *x, const struct version_node *dir, int fd,
    struct dm_err *err)
{
	struct target *t = target_new(fd);
	struct dm_err late = { 0 };
	struct look_entry *e;
	struct look_dir d;
	int rc;

	if (t == NULL) {
		(void)close(fd); /* a directory: nothing is written */
		return dm_fail(err, DM_NOMEM, "copy a directory");
	}
	look_dir_init(&d, x->version, dir);
	while ((rc = look_dir_next(&d, &e, err)) == 0 && e != NULL) {
		rc = add_entry(x, t, e, err);
		if (rc < 0)
			break;
	}
	look_dir_release(&d);
	if (target_put(x, t, &late) < 0 && rc == 0) {
		*err = late;
		rc = -1;
	}
	return rc;
}

/* Copy the whole tree into the directory fd, which it takes over. */
static int
export_tree(struct export_run *x, int fd, struct dm_err *err)
{
	struct dm_err late = { 0 };
	struct version_node root;
	int rc;

	version_root(x->version, &root);
	x->total_bytes = root.size;
	rc = crew_open(&x->crew, COPY_THREADS, do_copy, copy_free, err);
	if (rc < 0) {
		(void)close(fd); /* a directory: nothing is written */
		return -1;
	}
	rc = export_dir(x, &root, fd, err);
	if (crew_close(x->crew, rc < 0, &late) < 0 && rc == 0) {
		*err = late;
		rc = -1;
	}
	return rc;
}

static int
open_target(const char *dir, struct dm_err *err)
{
	int fd;

	if (dm_mkdirs(dir, 0777, err) < 0)
		return -1;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return dm_fail_errno(err, "%s", dir);
	return fd;
}

static int
export_name(struct look_name *l, const struct cmd_args *a, struct dm_err *err)
{
	struct export_run x = { .force = cmd_flag(a, "force"),
		.path = DM_BUF(DM_PATH_MAX) };
	bool quiet = cmd_flag(a, "quiet");
	char bytes[CMD_BYTES_TEXT];
	int fd, rc;

	/* It takes the version over, also if it fails. */
	if (l->name.path[0] != '\0' &&
	    version_open_subtree(&l->look.version, dm_steal(&l->look.version),
		l->name.path, err) < 0)
		return -1;
	x.version = l->look.version;
	x.times[0].tv_sec = (time_t)l->look.commit.time;
	x.times[1].tv_sec = (time_t)l->look.commit.time;
	x.umask = umask(0);
	(void)umask(x.umask);
	fd = open_target(a->operands[1], err);
	if (fd < 0)
		return -1;
	x.progress = progress_new("export", quiet);
	rc = export_tree(&x, fd, err);
	progress_free(x.progress);
	dm_buf_release(&x.path);
	if (rc < 0)
		return -1;
	if (!quiet)
		(void)fprintf(stderr,
		    "exported %llu files, %s, to %s (%llu were there)\n",
		    (unsigned long long)x.files, cmd_bytes(bytes, x.bytes),
		    a->operands[1], (unsigned long long)x.kept);
	return CMD_DONE;
}

static int
run_export(int argc, char **argv, struct dm_err *err)
{
	struct look_name l;
	struct cmd_args a;
	int rc;

	if (cmd_parse(&a, &cmd_export, argc, argv, 2, 2, err) < 0 ||
	    look_name_open(&l, &a, a.operands[0], err) < 0)
		return -1;
	rc = export_name(&l, &a, err);
	look_name_close(&l);
	return rc;
}

static const struct cmd_option options[] = {
	{ "force", 'f', NULL, "replace files that are there and differ" },
	{ "symlinks", 0, "inside|all",
	    "all: also symlinks that leave the dataset (inside)" },
	CMD_SESSION_OPTIONS,
	{ 0 },
};

const struct cmd cmd_export = {
	.name = "export",
	.args = "REPO@REF[:PATH] DIR",
	.help = "copy a version to a plain directory; again: complete it",
	.options = options,
	.run = run_export,
};
