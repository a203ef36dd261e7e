#include "fs/mount/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"

/* Close all but standard error and these two. */
static void
close_others(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)dup2(null, STDIN_FILENO);
	(void)dup2(null, STDOUT_FILENO);
	if (low > 3)
		(void)close_range(3, (unsigned)low - 1, 0);
	if (high > low + 1)
		(void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	(void)close_range((unsigned)high + 1, ~0U, 0);
}

static void __attribute__((noreturn))
live(apart_main_fn fn, int fd, int gone, const void *arg)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, NULL);
	(void)prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
	close_others(fd, gone);
	fn(fd, arg);
	_exit(0);
}

/* Fork it by a child that ends at once, and tells its number by the pipe. */
static pid_t
fork_away(apart_main_fn fn, int fd, int gone, const void *arg)
{
	pid_t child = fork(), pid;

	if (child != 0)
		return child;
	pid = fork();
	if (pid == 0)
		live(fn, fd, gone, arg);
	_exit(pid < 0 || dm_write_full(gone, &pid, sizeof(pid)) < 0);
}

int
apart_start(struct apart *a, apart_main_fn fn, int fd, const void *arg,
    struct dm_err *err)
{
	int gone[2], status = 0;
	pid_t child;

	if (pipe2(gone, O_CLOEXEC) < 0)
		return dm_fail_errno(err, "pipe");
	child = fork_away(fn, fd, gone[1], arg);
	if (child < 0)
		(void)dm_fail_errno(err, "fork");
	(void)close(gone[1]);
	a->gone_fd = gone[0];
	if (child < 0) {
		apart_forget(a);
		return -1;
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (status == 0 &&
	    dm_read_full(gone[0], &a->pid, sizeof(a->pid)) ==
		(ssize_t)sizeof(a->pid))
		return 0;
	apart_forget(a);
	return dm_fail(err, DM_IO, "no process could be started");
}

/* By its descriptor no other can be meant; there are sandboxes without. */
static int
kill_by(int pidfd, pid_t pid)
{
	if (pidfd < 0)
		return kill(pid, SIGKILL);
	return (int)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

/* The pipe ends while the process still lets go of what else it has; its
 * descriptor tells when it has. */
void
apart_kill(struct apart *a, uint64_t ms)
{
	DM_AUTO(dm_closep) int fd = -1;
	struct pollfd p = { .fd = a->gone_fd };

	if (a->gone_fd < 0)
		return;
	fd = (int)syscall(SYS_pidfd_open, a->pid, 0);
	/* While the pipe is open the number is no other's. */
	if (poll(&p, 1, 0) == 0 && kill_by(fd, a->pid) == 0) {
		if (fd >= 0)
			p = (struct pollfd){ .fd = fd, .events = POLLIN };
		(void)poll(&p, 1, (int)ms);
	}
	apart_forget(a);
}

void
apart_join(struct apart *a)
{
	char byte;

	if (a->gone_fd >= 0)
		(void)dm_read_full(a->gone_fd, &byte, 1);
}

void
apart_forget(struct apart *a)
{
	dm_closep(&a->gone_fd);
	a->gone_fd = -1;
	a->pid = 0;
}
