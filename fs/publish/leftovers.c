#include "fs/publish/leftovers.h"

#include <errno.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/err.h"
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

static int
look_at(struct folder *f, const struct leftovers_options *opt, const FTSENT *e,
    struct dm_err *err)
{
	const struct stat *st = e->fts_statp;
	const char *path = path_below(e);
	int64_t now = (int64_t)time(NULL);

	if (!S_ISREG(st->st_mode) || st->st_mtim.tv_sec > now ||
	    (uint64_t)(now - st->st_mtim.tv_sec) < opt->age_s)
		return 0;
	if (!opt->dry_run && unlinkat(f->fd, path, 0) < 0 && errno != ENOENT)
		return dm_fail_errno(err, "remove %s/%s", f->path, path);
	opt->say(opt->arg, path, (uint64_t)st->st_size);
	return 0;
}

static int
visit(FTS *fts, FTSENT *e, struct folder *f,
    const struct leftovers_options *opt, struct dm_err *err)
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
		return is_temporary(e) ? look_at(f, opt, e, err) : 0;
	default:
		return 0;
	}
}

int
leftovers_remove(struct folder *f, const struct leftovers_options *opt,
    struct dm_err *err)
{
	char *const roots[] = { f->path, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *e;
	int rc = 0;

	if (fts == NULL)
		return dm_fail_errno(err, "read %s", f->path);
	errno = 0;
	while (rc == 0 && (e = fts_read(fts)) != NULL)
		rc = visit(fts, e, f, opt, err);
	if (rc == 0 && errno != 0)
		rc = dm_fail_errno(err, "read %s", f->path);
	(void)fts_close(fts); /* it was only read */
	return rc;
}
