/* fs/cmd/config.h - what is configured: for this command, this repository. */
#ifndef DM_CMD_CONFIG_H
#define DM_CMD_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "fs/format/config_file.h"
#include "fs/mount/mount.h"
#include "fs/source/source.h"

struct cmd_args;
struct dm_err;

/*
 * The user's file and the system's (datamount.conf(5)) are read when the first
 * of these functions is called, and stay for the life of the process.  A file
 * that cannot be trusted or understood is an error of every one of them.
 *
 * Threads: the main one, before there are others.
 */
int config_load(struct dm_err *err) DM_MUST_CHECK;

/* Copy REPO[@REF][:PATH] with the URL in the place of a short name; text that
 * begins with none is copied as it is.  The caller frees *out. */
int config_expand(char **out, const char *text,
    struct dm_err *err) DM_MUST_CHECK;

/* source_name_parse of what config_expand makes of text. */
int config_name_parse(struct source_name *out, const char *text,
    struct dm_err *err) DM_MUST_CHECK;

/* Is text, up to an @, a short name? */
int config_is_short_name(const char *text, bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/*
 * What is meant for a repository (as source_name has it; NULL: none in
 * particular) by, in this order, the command line, the environment, the
 * repository's section, the other sections, the built-in values.
 */
struct config_options {
	char cache_dir[PATH_MAX]; /* absolute */
	const char *cache_why;    /* as cache_dir_default has it */
	uint64_t timeout_ms;      /* 0: none */
	uint64_t memory;          /* 0: the cache's default */
	uint64_t cache_size;      /* 0: likewise */
	enum mount_io io;
	bool allow_other, all_symlinks;
};
int config_options(struct config_options *out, const struct cmd_args *a,
    const char *repo, struct dm_err *err) DM_MUST_CHECK;

/* The cache directory alone, for no repository in particular. */
int config_cache_dir(char out[PATH_MAX], const struct cmd_args *a,
    struct dm_err *err) DM_MUST_CHECK;

/* Add the mirrors that are configured for pin's only repository. */
int config_mirrors(struct source_file *pin, struct dm_err *err) DM_MUST_CHECK;

/* One value, and where it comes from. */
struct config_setting {
	char key[CONFIG_NAME_MAX + 32]; /* "cache.dir", "repository.N.url" */
	const char *value;
	const char *file;     /* NULL: from no file */
	unsigned line;        /* of the file */
	const char *variable; /* of the environment, or NULL */
};

/* Call each for every value in force; neither file nor variable: built in. */
int config_each(int (*each)(void *arg, const struct config_setting *s,
		    struct dm_err *err),
    void *arg, struct dm_err *err) DM_MUST_CHECK;

#endif
