/* fs/cmd/cmd.h - what all commands share. */
#ifndef DM_CMD_CMD_H
#define DM_CMD_CMD_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct dm_err;

enum cmd_exit { CMD_DONE = 0, CMD_FAILED = 1, CMD_USAGE = 2, CMD_DAMAGE = 3 };

/*
 * A command: one row of the table in main.c.  run gets argv with argv[0] the
 * command's own name, prints results on stdout, and returns an exit status;
 * or -1 with err set, which main prints as "datamount: TEXT" (CMD_FAILED, or
 * CMD_USAGE for DM_INVALID set by cmd_usage).
 */
struct cmd {
	const char *name;
	const char *args;                 /* as in the usage line */
	const char *help;                 /* one line */
	const struct cmd_option *options; /* ends with name NULL */
	int (*run)(int argc, char **argv, struct dm_err *err);
};

/*
 * Options of one command: long names, an optional letter, before or after the
 * operands; "--" ends them.  cmd_options moves the operands to argv[1...],
 * stores values, and lets a command declare what it takes in one table, from
 * which --help prints too.
 */
struct cmd_option {
	const char *name;  /* without -- */
	char letter;       /* or 0 */
	const char *value; /* what the value is, or NULL: a flag */
	const char *help;
};

/* Parsed options; ask by name.  Values are borrowed from argv. */
struct cmd_args {
	const struct cmd *cmd;
	int n; /* operands */
	char **operands;
	struct {
		const struct cmd_option *option;
		const char *value;
	} given[64];
	int ngiven;
};

/* Parse argv by the command's table.  min and max bound the operands (max -1:
 * no bound).  -1 with err: usage; or --help was given: err->code is DM_OK, the
 * help is printed, and the command just returns -1.  Every command also has
 * --quiet, --debug and --help, without naming them in its table. */
int cmd_parse(struct cmd_args *out, const struct cmd *cmd, int argc,
    char **argv, int min, int max, struct dm_err *err) DM_MUST_CHECK;
bool cmd_flag(const struct cmd_args *a, const char *name);
const char *cmd_value(const struct cmd_args *a, const char *name); /* or NULL */

/* The i-th value of an option that may be given several times, or NULL. */
const char *cmd_value_at(const struct cmd_args *a, const char *name, int i);

/* The value of an option that is a number, or fallback; with units it may end
 * in K, M, G, T (powers of 1024). */
int cmd_number(const struct cmd_args *a, const char *name, bool units,
    uint64_t fallback, uint64_t *out, struct dm_err *err) DM_MUST_CHECK;

/* The same for a text.  False: it is no number. */
bool cmd_parse_bytes(const char *text, uint64_t *out);

/* Set err so that main exits with CMD_USAGE. */
int cmd_usage(struct dm_err *err, const char *fmt, ...) DM_PRINTF(2, 3);

/* Print an error; returns the exit status that goes with it. */
int cmd_report(const struct dm_err *err);

void cmd_print_help(const struct cmd *cmd);

/* Everything a command needs to look at a repository: net, cache, repo. */
struct net;
struct cache;
struct repo;
struct session {
	struct net *net;
	struct cache *cache;
	struct repo *repo;
};

/* Open all three for REPO (a source_name's repo).  Options that every such
 * command has: CMD_SESSION_OPTIONS (--cache DIR, --cache-size BYTES, --timeout
 * SECONDS). */
int session_open(struct session *s, const struct cmd_args *a, const char *repo,
    struct dm_err *err) DM_MUST_CHECK;
void session_close(struct session *s);

/* The same, with the options of a mount. */
struct mount_spec;
int session_open_in(struct session *s, const struct mount_spec *spec,
    uint64_t timeout_ms, struct dm_err *err) DM_MUST_CHECK;

/* Let immutable files come from the mirrors, too, that pin has behind its
 * first repository, or that are configured for repo.  DM_DENIED: a folder
 * that another user owns. */
struct source_file;
int session_mirrors(struct session *s, const struct source_file *pin,
    struct dm_err *err) DM_MUST_CHECK;
int session_configured_mirrors(struct session *s, const char *repo,
    struct dm_err *err) DM_MUST_CHECK;

/* The timeout of what a command does before its real work, in ms: names, refs,
 * commits, whether a version can be mounted.  At most 10 s. */
uint64_t session_brief_ms(uint64_t timeout_ms);

enum { CMD_TIMEOUT_S = 300 };
#define CMD_SESSION_OPTIONS                                                 \
	{ "cache", 0, "DIR", "keep fetched bytes in DIR" },                 \
	    { "cache-size", 0, "BYTES",                                     \
		    "for the whole cache (default: by disk)" },             \
	    { "timeout", 0, "SECONDS",                                      \
		    "give up on an origin after so long (300; 0: never)" }, \
	{                                                                   \
		"allow-rollback", 0, NULL,                                  \
		    "take a ref that is older than was seen before"         \
	}

/* Progress of long work: a bar on a terminal, a plain line every 10 s
 * elsewhere, nothing with --quiet.  total 0: not known.  Any one thread.
 * progress_new may return NULL, which the others take. */
struct progress;
struct progress *progress_new(const char *what, bool quiet);
void progress_update(struct progress *p, uint64_t files, uint64_t bytes,
    uint64_t total_bytes);
void progress_free(struct progress *p);

/* "1.2 GB", in a static-size buffer that the caller has. */
enum { CMD_BYTES_TEXT = 16 };
const char *cmd_bytes(char out[CMD_BYTES_TEXT], uint64_t bytes);

#endif
