/* fs/cmd/doctor.h - what may keep datamount from working here, and the fix. */
#ifndef DM_CMD_DOCTOR_H
#define DM_CMD_DOCTOR_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/err.h"

struct cmd_args;
struct source_file;

enum doctor_verdict { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

/* One run.  Checks add lines; a line is printed when the next one comes. */
struct doctor {
	const struct cmd_args *args;
	json_t *checks; /* NULL: print text */
	unsigned warned, failed;

	/* the line in the making, if what is not NULL */
	const char *what;
	enum doctor_verdict verdict;
	char text[DM_ERR_TEXT], fix[DM_ERR_TEXT];
};

/* Begin a line; what is a literal word. */
void doctor_say(struct doctor *d, enum doctor_verdict verdict, const char *what,
    const char *fmt, ...) DM_PRINTF(4, 5);

/* What to do about what was just said. */
void doctor_fix(struct doctor *d, const char *fmt, ...) DM_PRINTF(2, 3);

/* Print the line in the making. */
void doctor_end(struct doctor *d);

/* The groups of checks. */

/* Can this user mount? allow_other: shall others read the mounts? */
void doctor_fuse(struct doctor *d, bool allow_other);

void doctor_cache(struct doctor *d, const char *dir);

/* Of the repositories of version and its ref; else of this machine alone. */
void doctor_origin(struct doctor *d, const struct source_file *version,
    uint64_t timeout_ms);
void doctor_clock(struct doctor *d);

/* The mount at dir, or what could be mounted there.  *version is what it reads,
 * its ref the commit's id; no repositories if that is unknown. */
void doctor_mount(struct doctor *d, const char *dir,
    struct source_file *version);

#endif
