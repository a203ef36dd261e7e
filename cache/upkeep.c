/*
 * What commands do to a cache directory as a whole: count, clear, check.
 *
 * Daemons may be using it meanwhile.  A blob is removed map first, then bytes,
 * then directory, so that whoever comes in between finds nothing that claims
 * to be there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/cache.h"
#include "cache/moved_table.h"
#include "cache/store/census.h"
#include "cache/store/directory.h"
#include "cache/store/index.h"
#include "cache/store/listing.h"
#include "cache/store/quota.h"
#include "cache/store/shelf.h"

/* ---- walking ---- */

struct file {
	int folder; /* descriptor of blobs/AA */
	const char *name;
	struct digest key;
	const char *suffix; /* of shelf_file; NULL: not one of ours */
	struct stat st;
};

typedef int (*each_fn)(void *arg, const struct file *file, struct dm_err *err);

static void
classify(struct file *file)
{
	static const char *const suffix[] = { "", ".map", ".dir", ".moved" };
	size_t n = strlen(file->name);

	file->suffix = NULL;
	if (n < DIGEST_HEX || !S_ISREG(file->st.st_mode) ||
	    !digest_parse(&file->key, file->name, DIGEST_HEX))
		return;
	for (size_t i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++)
		if (strcmp(file->name + DIGEST_HEX, suffix[i]) == 0)
			file->suffix = suffix[i];
}

static int
walk_folder(int blobs, const char *name, each_fn each, void *arg,
    struct dm_err *err)
{
	DM_AUTO(listing_closep) DIR *dir = NULL;
	struct file file;
	int rc = listing_open_any(&dir, blobs, name, err);

	if (rc < 0 || dir == NULL)
		return rc;
	file.folder = dirfd(dir);
	while ((rc = listing_next(&file.name, dir, err)) == 0 &&
	    file.name != NULL) {
		if (fstatat(file.folder, file.name, &file.st,
			AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue; /* removed meanwhile */
			return dm_fail_errno(err, "cache: %s", file.name);
		}
		classify(&file);
		if (each(arg, &file, err) < 0)
			return -1;
	}
	return rc;
}

/* Call each for every file of the cache in dir. */
static int
walk(const char *dir, each_fn each, void *arg, struct dm_err *err)
{
	DM_AUTO(dm_closep) int root = -1;
	DM_AUTO(listing_closep) DIR *blobs = NULL;
	const char *name;
	int rc;

	if (access(dir, F_OK) < 0 && errno == ENOENT)
		return 0; /* no cache yet */
	if (shelf_check(dir, err) < 0)
		return -1;
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return dm_fail_errno(err, "cache directory %s", dir);
	rc = listing_open(&blobs, root, "blobs", err);
	if (rc < 0 || blobs == NULL)
		return rc;
	while ((rc = listing_next(&name, blobs, err)) == 0 && name != NULL)
		if (walk_folder(dirfd(blobs), name, each, arg, err) < 0)
			return -1;
	return rc;
}

static void
add_usage(struct cache_usage *u, const struct file *file)
{
	u->blobs += file->suffix != NULL && file->suffix[0] == '\0';
	u->bytes += (uint64_t)file->st.st_blocks * 512;
}

/* ---- usage ---- */

static int
count_file(void *arg, const struct file *file, struct dm_err *err)
{
	(void)err;
	add_usage(arg, file);
	return 0;
}

/* Free space of the file system that dir is, or will be, on. */
static uint64_t
disk_free(const char *dir)
{
	char part[PATH_MAX];
	struct statvfs fs;

	(void)snprintf(part, sizeof(part), "%s", dir);
	while (statvfs(part, &fs) < 0) {
		char *slash = strrchr(part, '/');

		if (slash == NULL || part[1] == '\0')
			return 0;
		slash[slash == part] = '\0';
	}
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* Open the directory of a cache; -1 without an error: there is none. */
static int
open_cache_dir(const char *dir, int *root, struct dm_err *err)
{
	*root = -1;
	if (access(dir, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (shelf_check(dir, err) < 0)
		return -1;
	*root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *root < 0 ? dm_fail_errno(err, "cache directory %s", dir) : 0;
}

/* What is pinned, and what would be evicted first. */
static int
count_pinned(const char *dir, int root, struct cache_usage *out,
    struct dm_err *err)
{
	char index[PATH_MAX];
	struct census c;
	int rc = census_take(&c, root, err);

	if (rc == 0)
		rc = census_mark_pinned(&c, root, err);
	if (rc == 0 &&
	    snprintf(index, sizeof(index), "%s/" INDEX_FILE, dir) < PATH_MAX)
		index_read_uses(index, &c);
	for (size_t i = 0; rc == 0 && i < c.n; i++) {
		uint64_t used_s = (uint64_t)c.blob[i].used_s;

		if (c.blob[i].pinned)
			out->pinned += c.blob[i].bytes;
		else if (out->coldest_s == 0 || used_s < out->coldest_s)
			out->coldest_s = used_s;
	}
	census_release(&c);
	return rc;
}

int
cache_usage(const char *dir, struct cache_usage *out, struct dm_err *err)
{
	DM_AUTO(dm_closep) int root = -1;

	*out = (struct cache_usage){ .disk_free = disk_free(dir) };
	if (walk(dir, count_file, out, err) < 0 ||
	    open_cache_dir(dir, &root, err) < 0)
		return -1;
	return root < 0 ? 0 : count_pinned(dir, root, out, err);
}

/* ---- limit ---- */

int
cache_limit(const char *dir, uint64_t *limit, struct dm_err *err)
{
	DM_AUTO(dm_closep) int root = -1;

	*limit = 0;
	if (open_cache_dir(dir, &root, err) < 0)
		return -1;
	return root < 0 ? 0 : quota_limit_get(limit, root, err);
}

int
cache_set_limit(const char *dir, uint64_t limit, struct dm_err *err)
{
	DM_AUTO(dm_closep) int root = -1;

	if (access(dir, F_OK) < 0 && dm_mkdirs(dir, 0700, err) < 0)
		return dm_wrap(err, "cache directory %s", dir);
	if (open_cache_dir(dir, &root, err) < 0)
		return -1;
	return quota_limit_set(limit, root, err);
}

/* ---- clear ---- */

struct clearing {
	struct cache_usage *freed;
	const char *suffix; /* what this pass removes; NULL: all that is left */
};

static int
clear_file(void *arg, const struct file *file, struct dm_err *err)
{
	const struct clearing *c = arg;
	bool ours = file->suffix != NULL && c->suffix != NULL &&
	    strcmp(file->suffix, c->suffix) == 0;

	if (c->suffix != NULL && !ours)
		return 0;
	if (unlinkat(file->folder, file->name,
		S_ISDIR(file->st.st_mode) ? AT_REMOVEDIR : 0) == 0)
		add_usage(c->freed, file);
	else if (errno != ENOENT && !S_ISDIR(file->st.st_mode))
		return dm_fail_errno(err, "remove %s", file->name);
	return 0;
}

/* The count is of what is gone now: whoever writes next counts anew. */
static int
forget_usage(const char *dir, struct dm_err *err)
{
	DM_AUTO(dm_closep) int root = -1;

	if (open_cache_dir(dir, &root, err) < 0)
		return -1;
	if (root >= 0 && unlinkat(root, "usage", 0) < 0 && errno != ENOENT)
		return dm_fail_errno(err, "remove %s/usage", dir);
	return 0;
}

int
cache_clear(const char *dir, struct cache_usage *freed, struct dm_err *err)
{
	struct clearing c = { .freed = freed };
	/* Broken off between two, no blob is without what can prove it. */
	static const char *const passes[] = { ".map", "", ".dir", NULL };

	*freed = (struct cache_usage){ 0 };
	for (size_t i = 0; i < sizeof(passes) / sizeof(passes[0]); i++) {
		c.suffix = passes[i];
		if (walk(dir, clear_file, &c, err) < 0)
			return -1;
	}
	freed->disk_free = disk_free(dir);
	return forget_usage(dir, err);
}

/* ---- fsck ---- */

enum { WHOLE_MAX = 1 << 20 }; /* bytes of a blob that is one piece: a commit */

struct checking {
	struct cache_check *out;
	struct shelf *shelf;
	void (*progress)(void *arg, uint64_t bytes);
	void *arg;
	uint8_t *part; /* OBJECT_DATA_MAX bytes */
};

static void
drop_blob(struct checking *c, const struct digest *key)
{
	shelf_remove(c->shelf, key, SHELF_MAP);
	shelf_remove(c->shelf, key, SHELF_BLOB);
	shelf_remove(c->shelf, key, SHELF_DIR);
	shelf_remove(c->shelf, key, SHELF_MOVED);
}

static void
count_piece(struct checking *c, uint64_t size)
{
	c->out->pieces++;
	c->out->bytes += size;
	if (c->progress != NULL)
		c->progress(c->arg, c->out->bytes);
}

static bool
piece_is_good(struct checking *c, int fd, const struct pack_object *o)
{
	struct digest is;

	if (dm_pread_full(fd, c->part, o->plain_size, o->plain_off) !=
	    (ssize_t)o->plain_size)
		return false;
	digest_of(&is, c->part, o->plain_size);
	return digest_equal(&is, &o->id);
}

static void
clear_bit(int map, uint32_t n)
{
	uint8_t byte = 0;

	if (dm_pread_full(map, &byte, 1, SHELF_MAP_HEADER + n / 8) != 1)
		return;
	byte = (uint8_t)(byte & ~(1U << n % 8));
	(void)dm_pwrite_full(map, &byte, 1, SHELF_MAP_HEADER + n / 8);
}

/* It was being made when its process ended, and claims nothing. */
static bool
map_is_empty(int map)
{
	uint8_t byte;

	return dm_pread_full(map, &byte, 1, 0) == 0;
}

/* Does the map's header speak of this very file, with this layout? */
static bool
map_is_good(int map, const struct file *file, const struct directory *dir)
{
	uint8_t header[SHELF_MAP_HEADER];
	struct shelf_map is;
	ssize_t n = dm_pread_full(map, header, sizeof(header), 0);

	return n == (ssize_t)sizeof(header) &&
	    shelf_map_decode(&is, header, sizeof(header)) &&
	    is.dev == (uint64_t)file->st.st_dev &&
	    is.ino == (uint64_t)file->st.st_ino &&
	    is.size == directory_plain_size(dir) &&
	    is.pieces == directory_count(dir);
}

/* Hash every piece that the map claims.  False: the directory has changed, or
 * the map cannot be read. */
static bool
check_pieces(struct checking *c, int fd, int map, struct directory *dir)
{
	uint32_t n = directory_count(dir);
	struct pack_object o;
	uint8_t byte = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (i % 8 == 0) {
			byte = 0; /* if the map ends here */
			if (dm_pread_full(map, &byte, 1,
				SHELF_MAP_HEADER + i / 8) < 0)
				return false;
		}
		if ((byte >> i % 8 & 1) == 0)
			continue;
		if (!directory_objects(dir, i, 1, &o))
			return false;
		count_piece(c, o.plain_size);
		if (!piece_is_good(c, fd, &o)) {
			c->out->bad++;
			clear_bit(map, i);
		}
	}
	return true;
}

/* Without a directory it is one piece whose digest is its name, or what is left
 * of a pack (a full disk, a clear that was killed): nothing can prove that,
 * so it goes, but it is no damage. */
static void
check_alone(struct checking *c, int fd, int map, const struct file *file)
{
	struct pack_object o = { .id = file->key };
	bool is_pack = map >= 0 || file->st.st_size > WHOLE_MAX;

	/* An empty one is what somebody is fetching, or was when killed. */
	if (!is_pack && file->st.st_size > 0) {
		o.plain_size = (uint32_t)file->st.st_size;
		count_piece(c, o.plain_size);
		if (piece_is_good(c, fd, &o))
			return;
		c->out->bad++;
	}
	/* It only says where the pack's objects are now. */
	if (file->st.st_size == 0 &&
	    shelf_has(c->shelf, &file->key, SHELF_MOVED))
		return;
	drop_blob(c, &file->key);
}

/* Its directory; NULL without an error: it has none that is sound. */
static int
load_directory(struct checking *c, const struct digest *key,
    struct directory **out, struct dm_err *err)
{
	/* What is damaged is removed: what stays, could not be read. */
	*out = directory_load(c->shelf, key);
	if (*out == NULL && shelf_has(c->shelf, key, SHELF_DIR))
		*out = directory_load(c->shelf, key);
	if (*out == NULL && shelf_has(c->shelf, key, SHELF_DIR))
		return dm_fail(err, DM_IO,
		    "cache: the directory of a blob cannot be read");
	return 0;
}

/* A file of it, or -1 without an error if there is none. */
static int
get_file(struct checking *c, const struct digest *key, enum shelf_file which,
    int *fd, struct dm_err *err)
{
	*fd = shelf_get(c->shelf, key, which, false);
	return *fd < 0 && errno != ENOENT ?
	    dm_fail_errno(err, "cache: open a blob") :
	    0;
}

static int
check_blob(struct checking *c, const struct file *file, struct dm_err *err)
{
	DM_AUTO(dm_closep) int fd = -1;
	DM_AUTO(dm_closep) int map = -1;
	struct directory *dir = NULL;

	if (get_file(c, &file->key, SHELF_BLOB, &fd, err) < 0)
		return -1;
	if (fd < 0)
		return 0; /* removed meanwhile */
	if (get_file(c, &file->key, SHELF_MAP, &map, err) < 0 ||
	    load_directory(c, &file->key, &dir, err) < 0)
		return -1;
	c->out->blobs++;
	if (dir == NULL) {
		check_alone(c, fd, map, file);
	} else if (map >= 0 && map_is_empty(map)) {
		shelf_remove(c->shelf, &file->key, SHELF_MAP);
	} else if (map >= 0 && !map_is_good(map, file, dir)) {
		c->out->bad++;
		shelf_remove(c->shelf, &file->key, SHELF_MAP);
	} else if (map >= 0 && !check_pieces(c, fd, map, dir)) {
		c->out->bad++;
		drop_blob(c, &file->key);
	}
	directory_put(dir);
	return 0;
}

/* Only its form can be checked; its truth, when it is used. */
static void
check_moved(struct checking *c, const struct file *file)
{
	struct moved_table *t = moved_table_new();

	if (t != NULL)
		(void)moved_table_load(t, c->shelf, &file->key);
	moved_table_free(t);
}

static int
check_file(void *arg, const struct file *file, struct dm_err *err)
{
	struct checking *c = arg;
	struct directory *dir;

	if (file->suffix == NULL) {
		if (!census_is_temporary(file->name))
			c->out->bad++;
		else if (!census_is_leftover(file->name, &file->st))
			return 0;
		(void)unlinkat(file->folder, file->name,
		    S_ISDIR(file->st.st_mode) ? AT_REMOVEDIR : 0);
	} else if (file->suffix[0] == '\0') {
		return check_blob(c, file, err);
	} else if (strcmp(file->suffix, ".dir") == 0) {
		dir = directory_load(c->shelf, &file->key);
		directory_put(dir);
	} else if (strcmp(file->suffix, ".moved") == 0) {
		check_moved(c, file);
	}
	return 0;
}

int
cache_fsck(const char *dir, struct cache_check *out,
    void (*progress)(void *arg, uint64_t bytes), void *arg, struct dm_err *err)
{
	struct checking c = {
		.out = out,
		.progress = progress,
		.arg = arg,
	};
	int rc;

	*out = (struct cache_check){ 0 };
	if (access(dir, F_OK) < 0 && errno == ENOENT)
		return 0; /* no cache yet */
	c.part = malloc(OBJECT_DATA_MAX);
	if (c.part == NULL)
		return dm_fail(err, DM_NOMEM, "check the cache");
	rc = shelf_open(&c.shelf, dir, err);
	if (rc == 0) {
		rc = shelf_broken(c.shelf) ?
		    dm_fail(err, DM_IO, "cache directory %s cannot be opened",
			dir) :
		    walk(dir, check_file, &c, err);
		/* Directories and intruders found damaged on the way. */
		out->bad += shelf_bad(c.shelf);
		shelf_close(c.shelf);
	}
	free(c.part);
	return rc;
}
