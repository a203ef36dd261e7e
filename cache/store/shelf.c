/*
 * The cache's directory.
 *
 * All files are opened relative to one descriptor of the directory, which was
 * checked when it was opened, and without following links.  If the directory
 * vanishes, a new one is made at its path, checked again, and takes over the
 * number of the old descriptor (dup3 does that atomically).
 */
#include "cache/store/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/base/le.h"
#include "cache/base/lock.h"
#include "cache/base/log.h"
#include "cache/store/around.h"
#include "cache/store/quota.h"

enum {
	PROBE_MS = 1000, /* between writes that are tried on a broken disk */
	SAY_MS = 60000,  /* between two complaints */
	PAGE = 4096,     /* what a file system rounds to, about */
};

static const char map_magic[8] = { 'D', 'M', 'm', 'a', 'p', 'c', '0', '1' };

struct shelf {
	/* immutable after open */
	char path[PATH_MAX];
	struct quota *quota; /* NULL: none */

	/* atomic */
	_Atomic int root; /* -1: could not be opened yet */
	_Atomic bool broken;
	_Atomic uint64_t probe_at;
	_Atomic uint64_t bad;
	_Atomic uint64_t refused;
	_Atomic int64_t held_files, held_memory;
	struct around around;

	struct dm_mutex mu; /* guards all below */
	uint64_t said_at;   /* when trouble was last logged, 0: never */
	uint64_t reopen_at; /* the directory is not reopened before */
};

void
shelf_name(char out[SHELF_NAME], const struct digest *key,
    enum shelf_file which)
{
	static const char *const suffix[] = {
		[SHELF_BLOB] = "",
		[SHELF_MAP] = ".map",
		[SHELF_DIR] = ".dir",
		[SHELF_MOVED] = ".moved",
	};
	char hex[DIGEST_HEX + 1];

	digest_hex(key, hex);
	(void)snprintf(out, SHELF_NAME, "blobs/%.2s/%s%s", hex, hex,
	    suffix[which]);
}

void
shelf_map_encode(uint8_t out[SHELF_MAP_HEADER], const struct shelf_map *map)
{
	memset(out, 0, SHELF_MAP_HEADER);
	memcpy(out, map_magic, sizeof(map_magic));
	le64_put(out + 8, map->dev);
	le64_put(out + 16, map->ino);
	le64_put(out + 24, map->size);
	le32_put(out + 32, map->pieces);
}

bool
shelf_map_decode(struct shelf_map *map, const uint8_t *data, size_t size)
{
	if (size != SHELF_MAP_HEADER ||
	    memcmp(data, map_magic, sizeof(map_magic)) != 0)
		return false;
	map->dev = le64_get(data + 8);
	map->ino = le64_get(data + 16);
	map->size = le64_get(data + 24);
	map->pieces = le32_get(data + 32);
	return true;
}

static uint64_t
mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15U;
	return h ^ (h >> 29);
}

uint64_t
shelf_signature(int fd, bool *unlinked)
{
	struct stat st;
	uint64_t h = 1;

	*unlinked = false;
	if (fstat(fd, &st) < 0)
		return 0;
	*unlinked = st.st_nlink == 0;
	h = mix(h, (uint64_t)st.st_dev);
	h = mix(h, (uint64_t)st.st_ino);
	h = mix(h, (uint64_t)st.st_size);
	h = mix(h, (uint64_t)st.st_nlink);
	h = mix(h, (uint64_t)st.st_ctim.tv_sec);
	h = mix(h, (uint64_t)st.st_ctim.tv_nsec);
	return h == 0 ? 1 : h;
}

/* One directory above the cache: nobody but root and us may exchange what is
 * in it.  A sticky directory such as /var/tmp protects what is ours. */
static int
check_above(const char *path, const char *part, struct dm_err *err)
{
	struct stat st;

	if (lstat(part, &st) < 0)
		return dm_fail_errno(err, "cache directory %s: %s", path, part);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return dm_fail(err, DM_DENIED,
		    "cache directory %s: %s belongs to another user;"
		    " choose another by --cache",
		    path, part);
	if ((st.st_mode & S_IWOTH) != 0 && (st.st_mode & S_ISVTX) == 0)
		return dm_fail(err, DM_DENIED,
		    "cache directory %s: anybody can write %s;"
		    " chmod o-w %s, or choose another by --cache",
		    path, part, part);
	return 0;
}

static int
check_stat(const char *path, const struct stat *st, struct dm_err *err)
{
	if (!S_ISDIR(st->st_mode))
		return dm_fail(err, DM_INVALID,
		    "cache directory %s is not a directory;"
		    " choose another by --cache",
		    path);
	if (st->st_uid != geteuid())
		return dm_fail(err, DM_DENIED,
		    "cache directory %s belongs to another user;"
		    " choose another by --cache",
		    path);
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return dm_fail(err, DM_DENIED,
		    "cache directory %s can be written by others;"
		    " chmod go-w %s, or choose another by --cache",
		    path, path);
	return 0;
}

int
shelf_check(const char *path, struct dm_err *err)
{
	DM_AUTO(dm_freep) char *real = realpath(path, NULL);
	struct stat st;

	if (real == NULL || stat(real, &st) < 0)
		return dm_fail_errno(err, "cache directory %s", path);
	if (check_stat(path, &st, err) < 0)
		return -1;
	for (char *slash = strrchr(real, '/'); slash != NULL;
	     slash = strrchr(real, '/')) {
		*slash = '\0';
		if (check_above(path, real[0] == '\0' ? "/" : real, err) < 0)
			return -1;
	}
	return 0;
}

/* Is it the disk that fails, rather than the person who chose the path? */
static bool
is_disk_trouble(const struct dm_err *err)
{
	return err->code == DM_NOSPACE || err->code == DM_IO;
}

/* Make the directory if need be, check it, open it. */
static int
open_root(struct shelf *s, struct dm_err *err)
{
	DM_AUTO(dm_closep) int fd = -1;
	struct stat st;
	int old, now;

	if (access(s->path, F_OK) < 0 && dm_mkdirs(s->path, 0700, err) < 0)
		return dm_wrap(err, "cache directory %s", s->path);
	if (shelf_check(s->path, err) < 0)
		return -1;
	fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return dm_fail_errno(err, "cache directory %s", s->path);
	if (check_stat(s->path, &st, err) < 0)
		return -1;
	old = atomic_load(&s->root);
	now =
	    old >= 0 ? dup3(fd, old, O_CLOEXEC) : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (now < 0)
		return dm_fail_errno(err, "cache directory %s", s->path);
	atomic_store(&s->root, now);
	return 0;
}

int
shelf_open(struct shelf **out, const char *dir, struct dm_err *err)
{
	struct shelf *s = calloc(1, sizeof(*s));
	struct dm_err trouble = { 0 };

	if (s == NULL)
		return dm_fail(err, DM_NOMEM, "cache");
	atomic_init(&s->root, -1);
	dm_mutex_init(&s->mu, DM_RANK_SHELF);
	around_init(&s->around, 0);
	if (snprintf(s->path, sizeof(s->path), "%s", dir) >= PATH_MAX) {
		shelf_close(s);
		return dm_fail(err, DM_INVALID,
		    "cache directory %.100s: path too long", dir);
	}
	if (open_root(s, &trouble) < 0) {
		if (!is_disk_trouble(&trouble)) {
			*err = trouble;
			shelf_close(s);
			return -1;
		}
		atomic_store(&s->broken, true);
		dm_log(DM_LOG_WARN, "cache", "%s: nothing is kept",
		    trouble.text);
	}
	*out = s;
	return 0;
}

void
shelf_close(struct shelf *s)
{
	int root;

	if (s == NULL)
		return;
	root = atomic_load(&s->root);
	quota_close(s->quota, root);
	dm_closep(&root);
	dm_mutex_destroy(&s->mu);
	free(s);
}

struct around *
shelf_around(struct shelf *s)
{
	return &s->around;
}

const char *
shelf_path(const struct shelf *s)
{
	return s->path;
}

/* Somebody removed the directory: make it again, at most once in a while. */
static bool
reopen_root(struct shelf *s)
{
	struct dm_err err = { 0 };
	uint64_t now = dm_now_ms();
	bool reopened = false;

	dm_lock(&s->mu);
	if (now >= s->reopen_at) {
		s->reopen_at = now + PROBE_MS;
		reopened = open_root(s, &err) == 0;
		if (!reopened)
			dm_log(DM_LOG_DEBUG, "cache", "%s", err.text);
	}
	dm_unlock(&s->mu);
	if (err.code != DM_OK)
		errno = EIO;
	return reopened;
}

static int
make_folders(struct shelf *s, const struct digest *key)
{
	char hex[DIGEST_HEX + 1], folder[SHELF_NAME];
	int root = atomic_load(&s->root);

	digest_hex(key, hex);
	(void)snprintf(folder, sizeof(folder), "blobs/%.2s", hex);
	if (mkdirat(root, "blobs", 0700) < 0 && errno != EEXIST)
		return -1;
	if (mkdirat(root, folder, 0700) < 0 && errno != EEXIST)
		return -1;
	return 0;
}

/* The folders that lead to key's files, in the present directory or, if that
 * is gone, in a new one. */
static bool
folders_made(struct shelf *s, const struct digest *key)
{
	if (atomic_load(&s->root) >= 0 && make_folders(s, key) == 0)
		return true;
	if (atomic_load(&s->root) >= 0 && errno != ENOENT)
		return false;
	return reopen_root(s) && make_folders(s, key) == 0;
}

static int
open_name(struct shelf *s, const char *name, bool create)
{
	int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int root = atomic_load(&s->root);
	int fd = openat(root, name, flags | (create ? O_CREAT : 0), 0600);

	if (fd < 0 && (errno == EROFS || errno == EACCES || errno == EPERM))
		fd = openat(root, name,
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd;
}

/* A link, a directory, a pipe or somebody else's file in the place of ours. */
static bool
is_intruder(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_uid != geteuid();
}

static void
remove_name(struct shelf *s, const char *name)
{
	int root = atomic_load(&s->root);

	if (unlinkat(root, name, 0) < 0 && errno == EISDIR)
		(void)unlinkat(root, name, AT_REMOVEDIR); /* if empty */
}

int
shelf_get(struct shelf *s, const struct digest *key, enum shelf_file which,
    bool create)
{
	char name[SHELF_NAME];
	int fd;

	shelf_name(name, key, which);
	fd = open_name(s, name, create);
	if (fd < 0 && create && (errno == ENOENT || errno == EBADF)) {
		if (!folders_made(s, key))
			return -1;
		fd = open_name(s, name, true);
	}
	if (fd >= 0 ? is_intruder(fd) :
		      errno == ELOOP || errno == EISDIR || errno == ENXIO) {
		dm_closep(&fd);
		remove_name(s, name);
		shelf_count_bad(s);
		errno = ENOENT;
		fd = create ? open_name(s, name, true) : -1;
		if (fd >= 0 && is_intruder(fd)) {
			dm_closep(&fd);
			errno = EIO;
			fd = -1;
		}
	}
	return fd;
}

bool
shelf_has(struct shelf *s, const struct digest *key, enum shelf_file which)
{
	char name[SHELF_NAME];

	shelf_name(name, key, which);
	return faccessat(atomic_load(&s->root), name, F_OK,
		   AT_SYMLINK_NOFOLLOW) == 0;
}

static int
write_temp(struct shelf *s, const char *temp, const void *data, size_t size)
{
	DM_AUTO(dm_closep)
	int fd = openat(atomic_load(&s->root), temp,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -1 : dm_write_full(fd, data, size);
}

int
shelf_replace(struct shelf *s, const struct digest *key, enum shelf_file which,
    const void *data, size_t size)
{
	char name[SHELF_NAME], temp[SHELF_NAME + 32];
	uint64_t unique = 0;
	int root, error;

	if (getrandom(&unique, sizeof(unique), 0) != sizeof(unique) ||
	    !folders_made(s, key))
		return -1;
	if (!shelf_take(s, size + PAGE, 0)) {
		errno = 0;
		return -1;
	}
	root = atomic_load(&s->root);
	shelf_name(name, key, which);
	(void)snprintf(temp, sizeof(temp), "%s.%016llx.tmp", name,
	    (unsigned long long)unique);
	if (write_temp(s, temp, data, size) == 0 &&
	    renameat(root, temp, root, name) == 0) {
		shelf_used(s, size + PAGE, size + PAGE);
		return 0;
	}
	error = errno;
	shelf_used(s, size + PAGE, 0);
	(void)unlinkat(root, temp, 0); /* the first error counts */
	errno = error;
	return -1;
}

void
shelf_remove(struct shelf *s, const struct digest *key, enum shelf_file which)
{
	char name[SHELF_NAME];

	shelf_name(name, key, which);
	remove_name(s, name);
}

bool
shelf_writable(struct shelf *s)
{
	uint64_t at, now;

	if (!atomic_load(&s->broken))
		return true;
	now = dm_now_ms();
	at = atomic_load(&s->probe_at);
	return now >= at &&
	    atomic_compare_exchange_strong(&s->probe_at, &at, now + PROBE_MS);
}

void
shelf_worked(struct shelf *s)
{
	if (!atomic_load_explicit(&s->broken, memory_order_relaxed))
		return;
	if (atomic_exchange(&s->broken, false))
		dm_log(DM_LOG_INFO, "cache", "%s: storing again", s->path);
}

void
shelf_failed(struct shelf *s, int error, const char *doing)
{
	uint64_t now = dm_now_ms();
	bool say;

	atomic_store(&s->probe_at, now + PROBE_MS);
	atomic_store(&s->broken, true);
	dm_lock(&s->mu);
	say = s->said_at == 0 || now - s->said_at >= SAY_MS;
	if (say)
		s->said_at = now;
	dm_unlock(&s->mu);
	if (!say)
		return;
	errno = error;
	dm_log(DM_LOG_WARN, "cache",
	    "%s: %s: %m: reading through, nothing is kept until it works again",
	    s->path, doing);
}

bool
shelf_broken(const struct shelf *s)
{
	return atomic_load(&s->broken);
}

int
shelf_set_limit(struct shelf *s, uint64_t limit, struct dm_err *err)
{
	return quota_open(&s->quota, limit, err);
}

struct quota *
shelf_quota(struct shelf *s)
{
	return s->quota;
}

int
shelf_root(const struct shelf *s)
{
	return atomic_load(&s->root);
}

bool
shelf_take(struct shelf *s, uint64_t bytes, uint64_t has)
{
	int root = atomic_load(&s->root);
	bool taken = s->quota == NULL || root < 0 ||
	    (quota_blob_may_grow(s->quota, has + bytes) &&
		quota_take(s->quota, root, bytes));

	if (!taken)
		atomic_fetch_add(&s->refused, 1);
	return taken;
}

uint64_t
shelf_refused(const struct shelf *s, uint64_t *for_now)
{
	*for_now = s->quota == NULL ? 0 : quota_refused_for_now(s->quota);
	return atomic_load(&s->refused);
}

void
shelf_used(struct shelf *s, uint64_t taken, uint64_t used)
{
	int root = atomic_load(&s->root);

	if (s->quota != NULL && root >= 0)
		quota_used(s->quota, root, taken, used);
}

void
shelf_count_bad(struct shelf *s)
{
	atomic_fetch_add(&s->bad, 1);
}

uint64_t
shelf_bad(const struct shelf *s)
{
	return atomic_load(&s->bad);
}

void
shelf_hold(struct shelf *s, int files, int64_t memory)
{
	if (files != 0)
		atomic_fetch_add(&s->held_files, files);
	if (memory != 0)
		atomic_fetch_add(&s->held_memory, memory);
}

int64_t
shelf_held_files(const struct shelf *s)
{
	return atomic_load_explicit(&s->held_files, memory_order_relaxed);
}

int64_t
shelf_held_memory(const struct shelf *s)
{
	return atomic_load_explicit(&s->held_memory, memory_order_relaxed);
}
