/* The same server over TLS.  A connection's TLS is its own thread's. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "cache/base/err.h"
#include "tests/lib/httpd_conn.h"
#include "tests/lib/httpd_state.h"

enum { TLS_HANDSHAKE = 0x16 }; /* the first byte of a client that wants TLS */

static int
no_tls(struct dm_err *err, const char *what, const char *path)
{
	return dm_fail(err, DM_INVALID, "%s %s: %s", what, path,
	    ERR_reason_error_string(ERR_get_error()));
}

int
httpd_tls_open(struct httpd *h, const char *cert, const char *key,
    struct dm_err *err)
{
	h->tls = SSL_CTX_new(TLS_server_method());
	if (h->tls == NULL)
		return dm_fail(err, DM_NOMEM, "TLS");
	if (SSL_CTX_use_certificate_chain_file(h->tls, cert) != 1)
		return no_tls(err, "certificate", cert);
	if (SSL_CTX_use_PrivateKey_file(h->tls, key, SSL_FILETYPE_PEM) != 1)
		return no_tls(err, "key", key);
	return 0;
}

void
httpd_tls_close(struct httpd *h)
{
	SSL_CTX_free(h->tls);
	h->tls = NULL;
}

bool
httpd_tls_begin(struct httpd_conn *c)
{
	unsigned char first = 0;

	if (c->h->tls == NULL ||
	    recv(c->fd, &first, sizeof(first), MSG_PEEK) != sizeof(first) ||
	    first != TLS_HANDSHAKE)
		return true;
	c->tls = SSL_new(c->h->tls);
	return c->tls != NULL && SSL_set_fd(c->tls, c->fd) == 1 &&
	    SSL_accept(c->tls) == 1;
}

void
httpd_tls_end(struct httpd_conn *c, bool reset)
{
	if (c->tls == NULL)
		return;
	if (!reset)
		(void)SSL_shutdown(c->tls);
	SSL_free(c->tls);
	c->tls = NULL;
	ERR_clear_error();
}

ssize_t
httpd_tls_read(struct httpd_conn *c, void *out, size_t size)
{
	size_t n = 0;

	return SSL_read_ex(c->tls, out, size, &n) == 1 ? (ssize_t)n : 0;
}

bool
httpd_tls_write(struct httpd_conn *c, const void *data, size_t size)
{
	size_t n = 0;

	return SSL_write_ex(c->tls, data, size, &n) == 1 && n == size;
}
