/*
 * Git, by its own program: what it tracks, ignores and where its hooks are
 * depends on configuration, worktrees and submodules, and only it knows.
 */
#include "fs/source/git.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"

enum {
	GIT_ARGS_MAX = 16,
	GIT_OUT_MAX = 1 << 20,
	GIT_LIST_MAX = 64 << 20,
	GIT_NONE = 127, /* there is no git program */
	IGNORE_MAX = 1 << 20,
};

/* Names are names, not patterns. */
#define LITERAL "--literal-pathspecs"

/* What `git rev-parse --local-env-vars` lists, and what changes pathspecs. */
static const char *const unwanted[] = {
	"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG",
	"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT", "GIT_OBJECT_DIRECTORY",
	"GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE",
	"GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE",
	"GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR",
	"GIT_INTERNAL_SUPER_PREFIX", "GIT_LITERAL_PATHSPECS",
	"GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
	"LC_ALL", /* replaced */
};

extern char **environ;

static bool
is_unwanted(const char *variable)
{
	for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++) {
		size_t n = strlen(unwanted[i]);

		if (strncmp(variable, unwanted[i], n) == 0 &&
		    variable[n] == '=')
			return true;
	}
	return false;
}

/* The environment without what is unwanted; the strings are borrowed. */
static char **
clean_environment(void)
{
	static char locale[] = "LC_ALL=C";
	size_t n = 0, kept = 0;
	char **out;

	while (environ[n] != NULL)
		n++;
	out = calloc(n + 2, sizeof(*out));
	if (out == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (!is_unwanted(environ[i]))
			out[kept++] = environ[i];
	out[kept] = locale;
	return out;
}

/* Start argv with its output, and its messages if wanted, into a pipe. */
static int
start(char *const *argv, bool messages, int write_fd, pid_t *pid)
{
	DM_AUTO(dm_freep) char **env = clean_environment();
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t pipe_signal;
	int rc;

	if (env == NULL)
		return ENOMEM;
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attr);
	(void)sigemptyset(&pipe_signal);
	(void)sigaddset(&pipe_signal, SIGPIPE);
	(void)posix_spawnattr_setsigdefault(&attr, &pipe_signal);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO,
	    "/dev/null", O_RDONLY, 0);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&actions, write_fd,
		    STDOUT_FILENO);
	if (rc == 0 && messages)
		rc = posix_spawn_file_actions_adddup2(&actions, write_fd,
		    STDERR_FILENO);
	else if (rc == 0)
		rc = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO,
		    "/dev/null", O_WRONLY, 0);
	if (rc == 0)
		rc = posix_spawnp(pid, "git", &actions, &attr, argv, env);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&actions);
	return rc;
}

static int
wait_for(pid_t pid, int *status)
{
	int how;

	while (waitpid(pid, &how, 0) < 0)
		if (errno != EINTR)
			return -1;
	*status = WIFEXITED(how) ? WEXITSTATUS(how) : 128;
	return 0;
}

/* All that fd gives until its end, kept as far as out takes it. */
static int
collect(int fd, struct dm_buf *out, struct dm_err *err)
{
	char part[4096];
	ssize_t n;
	int rc = 0;

	while ((n = dm_read_full(fd, part, sizeof(part))) > 0)
		if (rc == 0 && dm_buf_append(out, part, (size_t)n, err) < 0)
			rc = -1;
	return n < 0 ? dm_fail_errno(err, "read from git") : rc;
}

static void
close_pipe(int (*fds)[2])
{
	dm_closep(&(*fds)[0]);
	dm_closep(&(*fds)[1]);
}

/*
 * Run `git -C dir args...` (args ends with NULL); its output goes to out.
 * *status is its exit status, GIT_NONE if there is no git.
 */
static int
run(const char *dir, const char *const *args, bool messages, struct dm_buf *out,
    int *status, struct dm_err *err)
{
	/* The file system monitor is a program that the repository names. */
	const char *argv[GIT_ARGS_MAX + 8] = { "git", "-C", dir, "-c",
		"core.fsmonitor=false" };
	DM_AUTO(close_pipe) int fds[2] = { -1, -1 };
	pid_t pid;
	int rc, n = 5;

	for (int i = 0; args[i] != NULL && i < GIT_ARGS_MAX; i++)
		argv[n++] = args[i];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return dm_fail_errno(err, "pipe");
	rc = start((char *const *)(uintptr_t)argv, messages, fds[1], &pid);
	dm_closep(&fds[1]);
	fds[1] = -1;
	if (rc == ENOENT) {
		*status = GIT_NONE;
		return 0;
	}
	errno = rc;
	if (rc != 0)
		return dm_fail_errno(err, "run git");
	rc = collect(fds[0], out, err);
	if (wait_for(pid, status) < 0)
		return dm_fail_errno(err, "wait for git");
	return rc;
}

/* The same for one line of output that is a path; *found if status is 0. */
static int
run_path(const char *dir, const char *const *args, char out[PATH_MAX],
    bool *found, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(GIT_OUT_MAX);
	int status = GIT_NONE;

	*found = false;
	if (run(dir, args, false, &text, &status, err) < 0)
		return -1;
	if (status != 0 || text.size < 2)
		return 0;
	text.data[text.size - 1] = '\0'; /* the newline */
	if (snprintf(out, PATH_MAX, "%s", text.data) >= PATH_MAX)
		return dm_fail(err, DM_INVALID, "git: path too long");
	*found = true;
	return 0;
}

int
git_work_tree(const char *dir, char top[PATH_MAX], bool *found,
    struct dm_err *err)
{
	static const char *const args[] = { "rev-parse", "--show-toplevel",
		NULL };

	return run_path(dir, args, top, found, err);
}

int
git_version(char out[PATH_MAX], bool *found, struct dm_err *err)
{
	static const char *const args[] = { "version", NULL };
	static const char before[] = "git version ";
	const size_t n = sizeof(before) - 1;

	if (run_path("/", args, out, found, err) < 0)
		return -1;
	*found = *found && strncmp(out, before, n) == 0;
	if (*found)
		memmove(out, out + n, strlen(out + n) + 1);
	return 0;
}

int
git_each_tracked(const char *top, const char *pathspec,
    int (*each)(void *arg, const char *path, struct dm_err *err), void *arg,
    struct dm_err *err)
{
	const char *args[] = { "ls-files", "-z", "--", pathspec, NULL };
	DM_AUTO(dm_buf_release) struct dm_buf list = DM_BUF(GIT_LIST_MAX);
	const char *before = "", *path;
	int status = GIT_NONE;

	if (run(top, args, false, &list, &status, err) < 0)
		return -1;
	if (status != 0)
		return dm_fail(err, DM_IO, "git ls-files failed in %s", top);
	/* An unmerged file stands there once a side. */
	for (size_t at = 0; at < list.size; at += strlen(path) + 1) {
		path = list.data + at;
		if (strcmp(path, before) != 0 && each(arg, path, err) < 0)
			return -1;
		before = path;
	}
	return 0;
}

int
git_hooks_dir(const char *top, char dir[PATH_MAX], struct dm_err *err)
{
	static const char *const args[] = { "rev-parse", "--git-path", "hooks",
		NULL };
	char path[PATH_MAX];
	bool found = false;

	if (run_path(top, args, path, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND, "%s: no Git repository", top);
	if (snprintf(dir, PATH_MAX, "%s%s%s", path[0] == '/' ? "" : top,
		path[0] == '/' ? "" : "/", path) >= PATH_MAX)
		return dm_fail(err, DM_INVALID, "%s: path too long", path);
	return 0;
}

/* Split an absolute path into its directory and its last component. */
static int
split(const char *path, char dir[PATH_MAX], const char **name,
    struct dm_err *err)
{
	const char *slash = strrchr(path, '/');

	*name = "";
	if (slash == NULL || slash[1] == '\0' ||
	    snprintf(dir, PATH_MAX, "%.*s",
		slash == path ? 1 : (int)(slash - path), path) >= PATH_MAX)
		return dm_fail(err, DM_INVALID, "%s: no path of a file", path);
	*name = slash + 1;
	return 0;
}

/* Does a command that answers yes or no by the exit status 0 or 1 say yes?  Or,
 * with lists, print anything? */
static int
ask(const char *dir, const char *const *args, bool lists, bool *yes,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(GIT_OUT_MAX);
	int status = GIT_NONE;

	if (run(dir, args, false, &text, &status, err) < 0)
		return -1;
	if (status > 1)
		return dm_fail(err, DM_IO, "git failed (status %d) in %s",
		    status, dir);
	*yes = status == 0 && (!lists || text.size > 0);
	return 0;
}

static int
is_tracked(const char *dir, const char *name, bool *yes, struct dm_err *err)
{
	const char *args[] = { LITERAL, "ls-files", "-z", "--", name, NULL };

	return ask(dir, args, true, yes, err);
}

static int
is_ignored(const char *dir, const char *name, bool *yes, struct dm_err *err)
{
	char path[PATH_MAX];
	const char *args[] = { "check-ignore", "-q", "--", path, NULL };

	/* It takes no literal pathspec, but no wildcard either: only the
	 * colon at the beginning must go. */
	(void)snprintf(path, sizeof(path), "./%s", name);
	return ask(dir, args, false, yes, err);
}

static int
is_unchanged(const char *dir, const char *name, bool *yes, struct dm_err *err)
{
	const char *args[] = { LITERAL, "diff", "--quiet", "--", name, NULL };

	return ask(dir, args, false, yes, err);
}

/* The line for a directory of that name: "/data/". */
static int
append_pattern(struct dm_buf *out, const char *name, struct dm_err *err)
{
	if (dm_buf_append(out, "/", 1, err) < 0)
		return -1;
	for (; *name != '\0'; name++) {
		if (strchr("*?[]\\#! ", *name) != NULL &&
		    dm_buf_append(out, "\\", 1, err) < 0)
			return -1;
		/* No pattern can hold a newline; any one character can. */
		if (dm_buf_append(out, *name == '\n' ? "?" : name, 1, err) < 0)
			return -1;
	}
	return dm_buf_append(out, "/\n", 2, err);
}

/* Append the line for name to dir's .gitignore. */
static int
write_ignore(const char *dir, const char *name, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(IGNORE_MAX);
	char path[PATH_MAX];
	mode_t mode = 0666;
	struct stat st;
	bool found = false;

	if (snprintf(path, sizeof(path), "%s/.gitignore", dir) >=
	    (int)sizeof(path))
		return dm_fail(err, DM_INVALID, "%s: path too long", dir);
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return dm_fail(err, DM_INVALID, "%s is no regular file", path);
	if (dm_file_read(AT_FDCWD, path, &text, &found, err) < 0)
		return -1;
	if (found)
		mode = st.st_mode & 0777;
	if (text.size > 0 && text.data[text.size - 1] != '\n' &&
	    dm_buf_append(&text, "\n", 1, err) < 0)
		return -1;
	if (append_pattern(&text, name, err) < 0)
		return -1;
	return dm_file_replace(AT_FDCWD, path, text.data, text.size, mode, err);
}

static int
add(const char *dir, const char *name, struct dm_err *err)
{
	const char *args[] = { LITERAL, "add", "--", name, NULL };
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(GIT_OUT_MAX);
	char *line;
	int status = GIT_NONE;

	if (run(dir, args, true, &text, &status, err) < 0)
		return -1;
	if (status == 0)
		return 0;
	line = text.size > 0 ? text.data : NULL;
	if (line != NULL)
		line[strcspn(line, "\n")] = '\0';
	return dm_fail(err, DM_IO, "%s; run `git add %s` yourself",
	    line != NULL ? line : "git add failed", name);
}

/* See that the directory name in dir is ignored. */
static int
track_ignore(const char *dir, const char *name, struct git_tracking *out,
    struct dm_err *err)
{
	bool ignored = false, tracked = false, clean = true, there;
	char path[PATH_MAX];

	if (is_ignored(dir, name, &ignored, err) < 0)
		return -1;
	if (ignored)
		return 0;
	if (snprintf(path, sizeof(path), "%s/.gitignore", dir) >=
	    (int)sizeof(path))
		return dm_fail(err, DM_INVALID, "%s: path too long", dir);
	there = faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (is_tracked(dir, ".gitignore", &tracked, err) < 0)
		return -1;
	if (tracked && is_unchanged(dir, ".gitignore", &clean, err) < 0)
		return -1;
	if (write_ignore(dir, name, err) < 0)
		return -1;
	out->ignored = true;
	/* Tracked and clean before, or not there at all. */
	if (tracked != there || !clean)
		return 0;
	if (add(dir, ".gitignore", err) < 0)
		return -1;
	out->staged_ignore = true;
	return 0;
}

static int
track_source(const char *dir, const char *name, struct git_tracking *out,
    struct dm_err *err)
{
	bool tracked = false, ignored = false;

	if (is_tracked(dir, name, &tracked, err) < 0)
		return -1;
	if (tracked)
		return 0;
	if (is_ignored(dir, name, &ignored, err) < 0)
		return -1;
	if (ignored)
		return dm_fail(err, DM_INVALID,
		    "a pattern ignores it: run `git add -f %s`", name);
	if (add(dir, name, err) < 0)
		return -1;
	out->added = true;
	return 0;
}

int
git_track(const char *dir, const char *source, struct git_tracking *out,
    struct dm_err *err)
{
	char parent[PATH_MAX], top[PATH_MAX];
	const char *name = NULL;
	bool found = false;

	*out = (struct git_tracking){ 0 };
	if (split(dir, parent, &name, err) < 0 ||
	    git_work_tree(parent, top, &found, err) < 0)
		return -1;
	if (found && track_ignore(parent, name, out, err) < 0)
		return dm_wrap(err, "ignore %s", name);
	if (source[0] == '\0')
		return 0;
	if (split(source, parent, &name, err) < 0 ||
	    git_work_tree(parent, top, &found, err) < 0)
		return -1;
	if (found && track_source(parent, name, out, err) < 0)
		return dm_wrap(err, "track %s", name);
	return 0;
}
