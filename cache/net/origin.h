/* cache/net/origin.h - bytes by path from a folder or a web server. */
#ifndef DM_NET_ORIGIN_H
#define DM_NET_ORIGIN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/err.h"
#include "cache/base/lock.h"

struct dm_buf;

/*
 * The network of one process: one thread that drives all HTTP transfers
 * (libcurl multi) and a few that read folders.  Nothing an origin says is
 * trusted: ranges, sizes, redirects are checked here; whether the bytes are
 * right is for the caller to see.
 *
 * Threads: any call from any thread, but close last and once.
 */
struct net;

struct net_options {
	unsigned connections; /* per origin at most; 0 = 8 */
	/* For tests, which cannot wait that long.  0 = the default. */
	unsigned connect_ms; /* to get a connection: 5,000 */
	unsigned stall_ms;   /* without a byte, then the try failed: 10,000 */
	unsigned backoff_ms; /* before the first retry: 200 */
};

int net_open(struct net **out, const struct net_options *opt,
    struct dm_err *err) DM_MUST_CHECK;

/* Every transfer under way ends with DM_CANCELLED before this returns. */
void net_close(struct net *net);

/*
 * TLS trusts the system's authorities, and those in the file that the
 * environment's SSL_CERT_FILE names, for a private one.  The usual proxy
 * variables are heeded.  No other setting of curl's is: no
 * ~/.netrc, no cookies, no credentials.
 *
 * A server may redirect three times, to http or https, not from https to http,
 * and not to an address that only this machine or its cloud would answer at
 * (link-local, metadata).
 */

/* One root below which paths are fetched.  Cheap: no I/O at open. */
struct origin;

/* url: http://, https://, file:// or a folder's path.  DM_INVALID if it is
 * none of these or has control bytes, a user or a fragment in it.  A query is
 * sent with each request, and shown nowhere.  net must outlive *out. */
int origin_open(struct origin **out, struct net *net, const char *url,
    struct dm_err *err) DM_MUST_CHECK;

/* No transfer of it may be under way: after net_close() none is. */
void origin_close(struct origin *o);

/*
 * Another place with the same immutable files.  Those are asked for at the
 * first place that is well, in the order in which they were added, the origin
 * itself being the first; a place that fails is left alone for a while, and
 * asked again when a small request of its own found it well.  What must not
 * be old comes from the origin alone.  Not while an immutable file is being
 * fetched.  DM_INVALID: as origin_open, or there are ORIGIN_PLACES_MAX.
 */
enum { ORIGIN_PLACES_MAX = 8 };
int origin_add_mirror(struct origin *o, const char *url,
    struct dm_err *err) DM_MUST_CHECK;

/* How many places there are, itself included. */
unsigned origin_places(const struct origin *o);

/* The url without its query, fit for logs; a folder's absolute path. */
const char *origin_name(const struct origin *o);

/* The folder's absolute path, or NULL if this origin is none. */
const char *origin_folder(const struct origin *o);

enum origin_fresh {
	ORIGIN_CACHED,     /* caches on the way may answer */
	ORIGIN_REVALIDATE, /* Cache-Control: no-cache */
	ORIGIN_UNIQUE,     /* and ?dm=<random>, for caches that ignore that */
};

#define ORIGIN_WHOLE ((uint64_t)0)

struct origin_get {
	const char *path; /* below the root, no leading slash; copied */
	uint64_t off,
	    size;       /* the range; size ORIGIN_WHOLE: all of it (off 0) */
	uint64_t limit; /* ORIGIN_WHOLE: more bytes than this are DM_CORRUPT */
	enum origin_fresh fresh;
	uint64_t deadline_ms; /* clock.h; retries end here */

	/* The path is named by a digest: every mirror has the same bytes.
	 * What breaks off at one goes on at the next, where it ended. */
	bool immutable;
	uint32_t avoid; /* a bit for each place not to ask, unless all are */
	/* NULL, or set before each data to the bit of the place it is from;
	 * valid until done has returned. */
	uint32_t *from;

	/* The next bytes of the range, in order, each byte once, also across
	 * retries.  Returning -1 ends the transfer with DM_CANCELLED.  Called
	 * on a thread of net: never block, take only short locks. */
	int (*data)(void *arg, const void *data, size_t size);

	/* Exactly once, last.  err is NULL if every byte of the range came
	 * (less is an error: DM_CORRUPT, as is an answer that makes no sense).
	 * DM_NOTFOUND: 404 or 410, or no such file.  DM_DENIED: 401, 403 and
	 * other refusals, a certificate or a redirect that we do not trust.
	 * DM_OFFLINE: no answer, 5xx, 429, too slow, after retries with
	 * backoff; given up once no other try fits before the deadline. */
	void (*done)(void *arg, const struct dm_err *err);
	void *arg;
};

/* Start a transfer.  It never fails here: errors come through done, which may
 * be called before this returns. */
void origin_start(struct origin *o, const struct origin_get *get);

/* Fetch a whole small file and wait for it: ORIGIN_REVALIDATE, at most
 * out->max bytes.  Absence is *found = false. */
int origin_read(struct origin *o, const char *path, uint64_t deadline_ms,
    struct dm_buf *out, bool *found, struct dm_err *err) DM_MUST_CHECK;

/* The same in two steps, of which only the second waits, and has to be taken;
 * r and out stay where they are until then.  The members are origin.c's. */
struct origin_reading {
	struct dm_mutex mu;
	pthread_cond_t cond;
	struct dm_buf *out; /* the network's until ended */
	size_t before;      /* its size */
	/* guarded by mu */
	bool ended;
	struct dm_err err;
};
void origin_read_begin(struct origin_reading *r, struct origin *o,
    const char *path, uint64_t deadline_ms, struct dm_buf *out);
int origin_read_end(struct origin_reading *r, bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/* The same for size bytes at off, of which none may be missing; absence is
 * DM_NOTFOUND. */
int origin_read_range(struct origin *o, const char *path, uint64_t off,
    uint64_t size, uint64_t deadline_ms, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

/* What a web server's answers said of it, besides bytes. */
struct origin_server {
	uint64_t ranges; /* answers that had the range that was asked for */
	uint64_t wholes; /* answers that had the whole file instead */
	bool has_date;
	int64_t ahead_s; /* its clock before ours, by its last Date */
};
void origin_server(struct origin *o, struct origin_server *out);

/* What this origin did since it was opened; for status and tests. */
struct origin_counts {
	uint64_t requests; /* HTTP requests sent, or files opened */
	uint64_t bytes;    /* of bodies received */
	uint64_t retries;
	uint64_t failures; /* transfers that ended with an error */
};
/* Of all its places together. */
void origin_counts(struct origin *o, struct origin_counts *out);

/* Of one place, from 0 to origin_places() - 1. */
struct origin_place {
	const char *name;   /* as origin_name */
	const char *folder; /* as origin_folder */
	struct origin_counts counts;
	uint64_t bad;     /* origin_bad */
	uint64_t down_ms; /* how long it is passed over by now; 0: it is not */
};
void origin_place(const struct origin *o, unsigned i, struct origin_place *out);

/* What came from the places of these bits was not what it should be.  proven:
 * by their fault, so that others are asked first for a while. */
void origin_bad(struct origin *o, uint32_t places, bool proven);

#endif
