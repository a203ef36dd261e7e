/* .source files, as far as they touch files, Git and owners. */
#include "fs/cmd/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/source/git.h"
#include "fs/source/rollback.h"
#include "fs/source/source.h"

/* Split path, relative ones too, into directory (at least ".") and name.
 * Slashes at the end do not count. */
static int
split(const char *path, char dir[PATH_MAX], char name[NAME_MAX + 1],
    struct dm_err *err)
{
	size_t end = strlen(path), begin;

	while (end > 1 && path[end - 1] == '/')
		end--;
	begin = end;
	while (begin > 0 && path[begin - 1] != '/')
		begin--;
	if (begin >= PATH_MAX || end - begin > NAME_MAX)
		return dm_fail(err, DM_INVALID, "%.100s...: path too long",
		    path);
	(void)snprintf(dir, PATH_MAX, "%.*s", begin > 0 ? (int)begin : 1,
	    begin > 0 ? path : ".");
	(void)snprintf(name, NAME_MAX + 1, "%.*s", (int)(end - begin),
	    path + begin);
	return 0;
}

static int
join(char out[PATH_MAX], const char *dir, const char *name, const char *end,
    struct dm_err *err)
{
	if (snprintf(out, PATH_MAX, "%s%s%s%s", dir,
		strcmp(dir, "/") == 0 ? "" : "/", name, end) >= PATH_MAX)
		return dm_fail(err, DM_INVALID, "%s/%s: path too long", dir,
		    name);
	return 0;
}

static bool
is_dots(const char *name)
{
	return name[0] == '\0' || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0;
}

/* The absolute name of path, whose last component need not exist and is not
 * followed if it is a symlink. */
static int
absolute_name(const char *path, char out[PATH_MAX], const char *end,
    struct dm_err *err)
{
	char dir[PATH_MAX], name[NAME_MAX + 1], whole[PATH_MAX];

	if (split(path, dir, name, err) < 0)
		return -1;
	if (is_dots(name)) { /* say, "." or "/": ask for its real name */
		if (realpath(path, whole) == NULL)
			return dm_fail_errno(err, "%s", path);
		if (split(whole, dir, name, err) < 0)
			return -1;
	}
	if (name[0] == '\0')
		return dm_fail(err, DM_INVALID,
		    "%s: the root cannot be a mount point", path);
	if (realpath(dir, whole) == NULL)
		return dm_fail_errno(err, "%s", dir);
	return join(out, whole, name, end, err);
}

int
pin_place(struct pin_place *out, const char *dir, const char *source,
    struct dm_err *err)
{
	char name[PATH_MAX];

	if (dir[0] == '\0')
		return dm_fail(err, DM_INVALID, "the mount point has no name");
	if (absolute_name(dir, name, "", err) < 0)
		return -1;
	if (source != NULL) {
		if (absolute_name(source, out->source, "", err) < 0)
			return -1;
	} else if (absolute_name(dir, out->source, ".source", err) < 0) {
		return -1;
	}
	if (realpath(name, out->dir) != NULL)
		return 0;
	/* ENOTCONN: the mount of a daemon that died. */
	if (errno != ENOENT && errno != ENOTCONN)
		return dm_fail_errno(err, "%s", dir);
	memcpy(out->dir, name, sizeof(out->dir));
	return 0;
}

bool
pin_is_file(const char *path)
{
	size_t n = strlen(path);
	struct stat st;

	return n > 7 && strcmp(path + n - 7, ".source") == 0 &&
	    stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool
pin_is_ours(const char *path)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_SOURCE_MAX);
	const char *line = NULL;
	struct dm_err ignored;
	bool found = false;

	if (dm_file_read(AT_FDCWD, path, &text, &found, &ignored) == 0 && found)
		line = text.data;
	for (; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, "repository-id =", 15) == 0 ||
		    (*line == '#' &&
			memmem(line, strcspn(line, "\n"), "datamount", 9) !=
			    NULL))
			return true;
	}
	return false;
}

/* What git merge leaves in a file, by the line it is in. */
static int
check_conflict(const char *path, const struct dm_buf *text, struct dm_err *err)
{
	static const char *const marks[] = { "<<<<<<< ", "=======\n",
		">>>>>>> ", "||||||| " };
	const char *line = text->data;
	unsigned number = 1;

	while (line != NULL && *line != '\0') {
		for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
			if (strncmp(line, marks[i], strlen(marks[i])) == 0)
				return dm_fail(err, DM_INVALID,
				    "%s: line %u: a merge left a conflict: keep "
				    "one side (`git checkout --ours` or "
				    "`--theirs`), then `git add` it",
				    path, number);
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
		number++;
	}
	return 0;
}

int
pin_read(const char *path, struct source_file *out, bool *found,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_SOURCE_MAX);

	if (dm_file_read(AT_FDCWD, path, &text, found, err) < 0)
		return -1;
	if (!*found)
		return 0;
	if (check_conflict(path, &text, err) < 0)
		return -1;
	if (source_file_decode(out, text.data, text.size, err) < 0)
		return dm_wrap(err, "%s", path);
	return 0;
}

int
pin_write(const char *path, const struct source_file *pin, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_SOURCE_MAX);

	if (source_file_encode(pin, &text, err) < 0)
		return dm_wrap(err, "%s", path);
	return dm_file_replace(AT_FDCWD, path, text.data, text.size, 0666, err);
}

static bool
is_url(const char *repository)
{
	return strstr(repository, "://") != NULL;
}

static bool
is_below(const char *path, const char *top)
{
	size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top);

	return strncmp(path, top, n) == 0 &&
	    (path[n] == '/' || path[n] == '\0');
}

/* The directory of the file path, and the one that a relative repository may
 * not leave; both real. */
static int
bounds(const char *path, char dir[PATH_MAX], char top[PATH_MAX], bool *in_git,
    struct dm_err *err)
{
	char parent[PATH_MAX], name[NAME_MAX + 1];

	if (split(path, parent, name, err) < 0)
		return -1;
	if (realpath(parent, dir) == NULL)
		return dm_fail_errno(err, "%s", parent);
	if (git_work_tree(dir, parent, in_git, err) < 0)
		return -1;
	if (realpath(*in_git ? parent : dir, top) == NULL)
		return dm_fail_errno(err, "%s", parent);
	return 0;
}

int
pin_absolute(const char *path, struct source_file *pin, struct dm_err *err)
{
	char dir[PATH_MAX], top[PATH_MAX], joined[PATH_MAX], real[PATH_MAX];
	bool in_git = false;

	for (unsigned i = 0; i < pin->nrepositories; i++) {
		char *repo = pin->repository[i];

		if (is_url(repo) || repo[0] == '/')
			continue;
		if (bounds(path, dir, top, &in_git, err) < 0 ||
		    join(joined, dir, repo, "", err) < 0)
			return -1;
		if (realpath(joined, real) == NULL)
			return dm_fail_errno(err, "%s: repository %s", path,
			    repo);
		if (!is_below(real, top))
			return dm_fail(err, DM_DENIED,
			    "%s: repository %s is outside %s: give its "
			    "absolute path",
			    path, repo, top);
		if (strlen(real) > SOURCE_URL_MAX)
			return dm_fail(err, DM_INVALID, "%s: path too long",
			    real);
		(void)snprintf(repo, SOURCE_URL_MAX + 1, "%s", real);
	}
	return 0;
}

/* Write the way from directory dir to path, both real and below the same
 * top, as "./x" or "../../x".  false if it does not fit. */
static bool
way_to(const char *dir, const char *path, char *out, size_t size)
{
	size_t same = 0, n = 0, i;

	/* The end of the last component that both have. */
	for (i = 0; dir[i] != '\0' && dir[i] == path[i]; i++)
		if (dir[i] == '/')
			same = i;
	if ((dir[i] == '\0' || dir[i] == '/') &&
	    (path[i] == '\0' || path[i] == '/'))
		same = i;
	if (dir[same] == '\0' || strcmp(dir, "/") == 0)
		n = (size_t)snprintf(out, size, ".");
	for (i = same; dir[i] != '\0' && n < size; i++)
		if (dir[i] == '/' && dir[i + 1] != '\0')
			n += (size_t)snprintf(out + n, size - n, "%s..",
			    n > 0 ? "/" : "");
	if (n < size)
		n += (size_t)snprintf(out + n, size - n, "%s", path + same);
	return n < size;
}

int
pin_relative(const char *path, struct source_file *pin, struct dm_err *err)
{
	char dir[PATH_MAX], top[PATH_MAX], real[PATH_MAX];
	char way[SOURCE_URL_MAX + 1];
	bool in_git = false;

	if (bounds(path, dir, top, &in_git, err) < 0)
		return -1;
	for (unsigned i = 0; in_git && i < pin->nrepositories; i++) {
		char *repo = pin->repository[i];

		if (is_url(repo) || realpath(repo, real) == NULL ||
		    !is_below(real, top) ||
		    !way_to(dir, real, way, sizeof(way)))
			continue;
		memcpy(repo, way, sizeof(way));
	}
	return 0;
}

static int
check_owner(const char *path, struct dm_err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return 0;
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return dm_fail(err, DM_DENIED,
		    "%s belongs to user %u, neither to you nor to root: copy "
		    "the repository, or read it from a web server",
		    path, (unsigned)st.st_uid);
	return 0;
}

int
pin_check_owner(const char *folder, struct dm_err *err)
{
	char path[PATH_MAX];

	if (check_owner(folder, err) < 0 ||
	    join(path, folder, "datamount", "", err) < 0)
		return -1;
	return check_owner(path, err);
}

static void
say_tracking(const struct git_tracking *t, const char *dir, const char *source)
{
	(void)fprintf(stderr, "datamount: Git %s%s%s%s%s%s\n",
	    t->added ? "tracks " : "", t->added ? source : "",
	    t->added && t->ignored ? " and " : "",
	    t->ignored ? "ignores /" : "", t->ignored ? dir : "",
	    t->ignored && !t->staged_ignore ?
		"/ (.gitignore has other changes: commit it yourself)" :
		t->ignored ? "/ from the next commit on" :
			     " from the next commit on");
}

void
pin_track(const char *dir, const char *source, bool quiet)
{
	const char *name = strrchr(source, '/');
	struct git_tracking t;
	struct dm_err err = { 0 };

	if (git_track(dir, source, &t, &err) < 0)
		(void)fprintf(stderr, "datamount: mounted, but for Git: %s\n",
		    err.text);
	else if (!quiet && (t.added || t.ignored))
		say_tracking(&t, strrchr(dir, '/') + 1,
		    name != NULL ? name + 1 : "");
}

int
pin_check_rollback(const struct source_file *pin, const char *name,
    const char *ref, const struct resolved *now, struct dm_err *err)
{
	char seen[PATH_MAX + 8];
	struct rollback_before before = {
		.seen = seen, .commit = &pin->commit, .sequence = pin->sequence
	};

	if (now->name[0] == '\0' || pin->sequence == 0 ||
	    strcmp(ref, pin->ref) != 0)
		return 0;
	(void)snprintf(seen, sizeof(seen), "%s pins", name);
	return rollback_compare(pin->repository[0], now, &before, err);
}
