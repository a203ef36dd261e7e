/* fs/cmd/many.h - do the same to many mounts, several at a time. */
#ifndef DM_CMD_MANY_H
#define DM_CMD_MANY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cache/base/attr.h"

struct dm_err;

enum many_end { MANY_AS_IT_WAS, MANY_CHANGED, MANY_FAILED };

struct many_item {
	char *name; /* of a mount point or a .source file; absolute */
	enum many_end end;
	pid_t pid; /* works on it now; 0: none */
};

/* What is to be done; { 0 } is nothing. */
struct many {
	struct many_item *items;
	size_t n;
};

void many_release(struct many *m);
int many_add(struct many *m, const char *name,
    struct dm_err *err) DM_MUST_CHECK;

/* The Git work tree that we stand in, or else the current directory. */
int many_top(char top[PATH_MAX], bool *in_git,
    struct dm_err *err) DM_MUST_CHECK;

/* Add the mount points of this user below top; with dead, those whose daemon
 * is dead too. */
int many_add_mounts(struct many *m, const char *top, bool dead,
    struct dm_err *err) DM_MUST_CHECK;

/*
 * Call do_one for each item, each in a process of its own (a mount must be made
 * by a process of one thread), a few at a time, and note what it returns.  It
 * reports its failure itself; one does not keep the others from being done.
 */
int many_run(struct many *m,
    enum many_end (*do_one)(void *arg, const char *name), void *arg,
    struct dm_err *err) DM_MUST_CHECK;

size_t many_count(const struct many *m, enum many_end end);

#endif
