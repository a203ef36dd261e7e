/* cache/base/log.h - one event, one line on stderr. */
#ifndef DM_BASE_LOG_H
#define DM_BASE_LOG_H

#include "cache/base/attr.h"

enum dm_log_level {
	DM_LOG_ERROR, /* someone must act */
	DM_LOG_WARN,  /* handled, but look */
	DM_LOG_INFO,  /* start, stop, mount */
	DM_LOG_DEBUG, /* per request */
};

/* Lines above level are dropped; the default is DM_LOG_WARN.  With stamped,
 * each line begins with the UTC time, for a log file that has no journal. */
void dm_log_setup(enum dm_log_level level, int stamped);

/* Write "level area message" in one write(2), so that lines of many threads
 * and processes do not mix.  Any thread.  Never a secret: print URLs without
 * their query, never headers. */
void dm_log(enum dm_log_level level, const char *area, const char *fmt, ...)
    DM_PRINTF(3, 4);

#endif
