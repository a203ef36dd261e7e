/*
 * Open files of a blob, and what processes tell each other through them.
 *
 * The map is read and written, not mapped: a mapped file that somebody cuts
 * short is a SIGBUS.  A change of one of its bytes is done behind a lock on
 * that byte, so that two processes do not lose each other's bits; the lock is
 * tried for some hundred microseconds only, because its holder may have been
 * stopped.  A bit that is lost then costs a fetch.
 *
 * Locks on the bytes of a blob lie at the offsets of those bytes; each level
 * has a range of offsets of its own, and so have directories.
 */
#include "cache/store/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/io.h"
#include "cache/base/lock.h"
#include "cache/store/shelf.h"

enum {
	LEVEL_SHIFT = 60,
	DIRECTORY_SHIFT = 59,
	OFFSET_BITS = 58,
	MAP_TRIES = 200, /* for the lock of a byte, each about 1 us */
};

/* ---- locks ---- */

static struct flock
flock_of(short type, unsigned level, struct files_range r)
{
	return (struct flock){
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)(r.off | (uint64_t)level << LEVEL_SHIFT),
		.l_len = (off_t)r.size,
	};
}

bool
files_lock(const struct files *f, unsigned level, struct files_range r)
{
	struct flock fl = flock_of(F_WRLCK, level, r);

	/* Where there are no locks, everybody has them all. */
	return fcntl(f->data, F_OFD_SETLK, &fl) == 0 ||
	    (errno != EAGAIN && errno != EACCES);
}

void
files_unlock(const struct files *f, unsigned level, struct files_range r)
{
	struct flock fl = flock_of(F_UNLCK, level, r);

	(void)fcntl(f->data, F_OFD_SETLK, &fl); /* ends with the file anyway */
}

bool
files_locked(const struct files *f, unsigned level, struct files_range r,
    struct files_range *by)
{
	struct flock fl = flock_of(F_WRLCK, level, r);

	if (fcntl(f->data, F_OFD_GETLK, &fl) < 0 || fl.l_type == F_UNLCK)
		return false;
	by->off = (uint64_t)fl.l_start & ~((uint64_t)level << LEVEL_SHIFT);
	by->size = (uint64_t)(fl.l_len > 0 ? fl.l_len : INT64_MAX - fl.l_start);
	return true;
}

struct files_range
files_directory_range(uint64_t off)
{
	return (struct files_range){
		.off = (off & (((uint64_t)1 << OFFSET_BITS) - 1)) |
		    (uint64_t)1 << DIRECTORY_SHIFT,
		.size = 1,
	};
}

/* Lock bytes of the map, or give up soon; returns whether to unlock. */
static bool
map_lock(int map, uint64_t off, uint64_t size)
{
	struct files_range r = { off, size };

	for (int i = 0; i < MAP_TRIES; i++) {
		struct flock fl = flock_of(F_WRLCK, 0, r);

		if (fcntl(map, F_OFD_SETLK, &fl) == 0)
			return true;
		if (errno != EAGAIN && errno != EACCES)
			return false;
		(void)sched_yield();
	}
	return false;
}

static void
map_unlock(int map, uint64_t off, uint64_t size)
{
	struct flock fl =
	    flock_of(F_UNLCK, 0, (struct files_range){ off, size });

	(void)fcntl(map, F_OFD_SETLK, &fl); /* ends with the file anyway */
}

/* ---- the map ---- */

bool
files_claims_one(const struct files *f, uint32_t n)
{
	uint8_t byte = 0;

	return f->map >= 0 &&
	    dm_pread_full(f->map, &byte, 1, SHELF_MAP_HEADER + n / 8) == 1 &&
	    (byte >> n % 8 & 1) != 0;
}

void
files_claims(const struct files *f, uint32_t first, uint32_t n, uint8_t *out)
{
	uint8_t part[512];

	memset(out, 0, n);
	for (uint32_t done = 0; f->map >= 0 && done < n;) {
		uint32_t bit = first + done, skip = bit % 8;
		uint32_t some = n - done;

		if (some > sizeof(part) * 8 - skip)
			some = sizeof(part) * 8 - skip;
		memset(part, 0, sizeof(part));
		if (dm_pread_full(f->map, part, (skip + some + 7) / 8,
			SHELF_MAP_HEADER + bit / 8) <= 0)
			break;
		for (uint32_t i = 0; i < some; i++)
			out[done + i] =
			    part[(skip + i) / 8] >> (skip + i) % 8 & 1;
		done += some;
	}
}

static int
set_bits(int map, uint32_t first, uint32_t n)
{
	uint8_t bytes[FILES_RUN / 8 + 1] = { 0 }, was[sizeof(bytes)];
	uint64_t at = SHELF_MAP_HEADER + first / 8;
	size_t size = (first % 8 + n + 7) / 8;

	if (dm_pread_full(map, bytes, size, at) < 0)
		return -1;
	memcpy(was, bytes, size);
	for (uint32_t i = first % 8; i < first % 8 + n; i++)
		bytes[i / 8] |= (uint8_t)(1U << i % 8);
	if (memcmp(was, bytes, size) == 0)
		return 0;
	return dm_pwrite_full(map, bytes, size, at);
}

int
files_claim_run(const struct files *f, uint32_t first, uint32_t n)
{
	uint64_t at = SHELF_MAP_HEADER + first / 8;
	uint64_t size = (first % 8 + n + 7) / 8;
	bool locked = map_lock(f->map, at, size);
	int rc = set_bits(f->map, first, n);
	int error = errno;

	if (locked)
		map_unlock(f->map, at, size);
	errno = error;
	return rc;
}

static int
change_bit(int map, uint64_t at, uint8_t bit, bool present)
{
	uint8_t byte = 0, was;

	if (dm_pread_full(map, &byte, 1, at) < 0)
		return -1;
	was = byte;
	byte = (uint8_t)(present ? byte | bit : byte & ~bit);
	return byte == was ? 0 : dm_pwrite_full(map, &byte, 1, at);
}

int
files_claim(const struct files *f, uint32_t n, bool present)
{
	uint64_t at = SHELF_MAP_HEADER + n / 8;
	bool locked = map_lock(f->map, at, 1);
	int rc = change_bit(f->map, at, (uint8_t)(1U << n % 8), present);
	int error = errno;

	if (locked)
		map_unlock(f->map, at, 1);
	errno = error;
	return rc;
}

static bool
map_fits(int map, const uint8_t want[SHELF_MAP_HEADER])
{
	uint8_t is[SHELF_MAP_HEADER];

	return dm_pread_full(map, is, sizeof(is), 0) == sizeof(is) &&
	    memcmp(is, want, sizeof(is)) == 0;
}

/* Make sure that the map speaks of this very file; else begin a new one. */
static bool
map_begin(const struct files *f, uint32_t pieces, uint64_t size)
{
	uint8_t want[SHELF_MAP_HEADER];
	struct shelf_map map = { .size = size, .pieces = pieces };
	struct stat st;
	bool locked, begun;

	if (fstat(f->data, &st) < 0)
		return false;
	map.dev = (uint64_t)st.st_dev;
	map.ino = (uint64_t)st.st_ino;
	shelf_map_encode(want, &map);
	if (map_fits(f->map, want))
		return true;
	/* The file was removed meanwhile; the map may be its successor's. */
	if (st.st_nlink == 0)
		return false;
	locked = map_lock(f->map, 0, SHELF_MAP_HEADER);
	begun = map_fits(f->map, want) ||
	    (ftruncate(f->map, 0) == 0 &&
		dm_pwrite_full(f->map, want, sizeof(want), 0) == 0);
	if (locked)
		map_unlock(f->map, 0, SHELF_MAP_HEADER);
	return begun;
}

/* ---- open files ---- */

struct files *
files_open(struct shelf *s, const struct digest *key, bool create,
    uint32_t pieces, uint64_t size)
{
	struct files *f = calloc(1, sizeof(*f));
	int error;

	if (f == NULL)
		return NULL;
	atomic_init(&f->refs, 1);
	dm_cond_init(&f->hashing.ended);
	f->map = -1;
	f->shelf = s;
	f->key = *key;
	f->data = shelf_get(s, key, SHELF_BLOB, create);
	error = errno;
	if (f->data < 0) {
		files_put(f);
		errno = error;
		return NULL;
	}
	if (pieces == 0)
		return f;
	f->map = shelf_get(s, key, SHELF_MAP, true);
	if (f->map >= 0 && !map_begin(f, pieces, size)) {
		error = errno;
		dm_closep(&f->map);
		f->map = -1;
		errno = error;
	}
	return f;
}

struct files *
files_get(struct files *f)
{
	atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
	return f;
}

void
files_put(struct files *f)
{
	if (f == NULL || atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	dm_closep(&f->data);
	dm_closep(&f->map);
	pthread_cond_destroy(&f->hashing.ended);
	free(f);
}

bool
files_linked(const struct files *f)
{
	struct stat st;

	return fstat(f->data, &st) == 0 && st.st_nlink > 0;
}

bool
files_have_directory(const struct files *f)
{
	return shelf_has(f->shelf, &f->key, SHELF_DIR);
}
