#include "fs/cmd/many.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "fs/mount/mount.h"
#include "fs/source/git.h"

enum { MANY_AT_ONCE = 8 };

void
many_release(struct many *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->items[i].name);
	free(m->items);
	*m = (struct many){ 0 };
}

int
many_add(struct many *m, const char *name, struct dm_err *err)
{
	struct many_item *more =
	    reallocarray(m->items, m->n + 1, sizeof(*more));

	if (more == NULL)
		return dm_fail(err, DM_NOMEM, "list of mounts");
	m->items = more;
	more[m->n] = (struct many_item){ .name = strdup(name) };
	if (more[m->n].name == NULL)
		return dm_fail(err, DM_NOMEM, "list of mounts");
	m->n++;
	return 0;
}

int
many_top(char top[PATH_MAX], bool *in_git, struct dm_err *err)
{
	char cwd[PATH_MAX];

	if (getcwd(cwd, sizeof(cwd)) == NULL)
		return dm_fail_errno(err, "find the working directory");
	if (git_work_tree(cwd, top, in_git, err) < 0)
		return -1;
	if (!*in_git)
		memcpy(top, cwd, sizeof(cwd));
	return 0;
}

struct below {
	struct many *m;
	const char *top;
};

static int
add_below(void *arg, const char *dir, struct dm_err *err)
{
	const struct below *b = arg;
	size_t n = strcmp(b->top, "/") == 0 ? 0 : strlen(b->top);

	if (strncmp(dir, b->top, n) != 0 || dir[n] != '/')
		return 0;
	return many_add(b->m, dir, err);
}

int
many_add_mounts(struct many *m, const char *top, bool dead, struct dm_err *err)
{
	struct below b = { .m = m, .top = top };

	if (mount_each(add_below, &b, err) < 0)
		return -1;
	return dead ? mount_each_dead(add_below, &b, err) : 0;
}

static int
begin(struct many_item *item,
    enum many_end (*do_one)(void *arg, const char *name), void *arg,
    struct dm_err *err)
{
	(void)fflush(NULL);
	item->pid = fork();
	if (item->pid == 0) {
		enum many_end end = do_one(arg, item->name);

		(void)fflush(NULL);
		_exit((int)end);
	}
	if (item->pid > 0)
		return 0;
	item->pid = 0;
	item->end = MANY_FAILED;
	return dm_fail_errno(err, "fork");
}

/* Wait until one is done. */
static int
end_one(struct many *m, struct dm_err *err)
{
	int status = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) < 0)
		if (errno != EINTR)
			return dm_fail_errno(err, "wait");
	for (size_t i = 0; i < m->n; i++) {
		struct many_item *item = &m->items[i];

		if (item->pid != pid)
			continue;
		item->pid = 0;
		item->end = MANY_FAILED;
		if (WIFEXITED(status) && WEXITSTATUS(status) <= MANY_FAILED)
			item->end = (enum many_end)WEXITSTATUS(status);
		else
			(void)fprintf(stderr,
			    "datamount: %s: what was done to it broke off\n",
			    item->name);
		return 1;
	}
	return 0; /* a child of before */
}

int
many_run(struct many *m, enum many_end (*do_one)(void *arg, const char *name),
    void *arg, struct dm_err *err)
{
	size_t next = 0, running = 0;
	int rc = 0;

	while (rc >= 0 && (next < m->n || running > 0)) {
		if (next < m->n && running < MANY_AT_ONCE) {
			rc = begin(&m->items[next++], do_one, arg, err);
			running += rc == 0;
			continue;
		}
		rc = end_one(m, err);
		running -= rc > 0;
	}
	/* Those that run are not left behind. */
	for (struct dm_err ignored; running > 0; running--)
		if (end_one(m, &ignored) < 0)
			break;
	return rc < 0 ? -1 : 0;
}

size_t
many_count(const struct many *m, enum many_end end)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->items[i].end == end;
	return n;
}
