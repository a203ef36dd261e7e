#include "fs/mount/tracing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/base/log.h"
#include "fs/format/trace.h"
#include "fs/mount/mount.h"
#include "fs/mount/scout.h"
#include "fs/mount/shared.h"
#include "fs/mount/trail.h"
#include "fs/mount/worker.h"
#include "fs/version/replay.h"
#include "fs/version/version.h"

enum {
	WORD = 64,
	PART_BITS = 32, /* bits for each part of a large file */
};

static const char header[] = TRACE_HEADER "\n";

/* ---- the files ---- */

static int
open_regular(const char *path, int flags, struct stat *st, struct dm_err *err)
{
	/* What is no regular file is not waited for. */
	int fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);

	if (fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	if (fd < 0)
		return dm_fail_errno(err, "trace %s", path);
	(void)close(fd);
	return dm_fail(err, DM_INVALID, "trace %s: not a regular file", path);
}

/* Is it a trace?  Anything may be in it. */
static int
check_trace(int fd, const char *path, struct dm_err *err)
{
	char line[64];
	ssize_t n = dm_pread_full(fd, line, sizeof(line), 0);
	const char *newline;

	if (n < 0)
		return dm_fail_errno(err, "trace %s", path);
	newline = memchr(line, '\n', (size_t)n);
	if (newline != NULL)
		n = newline - line;
	if (trace_check_header(line, (size_t)n, err) < 0)
		return dm_wrap(err, "trace %s", path);
	return 0;
}

static int
open_files(struct tracing *t, const struct mount_spec *spec, struct dm_err *err)
{
	struct stat replay = { 0 }, record;

	if (spec->replay_trace[0] != '\0') {
		t->replay_fd =
		    open_regular(spec->replay_trace, O_RDONLY, &replay, err);
		if (t->replay_fd < 0 ||
		    check_trace(t->replay_fd, spec->replay_trace, err) < 0)
			return -1;
	}
	if (spec->record_trace[0] == '\0')
		return 0;
	t->record_fd = open_regular(spec->record_trace,
	    O_RDWR | O_CREAT | O_APPEND, &record, err);
	if (t->record_fd < 0)
		return -1;
	if (t->replay_fd >= 0 && replay.st_dev == record.st_dev &&
	    replay.st_ino == record.st_ino)
		return dm_fail(err, DM_INVALID,
		    "%s cannot be recorded and replayed at a time: record "
		    "another file",
		    spec->record_trace);
	if (record.st_size > 0 &&
	    check_trace(t->record_fd, spec->record_trace, err) < 0)
		return dm_wrap(err, "not overwritten");
	return 0;
}

static int
map_marks(struct tracing *t, const struct mount_spec *spec, struct dm_err *err)
{
	uint64_t entries = spec->entries + 1,
		 parts = (spec->bytes / TRACE_PART + 1) * PART_BITS;
	struct tracing_marks *m;
	size_t size;

	if (entries > TRACING_BITS)
		entries = TRACING_BITS;
	if (parts > TRACING_BITS)
		parts = TRACING_BITS;
	size = sizeof(*m) + (entries + parts) / 8 + sizeof(m->word[0]);
	m = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m == MAP_FAILED)
		return dm_fail_errno(err, "map memory for a trace");
	m->size = size;
	m->entries = entries;
	m->parts = parts;
	t->marks = m;
	return 0;
}

int
tracing_open(struct tracing *t, const struct mount_spec *spec,
    struct dm_err *err)
{
	*t = (struct tracing){ .record_fd = -1, .replay_fd = -1 };
	if (spec->record_trace[0] == '\0' && spec->replay_trace[0] == '\0')
		return 0;
	if (open_files(t, spec, err) < 0 || map_marks(t, spec, err) < 0) {
		tracing_close(t);
		return -1;
	}
	return 0;
}

int
tracing_begin(const struct tracing *t, const struct mount_spec *spec,
    struct dm_err *err)
{
	struct stat st;

	if (t->record_fd < 0)
		return 0;
	if ((!spec->record_on && ftruncate(t->record_fd, 0) < 0) ||
	    fstat(t->record_fd, &st) < 0 ||
	    (st.st_size == 0 &&
		dm_write_full(t->record_fd, header, sizeof(header) - 1) < 0))
		return dm_fail_errno(err, "trace %s", spec->record_trace);
	return 0;
}

void
tracing_close(struct tracing *t)
{
	dm_closep(&t->record_fd);
	dm_closep(&t->replay_fd);
	if (t->marks != NULL)
		(void)munmap(t->marks, t->marks->size);
	*t = (struct tracing){ .record_fd = -1, .replay_fd = -1 };
}

/* ---- marks ---- */

/* The bit of the part of a file that begins at off. */
static _Atomic uint64_t *
mark_of(struct tracing_marks *m, uint64_t ino, uint64_t off, uint64_t *bit)
{
	uint64_t part = off / TRACE_PART, n = ino % m->entries;

	if (part > 0) {
		/* Mixed, so that files do not have all their parts in one
		 * place. */
		n = (ino * 0x9e3779b97f4a7c15U + part) * 0xff51afd7ed558ccdU;
		n = m->entries + (n >> 20) % m->parts;
	}
	*bit = (uint64_t)1 << n % WORD;
	return &m->word[n / WORD];
}

static bool
was_read(void *arg, uint64_t ino, uint64_t off)
{
	struct tracing_marks *m = arg;
	uint64_t bit;
	_Atomic uint64_t *word = mark_of(m, ino, off, &bit);

	return (atomic_load_explicit(word, memory_order_relaxed) & bit) != 0;
}

static uint64_t
bytes_read(void *arg)
{
	struct tracing_marks *m = arg;

	return atomic_load_explicit(&m->bytes, memory_order_relaxed);
}

/* ---- recording ---- */

static void
say_broken(struct worker *w, const char *why)
{
	if (atomic_exchange(&w->start.tracing.marks->broken, 1) == 0)
		dm_log(DM_LOG_WARN, "trace", "%s: %s: nothing more is recorded",
		    w->start.spec->record_trace, why);
}

static void
say_lost(struct worker *w, uint64_t ino, const char *why)
{
	if (atomic_exchange(&w->start.tracing.marks->lost, 1) == 0)
		dm_log(DM_LOG_WARN, "trace",
		    "%s: inode %ju, perhaps others, cannot be named, and is "
		    "not recorded: %s",
		    w->start.spec->record_trace, (uintmax_t)ino, why);
}

/* The path has no '/' first. */
static void
write_line_locked(struct worker *w, uint64_t off, const char *path)
{
	DM_AUTO(dm_buf_release) struct dm_buf line = DM_BUF(TRACE_LINE_MAX + 2);
	struct trace_entry e = { .off = off, .path_len = strlen(path) };
	struct dm_err err;

	memcpy(e.path, path, e.path_len + 1);
	if (trace_encode(&e, &line, &err) < 0) {
		say_broken(w, err.text);
		return;
	}
	shared_count(w->start.shared, STAT_trace_recorded, 1);
	errno = EIO;
	if (write(w->start.tracing.record_fd, line.data, line.size) !=
	    (ssize_t)line.size)
		say_broken(w, strerrorname_np(errno));
}

static bool
is_recorded(const struct tracing *t)
{
	return t->record_fd >= 0 && atomic_load(&t->marks->broken) == 0;
}

/* Write the part's line, or have it written.  False: neither can be. */
static bool
record_locked(struct worker *w, const struct namer_part *part, const char *path)
{
	struct tracing *t = &w->start.tracing;

	if (!is_recorded(t))
		return true;
	if (path != NULL) {
		write_line_locked(w, part->off, path);
		return true;
	}
	if (!namer_add(&t->marks->unnamed, part)) {
		say_lost(w, part->ino, "too many others are to be, first");
		return false;
	}
	namer_more(t->namer);
	return true;
}

static void
note_part(struct worker *w, const struct version_node *file, uint64_t off)
{
	const struct tracing *t = &w->start.tracing;
	const struct namer_part part = { .ino = file->ino, .off = off };
	uint64_t left = file->size - off, bit;
	_Atomic uint64_t *word = mark_of(t->marks, file->ino, off, &bit);
	char path[DM_PATH_MAX + 2];
	bool named;

	if ((atomic_load_explicit(word, memory_order_relaxed) & bit) != 0)
		return;
	named = is_recorded(t) &&
	    version_recall_path(w->version, file->ino, path, sizeof(path));
	dm_lock(&w->fault_mu);
	/* Who is killed in between has the line written once more, and that
	 * does no harm; the other way round it would be lost. */
	if ((atomic_load(word) & bit) == 0 &&
	    record_locked(w, &part, named ? path + 1 : NULL)) {
		atomic_fetch_or(word, bit);
		atomic_fetch_add(&t->marks->bytes,
		    left < TRACE_PART ? left : TRACE_PART);
	}
	dm_unlock(&w->fault_mu);
}

void
tracing_note(struct worker *w, const struct version_node *file, uint64_t off,
    uint64_t size)
{
	uint64_t part = off - off % TRACE_PART;

	if (w->start.tracing.marks == NULL ||
	    (file->kind != TREE_FILE && file->kind != TREE_EXEC))
		return;
	for (; part < off + size && part < file->size; part += TRACE_PART)
		note_part(w, file, part);
}

static void
on_named(void *arg, const struct namer_part *part, const char *path)
{
	struct worker *w = arg;

	dm_lock(&w->fault_mu);
	if (is_recorded(&w->start.tracing))
		write_line_locked(w, part->off, path);
	dm_unlock(&w->fault_mu);
}

static void
on_lost(void *arg, const struct namer_part *part, const char *why)
{
	say_lost(arg, part->ino, why);
}

static int
start_namer(struct worker *w, struct dm_err *err)
{
	struct tracing *t = &w->start.tracing;
	struct namer_options opt = {
		.version = w->version,
		.cache = w->cache,
		.named = on_named,
		.lost = on_lost,
		.arg = w,
	};

	if (t->record_fd < 0)
		return 0;
	opt.list = &t->marks->unnamed;
	return namer_open(&t->namer, &opt, err);
}

/* ---- replaying ---- */

static void *
replay_thread(void *arg)
{
	replay_run(arg);
	return NULL;
}

static bool
send_order(void *arg, const struct scout_order *o)
{
	const struct worker *w = arg;

	return atomic_load(&w->start.shared->scout) != 0 &&
	    scout_send(w->start.order_fd, o);
}

static void *
trail_thread(void *arg)
{
	trail_run(arg);
	return NULL;
}

static int
start_replay(struct worker *w, struct dm_err *err)
{
	struct tracing *t = &w->start.tracing;
	struct replay_options opt = {
		.version = w->version,
		.cache = w->cache,
		.origin = w->origin,
		.name = w->start.spec->replay_trace,
		.fd = t->replay_fd,
		.readers = { was_read, bytes_read, t->marks },
	};

	if (replay_open(&t->replay, &opt, err) < 0)
		return -1;
	if (pthread_create(&t->replay_thread, NULL, replay_thread, t->replay) ==
	    0)
		return 0;
	replay_close(t->replay);
	t->replay = NULL;
	return dm_fail(err, DM_NOMEM, "no thread");
}

static int
start_trail(struct worker *w, struct dm_err *err)
{
	struct tracing *t = &w->start.tracing;
	struct trail_options opt = {
		.version = w->version,
		.cache = w->cache,
		.fd = t->replay_fd,
		.readers = { was_read, bytes_read, t->marks },
		.order = send_order,
		.arg = w,
	};

	if (trail_open(&t->trail, &opt, err) < 0)
		return -1;
	if (pthread_create(&t->trail_thread, NULL, trail_thread, t->trail) == 0)
		return 0;
	trail_close(t->trail);
	t->trail = NULL;
	return dm_fail(err, DM_NOMEM, "no thread");
}

bool
tracing_foretold(struct worker *w, const struct version_node *file,
    uint64_t off)
{
	struct trail *trail = w->start.tracing.trail;
	bool ordered;

	return trail != NULL && trail_note(trail, file->ino, off, &ordered) &&
	    ordered;
}

int
tracing_start(struct worker *w, struct dm_err *err)
{
	struct tracing *t = &w->start.tracing;
	struct dm_err why;

	/* Nothing to do, or it is sick. */
	if (t->marks == NULL || w->version == NULL)
		return 0;
	if (start_namer(w, err) < 0)
		return -1;
	if (t->replay_fd >= 0 &&
	    (start_replay(w, &why) < 0 ||
		(scout_wanted(w->start.spec, w->start.shared) &&
		    start_trail(w, &why) < 0)))
		dm_log(DM_LOG_WARN, "replay", "%s: cannot begin: %s",
		    w->start.spec->replay_trace, why.text);
	return 0;
}

void
tracing_stop(struct worker *w)
{
	struct tracing *t = &w->start.tracing;

	namer_close(t->namer);
	t->namer = NULL;
	if (t->replay != NULL) {
		replay_stop(t->replay);
		(void)pthread_join(t->replay_thread, NULL);
		replay_close(t->replay);
		t->replay = NULL;
	}
	if (t->trail != NULL) {
		trail_stop(t->trail);
		(void)pthread_join(t->trail_thread, NULL);
		trail_close(t->trail);
		t->trail = NULL;
	}
}
