/*
 * The worker: reads requests straight into the mapping that it shares with the
 * supervisor, and answers them.  Killed at any instruction, it leaves there
 * what the next one needs.
 *
 * Threads: readers take requests from the kernel and run them; runners run
 * those again that had to wait for the cache; the first thread waits for
 * signals.  A thread keeps its slot from request to request unless one parks.
 *
 * max_write has to be WORKER_IO_MAX, since libfuse derives the size of reads
 * from it, and the kernel then wants a buffer of that size for every request.
 * No request for us is longer than a slot, so the rest of the buffer is memory
 * that is never touched (but by BATCH_FORGET, which says nothing to us).
 */
#include "fs/mount/worker.h"

#include <errno.h>
#include <linux/fuse.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "cache/base/io.h"
#include "cache/base/log.h"
#include "cache/net/origin.h"
#include "fs/mount/mount.h"
#include "fs/mount/ops.h"
#include "fs/mount/passthrough.h"

enum {
	WORKER_STATX = 52,       /* FUSE_STATX, where headers have it */
	WORKER_LONG = 128 << 10, /* bytes of a read that takes long */
	WORKER_TICK_S = 2,       /* between looks at whether it is outdated */
	WORKER_LAST_MS = 10000,  /* for the warden to unmount */
};

static struct fuse_in_header *
header(struct worker *w, unsigned slot)
{
	return (struct fuse_in_header *)(void *)w->start.shared->slots[slot];
}

/* Slots from this number on hold nothing. */
static unsigned
slots_used(struct worker *w)
{
	return atomic_load(&w->start.shared->nslots);
}

/* Does the slot hold this request?  The kernel interrupts none before it was
 * read whole; into other slots requests are being read, or emptied, meanwhile,
 * and no value of these is the one looked for: so this needs no lock. */
static bool __attribute__((no_sanitize("thread")))
holds(struct worker *w, unsigned slot, uint64_t unique)
{
	const volatile uint64_t *p = &header(w, slot)->unique;

	return *p == unique;
}

/* The next worker, too, is to know that a request is not waited for; by its
 * unique, since it may be answered meanwhile. */
static void
note_interrupt(struct worker *w, const struct fuse_in_header *h)
{
	const struct fuse_interrupt_in *in = (const void *)(h + 1);

	for (unsigned i = 0; i < slots_used(w); i++)
		if (holds(w, i, in->unique))
			atomic_store(&w->start.shared->notes[i].interrupted,
			    in->unique);
}

static void
reply_errno(struct worker *w, unsigned slot, int e)
{
	shared_refuse(w->start.shared, w->start.fuse_fd, slot, e);
}

/* An open of which an earlier worker may have told how it ended: that is not
 * changed.  See shared.h. */
static bool
settled(struct thread *th, unsigned slot, bool *answered)
{
	struct worker *w = th->worker;
	const struct fuse_in_header *h = header(w, slot);
	const struct shared_note *note = &w->start.shared->notes[slot];
	struct opens_answer a;

	*answered = true;
	if (!th->replays || h->opcode != FUSE_OPEN)
		return false;
	if (note->error != 0) {
		reply_errno(w, slot, (int)note->error);
		return true;
	}
	if (note->closed == h->unique)
		return true;
	*answered = false;
	return opens_find(&w->opens, h->unique, &a);
}

/* Is the request answered right here, without an operation? */
static bool
refused(struct thread *th, unsigned slot)
{
	struct worker *w = th->worker;
	const struct fuse_in_header *h = header(w, slot);
	const struct shared_note *note = &w->start.shared->notes[slot];
	bool answered;

	switch (h->opcode) {
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET: /* positions need no remembering */
		shared_count(w->start.shared, STAT_forget, 1);
		return true;
	case FUSE_WRITE:
		shared_count(w->start.shared, STAT_refused, 1);
		reply_errno(w, slot, EROFS);
		return true;
	case FUSE_INTERRUPT:
		note_interrupt(w, h);
		return w->start.sick;
	case WORKER_STATX: /* ENOSYS: the kernel does it by getattr */
		reply_errno(w, slot, ENOSYS);
		return true;
	default:
		break;
	}
	if (settled(th, slot, &answered))
		return answered;
	if (note->deaths >= SHARED_DEATHS_MAX && h->opcode != FUSE_RELEASE) {
		dm_log(DM_LOG_ERROR, "fuse",
		    "request %u for inode %ju: %u workers died of it; it fails",
		    h->opcode, (uintmax_t)h->nodeid, note->deaths);
		shared_count(w->start.shared, STAT_poisoned, 1);
		reply_errno(w, slot, EIO);
		return true;
	}
	if (w->start.sick && h->opcode != FUSE_RELEASE &&
	    (h->opcode != FUSE_GETATTR || h->nodeid != FUSE_ROOT_ID)) {
		reply_errno(w, slot, EIO);
		return true;
	}
	return false;
}

/* What the kernel reads ahead for the scout may wait. */
static void
know_scout(struct worker *w, struct task *t, const struct fuse_in_header *h)
{
	t->scout = w->start.shared->notes[t->slot].scout;
	t->hasty = t->scout && h->opcode != FUSE_READ;
}

/* By the one of now: when it is begun again there may be another. */
static bool
is_scouts(struct shared *s, uint32_t pid)
{
	if (pid == 0 || pid != atomic_load(&s->scout))
		return false;
	shared_count(s, STAT_scouted, 1);
	return true;
}

bool
worker_handle(struct thread *th, unsigned slot)
{
	struct worker *w = th->worker;
	struct shared_note *note = &w->start.shared->notes[slot];
	struct fuse_in_header *h = header(w, slot);

	if (note->started_ms == 0) {
		note->started_ms = dm_now_ms();
		note->pid = h->pid;
		note->scout = is_scouts(w->start.shared, h->pid);
	}
	th->parked = false;
	if (!refused(th, slot)) {
		struct fuse_buf buf = {
			.size = h->len,
			.mem = h,
		};

		if (w->start.spec->debug)
			dm_log(DM_LOG_DEBUG, "fuse",
			    "request %u inode %ju process %u", h->opcode,
			    (uintmax_t)h->nodeid, note->pid);
		w->pool.tasks[slot].on = th;
		w->pool.tasks[slot].unique = h->unique;
		w->pool.tasks[slot].replayed = th->replays;
		w->pool.tasks[slot].late = false;
		know_scout(w, &w->pool.tasks[slot], h);
		h->pid = slot; /* task_of() finds it by this */
		fuse_session_process_buf(w->session, &buf);
	}
	if (th->parked)
		return false;
	shared_done(w->start.shared, slot);
	return true;
}

/* Wait for the next request.  False: unmounted. */
static bool
read_request(struct thread *th, unsigned slot)
{
	struct worker *w = th->worker;
	struct iovec iov[2] = {
		{ w->start.shared->slots[slot], SHARED_SLOT_SIZE },
		{ th->scratch, WORKER_IO_MAX },
	};

	for (;;) {
		ssize_t n;

		shared_use(w->start.shared, slot);
		errno = 0;
		n = readv(w->start.fuse_fd, iov, 2);
		if (n >= (ssize_t)sizeof(struct fuse_in_header))
			return true;
		if (n == 0)
			return false;
		/* ENOENT: interrupted before it was read. */
		if (n < 0 && errno != EINTR && errno != ENOENT &&
		    errno != EAGAIN)
			return false;
	}
}

static void
no_more_requests(struct worker *w)
{
	if (errno != ENODEV && errno != ECONNABORTED && errno != 0)
		dm_log(DM_LOG_ERROR, "fuse", "read requests: %m");
	(void)pthread_kill(w->main, SIGUSR2);
}

/* Bytes to copy, and perhaps to hash, for much longer than it takes to call
 * another thread. */
static bool
is_long(struct worker *w, unsigned slot)
{
	const struct fuse_in_header *h = header(w, slot);
	const struct fuse_read_in *in = (const void *)(h + 1);

	return h->opcode == FUSE_READ && in->size > WORKER_LONG;
}

static void *
reader(void *arg)
{
	struct thread *th = arg;
	struct worker *w = th->worker;
	unsigned slot;

	if (!task_take(&w->pool, &slot))
		return NULL;
	while (lookout_enter(&w->lookout, w->start.fuse_fd)) {
		busy_poll_begin(&th->poll, w->start.fuse_fd);
		if (!read_request(th, slot)) {
			no_more_requests(w);
			break;
		}
		busy_poll_end(&th->poll, header(w, slot)->pid);
		lookout_taken(&w->lookout, w->start.fuse_fd, is_long(w, slot));
		if (!worker_handle(th, slot) && !task_take(&w->pool, &slot))
			break;
	}
	lookout_end(&w->lookout);
	return NULL;
}

static void *
runner(void *arg)
{
	struct thread *th = arg;

	while (task_run_next(&th->worker->pool, th))
		continue;
	return NULL;
}

/* Remember the kernel's INIT for the workers to come. */
static void
keep_init(struct worker *w, unsigned slot)
{
	struct shared *s = w->start.shared;
	const struct fuse_in_header *h = header(w, slot);

	if (s->init_size != 0 || h->len > SHARED_INIT_MAX)
		return;
	memcpy(s->init, h, h->len);
	s->init_size = h->len;
}

/* Introduce this session to libfuse, and to the kernel if it is the first.  To
 * a later one's answer the kernel says ENOENT, and libfuse nothing. */
static void
process_init(struct worker *w)
{
	struct shared *s = w->start.shared;
	char copy[SHARED_INIT_MAX];
	struct fuse_buf buf = { .size = s->init_size, .mem = copy };

	memcpy(copy, s->init, s->init_size);
	fuse_session_process_buf(w->session, &buf);
}

/* The first request of a connection is INIT. */
static int
begin_session(struct thread *th, struct dm_err *err)
{
	struct worker *w = th->worker;
	struct shared *s = w->start.shared;

	for (unsigned i = 0; i < slots_used(w) && s->init_size == 0; i++)
		if (header(w, i)->unique != 0 &&
		    header(w, i)->opcode == FUSE_INIT)
			keep_init(w, i);
	if (s->init_size == 0) {
		if (!read_request(th, 0))
			return dm_fail_errno(err, "read from the kernel");
		keep_init(w, 0);
	}
	process_init(w);
	for (unsigned i = 0; i < slots_used(w); i++)
		if (header(w, i)->unique != 0 &&
		    header(w, i)->opcode == FUSE_INIT)
			shared_done(w->start.shared, i);
	if (s->init_size == 0 || fuse_session_exited(w->session))
		return dm_fail(err, DM_IO,
		    "the kernel's FUSE version does not fit");
	return passthrough_check(w, err);
}

/* What was closed, before what is opened: opens.c. */
static bool
replays_in(const struct fuse_in_header *h, int pass)
{
	return (h->opcode == FUSE_RELEASE) == (pass == 0);
}

/* Answer what earlier workers owe, before anything new.  The occupied slots
 * are put on top of the stack and taken from there by number. */
void
worker_replay(struct thread *th)
{
	struct worker *w = th->worker;
	struct task_pool *p = &w->pool;
	bool free_slot[SHARED_SLOTS];
	unsigned n = 0, used = slots_used(w);

	for (unsigned i = 0; i < SHARED_SLOTS; i++)
		free_slot[i] = i >= used || header(w, i)->unique == 0;
	dm_lock(&p->mu);
	p->nfree = 0;
	for (unsigned i = SHARED_SLOTS; i-- > 0;)
		if (free_slot[i])
			p->free[p->nfree++] = (uint16_t)i;
	dm_unlock(&p->mu);
	th->replays = true;
	for (unsigned k = 0; k < 2 * used; k++) {
		unsigned i = k % used;

		if (free_slot[i] || !replays_in(header(w, i), k >= used))
			continue;
		n++;
		free_slot[i] = true;
		shared_count(w->start.shared, STAT_replayed, 1);
		if (worker_handle(th, i))
			task_give(p, i);
	}
	th->replays = false;
	if (n > 0)
		dm_log(DM_LOG_INFO, "worker", "%u requests begun again", n);
}

static int
open_origin(struct worker *w, struct dm_err *err)
{
	const struct source_file *pin = &w->start.spec->pin;

	if (origin_open(&w->origin, w->net, pin->repository[0], err) < 0)
		return -1;
	for (unsigned i = 1; i < pin->nrepositories; i++)
		if (origin_add_mirror(w->origin, pin->repository[i], err) < 0)
			return -1;
	return 0;
}

static int
open_version(struct worker *w, struct dm_err *err)
{
	const struct mount_spec *spec = w->start.spec;
	struct net_options net = { 0 };
	struct cache_options cache = {
		.dir = spec->cache_dir[0] != '\0' ? spec->cache_dir : NULL,
		.memory = spec->memory,
		.limit = spec->cache_size,
		.timeout_ms = spec->timeout_ms,
	};
	struct version_options opt = { .all_symlinks = spec->all_symlinks };

	if (net_open(&w->net, &net, err) < 0 || open_origin(w, err) < 0 ||
	    cache_open(&w->cache, &cache, err) < 0 ||
	    version_open(&w->version, w->cache, w->origin, &w->commit, &opt,
		err) < 0)
		return -1;
	if (spec->pin.path[0] != '\0' &&
	    version_open_subtree(&w->version, w->version, spec->pin.path, err) <
		0)
		return -1;
	version_root(w->version, &w->root);
	return 0;
}

int
worker_session(struct worker *w, struct dm_err *err)
{
	char name[] = "datamount", option[] = "-o",
	     max_read[] = "max_read="
			  "1048576";
	char *argv[] = { name, option, max_read, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	char path[32];

	w->session = fuse_session_new(&args, &ops_table, sizeof(ops_table), w);
	fuse_opt_free_args(&args);
	if (w->session == NULL)
		return dm_fail(err, DM_NOMEM, "FUSE session");
	(void)snprintf(path, sizeof(path), "/dev/fd/%d", w->start.fuse_fd);
	if (fuse_session_mount(w->session, path) != 0)
		return dm_fail(err, DM_IO, "take over the FUSE connection");
	return 0;
}

static int
start_thread(struct worker *w, void *(*fn)(void *), struct dm_err *err)
{
	struct thread *th = &w->threads[w->nthreads];
	char *mem =
	    mmap(NULL, 2 * (size_t)WORKER_IO_MAX, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int rc;

	if (mem == MAP_FAILED)
		return dm_fail_errno(err, "map buffers");
	th->worker = w;
	th->buf = mem;
	th->scratch = mem + WORKER_IO_MAX;
	w->nthreads++;
	if (fn == NULL)
		return 0;
	rc = pthread_create(&th->id, NULL, fn, th);
	if (rc != 0) {
		errno = rc;
		return dm_fail_errno(err, "start a thread");
	}
	return 0;
}

static int
start_threads(struct worker *w, struct dm_err *err)
{
	for (int i = 0; i < WORKER_RUNNERS; i++)
		if (start_thread(w, runner, err) < 0)
			return -1;
	for (int i = 0; i < WORKER_READERS; i++)
		if (start_thread(w, reader, err) < 0)
			return -1;
	return 0;
}

static void
give_places(struct worker *w, struct shared_place out[SOURCE_MIRRORS_MAX])
{
	int64_t now = (int64_t)time(NULL);
	struct origin_place p;

	for (unsigned i = 0; i < origin_places(w->origin); i++) {
		origin_place(w->origin, i, &p);
		out[i] = (struct shared_place){
			.requests = p.counts.requests,
			.bytes = p.counts.bytes,
			.failures = p.counts.failures,
			.bad = p.bad,
		};
		if (p.down_ms > 0)
			out[i].down_since = now - (int64_t)(p.down_ms / 1000);
	}
}

/* The supervisor wants to know the counts that only this process has. */
static void
give_counts(struct worker *w)
{
	struct shared *s = w->start.shared;
	uint32_t asked = atomic_load(&s->counts_asked);
	struct cache_counts c = { 0 };
	struct origin_counts o = { 0 };

	memset(s->places, 0, sizeof(s->places));
	if (w->version != NULL) {
		cache_counts(w->cache, &c);
		origin_counts(w->origin, &o);
		give_places(w, s->places);
	}
	s->counts = (struct shared_counts){
		.hits = c.hits,
		.misses = c.misses,
		.fetched = c.fetched,
		.wasted = c.wasted,
		.bad_disk = c.bad_disk,
		.bad_origin = c.bad_origin,
		.waiting = c.waiting,
		.disk_broken = c.disk_broken,
		.requests = o.requests,
		.bytes = o.bytes,
		.retries = o.retries,
		.failures = o.failures,
	};
	atomic_store(&s->counts_given, asked);
}

void
worker_doubt(struct worker *w)
{
	if (!confine_outdated(&w->confine))
		return;
	dm_log(DM_LOG_INFO, "worker",
	    "a folder or a file that it uses was replaced: a new worker "
	    "goes on");
	_exit(WORKER_OUTDATED);
}

/* The supervisor was killed: its warden unmounts.  Till then requests wait,
 * and then they end with the connection. */
static void __attribute__((noreturn)) outlive(struct worker *w)
{
	struct pollfd p = { .fd = w->start.gone_fd, .events = POLLIN };

	(void)poll(&p, 1, WORKER_LAST_MS);
	_exit(0);
}

/* What was in flight is free again, but the C library keeps it: each thread's
 * heap what that thread had at its most, so after some loads all of
 * spec->memory.  While readers wait, it is about to be used. */
static void
give_back(struct worker *w)
{
	struct cache_counts c = { 0 };

	if (w->version == NULL)
		return;
	cache_counts(w->cache, &c);
	if (c.fetched == w->given_back || c.waiting > 0)
		return;
	w->given_back = c.fetched;
	(void)malloc_trim(0);
}

/* SIGUSR1: counts; SIGUSR2: unmounted; SIGTERM: see if the supervisor died
 * (else it is meant for that one: it came to the whole group). */
static void
serve(struct worker *w, const sigset_t *signals)
{
	const struct timespec tick = { .tv_sec = WORKER_TICK_S };

	for (;;) {
		int sig = sigtimedwait(signals, NULL, &tick);

		if (getppid() != w->start.supervisor)
			outlive(w);
		if (sig == SIGUSR2)
			return;
		give_back(w);
		give_counts(w);
		worker_doubt(w);
	}
}

/* The cache's directory is made here, since the worker may not make it where
 * it has to be.  Where it cannot be, the cache finds out, and says so. */
static void
allow_cache(struct worker *w)
{
	const char *chosen = w->start.spec->cache_dir, *why;
	char dir[PATH_MAX];
	struct dm_err ignored;

	if (snprintf(dir, sizeof(dir), "%s", chosen) >= (int)sizeof(dir) ||
	    (chosen[0] == '\0' &&
		cache_dir_default(dir, sizeof(dir), &why, &ignored) < 0))
		return;
	if (access(dir, F_OK) < 0 && dm_mkdirs(dir, 0700, &ignored) < 0)
		dm_log(DM_LOG_DEBUG, "worker", "%s", ignored.text);
	confine_allow(&w->confine, dir, true);
}

static int
allow_origins(struct worker *w, struct dm_err *err)
{
	const struct source_file *pin = &w->start.spec->pin;
	bool web = false;

	for (unsigned i = 0; i < pin->nrepositories; i++) {
		struct origin *o = NULL;

		/* It is not asked for anything. */
		if (origin_open(&o, NULL, pin->repository[i], err) < 0)
			return -1;
		if (origin_folder(o) != NULL)
			confine_allow_folder(&w->confine, origin_folder(o));
		else
			web = true;
		origin_close(o);
	}
	if (web)
		confine_allow_web(&w->confine);
	return 0;
}

/* Before the first byte that a stranger sent, and the first thread. */
static int
confine(struct worker *w, struct dm_err *err)
{
	struct confine *c = &w->confine;
	struct shared *s = w->start.shared;

	if (w->start.spec->unconfined)
		return 0;
	/* The kernel takes files to read by itself from no other. */
	c->keep_admin = atomic_load(&s->io) == SHARED_IO_PASSTHROUGH;
	allow_cache(w);
	if (!w->start.sick && allow_origins(w, err) < 0)
		return -1;
	confine_apply(c);
	s->confined = c->parts;
	if (c->missing[0] != '\0' && s->said == 0)
		dm_log(DM_LOG_WARN, "worker",
		    "the worker is not confined in full: %s", c->missing);
	s->said = 1;
	return 0;
}

/* INIT is answered with all rights, since the kernel allows more requests in
 * the background to an answer with CAP_SYS_ADMIN. */
static int
set_up(struct worker *w, struct dm_err *err)
{
	const struct mount_spec *spec = w->start.spec;

	dm_mutex_init(&w->fault_mu, DM_RANK_WORKER);
	lookout_init(&w->lookout);
	scouting_init(&w->scouting);
	if (commit_decode(&w->commit, spec->commit, spec->commit_size, err) < 0)
		return dm_wrap(err, "commit");
	w->root.ino = FUSE_ROOT_ID;
	w->root.kind = TREE_DIR;
	if (task_pool_init(&w->pool, w, err) < 0 ||
	    worker_session(w, err) < 0 || start_thread(w, NULL, err) < 0 ||
	    begin_session(&w->threads[0], err) < 0 || confine(w, err) < 0)
		return -1;
	if (!w->start.sick && open_version(w, err) < 0)
		return -1;
	return opens_init(&w->opens, w->start.fuse_fd, w->start.shared,
	    w->cache, err);
}

static void
report(const struct worker_start *start, const struct dm_err *err)
{
	/* A supervisor that does not listen has its reasons. */
	(void)dm_write_full(start->report_fd, err, sizeof(*err));
	(void)close(start->report_fd);
}

static void
tear_down(struct worker *w)
{
	if (!task_pool_stop(&w->pool))
		_exit(0); /* a thread hangs: the kernel ends it */
	for (unsigned i = 1; i < w->nthreads; i++)
		(void)pthread_join(w->threads[i].id, NULL);
	tracing_stop(w); /* nobody notes any more */
	fuse_session_destroy(w->session);
	opens_release(&w->opens);
	version_close(w->version);
	cache_close(w->cache);
	net_close(w->net); /* ends what still uses the origin */
	origin_close(w->origin);
	task_pool_release(&w->pool);
	lookout_release(&w->lookout);
	scouting_release(&w->scouting);
}

/* Signals wait for serve(), and threads inherit that; but what tells of a bug
 * ends the worker, whoever sends it.  *signals becomes those to wait for. */
static void
block_signals(sigset_t *signals)
{
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT,
		SIGSYS, SIGTRAP };

	(void)sigfillset(signals);
	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		(void)sigdelset(signals, deadly[i]);
	(void)pthread_sigmask(SIG_SETMASK, signals, NULL);
	(void)sigemptyset(signals);
	(void)sigaddset(signals, SIGUSR1);
	(void)sigaddset(signals, SIGUSR2);
	(void)sigaddset(signals, SIGTERM);
}

void
worker_main(const struct worker_start *start)
{
	static struct worker worker; /* too large for the stack */
	struct worker *w = &worker;
	struct dm_err err = { 0 };
	sigset_t signals;

	w->start = *start;
	w->main = pthread_self();
	block_signals(&signals);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != start->supervisor)
		outlive(w);
	if (set_up(w, &err) < 0) {
		dm_log(DM_LOG_ERROR, "worker", "%s", err.text);
		report(start, &err);
		_exit(1);
	}
	report(start, &err);
	if (tracing_start(w, &err) == 0)
		worker_replay(&w->threads[0]);
	if (err.code != DM_OK || start_threads(w, &err) < 0) {
		dm_log(DM_LOG_ERROR, "worker", "%s", err.text);
		_exit(1);
	}
	serve(w, &signals);
	tear_down(w);
	_exit(0);
}
