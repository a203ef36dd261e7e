/* fs/mount/confine.h - what a process that reads strangers' bytes may do. */
#ifndef DM_MOUNT_CONFINE_H
#define DM_MOUNT_CONFINE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A worker decodes what origins send.  Should one ever be made to do what it
 * was not written for, then this is all it can do: read and write the cache,
 * read the repository's folders and what TLS and names need, talk to the
 * network if a repository is there, answer the kernel.  See
 * datamount-security(7).
 *
 * Each part is the kernel's, and one that it lacks is done without.
 *
 * Landlock's rules are of the files that the paths name now.  Where another
 * file comes to have the name (a repository that was replaced, a resolv.conf
 * that was written anew), confine_outdated() says so: only a new process can
 * be given other rules.
 *
 * Threads: confine_apply() binds the calling thread and those it starts later,
 * so call it before there is another.
 */
enum confine_part {
	CONFINE_NO_NEW_PRIVS = 1,
	CONFINE_NOT_DUMPABLE = 2,
	CONFINE_CAPABILITIES = 4,
	CONFINE_LANDLOCK = 8,
	CONFINE_SECCOMP = 16,
	CONFINE_ALL = 31,
};

enum { CONFINE_PATHS = 72, CONFINE_TEXT = 200 };

/* A path that rules were made for. */
struct confine_path {
	char path[PATH_MAX];
	bool writable;
	dev_t dev; /* what was there; 0 and 0: nothing */
	ino_t ino;
};

struct confine {
	bool web;         /* may use the network */
	bool keep_admin;  /* keeps CAP_SYS_ADMIN, if it has it */
	bool keep_search; /* keeps CAP_DAC_READ_SEARCH, if it has it */
	unsigned npaths;
	struct confine_path paths[CONFINE_PATHS];

	/* what became of it */
	unsigned parts;             /* enum confine_part: in force */
	char missing[CONFINE_TEXT]; /* the others, and why; "" if none */
};

/* Allow all below path: reading, or writing too.  A path that leads nowhere
 * is noted nevertheless, and one for which there is no room is not. */
void confine_allow(struct confine *c, const char *path, bool writable);

/* Allow reading a repository's folder, and what symlinks in it lead to. */
void confine_allow_folder(struct confine *c, const char *folder);

/* Allow what libraries read in order to resolve names and to know servers. */
void confine_allow_web(struct confine *c);

/* Give up all but what was allowed.  Never fails: see missing. */
void confine_apply(struct confine *c);

/* Does one of the paths name something else than it did? */
bool confine_outdated(const struct confine *c);

/* No core dump, and no other process of this user may look into this one. */
bool confine_hide(void);

/* What is in force, as words: "no-new-privs landlock"; "" if nothing. */
void confine_words(unsigned parts, char *out, size_t size);

/* The parts that this kernel has, without giving up anything. */
unsigned confine_supported(void);

#endif
