/*
 * Quota.
 *
 * The count lies in the file `usage`, 64 bytes, little-endian: magic, bytes,
 * blobs, when it was last made from the directory (s), when blobs were last
 * evicted (s), pending, and a check word, so that damage is seen and not
 * believed.  Pending are those of the bytes that are taken and perhaps not
 * written yet: a count of the directory may miss them, so they are added to it,
 * rather twice than not at all.  It is changed behind a lock on these bytes
 * that is tried for some hundred microseconds: a stopped process cannot stop
 * the others, and what they lose the next count finds.  Each process takes a
 * little more than it needs at once, so most writes cost nothing here.
 *
 * The byte LOCK_EVICT of the file is the lock of who evicts.  Whoever holds it
 * and does not get on for STALE_MS, because he was stopped, is passed over by
 * who gets the byte behind it, and after as long again by all: evicting twice
 * costs fetches, storing nothing does so too, and for longer.
 */
#include "cache/store/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/base/le.h"
#include "cache/base/lock.h"
#include "cache/base/log.h"
#include "cache/store/census.h"
#include "cache/store/shelf.h"

enum {
	USAGE_SIZE = 64,
	LOCK_EVICT = 4096,
	LOCK_TRIES = 500,
	GRAIN_MIN = 16 << 10,
	GRAIN_MAX = 1 << 20,
	SLACK = 32, /* part of the limit */
	SETTLE_S = 3,
	SAY_MS = 60000,
	COUNT_S = 60, /* between two counts, by whichever process */
	STALE_MS = 5000,
	FULL_MS = 500, /* before a full cache is counted again for a write */
	LIMIT_MS = 1000,
	LIMIT_TEXT = 32,
};

static const char usage_magic[8] = { 'D', 'M', 'u', 's', 'e', 'c', '0', '1' };

struct quota {
	/* immutable after set-up */
	uint64_t given; /* 0: none */
	quota_uses_fn uses;
	void *arg;

	/* atomic */
	_Atomic uint64_t said;  /* the limit; 0: by what is free */
	_Atomic uint64_t limit; /* in force, a little less */
	_Atomic uint64_t limit_at;
	_Atomic bool evicting;
	_Atomic uint64_t refused_for_now;
	_Atomic uint64_t full_until; /* nothing could be evicted */

	/* of who evicts, or wants to */
	uint64_t evicted, evicted_bytes, say_at;
	uint64_t waits_for, waits_since; /* see passed_over() */

	struct dm_mutex mu; /* guards all below */
	uint64_t credit;    /* taken, not yet used */
	uint64_t done;      /* written, and still pending in the file */
};

struct usage {
	uint64_t bytes, blobs, counted_s, evicted_s, pending;
};

static uint64_t
now_s(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	return (uint64_t)now.tv_sec;
}

/* ---- the file `usage` ---- */

static uint64_t
check_word(const struct usage *u)
{
	uint64_t h = u->bytes;

	h = h * 0x9e3779b97f4a7c15U ^ u->blobs;
	h = h * 0x9e3779b97f4a7c15U ^ u->counted_s;
	h = h * 0x9e3779b97f4a7c15U ^ u->evicted_s;
	return h * 0x9e3779b97f4a7c15U ^ u->pending;
}

static bool
usage_read(int fd, struct usage *u)
{
	uint8_t data[USAGE_SIZE];

	if (dm_pread_full(fd, data, sizeof(data), 0) != sizeof(data) ||
	    memcmp(data, usage_magic, sizeof(usage_magic)) != 0)
		return false;
	u->bytes = le64_get(data + 8);
	u->blobs = le64_get(data + 16);
	u->counted_s = le64_get(data + 24);
	u->evicted_s = le64_get(data + 32);
	u->pending = le64_get(data + 40);
	return le64_get(data + 48) == check_word(u);
}

static void
usage_write(int fd, const struct usage *u)
{
	uint8_t data[USAGE_SIZE] = { 0 };

	memcpy(data, usage_magic, sizeof(usage_magic));
	le64_put(data + 8, u->bytes);
	le64_put(data + 16, u->blobs);
	le64_put(data + 24, u->counted_s);
	le64_put(data + 32, u->evicted_s);
	le64_put(data + 40, u->pending);
	le64_put(data + 48, check_word(u));
	(void)dm_pwrite_full(fd, data, sizeof(data), 0); /* a hint */
}

/* A link, a directory or a pipe in its place is removed: without a count that
 * can be written nothing would be stored any more. */
static int
usage_open(int root)
{
	int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int fd = openat(root, "usage", flags, 0600);
	struct stat st;

	if (fd >= 0 ? fstat(fd, &st) < 0 || S_ISREG(st.st_mode) :
		      errno != ELOOP && errno != EISDIR && errno != ENXIO)
		return fd;
	dm_closep(&fd);
	if (unlinkat(root, "usage", 0) < 0 && errno == EISDIR)
		(void)unlinkat(root, "usage", AT_REMOVEDIR); /* if empty */
	return openat(root, "usage", flags, 0600);
}

static bool
try_lock(int fd, off_t off, off_t size)
{
	struct flock fl = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = off,
		.l_len = size,
	};

	return fcntl(fd, F_OFD_SETLK, &fl) == 0;
}

/* Open and lock it, or not even that after a while; closing unlocks. */
static int
usage_lock(int root)
{
	int fd = usage_open(root);

	for (int i = 0; fd >= 0 && i < LOCK_TRIES; i++) {
		if (try_lock(fd, 0, USAGE_SIZE))
			break;
		(void)sched_yield();
	}
	return fd;
}

static uint64_t
plus(uint64_t a, int64_t b)
{
	return b < 0 && a < (uint64_t)-b ? 0 : a + (uint64_t)b;
}

/* Add to the count, and to what of it is pending.  False: there is none that
 * can be believed. */
static bool
usage_add(int root, int64_t bytes, int64_t pending, struct usage *now)
{
	DM_AUTO(dm_closep) int fd = usage_lock(root);

	if (fd < 0 || !usage_read(fd, now))
		return false;
	if (bytes == 0 && pending == 0)
		return true;
	now->bytes = plus(now->bytes, bytes);
	now->pending = plus(now->pending, pending);
	usage_write(fd, now);
	return true;
}

/* A count found so much; base was there when it began (NULL: nothing that could
 * be believed).  What was added since stays added.  Pending is dropped now and
 * then, because who was killed does not take back his share. */
static void
usage_correct(int root, const struct usage *base, const struct census *c,
    bool evicted)
{
	DM_AUTO(dm_closep) int fd = usage_lock(root);
	struct usage u = { 0 };
	uint64_t now = now_s();

	if (fd < 0)
		return;
	if (base == NULL || !usage_read(fd, &u))
		u = (struct usage){ .bytes = c->bytes };
	else
		u.bytes = c->bytes + base->pending +
		    (u.bytes > base->bytes ? u.bytes - base->bytes : 0);
	if (u.counted_s > now || now - u.counted_s >= COUNT_S) {
		u.pending = 0;
		u.counted_s = now;
	}
	if (evicted)
		u.evicted_s = now;
	u.blobs = c->n;
	usage_write(fd, &u);
}

/* ---- limits ---- */

int
quota_limit_get(uint64_t *limit, int root, struct dm_err *err)
{
	DM_AUTO(dm_closep)
	int fd = openat(root, "limit",
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char text[LIMIT_TEXT] = "", *end;
	ssize_t n;

	*limit = 0;
	if (fd < 0)
		return errno == ENOENT ?
		    0 :
		    dm_fail_errno(err, "the cache's limit");
	n = dm_pread_full(fd, text, sizeof(text) - 1, 0);
	if (n < 0)
		return dm_fail_errno(err, "the cache's limit");
	errno = 0;
	*limit = strtoull(text, &end, 10);
	if (errno != 0 || end == text || strcmp(end, "\n") != 0) {
		*limit = 0;
		return dm_fail(err, DM_CORRUPT,
		    "the cache's limit cannot be read; set it again by"
		    " datamount cache limit");
	}
	return 0;
}

int
quota_limit_set(uint64_t limit, int root, struct dm_err *err)
{
	char text[LIMIT_TEXT];
	int n =
	    snprintf(text, sizeof(text), "%llu\n", (unsigned long long)limit);

	if (limit == 0)
		return unlinkat(root, "limit", 0) == 0 || errno == ENOENT ?
		    0 :
		    dm_fail_errno(err, "the cache's limit");
	return dm_file_replace(root, "limit", text, (size_t)n, 0600, err);
}

/* The limit in force, which may change while we run; a little less than what
 * was said, because a count does not see what is taken and not yet written. */
static uint64_t
limit_now(struct quota *q, int root)
{
	uint64_t at = atomic_load(&q->limit_at), now = dm_now_ms(), kept;
	struct dm_err err;

	if (now >= at &&
	    atomic_compare_exchange_strong(&q->limit_at, &at, now + LIMIT_MS)) {
		if (quota_limit_get(&kept, root, &err) < 0)
			dm_log(DM_LOG_DEBUG, "cache", "%s", err.text);
		if (q->given != 0 && (kept == 0 || q->given < kept))
			kept = q->given;
		atomic_store(&q->said, kept);
		atomic_store(&q->limit, kept - kept / SLACK);
	}
	return atomic_load(&q->limit);
}

/* What is to be freed so that a tenth of the disk and its inodes is free. */
static uint64_t
disk_excess(int root, uint64_t need, bool *inodes)
{
	struct statvfs fs;
	uint64_t keep, avail;

	*inodes = false;
	if (fstatvfs(root, &fs) < 0)
		return 0;
	*inodes = fs.f_files > 0 && fs.f_favail < fs.f_files / 10;
	keep = (uint64_t)fs.f_blocks * fs.f_frsize / 10;
	avail = (uint64_t)fs.f_bavail * fs.f_frsize;
	return avail >= keep + need ? 0 : keep + need - avail;
}

static bool
is_over(struct quota *q, int root, const struct usage *u, uint64_t need)
{
	uint64_t limit = limit_now(q, root);
	bool inodes;

	if (limit != 0)
		return u->bytes > limit;
	return disk_excess(root, need, &inodes) > 0 || inodes;
}

static uint64_t
grain(struct quota *q, int root)
{
	uint64_t limit = limit_now(q, root), g;
	struct statvfs fs;

	if (limit == 0 && fstatvfs(root, &fs) == 0)
		limit = (uint64_t)fs.f_blocks * fs.f_frsize;
	g = limit / 256;
	if (g < GRAIN_MIN)
		return GRAIN_MIN;
	return g > GRAIN_MAX ? GRAIN_MAX : g;
}

/* ---- eviction ---- */

/* Map first, then bytes, then directory: whoever comes in between finds
 * nothing that claims to be there, and no bytes without what they must be. */
static void
remove_blob(int root, const struct digest *key)
{
	static const enum shelf_file order[] = { SHELF_MAP, SHELF_BLOB,
		SHELF_DIR, SHELF_MOVED };
	char name[SHELF_NAME];

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		shelf_name(name, key, order[i]);
		(void)unlinkat(root, name, 0); /* others evict too */
	}
}

/* How far down. */
static uint64_t
target_of(struct quota *q, int root, const struct census *c, uint64_t need)
{
	uint64_t limit = limit_now(q, root), excess;
	bool inodes;

	if (limit != 0) {
		limit = limit / 100 * 95;
		return limit > need ? limit - need : 0;
	}
	excess = disk_excess(root, need, &inodes);
	if (excess == 0 && !inodes)
		return c->bytes;
	excess += c->bytes / 20;
	return c->bytes > excess ? c->bytes - excess : 0;
}

/* At most one line in SAY_MS; by who evicts. */
static void
say_evicted(struct quota *q)
{
	uint64_t now = dm_now_ms();

	if (q->evicted == 0 || now < q->say_at)
		return;
	dm_log(DM_LOG_INFO, "cache", "evicted %llu blobs, %llu bytes",
	    (unsigned long long)q->evicted,
	    (unsigned long long)q->evicted_bytes);
	q->evicted = q->evicted_bytes = 0;
	q->say_at = now + SAY_MS;
}

static bool
evict_down(struct quota *q, int root, struct census *c, uint64_t target)
{
	size_t removed = 0, n = c->n;
	uint64_t before = c->bytes, until = dm_deadline_ms(STALE_MS);

	census_sort_by_use(c);
	for (size_t i = 0; i < n && c->bytes > target; i++) {
		struct census_blob *b = &c->blob[i];

		if (b->pinned)
			continue;
		/* Others may have counted since, and evicted. */
		if (dm_now_ms() > until)
			break;
		remove_blob(root, &b->key);
		c->bytes -= b->bytes;
		removed++;
	}
	c->n -= removed;
	q->evicted += removed;
	q->evicted_bytes += before - c->bytes;
	say_evicted(q);
	return removed > 0;
}

static int
look_around(struct quota *q, int root, struct census *c, struct dm_err *err)
{
	if (census_take(c, root, err) < 0 ||
	    census_mark_pinned(c, root, err) < 0)
		return -1;
	if (q->uses != NULL)
		q->uses(q->arg, c);
	return 0;
}

/* Space of evicted files is free once all processes have closed them: when it
 * is the disk that is full, wait for that before evicting more. */
static bool
just_evicted(struct quota *q, int root, const struct usage *u)
{
	uint64_t now = now_s();

	return limit_now(q, root) == 0 && u->evicted_s <= now &&
	    now - u->evicted_s < SETTLE_S;
}

/* Count, and evict if that is too much with need; is there room for need? */
static bool
count_and_evict(struct quota *q, int root, uint64_t need)
{
	struct census c = { 0 };
	struct usage base, *believed = NULL;
	struct dm_err err;
	bool room = false, evicted = false;
	uint64_t more = need;

	if (usage_add(root, 0, 0, &base))
		believed = &base;
	if (believed != NULL && just_evicted(q, root, believed))
		return false;
	if (believed != NULL)
		more += believed->pending;
	if (look_around(q, root, &c, &err) == 0) {
		struct usage is = { .bytes = c.bytes + more };

		if (is_over(q, root, &is, more))
			evicted = evict_down(q, root, &c,
			    target_of(q, root, &c, more));
		is.bytes = c.bytes + more;
		usage_correct(root, believed, &c, evicted);
		room = !is_over(q, root, &is, more);
	} else {
		dm_log(DM_LOG_WARN, "cache", "%s", err.text);
	}
	census_release(&c);
	return room;
}

/* Who holds the lock gets on if the file says that somebody has counted or
 * evicted; how many times STALE_MS was nothing heard of him? */
static uint64_t
passed_over(struct quota *q, int fd)
{
	uint64_t now = dm_now_ms(), state = 0;
	struct usage u;

	if (usage_read(fd, &u))
		state = u.counted_s * 31 + u.evicted_s;
	if (q->waits_since == 0 || q->waits_for != state) {
		q->waits_for = state;
		q->waits_since = now;
	}
	return (now - q->waits_since) / STALE_MS;
}

/* May this process evict now?  Closing fd unlocks. */
static bool
lock_eviction(struct quota *q, int fd)
{
	bool may = try_lock(fd, LOCK_EVICT, 1);
	uint64_t stale;

	if (!may) {
		stale = passed_over(q, fd);
		may =
		    stale > 1 || (stale > 0 && try_lock(fd, LOCK_EVICT + 1, 1));
	}
	if (may)
		q->waits_since = 0;
	return may;
}

/* One at a time, in this process and of all. */
static bool
evict(struct quota *q, int root, uint64_t need)
{
	DM_AUTO(dm_closep) int fd = -1;
	bool room = false;

	if (need > 0 && dm_now_ms() < atomic_load(&q->full_until))
		return false;
	if (atomic_exchange(&q->evicting, true)) {
		atomic_fetch_add(&q->refused_for_now, need > 0);
		return false;
	}
	fd = usage_open(root);
	if (fd < 0 || !lock_eviction(q, fd)) {
		atomic_fetch_add(&q->refused_for_now, need > 0);
	} else {
		room = count_and_evict(q, root, need);
		if (!room)
			atomic_store(&q->full_until, dm_deadline_ms(FULL_MS));
	}
	atomic_store(&q->evicting, false);
	return room;
}

/* ---- what writers ask ---- */

/* Take so much, all of it pending, and tell what is not pending any more. */
static bool
reserve(struct quota *q, int root, uint64_t need, uint64_t done)
{
	struct usage u;

	if (!usage_add(root, (int64_t)need, (int64_t)(need - done), &u))
		return false;
	if (!is_over(q, root, &u, u.pending))
		return true;
	(void)usage_add(root, -(int64_t)need, -(int64_t)need, &u);
	return false;
}

bool
quota_take(struct quota *q, int root, uint64_t bytes)
{
	uint64_t more, done;
	bool enough;

	dm_lock(&q->mu);
	enough = q->credit >= bytes;
	if (enough)
		q->credit -= bytes;
	done = enough ? 0 : q->done;
	q->done -= done;
	dm_unlock(&q->mu);
	if (enough)
		return true;
	more = grain(q, root);
	if (!reserve(q, root, bytes + more, done) &&
	    !(evict(q, root, bytes + more) &&
		reserve(q, root, bytes + more, 0)))
		return false;
	dm_lock(&q->mu);
	q->credit += more;
	dm_unlock(&q->mu);
	return true;
}

/* Report what is done, and give back what nobody needs soon. */
static void
settle(struct quota *q, int root, uint64_t keep)
{
	uint64_t back = 0, done;
	struct usage u;

	dm_lock(&q->mu);
	done = q->done;
	q->done = 0;
	if (q->credit > keep)
		back = q->credit - keep;
	q->credit -= back;
	dm_unlock(&q->mu);
	if (back > 0 || done > 0)
		(void)usage_add(root, -(int64_t)back, -(int64_t)(back + done),
		    &u);
}

void
quota_used(struct quota *q, int root, uint64_t taken, uint64_t used)
{
	uint64_t keep = 2 * grain(q, root);
	bool much;

	dm_lock(&q->mu);
	q->done += used;
	q->credit += taken > used ? taken - used : 0;
	much = q->done + q->credit > keep;
	dm_unlock(&q->mu);
	if (much)
		settle(q, root, keep / 2);
}

uint64_t
quota_refused_for_now(const struct quota *q)
{
	return atomic_load(&q->refused_for_now);
}

uint64_t
quota_limit(struct quota *q, int root)
{
	(void)limit_now(q, root);
	return atomic_load(&q->said);
}

bool
quota_blob_may_grow(struct quota *q, uint64_t bytes)
{
	uint64_t limit = atomic_load(&q->limit);

	return limit == 0 || bytes <= limit / 4;
}

void
quota_tick(struct quota *q, int root)
{
	uint64_t now = now_s();
	struct usage u;

	settle(q, root, grain(q, root));
	if (!usage_add(root, 0, 0, &u) || u.counted_s > now ||
	    now - u.counted_s >= COUNT_S || is_over(q, root, &u, 0))
		(void)evict(q, root, 0);
}

/* ---- open and close ---- */

int
quota_open(struct quota **out, uint64_t limit, struct dm_err *err)
{
	struct quota *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return dm_fail(err, DM_NOMEM, "cache");
	q->given = limit;
	atomic_init(&q->limit, limit);
	dm_mutex_init(&q->mu, DM_RANK_QUOTA);
	*out = q;
	return 0;
}

void
quota_close(struct quota *q, int root)
{
	if (q == NULL)
		return;
	if (root >= 0)
		settle(q, root, 0);
	dm_mutex_destroy(&q->mu);
	free(q);
}

void
quota_set_uses(struct quota *q, quota_uses_fn uses, void *arg)
{
	q->uses = uses;
	q->arg = arg;
}
