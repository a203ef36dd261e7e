/* How far long work has come, on stderr. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "fs/cmd/cmd.h"

enum {
	BAR_EVERY_MS = 100,
	LINE_EVERY_MS = 10000,
	BAR_WIDTH = 24,
	LEFT_AFTER_MS = 1000, /* before that it is a guess */
	LEFT_TEXT = 40,
};

struct progress {
	const char *what;
	bool terminal;
	bool shown;
	uint64_t begun_ms, last_ms;
};

struct progress *
progress_new(const char *what, bool quiet)
{
	struct progress *p;

	if (quiet)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL; /* the work matters more */
	p->what = what;
	p->terminal = isatty(STDERR_FILENO) == 1;
	p->begun_ms = p->last_ms = dm_now_ms();
	return p;
}

/* "[#####     ] ", or "" if the total is not known. */
static void
draw_bar(char out[BAR_WIDTH + 4], uint64_t bytes, uint64_t total)
{
	size_t full;

	out[0] = '\0';
	if (total == 0)
		return;
	full = bytes >= total ?
	    BAR_WIDTH :
	    (size_t)((double)bytes / (double)total * BAR_WIDTH);
	out[0] = '[';
	memset(out + 1, '#', full);
	memset(out + 1 + full, ' ', BAR_WIDTH - full);
	memcpy(out + 1 + BAR_WIDTH, "] ", 3);
}

/* ", 12 min left", or "" if nobody knows. */
static const char *
time_left(char out[LEFT_TEXT], uint64_t bytes, uint64_t total, uint64_t ms)
{
	double s;

	out[0] = '\0';
	if (bytes == 0 || bytes >= total || ms < LEFT_AFTER_MS)
		return out;
	s = (double)ms / 1000 * ((double)(total - bytes) / (double)bytes);
	if (s < 100)
		(void)snprintf(out, LEFT_TEXT, ", %.0f s left", s);
	else if (s < 100 * 60)
		(void)snprintf(out, LEFT_TEXT, ", %.0f min left", s / 60);
	else
		(void)snprintf(out, LEFT_TEXT, ", %.0f h left", s / 3600);
	return out;
}

void
progress_update(struct progress *p, uint64_t files, uint64_t bytes,
    uint64_t total_bytes)
{
	char bar[BAR_WIDTH + 4], done[CMD_BYTES_TEXT], total[CMD_BYTES_TEXT];
	char rate[CMD_BYTES_TEXT], left[LEFT_TEXT];
	uint64_t now = dm_now_ms();

	if (p == NULL ||
	    now - p->last_ms < (p->terminal ? BAR_EVERY_MS : LINE_EVERY_MS))
		return;
	p->last_ms = now;
	p->shown = true;
	draw_bar(bar, bytes, p->terminal ? total_bytes : 0);
	(void)fprintf(stderr, "%s%s: %s%llu files, %s%s%s, %s/s%s%s",
	    p->terminal ? "\r" : "", p->what, bar, (unsigned long long)files,
	    cmd_bytes(done, bytes), total_bytes != 0 ? " of " : "",
	    total_bytes != 0 ? cmd_bytes(total, total_bytes) : "",
	    cmd_bytes(rate, bytes * 1000 / (now - p->begun_ms)),
	    time_left(left, bytes, total_bytes, now - p->begun_ms),
	    p->terminal ? "\033[K" : "\n");
}

void
progress_free(struct progress *p)
{
	if (p != NULL && p->terminal && p->shown)
		(void)fputs("\r\033[K", stderr);
	free(p);
}
