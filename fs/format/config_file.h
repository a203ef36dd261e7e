/* fs/format/config_file.h - what a configuration file says, line by line. */
#ifndef DM_FORMAT_CONFIG_FILE_H
#define DM_FORMAT_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "fs/format/text.h"

struct dm_err;

enum config_section {
	CONFIG_CACHE,
	CONFIG_NETWORK,
	CONFIG_MOUNT,
	CONFIG_REPOSITORY,
	CONFIG_SECTIONS,
};

enum config_key {
	CONFIG_CACHE_DIR,
	CONFIG_CACHE_MEMORY,
	CONFIG_CACHE_SIZE, /* 0: default */
	CONFIG_NETWORK_TIMEOUT,
	CONFIG_MOUNT_ALLOW_OTHER,
	CONFIG_MOUNT_SYMLINKS,
	CONFIG_MOUNT_IO,
	CONFIG_REPOSITORY_URL,
	CONFIG_REPOSITORY_MIRROR, /* the one key that may come again */
	CONFIG_REPOSITORY_CACHE_DIR,
	CONFIG_REPOSITORY_MEMORY,
	CONFIG_REPOSITORY_TIMEOUT,
	CONFIG_KEYS,
};

/* How keys are written, within their section. */
extern const char *const config_section_names[CONFIG_SECTIONS];
extern const char *const config_key_names[CONFIG_KEYS];

/* One "key = value" line; the texts are borrowed from the file's. */
struct config_item {
	enum config_section section;
	enum config_key key;
	struct text name; /* of a repository, else empty */
	struct text value;
	uint64_t number; /* bytes or seconds; yes and all are 1; of
			  * auto, daemon, passthrough, which it is */
	unsigned line;   /* from 1 on */
};

struct config_file {
	struct config_item *items; /* in the order of the file */
	size_t n;
};

enum {
	CONFIG_MAX = 64 << 10, /* bytes of a file */
	CONFIG_NAME_MAX = 64,  /* bytes of a short name */
};

/*
 * Decode a whole file; see datamount.conf(5).  DM_INVALID names the line and
 * what is wrong with it: nothing is skipped, so that a slip of the pen is no
 * silent default.  Every repository has a url.  The caller releases *out,
 * which borrows text; after a failure there is nothing to release.
 */
int config_file_decode(struct config_file *out, const void *text, size_t size,
    struct dm_err *err) DM_MUST_CHECK;
void config_file_release(struct config_file *f);

/* Could this be a short name?  Letters, digits, '.', '_' and '-', the first of
 * them a letter or digit, and not like the name of a .source file. */
bool config_name_valid(struct text name);

#endif
