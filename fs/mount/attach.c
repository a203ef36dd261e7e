#include "fs/mount/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/mount/mount.h"

enum {
	ATTACH_TEXT = 400,
	ATTACH_INIT_MS = 5000, /* the kernel sends INIT at once */
};

/* They tell the reason of a failure on stderr only: catch it there.  What they
 * say fits a pipe. */
int
attach_session(struct fuse_session *session, const char *dir,
    struct dm_err *err)
{
	char text[ATTACH_TEXT];
	int fds[2], saved, rc;
	ssize_t n;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return dm_fail_errno(err, "pipe");
	saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	(void)dup2(fds[1], STDERR_FILENO);
	rc = fuse_session_mount(session, dir);
	if (saved >= 0)
		(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	(void)close(fds[1]);
	n = dm_read_full(fds[0], text, sizeof(text) - 1);
	(void)close(fds[0]);
	if (rc == 0)
		return 0;
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return dm_fail(err, DM_IO, "mount %s: %s", dir,
	    text[0] != '\0' ? text : "FUSE refuses");
}

/* ---- a mount on trial ---- */

/* The version in the request with which the kernel opens the conversation. */
static int
read_version(int fd, unsigned *major, unsigned *minor, struct dm_err *err)
{
	struct {
		struct fuse_in_header header;
		struct fuse_init_in init;
		char rest[FUSE_MIN_READ_BUFFER];
	} request;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	n = poll(&p, 1, ATTACH_INIT_MS) == 1 ?
	    read(fd, &request, sizeof(request)) :
	    0;
	/* Old kernels send less of it: major and minor come first. */
	if (n < (ssize_t)(sizeof(request.header) + 2 * sizeof(uint32_t)) ||
	    request.header.opcode != FUSE_INIT)
		return dm_fail(err, DM_IO,
		    "the kernel accepts the mount but does not speak");
	*major = request.init.major;
	*minor = request.init.minor;
	return 0;
}

static int
try_session(struct fuse_session *session, const char *dir, unsigned *major,
    unsigned *minor, struct dm_err *err)
{
	int rc;

	if (attach_session(session, dir, err) < 0)
		return -1;
	rc = read_version(fuse_session_fd(session), major, minor, err);
	fuse_session_unmount(session);
	return rc;
}

int
mount_try(unsigned *major, unsigned *minor, struct dm_err *err)
{
	static const struct fuse_lowlevel_ops none;
	char name[] = "datamount", flag[] = "-o",
	     options[] = "ro,nosuid,nodev,noexec,fsname=datamount-try";
	char *argv[] = { name, flag, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	const char *tmp = secure_getenv("TMPDIR");
	struct fuse_session *session;
	char dir[PATH_MAX];
	int rc;

	if (snprintf(dir, sizeof(dir), "%s/datamount-try-XXXXXX",
		tmp != NULL && tmp[0] == '/' ? tmp : "/tmp") >=
	    (int)sizeof(dir))
		return dm_fail(err, DM_INVALID, "TMPDIR is too long");
	if (mkdtemp(dir) == NULL)
		return dm_fail_errno(err, "create a directory like %s", dir);
	session = fuse_session_new(&args, &none, sizeof(none), NULL);
	fuse_opt_free_args(&args);
	rc = session != NULL ? try_session(session, dir, major, minor, err) :
			       dm_fail(err, DM_NOMEM, "FUSE session");
	if (session != NULL)
		fuse_session_destroy(session);
	(void)rmdir(dir); /* stays, if the mount does */
	return rc;
}
