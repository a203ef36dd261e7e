/* cache/cache.h - the one door: verified bytes by address, kept on disk. */
#ifndef DM_CACHE_CACHE_H
#define DM_CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "cache/base/lock.h"
#include "cache/base/object.h"

struct dm_buf;
struct dm_err;
struct origin;

/*
 * The cache gives bytes of objects in packs.  Each byte it hands out was
 * hashed in this run of the process against the digest that the caller
 * names.  What it fetched is kept on disk, sparsely, for every process of
 * this user; damage to that, or a full, broken or vanished disk, costs
 * fetches, never an error.  See datamount-cache(5).
 *
 * Threads: any call from any thread.  No call holds a lock over the network.
 */
struct cache;

struct cache_options {
	const char *dir;     /* NULL: cache_dir_default() */
	uint64_t memory;     /* bytes in flight at most; 0 = 256 MiB */
	uint64_t limit;      /* bytes of the whole cache; 0: its own limit, or
			      * what leaves a tenth of the disk free */
	uint64_t timeout_ms; /* of one blocking read; 0 = none */
};

/* A cache directory that cannot be used (not ours, writable by others) is
 * DM_DENIED; one on a broken or full disk is not: it degrades. */
int cache_open(struct cache **out, const struct cache_options *opt,
    struct dm_err *err) DM_MUST_CHECK;

/* Reads that wait are woken with DM_CANCELLED; returns when none is left.
 * Transfers that nobody waits for may still run: close the net next, and only
 * then the origins. */
void cache_close(struct cache *c);

/* The directory in use. */
const char *cache_dir(const struct cache *c);

/* Where one object of a pack lies.  A hint: if it is wrong, DM_CORRUPT. */
struct cache_place {
	struct digest pack;
	uint64_t dir_off; /* of the pack's directory in the pack file */
	uint32_t dir_len;
	uint32_t ordinal; /* which object of the pack */
};

/*
 * A read that may have to wait.  Functions that take a wait return data that
 * is here at once.  If it must be fetched and wait is NULL, they block.  Else
 * they start the fetch, return DM_AGAIN, and call wake(wait) once, later, from
 * another thread (perhaps before they return), when the caller should call
 * again with the same wait: the second call finds the piece (the wait holds
 * it in memory, disk or no disk) or returns the error that befell the fetch.
 *
 * So an operation that needs several pieces is written as if nothing ever
 * waited, and is run again from its start each time one arrives.
 *
 * Init before the first use, release after the operation has ended and no
 * wake is due.  wake may not call the cache.
 */
struct cache_held;
struct cache_wait {
	void (*wake)(struct cache_wait *w);
	uint64_t deadline_ms; /* clock.h; then the fetch is DM_OFFLINE */
	/* for cache/ only, guarded by its lock */
	struct cache_held *held; /* pieces that came for this operation */
	void *fetch;             /* what it waits for, or NULL */
	struct cache_wait *next;
	unsigned looks;           /* at what another process fetches */
	const void *doubted_blob; /* where the disk claims a piece in vain */
	uint32_t doubted;
	int failed; /* an enum dm_code, or 0 */
	char *text; /* of the failure, malloc'ed */
};
void cache_wait_init(struct cache_wait *w, void (*wake)(struct cache_wait *),
    uint64_t deadline_ms);
void cache_wait_release(struct cache_wait *w);

/* The reader was killed: if w waits, wake it at once with DM_CANCELLED.  The
 * fetch goes on for others. */
void cache_wait_cancel(struct cache *c, struct cache_wait *w);

/*
 * A thread that sits its waits out.  Any thread may stop it: then it waits for
 * nothing any more.  Its user may guard what is his by mu, and wait for that
 * with cond, as long as one thread alone does.
 */
struct cache_sleeper {
	struct dm_mutex mu; /* guards all below, and woken of its sleeps */
	pthread_cond_t cond;
	bool stopped;
};
void cache_sleeper_init(struct cache_sleeper *s);
void cache_sleeper_destroy(struct cache_sleeper *s);
void cache_sleeper_stop(struct cache_sleeper *s);
bool cache_sleeper_stopped(struct cache_sleeper *s);

/* False: it was stopped. */
bool cache_sleeper_nap(struct cache_sleeper *s, uint64_t ms);

/* One wait of a sleeper.  Released as a cache_wait is. */
struct cache_sleep {
	struct cache_wait wait; /* first: wake gets its address */
	struct cache_sleeper *sleeper;
	uint64_t timeout_ms;
	bool woken;
};
void cache_sleep_init(struct cache_sleep *sleep, struct cache_sleeper *s,
    uint64_t timeout_ms);
void cache_sleep_release(struct cache_sleep *sleep);

/* After a DM_AGAIN, until the wait wakes.  False: the sleeper was stopped, and
 * the wait has ended. */
bool cache_sleep(struct cache *c, struct cache_sleep *sleep);

/* Sleep until what failed with err may be tried again: what it waited for has
 * come, or, if an origin did not answer in time, a while later, with all the
 * time anew.  False: it may not, or the sleeper was stopped. */
bool cache_sleep_again(struct cache *c, struct cache_sleep *sleep,
    const struct dm_err *err);

/*
 * Read size bytes at off of the data object id, which is plain_size bytes
 * long and, it is said, lies at at in origin o.  off + size <= plain_size.
 * Neighbours in the pack are fetched along.
 *
 * DM_CORRUPT: wrong hint, or wrong bytes from the origin, also past caches.
 * DM_NOTFOUND: the origin has no such pack.  DM_OFFLINE, DM_DENIED, DM_AGAIN.
 */
int cache_read(struct cache *c, struct origin *o, const struct cache_place *at,
    const struct digest *id, uint32_t plain_size, uint32_t off, void *buf,
    uint32_t size, struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* Append the whole object of this kind to out, whose max bounds it.  With id
 * NULL (only for OBJECT_WHERE) the digest is the one that the pack's
 * directory names.  Errors as cache_read. */
int cache_object(struct cache *c, struct origin *o,
    const struct cache_place *at, const struct digest *id,
    enum object_kind kind, struct dm_buf *out, struct cache_wait *wait,
    struct dm_err *err) DM_MUST_CHECK;

/* Append the file path of origin o, whose SHA-256 is id (a commit), at most
 * out->max bytes, from the cache or, within timeout_ms (0: whenever), from the
 * origin.  Blocks. */
int cache_file(struct cache *c, struct origin *o, const char *path,
    const struct digest *id, uint64_t timeout_ms, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

/* Bytes of the object that the cache probably has (its claim: nothing is
 * hashed, nothing fetched); 0 if it does not know the pack. */
uint32_t cache_present(struct cache *c, const struct cache_place *at,
    uint32_t plain_size);

/*
 * Objects of one pack that are to come in the background, in the order of
 * their ordinals, which ascend; at names the pack.  Small ones between them
 * that are missing come along.
 */
struct cache_lot {
	struct cache_place at;
	const uint32_t *ordinal;
	uint32_t n;
	bool others; /* the others will be wanted, too, if later: they may come
		      * along however many they are */
	/* 0 at first */
	uint32_t done;  /* so many were asked for, or are here */
	unsigned opens; /* so often was the pack's directory asked for */
};

/* DM_AGAIN until the lot has come: as fast as there is room for what nobody
 * waits for, and always a part of it.  Objects that another process fetches
 * count as come.  DM_NOSPACE: nothing can be kept; DM_STALE: the pack was just
 * removed from the cache; DM_NOTFOUND: from the origin, and its objects are
 * elsewhere, if anywhere. */
int cache_bring(struct cache *c, struct origin *o, struct cache_lot *lot,
    struct cache_wait *wait, struct dm_err *err) DM_MUST_CHECK;

/* The keys of all blobs that this cache was asked for since cache_open, here or
 * not: what a version needs, once all of it was looked at.  The caller frees
 * them. */
int cache_asked(struct cache *c, struct digest **key, size_t *n,
    struct dm_err *err) DM_MUST_CHECK;

/* What the directory of a pack says of an object. */
struct cache_part {
	struct digest id;
	uint64_t off; /* in the pack's plain bytes */
	uint32_t size;
};

/* Objects first to first + n - 1 of the pack, and how many bytes and objects
 * it has in all.  False: there are not so many, or the directory is not here.
 * Fetches nothing. */
bool cache_parts(struct cache *c, const struct digest *pack, uint32_t first,
    uint32_t n, struct cache_part *out, uint32_t *objects, uint64_t *bytes);

/*
 * The plain bytes of a whole pack as an open file, for who reads it without
 * us: every object is in it and was hashed in this run, and the file has not
 * changed since.  What is done to the file from now on, this knows nothing of;
 * removed, it lasts as long as it is open.
 *
 * CACHE_LEND_HASH: what is there and was not hashed is hashed now.
 * CACHE_LEND_LOOK: the file as it is, proven or not; only to compare it.
 * False: there is no file, or it is not all there, or not proven.
 */
enum cache_lend { CACHE_LEND, CACHE_LEND_HASH, CACHE_LEND_LOOK };
struct cache_lent {
	int fd;         /* the caller closes it; -1 if none */
	uint64_t file;  /* stands for device and inode */
	uint64_t state; /* the same and size, ctime, link count */
};
bool cache_lend(struct cache *c, const struct digest *pack, enum cache_lend how,
    struct cache_lent *out);

/* Somebody reads the pack's file without us, from begin to end: it does not
 * grow cold. */
void cache_lend_mark(struct cache *c, const struct digest *pack, bool begin);

/* Whoever reads small files in order will come to at before long: fetch its
 * pack's directory or, if that is here, a first window from at on; more
 * follows when it is read.  Droppable: errors and a full budget are silent.
 * Cheap to repeat. */
void cache_expect(struct cache *c, struct origin *o,
    const struct cache_place *at);

/* Counters since cache_open. */
struct cache_counts {
	uint64_t hits;       /* pieces served from disk */
	uint64_t misses;     /* pieces waited for */
	uint64_t fetched;    /* stored bytes received for pieces */
	uint64_t wasted;     /* of these, bytes nobody asked for: gaps */
	uint64_t bad_disk;   /* pieces on disk that failed their digest */
	uint64_t bad_origin; /* pieces received that failed their digest */
	uint64_t waiting;    /* reads that wait now */
	uint64_t unkept;     /* pieces that the limit left no room for */
	uint64_t unkept_now; /* of these, while room was being made */
	uint64_t limit;      /* of the whole cache; 0: by what is free */
	bool disk_broken;    /* reading through: nothing is stored */
};
void cache_counts(struct cache *c, struct cache_counts *out);

/* ---- commands on a cache directory; other processes may be using it ---- */

/* Write the directory that would be used to out (PATH_MAX bytes):
 * $DATAMOUNT_CACHE, else as datamount-cache(5) says; *why, a literal or NULL,
 * says why another place than the usual one was taken. */
int cache_dir_default(char *out, size_t size, const char **why,
    struct dm_err *err) DM_MUST_CHECK;

/* The kind of file system that dir is, or will be, on, if it is one that a
 * cache should not be on ("NFS"); else NULL. */
const char *cache_dir_unfit(const char *dir);

struct cache_usage {
	uint64_t blobs;     /* files */
	uint64_t bytes;     /* disk space that they take */
	uint64_t pinned;    /* of these, of blobs that are never evicted */
	uint64_t coldest_s; /* when what goes first was last used; 0: none */
	uint64_t disk_free; /* of the file system */
};
int cache_usage(const char *dir, struct cache_usage *out,
    struct dm_err *err) DM_MUST_CHECK;

/* Remove every blob.  Running mounts fetch again. */
int cache_clear(const char *dir, struct cache_usage *freed,
    struct dm_err *err) DM_MUST_CHECK;

/* The limit that the cache itself has, for whoever fills it; 0: none.  Running
 * mounts see a new one within a second or two, and evict. */
int cache_limit(const char *dir, uint64_t *limit,
    struct dm_err *err) DM_MUST_CHECK;
int cache_set_limit(const char *dir, uint64_t limit,
    struct dm_err *err) DM_MUST_CHECK;

/*
 * Pins: under a name, keys of blobs that are not evicted, here already or not.
 * A name is of 1 to CACHE_PIN_NAME letters, digits, '.', '_' and '-', does not
 * begin with '.', and does not end with ".tmp".
 */
enum { CACHE_PIN_NAME = 128, CACHE_PIN_NOTE = 512 };
struct cache_pin {
	char name[CACHE_PIN_NAME + 1];
	char note[CACHE_PIN_NOTE]; /* what it is, for people; or "" */
	uint64_t blobs;            /* that it names */
	uint64_t here;             /* of these, in the cache */
	uint64_t bytes;            /* disk space that these take */
};
bool cache_pin_name_valid(const char *name);

/* Write a pin, or replace that of this name. */
int cache_pin_put(const char *dir, const char *name, const char *note,
    const struct digest *key, size_t n, struct dm_err *err) DM_MUST_CHECK;
int cache_pin_remove(const char *dir, const char *name, bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/* Call each for every pin, in the order of their names. */
int cache_pins(const char *dir,
    int (*each)(void *arg, const struct cache_pin *pin, struct dm_err *err),
    void *arg, struct dm_err *err) DM_MUST_CHECK;

/* Hash every present piece; clear the bits of bad ones, remove what cannot
 * be read.  progress may be NULL. */
struct cache_check {
	uint64_t blobs, pieces, bytes;
	uint64_t bad; /* pieces and files found damaged, and dropped */
};
int cache_fsck(const char *dir, struct cache_check *out,
    void (*progress)(void *arg, uint64_t bytes), void *arg,
    struct dm_err *err) DM_MUST_CHECK;

#endif
