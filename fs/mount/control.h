/* fs/mount/control.h - talk to the daemon of a mount, over a unix socket. */
#ifndef DM_MOUNT_CONTROL_H
#define DM_MOUNT_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/base/attr.h"
#include "cache/base/err.h"

struct dm_buf;

/*
 * The socket's name is place_name() of the mount point, .sock; it is 0600 in a
 * directory of the user's own (place.h), and the server asks the kernel who
 * is at the other end.  A client sends one line and gets "ok\n" and a body, or
 * "error CODE TEXT\n"; then the server closes.
 */
enum control_request {
	CONTROL_NONE,    /* nothing sensible came */
	CONTROL_STATUS,  /* body: JSON */
	CONTROL_DIR,     /* body: the mount point */
	CONTROL_UNMOUNT, /* the server closes when the daemon ends */
	CONTROL_DETACH,  /* unmount, lazily; the server closes at once */
};

struct control_server {
	int dir_fd, fd; /* -1: none */
	char name[64];
};

/* DM_INVALID: a daemon listens for that mount point already. */
int control_listen(struct control_server *out, const char *dir,
    struct dm_err *err) DM_MUST_CHECK;

/* Remove the socket, so that another daemon may serve the mount point. */
void control_close(struct control_server *s);

/* Accept a connection and read its request, waiting 1 s at most; -1: no
 * connection to answer. */
int control_accept(const struct control_server *s, enum control_request *out);

/* Answer; err with a code is an error.  Does not close. */
void control_reply(int fd, const struct dm_err *err, const void *body,
    size_t size);

/* Ask the daemon of the mount at dir, and append the body to out.  *found is
 * false if none listens.  Waits timeout_ms for the last byte. */
int control_ask(const char *dir, enum control_request request,
    unsigned timeout_ms, struct dm_buf *out, bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/* Call each for the mount point of each daemon of this user, unsorted; sockets
 * without one are removed. */
int control_each(int (*each)(void *arg, const char *dir, struct dm_err *err),
    void *arg, struct dm_err *err) DM_MUST_CHECK;

/* Pure: the request in a line without its newline; CONTROL_NONE if none. */
enum control_request control_request_parse(const char *line, size_t size);

/* Pure: take the first line off a reply; *body is what follows.  -1 with the
 * error that it tells, or DM_CORRUPT. */
int control_reply_parse(const char *reply, size_t size, const char **body,
    struct dm_err *err) DM_MUST_CHECK;

#endif
