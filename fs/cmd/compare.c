#include "fs/cmd/compare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/cmd/look.h"

enum { COMPARE_BYTES = 1 << 20 };

int
compare_content(struct version *v, const struct version_node *node, int fd,
    bool *same, struct dm_err *err)
{
	/* Most files are small, and so need not be their buffers. */
	size_t size =
	    node->size < COMPARE_BYTES ? (size_t)node->size + 1 : COMPARE_BYTES;
	struct digest_hasher *h = digest_hasher_new();
	char *buf = malloc(size);
	struct digest want, is;
	ssize_t n = 1;

	if (h == NULL || buf == NULL) {
		digest_hasher_free(h);
		free(buf);
		return dm_fail(err, DM_NOMEM, "compare a file");
	}
	while (n > 0) {
		n = dm_read_full(fd, buf, size);
		if (n > 0)
			digest_hasher_add(h, buf, (size_t)n);
	}
	digest_hasher_get(h, &is);
	digest_hasher_free(h);
	free(buf);
	if (n < 0)
		return dm_fail_errno(err, "read");
	if (version_digest(v, node, &want, NULL, err) < 0)
		return -1;
	*same = digest_equal(&want, &is);
	return 0;
}

static int
differ(struct compare *c, const char *what)
{
	c->differs(c->arg, &c->path, what);
	return 0;
}

static int
compare_file(struct compare *c, const struct look_entry *e, int dir,
    struct dm_err *err)
{
	DM_AUTO(dm_closep)
	int fd = openat(dir, e->name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct dm_err why = { 0 };
	struct stat st;
	bool same = false;

	if (fd < 0)
		return differ(c,
		    errno == ENOENT ? "missing" : "cannot be opened");
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return differ(c, "not a regular file");
	c->files++;
	c->bytes += e->node.size;
	if ((uint64_t)st.st_size != e->node.size)
		return differ(c, "another size");
	if (((st.st_mode & S_IXUSR) != 0) != (e->node.kind == TREE_EXEC))
		return differ(c, "another executable bit");
	if (compare_content(c->version, &e->node, fd, &same, &why) < 0) {
		if (why.code != DM_IO && why.code != DM_CORRUPT) {
			*err = why;
			return -1;
		}
		return differ(c, why.text);
	}
	return same ? 0 : differ(c, "other bytes");
}

static int
compare_link(struct compare *c, const struct look_entry *e, int dir,
    struct dm_err *err)
{
	char want[DM_TARGET_MAX + 1], is[DM_TARGET_MAX + 1];
	ssize_t n = readlinkat(dir, e->name, is, sizeof(is));
	struct stat st;

	if (n < 0 && errno == EACCES &&
	    fstatat(dir, e->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode))
		return 0; /* it leaves, so the mount does not tell its target */
	if (n < 0)
		return differ(c, errno == ENOENT ? "missing" : "not a symlink");
	if (version_readlink(c->version, &e->node, want, NULL, err) < 0)
		return -1;
	if ((size_t)n != strlen(want) || memcmp(is, want, (size_t)n) != 0)
		return differ(c, "another target");
	return 0;
}

/* Depth is bounded by DM_DEPTH_MAX, which the version enforces. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static int
compare_entry(struct compare *c, const struct look_entry *e, int dir,
    struct dm_err *err)
{
	DM_AUTO(dm_closep) int fd = -1;

	if (e->node.kind == TREE_SYMLINK)
		return compare_link(c, e, dir, err);
	if (e->node.kind != TREE_DIR)
		return compare_file(c, e, dir, err);
	fd = openat(dir, e->name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return differ(c,
		    errno == ENOENT ? "missing" : "not a directory");
	return compare_dir(c, &e->node, fd, err);
}

static int
name_extra(struct compare *c, const struct version_node *dir, const char *name,
    struct dm_err *err)
{
	size_t size = c->path.size;
	struct version_node node;
	bool found = false;
	int rc = 0;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (version_lookup(c->version, dir, name, strlen(name), &node, &found,
		NULL, err) < 0)
		return -1;
	if (found)
		return 0;
	rc = look_path_push(&c->path, name, strlen(name), err);
	if (rc == 0)
		rc = differ(c, "not in the version");
	look_path_pop(&c->path, size);
	return rc;
}

static int
name_extras(struct compare *c, const struct version_node *dir, int fd,
    struct dm_err *err)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *e;

	if (d == NULL) {
		rc = dm_fail_errno(err, "list %s", c->path.data);
		if (copy >= 0)
			(void)close(copy); /* it was only opened */
		return rc;
	}
	/* Nobody else has this DIR, so readdir(3) is safe. */
	/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while (rc == 0 && (e = readdir(d)) != NULL)
		rc = name_extra(c, dir, e->d_name, err);
	(void)closedir(d); /* it was only read */
	return rc;
}

/* NOLINTNEXTLINE(misc-no-recursion) */
int
compare_dir(struct compare *c, const struct version_node *dir, int fd,
    struct dm_err *err)
{
	size_t size = c->path.size;
	struct look_entry *e;
	struct look_dir d;
	int rc;

	look_dir_init(&d, c->version, dir);
	while ((rc = look_dir_next(&d, &e, err)) == 0 && e != NULL) {
		rc = look_path_push(&c->path, e->name, e->name_len, err);
		if (rc == 0)
			rc = compare_entry(c, e, fd, err);
		if (rc < 0)
			break;
		look_path_pop(&c->path, size);
	}
	look_dir_release(&d);
	return rc < 0 ? -1 : name_extras(c, dir, fd, err);
}
