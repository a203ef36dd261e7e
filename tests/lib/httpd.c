/*
 * Who is connected to a server.  What happens on a connection is in
 * httpd_serve.c and httpd_answer.c, what it leaves behind in httpd_state.c.
 */
#include "tests/lib/httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/base/lock.h"
#include "tests/lib/httpd_conn.h"
#include "tests/lib/httpd_state.h"

/* Join the connections that are over, or all once they were told to end. */
static void
reap(struct httpd *h, bool all)
{
	struct httpd_conn *over = NULL, **at, *c;

	dm_lock(&h->mu);
	for (at = &h->conns; (c = *at) != NULL;) {
		if (!all && !atomic_load(&c->over)) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		c->next = over;
		over = c;
	}
	dm_unlock(&h->mu);
	while ((c = over) != NULL) {
		over = c->next;
		(void)pthread_join(c->thread, NULL);
		free(c);
	}
}

void
httpd_conn_close(struct httpd_conn *c, bool reset)
{
	static const struct linger now = { .l_onoff = 1 };

	httpd_tls_end(c, reset);
	if (reset)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now,
		    sizeof(now));
	dm_lock(&c->h->mu); /* stop looks at fd */
	dm_closep(&c->fd);
	c->fd = -1;
	dm_unlock(&c->h->mu);
}

static void
greet(struct httpd *h, int fd, uint64_t number)
{
	struct httpd_conn *c = calloc(1, sizeof(*c));
	const int on = 1;

	if (c == NULL)
		abort();
	/* Head and body are two writes: Nagle would wait between them. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->h = h;
	c->fd = fd;
	c->root_fd = h->root_fd;
	c->number = number;
	dm_lock(&h->mu);
	if (h->stopping ||
	    pthread_create(&c->thread, NULL, httpd_conn_main, c) != 0) {
		(void)close(fd);
		free(c);
	} else {
		c->next = h->conns;
		h->conns = c;
	}
	dm_unlock(&h->mu);
}

static void *
accept_main(void *arg)
{
	struct httpd *h = arg;
	uint64_t number = 0;
	int fd;

	/* stop ends this by shutting the socket down */
	while ((fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0 ||
	    errno == EINTR || errno == ECONNABORTED) {
		if (fd < 0)
			continue;
		reap(h, false);
		greet(h, fd, ++number);
	}
	return NULL;
}

static int
listen_on_loopback(struct httpd *h, unsigned port, struct dm_err *err)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(a);
	const int on = 1;

	h->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (h->listen_fd < 0 ||
	    setsockopt(h->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on,
		sizeof(on)) < 0 ||
	    bind(h->listen_fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(h->listen_fd, 128) < 0 ||
	    getsockname(h->listen_fd, (struct sockaddr *)&a, &size) < 0)
		return dm_fail_errno(err, "listen on 127.0.0.1");
	h->port = ntohs(a.sin_port);
	(void)snprintf(h->url, sizeof(h->url), "http://127.0.0.1:%u", h->port);
	return 0;
}

static int
set_up(struct httpd *h, const char *root, const struct httpd_options *opt,
    struct dm_err *err)
{
	int rc;

	h->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (h->root_fd < 0)
		return dm_fail_errno(err, "open %s", root);
	if (opt->cert != NULL &&
	    httpd_tls_open(h, opt->cert, opt->key, err) < 0)
		return -1;
	if (listen_on_loopback(h, opt->port, err) < 0)
		return -1;
	rc = pthread_create(&h->acceptor, NULL, accept_main, h);
	if (rc == 0)
		return 0;
	errno = rc;
	return dm_fail_errno(err, "start server");
}

static void
tear_down(struct httpd *h)
{
	httpd_clear(h);
	httpd_forget(h);
	free(h->entries);
	dm_closep(&h->listen_fd);
	dm_closep(&h->root_fd);
	httpd_tls_close(h);
	pthread_cond_destroy(&h->changed);
	dm_mutex_destroy(&h->mu);
	free(h);
}

int
httpd_start(struct httpd **out, const char *root, struct dm_err *err)
{
	static const struct httpd_options plain = { 0 };

	return httpd_start_with(out, root, &plain, err);
}

int
httpd_start_with(struct httpd **out, const char *root,
    const struct httpd_options *opt, struct dm_err *err)
{
	struct httpd *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return dm_fail(err, DM_NOMEM, "server");
	h->listen_fd = -1;
	h->root_fd = -1;
	h->log_fd = -1;
	dm_mutex_init(&h->mu, DM_RANK_NET);
	dm_cond_init(&h->changed);
	if (set_up(h, root, opt, err) < 0) {
		tear_down(h);
		return -1;
	}
	*out = h;
	return 0;
}

void
httpd_stop(struct httpd *h)
{
	if (h == NULL)
		return;
	dm_lock(&h->mu);
	h->stopping = true;
	(void)shutdown(h->listen_fd, SHUT_RDWR);
	for (struct httpd_conn *c = h->conns; c != NULL; c = c->next)
		(void)shutdown(c->fd, SHUT_RDWR);
	pthread_cond_broadcast(&h->changed);
	dm_unlock(&h->mu);
	(void)pthread_join(h->acceptor, NULL);
	reap(h, true);
	tear_down(h);
}
