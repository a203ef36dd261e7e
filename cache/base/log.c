#include "cache/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/err.h"

static _Atomic int log_level = DM_LOG_WARN;
static _Atomic int log_stamped;

void
dm_log_setup(enum dm_log_level level, int stamped)
{
	atomic_store(&log_level, (int)level);
	atomic_store(&log_stamped, stamped);
}

void
dm_log(enum dm_log_level level, const char *area, const char *fmt, ...)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	char line[1200];
	size_t n = 0;
	va_list ap;

	if ((int)level > atomic_load(&log_level))
		return;
	if (atomic_load(&log_stamped)) {
		time_t now = time(NULL);
		struct tm tm;

		if (gmtime_r(&now, &tm) != NULL)
			n = strftime(line, 32, "%Y-%m-%dT%H:%M:%SZ ", &tm);
	}
	n += (size_t)snprintf(line + n, 64, "%s %.40s: ", names[level], area);
	va_start(ap, fmt);
	(void)vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	dm_err_flatten(line);
	n = strlen(line);
	line[n++] = '\n';
	/* A log that cannot be written must not stop the work. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}
