#include "fs/mount/control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/io.h"
#include "cache/base/log.h"
#include "fs/mount/place.h"

enum {
	CONTROL_LINE_MAX = 64,
	CONTROL_BODY_MAX = 4 << 20,
	CONTROL_READ_MS = 3000, /* a client may not get to run for long */
	CONTROL_ASK_MS = 5000,
};

static const char *const request_text[] = {
	[CONTROL_STATUS] = "status",
	[CONTROL_DIR] = "dir",
	[CONTROL_UNMOUNT] = "unmount",
	[CONTROL_DETACH] = "detach",
};

enum control_request
control_request_parse(const char *line, size_t size)
{
	static const enum control_request all[] = { CONTROL_STATUS, CONTROL_DIR,
		CONTROL_UNMOUNT, CONTROL_DETACH };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (size == strlen(request_text[all[i]]) &&
		    memcmp(line, request_text[all[i]], size) == 0)
			return all[i];
	return CONTROL_NONE;
}

int
control_reply_parse(const char *reply, size_t size, const char **body,
    struct dm_err *err)
{
	const char *end = size == 0 ? NULL : memchr(reply, '\n', size);
	char line[DM_ERR_TEXT + 32];
	char *text;
	size_t n;
	long code;

	if (end == NULL)
		return dm_fail(err, DM_CORRUPT,
		    "the daemon of the mount broke off its answer");
	n = (size_t)(end - reply);
	*body = end + 1;
	if (n == 2 && memcmp(reply, "ok", 2) == 0)
		return 0;
	if (n >= sizeof(line) || n < 7 || memcmp(reply, "error ", 6) != 0)
		return dm_fail(err, DM_CORRUPT,
		    "the daemon of the mount answers nonsense");
	memcpy(line, reply + 6, n - 6);
	line[n - 6] = '\0';
	code = strtol(line, &text, 10);
	if (code <= DM_OK || code > DM_IO)
		code = DM_IO;
	while (*text == ' ')
		text++;
	return dm_fail(err, (enum dm_code)code, "%s", text);
}

/* A path for the socket that fits the address, however long its directory's
 * name is. */
static void
address(struct sockaddr_un *out, int dir_fd, const char *name)
{
	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	(void)snprintf(out->sun_path, sizeof(out->sun_path),
	    "/proc/self/fd/%d/%.60s", dir_fd, name);
}

/* Connect to a socket; *found is false if nobody listens there. */
static int
dial(int dir_fd, const char *name, int *out, bool *found, struct dm_err *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;

	*found = false;
	if (fd < 0)
		return dm_fail_errno(err, "socket");
	address(&addr, dir_fd, name);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0) {
		*out = fd;
		*found = true;
		return 0;
	}
	if (errno != ENOENT && errno != ECONNREFUSED) {
		(void)dm_fail_errno(err, "connect to the daemon of the mount");
		(void)close(fd);
		return -1;
	}
	(void)close(fd);
	return 0;
}

static int
bind_new(struct control_server *s, const char *dir, struct dm_err *err)
{
	struct sockaddr_un addr;
	mode_t mask;
	int rc, other = -1;
	bool found;

	if (dial(s->dir_fd, s->name, &other, &found, err) < 0)
		return -1;
	dm_closep(&other);
	if (found)
		return dm_fail(err, DM_INVALID,
		    "a daemon serves %s already: `datamount umount %s` ends it",
		    dir, dir);
	(void)unlinkat(s->dir_fd, s->name, 0); /* of a daemon that died */
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return dm_fail_errno(err, "socket");
	address(&addr, s->dir_fd, s->name);
	mask = umask(0177);
	rc = bind(s->fd, (struct sockaddr *)&addr, sizeof(addr));
	(void)umask(mask);
	if (rc < 0 || listen(s->fd, 16) < 0)
		return dm_fail_errno(err, "control socket of %s", dir);
	return 0;
}

int
control_listen(struct control_server *out, const char *dir, struct dm_err *err)
{
	struct place_dirs dirs;
	char name[PLACE_NAME];
	int rc;

	out->fd = -1;
	out->dir_fd = -1;
	place_name(dir, name);
	(void)snprintf(out->name, sizeof(out->name), "%s.sock", name);
	rc = place_control_dirs(&dirs, err);
	if (rc == 0)
		rc = place_open_private(dirs.dir[0], &out->dir_fd, err);
	if (rc == 0)
		rc = bind_new(out, dir, err);
	if (rc < 0 && out->fd < 0 && out->dir_fd >= 0) {
		(void)close(out->dir_fd);
		out->dir_fd = -1;
	}
	return rc;
}

void
control_close(struct control_server *s)
{
	if (s->fd >= 0) {
		(void)unlinkat(s->dir_fd, s->name, 0);
		(void)close(s->fd);
	}
	if (s->dir_fd >= 0)
		(void)close(s->dir_fd);
	s->fd = -1;
	s->dir_fd = -1;
}

static bool
peer_allowed(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
	    (peer.uid == geteuid() || peer.uid == 0);
}

/* Read up to a newline or CONTROL_LINE_MAX bytes. */
static enum control_request
read_request(int fd)
{
	uint64_t deadline = dm_deadline_ms(CONTROL_READ_MS), now;
	char line[CONTROL_LINE_MAX];
	size_t n = 0;

	while (n < sizeof(line) && (now = dm_now_ms()) < deadline) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t got;

		if (poll(&p, 1, (int)(deadline - now)) <= 0)
			break;
		got = recv(fd, line + n, 1, 0);
		if (got <= 0)
			break;
		if (line[n] == '\n')
			return control_request_parse(line, n);
		n++;
	}
	return CONTROL_NONE;
}

int
control_accept(const struct control_server *s, enum control_request *out)
{
	struct timeval limit = { .tv_sec = 1 };
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return -1;
	if (peer_allowed(fd) &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ==
		0) {
		*out = read_request(fd);
		return fd;
	}
	(void)close(fd);
	return -1;
}

static bool
send_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		size -= (size_t)n;
	}
	return true;
}

void
control_reply(int fd, const struct dm_err *err, const void *body, size_t size)
{
	char line[DM_ERR_TEXT + 32];

	if (err->code == DM_OK) {
		if (send_all(fd, "ok\n", 3))
			(void)send_all(fd, body, size);
		return;
	}
	/* A text is one line: err.h. */
	(void)snprintf(line, sizeof(line), "error %d %s\n", (int)err->code,
	    err->text);
	(void)send_all(fd, line, strlen(line));
}

static int
read_reply(int fd, unsigned timeout_ms, struct dm_buf *out, struct dm_err *err)
{
	uint64_t deadline = dm_deadline_ms(timeout_ms), now;
	char part[4096];

	while ((now = dm_now_ms()) < deadline) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, (int)(deadline - now)) < 0 && errno != EINTR)
			return dm_fail_errno(err, "wait for the daemon");
		if (p.revents == 0)
			continue;
		n = recv(fd, part, sizeof(part), 0);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return 0;
		if (n < 0)
			return dm_fail_errno(err, "read from the daemon");
		if (dm_buf_append(out, part, (size_t)n, err) < 0)
			return -1;
	}
	return dm_fail(err, DM_IO,
	    "the daemon of the mount did not end its answer in %u ms",
	    timeout_ms);
}

static int
ask_at(int dir_fd, const char *name, enum control_request request,
    unsigned timeout_ms, struct dm_buf *out, bool *found, struct dm_err *err)
{
	DM_AUTO(dm_closep) int fd = -1;
	DM_AUTO(dm_buf_release) struct dm_buf reply = DM_BUF(CONTROL_BODY_MAX);
	char line[CONTROL_LINE_MAX];
	const char *body = NULL;

	if (dial(dir_fd, name, &fd, found, err) < 0)
		return -1;
	if (!*found)
		return 0;
	(void)snprintf(line, sizeof(line), "%s\n", request_text[request]);
	if (!send_all(fd, line, strlen(line)))
		return dm_fail_errno(err, "write to the daemon of the mount");
	if (read_reply(fd, timeout_ms, &reply, err) < 0 ||
	    control_reply_parse(reply.data, reply.size, &body, err) < 0)
		return -1;
	return dm_buf_append(out, body,
	    reply.size - (size_t)(body - reply.data), err);
}

/* Open one of the directories for looking only: it may be missing. */
static int
open_for_ask(const char *dir)
{
	struct stat st;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && (fstat(fd, &st) < 0 || st.st_uid != geteuid())) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

int
control_ask(const char *dir, enum control_request request, unsigned timeout_ms,
    struct dm_buf *out, bool *found, struct dm_err *err)
{
	struct place_dirs dirs;
	char name[PLACE_NAME], file[PLACE_NAME + 8];

	*found = false;
	if (place_control_dirs(&dirs, err) < 0)
		return -1;
	place_name(dir, name);
	(void)snprintf(file, sizeof(file), "%s.sock", name);
	for (unsigned i = 0; i < dirs.n && !*found; i++) {
		DM_AUTO(dm_closep) int fd = open_for_ask(dirs.dir[i]);

		if (fd >= 0 &&
		    ask_at(fd, file, request, timeout_ms, out, found, err) < 0)
			return -1;
	}
	return 0;
}

static bool
is_socket_name(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && n < 64 && strcmp(name + n - 5, ".sock") == 0;
}

/* One socket: ask it for its mount point, or remove it. */
static int
each_at(int dir_fd, const char *name,
    int (*each)(void *arg, const char *dir, struct dm_err *err), void *arg,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf b = DM_BUF(PATH_MAX);
	struct dm_err silence = { 0 };
	bool found = false;

	/* Not this command's failure, but it must not pass for all mounts. */
	if (ask_at(dir_fd, name, CONTROL_DIR, CONTROL_ASK_MS, &b, &found,
		&silence) < 0) {
		dm_log(DM_LOG_WARN, "mount",
		    "one mount is passed over, its daemon does not answer: %s",
		    silence.text);
		return 0;
	}
	if (!found) {
		(void)unlinkat(dir_fd, name, 0);
		return 0;
	}
	return b.size == 0 ? 0 : each(arg, b.data, err);
}

int
control_each(int (*each)(void *arg, const char *dir, struct dm_err *err),
    void *arg, struct dm_err *err)
{
	struct place_dirs dirs;
	int rc = 0;

	if (place_control_dirs(&dirs, err) < 0)
		return -1;
	for (unsigned i = 0; i < dirs.n && rc == 0; i++) {
		int fd = open_for_ask(dirs.dir[i]);
		DIR *d = fd < 0 ? NULL : fdopendir(fd);
		const struct dirent *e;

		if (d == NULL)
			continue;
		/* Our stream. NOLINTNEXTLINE(concurrency-mt-unsafe) */
		while (rc == 0 && (e = readdir(d)) != NULL)
			if (is_socket_name(e->d_name))
				rc = each_at(dirfd(d), e->d_name, each, arg,
				    err);
		(void)closedir(d);
	}
	return rc;
}
