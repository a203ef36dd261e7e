/*
 * The table is in the shared mapping, so that failures are still known after
 * a worker was replaced.  Only workers write it, under the worker's fault_mu;
 * a worker killed in the middle leaves a cut text, never an endless one,
 * because the last byte of a text is never written.
 */
#include "fs/mount/fault.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/log.h"
#include "fs/mount/shared.h"
#include "fs/mount/task.h"
#include "fs/mount/worker.h"

enum {
	FAULT_WINDOW_MS = 10000,
	FAULT_LINES = 20,
	FAULT_NAME = 160, /* bytes of a path in a message */
};

static void
copy_text(char *out, size_t size, const char *text)
{
	(void)snprintf(out, size, "%.*s", SHARED_FAULT_TEXT - 1, text);
}

static struct shared_fault *
find(struct shared *s, uint64_t ino)
{
	for (unsigned i = 0; i < SHARED_FAULTS; i++)
		if (s->faults[i].ino == ino)
			return &s->faults[i];
	return NULL;
}

static void
remember(struct shared *s, uint64_t ino, const char *text)
{
	uint32_t n = atomic_load(&s->nfaults);
	struct shared_fault *f = find(s, ino),
			    *next = &s->faults[n % SHARED_FAULTS];
	uint32_t before =
	    (f != NULL ? 1U : 0U) + (next->ino != 0 && next != f ? 1U : 0U);

	if (f != NULL)
		f->ino = 0;
	/* One entry more, less the old one and the one that is pushed out. */
	(void)atomic_fetch_add(&s->faults_now, 1 - before);
	next->ino = ino;
	next->time = (int64_t)time(NULL);
	copy_text(next->text, sizeof(next->text), text);
	atomic_store(&s->nfaults, n + 1);
}

/* May one more line be written now?  When a new window begins, how many were
 * not written in the one before. */
static bool
may_log(struct worker *w, unsigned *dropped)
{
	uint64_t now = dm_now_ms();

	*dropped = 0;
	if (now - w->fault_window_ms > FAULT_WINDOW_MS) {
		*dropped = w->fault_dropped;
		w->fault_window_ms = now;
		w->fault_logged = 0;
		w->fault_dropped = 0;
	}
	if (w->fault_logged == FAULT_LINES) {
		w->fault_dropped++;
		return false;
	}
	w->fault_logged++;
	return true;
}

/* What the operation was done with: its path, of a long one the end, fit for
 * one line; or its number if nothing in memory tells. */
static void
name_entry(struct worker *w, uint64_t ino, char out[FAULT_NAME])
{
	char path[PATH_MAX];
	size_t n;

	if (w->version == NULL ||
	    !version_recall_path(w->version, ino, path, sizeof(path))) {
		(void)snprintf(out, FAULT_NAME, "inode %ju", (uintmax_t)ino);
		return;
	}
	n = strlen(path);
	if (n < FAULT_NAME)
		(void)memcpy(out, path, n + 1);
	else
		(void)snprintf(out, FAULT_NAME, "...%.*s", FAULT_NAME - 4,
		    path + n - (FAULT_NAME - 4));
	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

static void
note(struct worker *w, const struct task *t, const struct dm_err *err)
{
	char text[SHARED_FAULT_TEXT], name[FAULT_NAME];
	unsigned dropped;
	bool log;

	name_entry(w, t->ino, name);
	(void)snprintf(text, sizeof(text), "%s of %s: %.300s", t->what, name,
	    err->text);
	shared_count(w->start.shared, STAT_errors, 1);
	dm_lock(&w->fault_mu);
	remember(w->start.shared, t->ino, text);
	log = may_log(w, &dropped);
	dm_unlock(&w->fault_mu);
	if (dropped > 0)
		dm_log(DM_LOG_WARN, "fuse", "%u failures were not logged",
		    dropped);
	if (log)
		dm_log(DM_LOG_WARN, "fuse", "%s of %s (inode %ju): %s", t->what,
		    name, (uintmax_t)t->ino, err->text);
}

void
fault_reply(struct task *t, const struct dm_err *err)
{
	struct worker *w = t->worker;

	if (err->code != DM_CANCELLED)
		worker_doubt(w);
	if (err->code == DM_CANCELLED)
		shared_count(w->start.shared, STAT_interrupted, 1);
	else if (!t->scout) /* who needs it asks again, and is told */
		note(w, t, err);
	task_refuse(t, dm_err_errno(err));
}

void
fault_clear(struct worker *w, uint64_t ino)
{
	struct shared *s = w->start.shared;
	struct shared_fault *f;

	if (atomic_load_explicit(&s->faults_now, memory_order_relaxed) == 0)
		return;
	dm_lock(&w->fault_mu);
	f = find(s, ino);
	if (f != NULL) {
		f->ino = 0;
		(void)atomic_fetch_sub(&s->faults_now, 1);
	}
	dm_unlock(&w->fault_mu);
}

bool
fault_text(struct worker *w, uint64_t ino, char *out, size_t size)
{
	struct shared_fault *f;

	dm_lock(&w->fault_mu);
	f = find(w->start.shared, ino);
	if (f != NULL)
		copy_text(out, size, f->text);
	dm_unlock(&w->fault_mu);
	return f != NULL;
}

bool
fault_last(const struct shared *s, char *out, size_t size, int64_t *time_out)
{
	uint32_t n = atomic_load(&s->nfaults);
	const struct shared_fault *f;

	if (n == 0)
		return false;
	f = &s->faults[(n - 1) % SHARED_FAULTS];
	*time_out = f->time;
	copy_text(out, size, f->text);
	return true;
}
