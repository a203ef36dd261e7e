/* tests/lib/served.h - a folder, a server for it, and what fetches from it. */
#ifndef DM_TESTS_SERVED_H
#define DM_TESTS_SERVED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/net/origin.h"

struct httpd;

/*
 * A temporary folder with the file "file" of SERVED_SIZE bytes in it, served
 * by an httpd, and an origin for it whose timeouts fit a test: 1 s to connect
 * or without a byte, 5 ms of backoff.
 */
enum { SERVED_SIZE = 200 * 1000 };
struct served {
	char root[64];
	struct httpd *h;
	struct net *net;
	struct origin *o;
};
int served_open(struct served *s, struct dm_err *err) DM_MUST_CHECK;
void served_close(struct served *s);

/* The byte at off of a file made here. */
unsigned char served_byte(uint64_t off);

/* Make a file of that size below the folder. */
int served_add(struct served *s, const char *name, uint64_t size,
    struct dm_err *err) DM_MUST_CHECK;

/* One transfer, and what came of it.  Init, start, wait, look, release. */
struct got {
	struct dm_buf bytes;
	uint64_t stop_after; /* bytes, then data() says no */
	struct dm_mutex mu;
	pthread_cond_t cond;
	/* guarded by mu */
	unsigned ended; /* calls of done */
	struct dm_err err;
};
void got_init(struct got *g);
void got_release(struct got *g);

/* size ORIGIN_WHOLE: the whole file, of at most limit bytes. */
struct got_range {
	uint64_t off, size, limit;
	enum origin_fresh fresh;
	unsigned timeout_ms; /* 0: 10 s */
	bool immutable;
	uint32_t avoid;
};
void got_start(struct got *g, struct origin *o, const char *path,
    const struct got_range *range);

/* Wait for the end; the error, if it is one.  False after 20 s. */
bool got_wait(struct got *g);

/* All at once.  -1 and err as its done said. */
int got_fetch(struct got *g, struct origin *o, const char *path,
    const struct got_range *range, struct dm_err *err) DM_MUST_CHECK;

/* Whether the bytes are those at off of a file made here. */
bool got_is_right(const struct got *g, uint64_t off, uint64_t size);

#endif
