/*
 * Git hooks.
 *
 * The line goes in behind the "#!" line, not at the end: a script may exit
 * before its end.  It never fails, for the exit status of post-checkout is
 * that of git checkout.
 */
#include "fs/cmd/hook.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/source/git.h"

enum { HOOK_MAX = 1 << 20 };

#define LINE                                                       \
	"if command -v datamount >/dev/null; then datamount sync " \
	"--quiet </dev/null || :; fi # datamount: data follow the code\n"

static const char *const names[] = { "post-checkout", "post-merge",
	"post-rewrite" };
enum { NHOOKS = sizeof(names) / sizeof(names[0]) };

/* One hook, with the text that it will have. */
struct hook {
	char path[PATH_MAX];
	struct dm_buf text;
	bool changed;
};

/* Is this a script of a shell that understands the line? */
static bool
is_shell(const char *text)
{
	static const char *const shells[] = { "sh", "bash", "dash", "ksh",
		"zsh", "ash" };
	size_t begin, end;

	if (strncmp(text, "#!", 2) != 0)
		return false;
	/* "#!/usr/bin/env bash", "#!/bin/sh -e": the first word that is no
	 * path of env */
	begin = 2 + strspn(text + 2, " ");
	if (strncmp(text + begin, "/usr/bin/env ", 13) == 0)
		begin += 13;
	end = begin + strcspn(text + begin, " \n");
	while (end > begin && memchr(text + begin, '/', end - begin) != NULL)
		begin++;
	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
		if (strlen(shells[i]) == end - begin &&
		    memcmp(text + begin, shells[i], end - begin) == 0)
			return true;
	return false;
}

static int
insert_line(struct hook *h, const struct dm_buf *old, struct dm_err *err)
{
	size_t first = strcspn(old->data, "\n");

	h->changed = true;
	if (dm_buf_append(&h->text, old->data, first, err) < 0 ||
	    dm_buf_append(&h->text, "\n" LINE, sizeof("\n" LINE) - 1, err) < 0)
		return -1;
	if (first == old->size)
		return 0;
	return dm_buf_append(&h->text, old->data + first + 1,
	    old->size - first - 1, err);
}

/* Decide what the hook's text will be. */
static int
plan(struct hook *h, const char *dir, const char *name, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf old = DM_BUF(HOOK_MAX);
	struct stat st;
	bool found = false;

	h->text = (struct dm_buf)DM_BUF(HOOK_MAX + 1024);
	if (snprintf(h->path, sizeof(h->path), "%s/%s", dir, name) >=
	    (int)sizeof(h->path))
		return dm_fail(err, DM_INVALID, "%s: path too long", dir);
	if (dm_file_read(AT_FDCWD, h->path, &old, &found, err) < 0)
		return -1;
	if (!found) {
		h->changed = true;
		return dm_buf_printf(&h->text, err, "#!/bin/sh\n%s", LINE);
	}
	if (old.size > 0 && strstr(old.data, "datamount sync") != NULL)
		return 0;
	if (lstat(h->path, &st) < 0)
		return dm_fail_errno(err, "%s", h->path);
	if (old.size == 0 || !is_shell(old.data) || !S_ISREG(st.st_mode) ||
	    (st.st_mode & S_IXUSR) == 0)
		return dm_fail(err, DM_INVALID,
		    "%s is no shell script that Git runs: make it call "
		    "`datamount sync --quiet`",
		    h->path);
	return insert_line(h, &old, err);
}

static int
install_all(struct hook hooks[NHOOKS], const char *dir, bool quiet,
    struct dm_err *err)
{
	for (int i = 0; i < NHOOKS; i++)
		if (plan(&hooks[i], dir, names[i], err) < 0)
			return -1;
	if (dm_mkdirs(dir, 0777, err) < 0)
		return -1;
	for (int i = 0; i < NHOOKS; i++) {
		if (!hooks[i].changed)
			continue;
		if (dm_file_replace(AT_FDCWD, hooks[i].path, hooks[i].text.data,
			hooks[i].text.size, 0777, err) < 0)
			return -1;
		if (!quiet)
			(void)fprintf(stderr,
			    "datamount: %s calls `datamount "
			    "sync`\n",
			    hooks[i].path);
	}
	return 0;
}

int
hook_install(const char *top, bool quiet, struct dm_err *err)
{
	struct hook hooks[NHOOKS];
	char dir[PATH_MAX];
	int rc;

	memset(hooks, 0, sizeof(hooks));
	if (git_hooks_dir(top, dir, err) < 0)
		return -1;
	rc = install_all(hooks, dir, quiet, err);
	for (int i = 0; i < NHOOKS; i++)
		dm_buf_release(&hooks[i].text);
	return rc;
}
