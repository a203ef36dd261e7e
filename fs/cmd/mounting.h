/* fs/cmd/mounting.h - from a pin to a mount, and from one mount to the next. */
#ifndef DM_CMD_MOUNTING_H
#define DM_CMD_MOUNTING_H

#include <stdbool.h>

#include "cache/base/attr.h"
#include "cache/base/buf.h"
#include "fs/cmd/cmd.h"
#include "fs/format/commit.h"
#include "fs/mount/mount.h"

struct dm_err;

/* A version that is about to be mounted. */
struct mounting {
	struct mount_spec spec; /* spec.pin has absolute repositories */
	struct dm_buf text;     /* of the commit; spec.commit borrows it */
	struct commit commit;   /* borrows text */
	bool quiet;             /* no word on what is no error */
};

/* Nothing is allocated before mounting_load. */
void mounting_init(struct mounting *m);
void mounting_release(struct mounting *m);

/* The options of a mount of repo, from the command line, the environment and
 * the configuration. */
int mounting_options(struct mounting *m, const struct cmd_args *a,
    const char *repo, struct dm_err *err) DM_MUST_CHECK;
#define CMD_MOUNT_OPTIONS                                                      \
	{ "allow-other", 0, NULL, "let other users read the mount" },          \
	    { "symlinks", 0, "all", "show symlinks that leave (or: inside)" }, \
	    { "io", 0, "auto|daemon|passthrough",                              \
		    "who reads large files that are cached (auto)" },          \
	    { "memory", 0, "BYTES", "for bytes in flight at most (256M)" },    \
	    { "record-trace", 0, "FILE",                                       \
		    "write there what is read, in order" },                    \
	    { "replay-trace", 0, "FILE", "fetch what it says, in its order" }, \
	{                                                                      \
		"foreground", 0, NULL, "stay, and log to standard error"       \
	}

/*
 * Fetch the commit that spec.pin names, and what the first ls needs, from s or
 * its cache, so that what is wrong with them is found before anything is
 * changed.  With compare the repository's id must be the pin's; one that does
 * not answer is then no error if the rest was cached or came from a mirror.
 */
int mounting_load(struct mounting *m, struct session *s, bool compare,
    struct dm_err *err) DM_MUST_CHECK;

/* The same, in a session of its own. */
int mounting_fetch(struct mounting *m, bool compare,
    struct dm_err *err) DM_MUST_CHECK;

/* DM_DENIED if the repository is a folder that another user owns. */
int mounting_check_folder(const struct session *s,
    struct dm_err *err) DM_MUST_CHECK;

/* What a running mount shows and how.  spec->commit is NULL. */
int mounting_current(const char *dir, struct mount_spec *spec, bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/*
 * Replace the mount of old by that of next, at the same place.  If old is in
 * use and lazy is false, or next cannot be mounted, old stays or comes back.
 * Both are loaded.
 */
int mounting_switch(const struct mounting *next, const struct mounting *old,
    bool lazy, struct dm_err *err) DM_MUST_CHECK;

#endif
