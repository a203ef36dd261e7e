#include "fs/mount/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/io.h"
#include "cache/base/log.h"
#include "fs/mount/attach.h"
#include "fs/mount/confine.h"
#include "fs/mount/mount.h"
#include "fs/mount/mount_table.h"
#include "fs/mount/shared.h"
#include "fs/mount/stand_in.h"
#include "fs/mount/status.h"
#include "fs/mount/unmount.h"
#include "fs/mount/worker.h"

enum {
	SUPERVISOR_WINDOW_MS = 10000, /* of SUPERVISOR_DEATHS */
	SUPERVISOR_SICK_MS = 60000,
	SUPERVISOR_REST_MS = 1000,  /* after fork failed, or a worker did not
				     * come up, or is outdated too soon: */
	SUPERVISOR_SOON_MS = 5000,  /* after the end of another */
	SUPERVISOR_ALONE_MS = 5000, /* then readers are told */
	SUPERVISOR_LEAVE_MS = 4000,
	SUPERVISOR_COUNTS_MS = 200,
	SUPERVISOR_READ_AHEAD_KB = 2048, /* two requests under way */
	SUPERVISOR_STATUS_MAX = 1 << 20,
	SUPERVISOR_VMSTAT_MAX = 1 << 16,
};

static void
close_fd(int *fd)
{
	dm_closep(fd);
	*fd = -1;
}

/* ---- mounting ---- */

static int
new_session(struct supervisor *s, struct dm_err *err)
{
	static const struct fuse_lowlevel_ops none;
	char name[] = "datamount", flag[] = "-o", options[256];
	char *argv[] = { name, flag, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);

	(void)snprintf(options, sizeof(options),
	    "ro,nosuid,nodev,noexec,default_permissions,max_read=%d,"
	    "fsname=datamount,subtype=datamount%s",
	    WORKER_IO_MAX, s->spec->allow_other ? ",allow_other" : "");
	s->session = fuse_session_new(&args, &none, sizeof(none), NULL);
	fuse_opt_free_args(&args);
	if (s->session == NULL)
		return dm_fail(err, DM_NOMEM, "FUSE session");
	return 0;
}

static int
do_mount(struct supervisor *s, struct dm_err *err)
{
	struct mount_entry e = { 0 };
	bool found = false;
	int rc;

	if (new_session(s, err) < 0 ||
	    attach_session(s->session, s->spec->dir, err) < 0)
		return -1;
	s->mounted = true;
	rc = mount_table_at(s->spec->dir, &e, &found, err);
	s->major = e.major;
	s->minor = e.minor;
	atomic_store(&s->shared->major, e.major);
	atomic_store(&s->shared->minor, e.minor);
	if (rc == 0 && !found)
		return dm_fail(err, DM_IO,
		    "%s vanished as soon as it was mounted", s->spec->dir);
	return rc;
}

/* Let the kernel read further ahead than 128 KiB, where this user may. */
static void
raise_read_ahead(const struct supervisor *s)
{
	char path[80], value[16];
	int fd;

	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
	    s->major, s->minor);
	(void)snprintf(value, sizeof(value), "%d", SUPERVISOR_READ_AHEAD_KB);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (dm_write_full(fd, value, strlen(value)) < 0)
		dm_log(DM_LOG_DEBUG, "mount", "%s: %m", path);
	(void)close(fd);
}

/* Is what lies topmost at our mount point still ours? */
static bool
still_mounted(const struct supervisor *s)
{
	struct mount_entry e;
	struct dm_err ignored;
	bool found = false;

	if (mount_table_at(s->spec->dir, &e, &found, &ignored) < 0)
		found = false;
	return found && e.major == s->major && e.minor == s->minor;
}

/* It would be in the way.  If the mount stays, another begins. */
static void
dismiss_scout(struct supervisor *s)
{
	if (s->scout.apart.gone_fd >= 0)
		s->scout_ms = dm_now_ms() + SUPERVISOR_REST_MS;
	scout_stop(&s->scout, s->shared);
}

static int
take_off(struct supervisor *s, bool lazy, struct dm_err *err)
{
	if (!s->mounted)
		return 0;
	dismiss_scout(s);
	if (still_mounted(s) && unmount_dir(s->spec->dir, lazy, err) < 0 &&
	    err->code != DM_NOTFOUND)
		return -1;
	s->mounted = false;
	s->scout_ms = DM_NEVER_MS;
	control_close(&s->control); /* the mount point is free for others */
	return 0;
}

/* ---- workers ---- */

/* In the child: nothing of the supervisor's but the request memory. */
static void
become_worker(struct supervisor *s, int report, pid_t supervisor)
{
	struct worker_start start = {
		.spec = s->spec,
		.shared = s->shared,
		.fuse_fd = fuse_session_fd(s->session),
		.report_fd = report,
		.order_fd = s->scout.write_fd,
		.gone_fd = s->warden.apart.gone_fd,
		.supervisor = supervisor,
		.uid = getuid(),
		.gid = getgid(),
		.sick = s->sick,
		.tracing = s->tracing,
	};

	close_fd(&s->signal_fd);
	close_fd(&s->result_fd);
	close_fd(&s->leaver_fd);
	if (s->control.fd >= 0)
		(void)close(s->control.fd);
	if (s->control.dir_fd >= 0)
		(void)close(s->control.dir_fd);
	close_fd(&s->notify_fd);
	warden_leave(&s->warden);
	scout_leave(&s->scout);
	worker_main(&start);
}

/* How many processes the kernel has killed for want of memory; 0: it does not
 * say. */
static uint64_t
oom_kills(void)
{
	DM_AUTO(dm_buf_release)
	struct dm_buf b = DM_BUF(SUPERVISOR_VMSTAT_MAX);
	static const char key[] = "\noom_kill ";
	struct dm_err ignored;
	const char *at;
	bool found = false;

	if (dm_file_read(AT_FDCWD, "/proc/vmstat", &b, &found, &ignored) < 0 ||
	    !found || dm_buf_append(&b, "", 1, &ignored) < 0)
		return 0;
	at = strstr(b.data, key);
	return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static int
start_worker(struct supervisor *s, struct dm_err *err)
{
	pid_t self = getpid(), pid;
	int fds[2];

	close_fd(&s->report_fd);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return dm_fail_errno(err, "pipe");
	pid = fork();
	if (pid == 0) {
		(void)close(fds[0]);
		become_worker(s, fds[1], self);
	}
	(void)close(fds[1]);
	if (pid < 0) {
		(void)close(fds[0]);
		return dm_fail_errno(err, "start the worker");
	}
	s->report_fd = fds[0];
	s->worker = pid;
	s->ready = false;
	s->oom_kills = oom_kills();
	s->worker_since = (int64_t)time(NULL);
	return 0;
}

/* Has no worker come up for too long? */
static bool
is_long_alone(const struct supervisor *s)
{
	return s->alone_ms != DM_NEVER_MS &&
	    dm_now_ms() - s->alone_ms >= SUPERVISOR_ALONE_MS;
}

/* Give the machine a rest first. */
static void
restart_later(struct supervisor *s)
{
	s->wake_ms = dm_now_ms() + SUPERVISOR_REST_MS;
}

static void
restart_worker(struct supervisor *s)
{
	struct dm_err err = { 0 };

	if (start_worker(s, &err) < 0) {
		dm_log(DM_LOG_ERROR, "mount", "%s", err.text);
		restart_later(s);
		return;
	}
	s->restarts++;
	s->wake_ms = DM_NEVER_MS;
	if (s->sick) /* a short while, if there was nobody for a long one */
		s->wake_ms = dm_now_ms() +
		    (is_long_alone(s) ? SUPERVISOR_REST_MS :
					SUPERVISOR_SICK_MS);
}

/* Note a death that counts; true if there were too many of late. */
static bool
too_many(struct supervisor *s)
{
	uint64_t now = dm_now_ms(),
		 *oldest = &s->deaths[s->ndeaths % SUPERVISOR_DEATHS];

	*oldest = now;
	s->ndeaths++;
	oldest = &s->deaths[s->ndeaths % SUPERVISOR_DEATHS];
	return s->ndeaths >= SUPERVISOR_DEATHS &&
	    now - *oldest <= SUPERVISOR_WINDOW_MS;
}

/* Add up what the worker said last of its counts; a successor begins anew. */
static void
keep_counts(struct supervisor *s)
{
	struct shared *m = s->shared;

	shared_add_counts(&s->counts, &m->counts);
	for (unsigned i = 0; i < SOURCE_MIRRORS_MAX; i++)
		shared_add_place(&s->places[i], &m->places[i]);
	memset(&m->counts, 0, sizeof(m->counts));
	memset(m->places, 0, sizeof(m->places));
}

/* Was it killed by somebody, rather than by what it did? */
static bool
came_from_outside(const struct supervisor *s, int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
	    oom_kills() == s->oom_kills;
}

static void
worker_died(struct supervisor *s, int status)
{
	bool outside = came_from_outside(s, status), was_ready = s->ready,
	     was_sick = s->sick;
	uint64_t before_ms = s->died_ms;

	s->died_ms = dm_now_ms();
	if (was_ready)
		s->alone_ms = s->died_ms;
	s->ready = false;
	keep_counts(s);
	if (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_OUTDATED) {
		shared_bury(s->shared, false);
		if (s->died_ms - before_ms < SUPERVISOR_SOON_MS)
			restart_later(s);
		else
			restart_worker(s);
		return;
	}
	shared_bury(s->shared, !outside);
	if (WIFSIGNALED(status))
		(void)snprintf(s->why, sizeof(s->why),
		    "the worker was ended by signal %d (%s)", WTERMSIG(status),
		    sigabbrev_np(WTERMSIG(status)));
	else
		(void)snprintf(s->why, sizeof(s->why),
		    "the worker ended with status %d", WEXITSTATUS(status));
	dm_log(DM_LOG_ERROR, "mount", "%s", s->why);
	if (s->sick) { /* it was told to end, or could do even less */
		s->sick = false;
		s->ndeaths = 0;
	} else if (!outside && too_many(s)) {
		s->sick = true;
		dm_log(DM_LOG_ERROR, "mount",
		    "%d workers died within %d s: reads of %s fail for the "
		    "next %d s",
		    SUPERVISOR_DEATHS, SUPERVISOR_WINDOW_MS / 1000,
		    s->spec->dir, SUPERVISOR_SICK_MS / 1000);
	}
	/* One that could not even fail requests, or one of many? */
	if (!was_ready && !outside && (was_sick || is_long_alone(s)))
		restart_later(s);
	else
		restart_worker(s);
}

static void
reap(struct supervisor *s, struct dm_err *err)
{
	int status = 0;

	if (s->worker == 0 || waitpid(s->worker, &status, WNOHANG) <= 0)
		return;
	s->worker = 0;
	if (status == 0) { /* unmounted */
		s->ended = true;
		return;
	}
	if (!s->usable) {
		if (err->code == DM_OK)
			(void)dm_fail(err, DM_IO,
			    "the worker died while it started (status %#x)",
			    (unsigned)status);
		s->ended = true;
		return;
	}
	if (s->leave_ms == DM_NEVER_MS)
		worker_died(s, status);
	else
		s->ended = true;
}

/* ---- events ---- */

static void
tell_result(struct supervisor *s, const struct dm_err *err)
{
	if (s->result_fd < 0)
		return;
	/* SIGPIPE is ignored; who does not listen need not know. */
	(void)dm_write_full(s->result_fd, err, sizeof(*err));
	close_fd(&s->result_fd);
}

/* Without a scout all is well, and slower. */
static void
begin_scout(struct supervisor *s)
{
	struct scout_mount m = { s->spec->dir, s->major, s->minor };
	struct dm_err err = { 0 };

	s->scout_ms = DM_NEVER_MS;
	if (scout_start(&s->scout, &m, s->shared, &err) == 0)
		return;
	dm_log(DM_LOG_WARN, "mount", "%s", err.text);
	s->scout_ms = dm_now_ms() + SUPERVISOR_REST_MS;
}

/* A worker says that it is ready, or why it cannot be. */
static void
on_report(struct supervisor *s, struct dm_err *err)
{
	struct dm_err report = { 0 };
	ssize_t n = dm_read_full(s->report_fd, &report, sizeof(report));

	close_fd(&s->report_fd);
	if (n != (ssize_t)sizeof(report))
		return; /* it died: SIGCHLD tells */
	if (report.code != DM_OK) {
		report.text[sizeof(report.text) - 1] = '\0';
		(void)snprintf(s->why, sizeof(s->why), "%s", report.text);
		if (!s->usable)
			*err = report;
		return;
	}
	s->ready = true;
	s->alone_ms = DM_NEVER_MS;
	if (s->standing_in)
		dm_log(DM_LOG_INFO, "mount", "a worker is there again");
	s->standing_in = false;
	if (s->usable) {
		s->restart_ms = dm_now_ms() - s->died_ms;
		if (s->restart_ms > s->slowest_ms)
			s->slowest_ms = s->restart_ms;
		return;
	}
	s->usable = true;
	raise_read_ahead(s);
	dm_log(DM_LOG_INFO, "mount", "%s is mounted", s->spec->dir);
	tell_result(s, &report);
	if (s->notify_fd >= 0)
		(void)dm_write_full(s->notify_fd, "\n", 1);
	close_fd(&s->notify_fd);
	if (scout_wanted(s->spec, s->shared))
		begin_scout(s);
}

/* Unmount now, and end soon: within four seconds even those who still have
 * files open lose them. */
static void
leave(struct supervisor *s)
{
	struct dm_err err = { 0 };

	if (take_off(s, false, &err) < 0 && err.code == DM_STALE &&
	    take_off(s, true, &err) < 0)
		dm_log(DM_LOG_ERROR, "mount", "%s", err.text);
	if (s->leave_ms == DM_NEVER_MS)
		s->leave_ms = dm_now_ms() + SUPERVISOR_LEAVE_MS;
}

static void
on_signal(struct supervisor *s, struct dm_err *err)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) ==
	    (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			reap(s, err);
			continue;
		}
		dm_log(DM_LOG_INFO, "mount", "signal %u: unmounting %s",
		    info.ssi_signo, s->spec->dir);
		if (!s->usable && err->code == DM_OK)
			(void)dm_fail(err, DM_CANCELLED, "interrupted");
		leave(s);
	}
}

/* Have the worker copy its counts; an ill one is not waited for. */
static void
fetch_counts(struct supervisor *s)
{
	uint64_t deadline = dm_now_ms() + SUPERVISOR_COUNTS_MS;
	uint32_t n = atomic_fetch_add(&s->shared->counts_asked, 1) + 1;
	const struct timespec step = { .tv_nsec = 200000 };

	if (s->worker == 0 || !s->usable || kill(s->worker, SIGUSR1) < 0)
		return;
	while (atomic_load(&s->shared->counts_given) != n &&
	    dm_now_ms() < deadline)
		(void)nanosleep(&step, NULL);
}

static void
answer_status(struct supervisor *s, int fd)
{
	DM_AUTO(dm_buf_release)
	struct dm_buf b = DM_BUF(SUPERVISOR_STATUS_MAX);
	struct dm_err err = { 0 };

	fetch_counts(s);
	if (status_json(s, &b, &err) < 0)
		dm_buf_clear(&b);
	control_reply(fd, &err, b.data, b.size);
}

/* Unmount for a client.  It sees the end of the connection when we are gone;
 * with lazy, which may take for ever, at once. */
static void
answer_unmount(struct supervisor *s, int fd, bool lazy)
{
	struct dm_err err = { 0 };
	int rc = take_off(s, lazy, &err);

	control_reply(fd, &err, NULL, 0);
	if (rc == 0 && !lazy) {
		close_fd(&s->leaver_fd);
		s->leaver_fd = fd;
		s->leave_ms = dm_now_ms() + SUPERVISOR_LEAVE_MS;
	} else {
		(void)close(fd);
	}
}

static void
on_client(struct supervisor *s)
{
	enum control_request request = CONTROL_NONE;
	int fd = control_accept(&s->control, &request);
	struct dm_err err = { 0 };

	if (fd < 0)
		return;
	switch (request) {
	case CONTROL_STATUS:
		answer_status(s, fd);
		break;
	case CONTROL_DIR:
		control_reply(fd, &err, s->spec->dir, strlen(s->spec->dir));
		break;
	case CONTROL_UNMOUNT:
	case CONTROL_DETACH:
		answer_unmount(s, fd, request == CONTROL_DETACH);
		return;
	case CONTROL_NONE:
		(void)dm_fail(&err, DM_INVALID, "unknown request");
		control_reply(fd, &err, NULL, 0);
		break;
	}
	(void)close(fd);
}

/* Without a warden the mount goes on, and is only less well looked after. */
static void
replace_warden(struct supervisor *s)
{
	struct dm_err err = { 0 };

	s->warden_ms = DM_NEVER_MS;
	if (warden_start(&s->warden, s->spec->dir, s->shared, &err) == 0)
		return;
	dm_log(DM_LOG_ERROR, "mount", "%s", err.text);
	s->warden_ms = dm_now_ms() + SUPERVISOR_REST_MS;
}

static void
on_time(struct supervisor *s)
{
	uint64_t now = dm_now_ms();

	if (now >= s->leave_ms) {
		if (s->worker > 0)
			(void)kill(s->worker, SIGKILL);
		s->ended = true;
		return;
	}
	if (now >= s->warden_ms)
		replace_warden(s);
	if (now >= s->scout_ms)
		begin_scout(s);
	if (now < s->wake_ms)
		return;
	s->wake_ms = DM_NEVER_MS;
	if (s->worker == 0)
		restart_worker(s);
	else if (s->sick)
		(void)kill(s->worker, SIGKILL); /* its successor is whole */
}

static bool
is_alone(const struct supervisor *s)
{
	return s->worker == 0 && is_long_alone(s);
}

static void
stand_in(struct supervisor *s)
{
	if (!s->standing_in)
		dm_log(DM_LOG_ERROR, "mount",
		    "no worker comes up: reads of %s fail until one does",
		    s->spec->dir);
	s->standing_in = true;
	s->full = !stand_in_refuse(s->shared, fuse_session_fd(s->session));
}

static uint64_t
sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int
wait_ms(const struct supervisor *s)
{
	uint64_t next = sooner(sooner(s->wake_ms, s->warden_ms),
		     sooner(s->scout_ms, s->leave_ms)),
		 now = dm_now_ms();

	if (next == DM_NEVER_MS)
		return -1;
	return next <= now ? 0 : (int)(next - now);
}

static void
on_warden(struct supervisor *s)
{
	warden_dismiss(&s->warden);
	dm_log(DM_LOG_WARN, "mount", "the warden was killed: another begins");
	replace_warden(s);
}

/* Who waited for the mount to become usable does so no more. */
static void
on_left(struct supervisor *s, struct dm_err *err)
{
	if (s->usable || s->result_fd < 0)
		return;
	close_fd(&s->result_fd);
	(void)dm_fail(err, DM_CANCELLED, "interrupted");
	leave(s);
}

static void
loop(struct supervisor *s, struct dm_err *err)
{
	while (!s->ended) {
		struct pollfd p[7] = {
			{ .fd = s->signal_fd, .events = POLLIN },
			{ .fd = s->report_fd, .events = POLLIN },
			{ .fd = s->control.fd, .events = POLLIN },
			{ .fd = s->result_fd }, /* for its error alone */
			{ .fd = s->warden.apart.gone_fd },
			{ .fd = -1, .events = POLLIN },
			{ .fd = s->scout.apart.gone_fd },
		};

		if (is_alone(s) && !s->full)
			p[5].fd = fuse_session_fd(s->session);
		if (poll(p, 7, wait_ms(s)) < 0 && errno != EINTR) {
			(void)dm_fail_errno(err, "poll");
			return;
		}
		if (p[1].revents != 0)
			on_report(s, err);
		if (p[0].revents != 0)
			on_signal(s, err);
		if (p[2].revents != 0 && s->control.fd >= 0)
			on_client(s);
		if (p[3].revents != 0)
			on_left(s, err);
		if (p[4].revents != 0)
			on_warden(s);
		if (p[6].revents != 0)
			dismiss_scout(s);
		if ((p[5].revents & POLLERR) != 0) /* unmounted */
			s->ended = true;
		on_time(s);
		if (is_alone(s) && !s->ended)
			stand_in(s);
	}
}

static int
open_signals(struct supervisor *s, sigset_t *before, struct dm_err *err)
{
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	/* What a worker is told by must not end one that has just been born. */
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGUSR2);
	(void)pthread_sigmask(SIG_BLOCK, &set, before);
	if (s->signal_fd < 0)
		return dm_fail_errno(err, "signalfd");
	return 0;
}

static void
clean_up(struct supervisor *s)
{
	struct dm_err err = { 0 };

	if (s->mounted && take_off(s, true, &err) < 0)
		dm_log(DM_LOG_ERROR, "mount", "%s", err.text);
	if (s->session != NULL)
		fuse_session_destroy(s->session); /* closes the connection */
	if (s->worker > 0) {
		(void)kill(s->worker, SIGKILL);
		(void)waitpid(s->worker, NULL, 0);
	}
	scout_stop(&s->scout, s->shared);
	scout_close(&s->scout);
	warden_dismiss(&s->warden);
	control_close(&s->control);
	close_fd(&s->signal_fd);
	close_fd(&s->report_fd);
	close_fd(&s->leaver_fd);
	close_fd(&s->notify_fd);
	tracing_close(&s->tracing);
	shared_free(s->shared);
}

int
supervisor_run(const struct mount_spec *spec, int result_fd, const char *log,
    struct dm_err *err)
{
	struct supervisor s = {
		.spec = spec,
		.signal_fd = -1,
		.report_fd = -1,
		.leaver_fd = -1,
		.result_fd = result_fd,
		.notify_fd = spec->notify_fd,
		.control = { -1, -1, "" },
		.warden = { .apart = { .gone_fd = -1 }, .life_fd = -1 },
		.tracing = { .record_fd = -1, .replay_fd = -1 },
		.wake_ms = DM_NEVER_MS,
		.scout = { { .gone_fd = -1 }, -1, -1 },
		.warden_ms = DM_NEVER_MS,
		.scout_ms = DM_NEVER_MS,
		.leave_ms = DM_NEVER_MS,
		.alone_ms = DM_NEVER_MS,
		.since = (int64_t)time(NULL),
	};
	sigset_t before;
	int rc;

	(void)snprintf(s.log, sizeof(s.log), "%s", log);
	err->code = DM_OK;
	rc = open_signals(&s, &before, err);
	if (rc == 0 && shared_new(&s.shared, err) == 0 &&
	    tracing_open(&s.tracing, spec, err) == 0 &&
	    control_listen(&s.control, spec->dir, err) == 0 &&
	    scout_open(&s.scout, err) == 0 &&
	    warden_start(&s.warden, spec->dir, s.shared, err) == 0 &&
	    do_mount(&s, err) == 0 &&
	    tracing_begin(&s.tracing, spec, err) == 0 &&
	    start_worker(&s, err) == 0) {
		/* Its environment may hold secrets. */
		if (!spec->unconfined && !confine_hide())
			dm_log(DM_LOG_WARN, "mount", "prctl: %m");
		loop(&s, err);
	}
	clean_up(&s);
	if (s.usable) {
		dm_log(DM_LOG_INFO, "mount", "%s is unmounted", spec->dir);
		rc = 0;
	} else {
		if (err->code == DM_OK)
			(void)dm_fail(err, DM_IO,
			    "%s was unmounted while it was being mounted",
			    spec->dir);
		tell_result(&s, err);
		rc = -1;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}
