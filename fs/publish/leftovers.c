#include "fs/publish/leftovers.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/publish/folder.h"

/* What else lies in the folder is not ours. */
static bool
is_ours(const char *dir)
{
	static const char *const dirs[] = { "commits", "gc", "moved", "packs",
		"refs" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (strcmp(dir, dirs[i]) == 0)
			return true;
	return false;
}

static bool
is_temporary(const FTSENT *e)
{
	static const char end[] = ".tmp";
	size_t n = sizeof(end) - 1;

	return e->fts_namelen > n &&
	    strcmp(e->fts_name + e->fts_namelen - n, end) == 0;
}

/* The path below the root of the walk. */
static const char *
path_below(const FTSENT *e)
{
	const char *p = e->fts_path + e->fts_pathlen;

	for (int n = e->fts_level; n > 0; n--) {
		if (n < e->fts_level)
			p--;
		while (p > e->fts_path && p[-1] != '/')
			p--;
	}
	return p;
}

void
leftovers_release(struct leftovers *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->path[i]);
	free(l->path);
	*l = (struct leftovers){ 0 };
}

static int
add(struct leftovers *l, const char *path, struct dm_err *err)
{
	if (l->n == l->room) {
		size_t room = l->room == 0 ? 16 : 2 * l->room;
		char **q = reallocarray(l->path, room, sizeof(char *));

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "temporary files");
		l->path = q;
		l->room = room;
	}
	l->path[l->n] = strdup(path);
	if (l->path[l->n] == NULL)
		return dm_fail(err, DM_NOMEM, "temporary files");
	l->n++;
	return 0;
}

static int
visit(FTS *fts, FTSENT *e, struct leftovers *out, struct dm_err *err)
{
	switch (e->fts_info) {
	case FTS_D:
		if (e->fts_level == 1 && !is_ours(e->fts_name))
			(void)fts_set(fts, e, FTS_SKIP); /* cannot fail */
		return 0;
	case FTS_DNR:
	case FTS_ERR:
		errno = e->fts_errno;
		return errno == ENOENT ? 0 :
					 dm_fail_errno(err, "%s", e->fts_path);
	case FTS_F:
		return is_temporary(e) ? add(out, path_below(e), err) : 0;
	default:
		return 0;
	}
}

int
leftovers_find(struct leftovers *out, struct folder *f, struct dm_err *err)
{
	char *const roots[] = { f->path, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *e;
	int rc = 0;

	if (fts == NULL)
		return dm_fail_errno(err, "read %s", f->path);
	errno = 0;
	while (rc == 0 && (e = fts_read(fts)) != NULL)
		rc = visit(fts, e, out, err);
	if (rc == 0 && errno != 0)
		rc = dm_fail_errno(err, "read %s", f->path);
	(void)fts_close(fts); /* it was only read */
	return rc;
}

/* A copy goes on with what another left, and has locked that meanwhile. */
static bool
is_locked(int fd)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fd >= 0 && fcntl(fd, F_OFD_SETLK, &whole) < 0 &&
	    (errno == EAGAIN || errno == EACCES);
}

static int
remove_one(struct folder *f, const char *path,
    const struct leftovers_options *opt, struct dm_err *err)
{
	/* one that may not be written to, nobody has locked */
	DM_AUTO(dm_closep)
	int fd = openat(f->fd, path,
	    O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int64_t now = (int64_t)time(NULL);
	struct stat st;

	if (is_locked(fd) ||
	    fstatat(f->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode) || st.st_mtim.tv_sec > now ||
	    (uint64_t)(now - st.st_mtim.tv_sec) < opt->age_s)
		return 0;
	if (!opt->dry_run && unlinkat(f->fd, path, 0) < 0 && errno != ENOENT)
		return dm_fail_errno(err, "remove %s/%s", f->path, path);
	opt->say(opt->arg, path, (uint64_t)st.st_size);
	return 0;
}

int
leftovers_remove(const struct leftovers *l, struct folder *f,
    const struct leftovers_options *opt, struct dm_err *err)
{
	for (size_t i = 0; i < l->n; i++)
		if (remove_one(f, l->path[i], opt, err) < 0)
			return -1;
	return 0;
}
