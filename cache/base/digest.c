/*
 * SHA-256 by OpenSSL.  The algorithm is fetched once: EVP_sha256() alone looks
 * it up at every use, which costs more than hashing a small file.
 */
#include "cache/base/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/hex.h"

struct digest_hasher {
	EVP_MD_CTX *ctx;
};

static EVP_MD *sha256;

static void
fetch_algorithm(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (sha256 == NULL)
		abort();
}

static const EVP_MD *
algorithm(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, fetch_algorithm);
	return sha256;
}

void
digest_of(struct digest *out, const void *data, size_t size)
{
	unsigned n = 0;

	if (EVP_Digest(data, size, out->bytes, &n, algorithm(), NULL) != 1 ||
	    n != DIGEST_SIZE)
		abort();
}

struct digest_hasher *
digest_hasher_new(void)
{
	struct digest_hasher *h = malloc(sizeof(*h));

	if (h == NULL)
		return NULL;
	h->ctx = EVP_MD_CTX_new();
	if (h->ctx == NULL) {
		free(h);
		return NULL;
	}
	if (EVP_DigestInit_ex(h->ctx, algorithm(), NULL) != 1)
		abort();
	return h;
}

void
digest_hasher_add(struct digest_hasher *h, const void *data, size_t size)
{
	if (EVP_DigestUpdate(h->ctx, data, size) != 1)
		abort();
}

void
digest_hasher_get(struct digest_hasher *h, struct digest *out)
{
	unsigned n = 0;

	if (EVP_DigestFinal_ex(h->ctx, out->bytes, &n) != 1 ||
	    EVP_DigestInit_ex(h->ctx, algorithm(), NULL) != 1)
		abort();
}

void
digest_hasher_free(struct digest_hasher *h)
{
	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

bool
digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

bool
digest_is_zero(const struct digest *d)
{
	static const struct digest zero;

	return digest_equal(d, &zero);
}

void
digest_hex(const struct digest *d, char out[DIGEST_HEX + 1])
{
	dm_hex_encode(out, d->bytes, DIGEST_SIZE);
}

bool
digest_parse(struct digest *out, const char *text, size_t size)
{
	return size == DIGEST_HEX &&
	    dm_hex_decode(out->bytes, DIGEST_SIZE, text);
}
