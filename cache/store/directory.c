/*
 * Directories of packs.
 *
 * The whole directory is checked before the first record is used, also when
 * it stays on disk: records that are fine two by two could still make pieces
 * that overlap, and then one piece's bytes would pass for another's.
 */
#include "cache/store/directory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/store/shelf.h"

enum { READ_RECORDS = 1024 }; /* at a time, from a file */

struct directory {
	_Atomic unsigned refs;
	/* immutable */
	uint32_t count;
	uint64_t plain_size;
	uint8_t *data; /* NULL: fd has it */
	size_t size;
	struct pack_dir dir; /* of data */
	int fd;
	uint64_t signature; /* of fd, when it was hashed */
};

static struct directory *
directory_new(void)
{
	struct directory *d = calloc(1, sizeof(*d));

	if (d != NULL) {
		atomic_init(&d->refs, 1);
		d->fd = -1;
	}
	return d;
}

struct directory *
directory_get(struct directory *d)
{
	atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
	return d;
}

void
directory_put(struct directory *d)
{
	if (d == NULL || atomic_fetch_sub(&d->refs, 1) != 1)
		return;
	dm_closep(&d->fd);
	free(d->data);
	free(d);
}

static void
directory_putp(struct directory **d)
{
	directory_put(*d);
}

uint32_t
directory_count(const struct directory *d)
{
	return d->count;
}

uint64_t
directory_plain_size(const struct directory *d)
{
	return d->plain_size;
}

size_t
directory_memory(const struct directory *d)
{
	return sizeof(*d) + (d->data != NULL ? d->size : DIRECTORY_WHOLE);
}

/* Take over data as the directory of key, if it is. */
static int
adopt(struct directory *d, const struct digest *key, void *data, size_t size,
    struct dm_err *err)
{
	struct digest is;

	d->data = data;
	d->size = size;
	digest_of(&is, data, size);
	if (!digest_equal(&is, key))
		return dm_fail(err, DM_CORRUPT,
		    "directory of the pack does not match its id");
	if (pack_dir_decode(&d->dir, data, size, err) < 0)
		return -1;
	d->count = d->dir.count;
	d->plain_size = d->dir.plain_size;
	return 0;
}

/* Hash the file of a large directory, and check its records in order; part has
 * room for READ_RECORDS and the one before them. */
static bool
prove_file(struct directory *d, const struct digest *key, uint8_t *part,
    struct digest_hasher *h)
{
	struct dm_err err;
	struct pack_object o = { 0 };
	struct digest is;
	uint32_t done = 0;

	if (dm_pread_full(d->fd, part, PACK_DIR_HEADER, 0) != PACK_DIR_HEADER ||
	    pack_dir_header_decode(&d->count, part, PACK_DIR_HEADER, &err) < 0)
		return false;
	if (d->size != PACK_DIR_HEADER + (size_t)d->count * PACK_RECORD)
		return false;
	digest_hasher_add(h, part, PACK_DIR_HEADER);
	while (done < d->count) {
		uint32_t n = d->count - done;
		size_t bytes;

		n = n < READ_RECORDS ? n : READ_RECORDS;
		bytes = (size_t)n * PACK_RECORD;
		if (dm_pread_full(d->fd, part + PACK_RECORD, bytes,
			PACK_DIR_HEADER + (uint64_t)done * PACK_RECORD) !=
		    (ssize_t)bytes)
			return false;
		digest_hasher_add(h, part + PACK_RECORD, bytes);
		for (uint32_t i = 0; i < n; i++) {
			uint8_t *at = part + (size_t)i * PACK_RECORD;

			if (pack_record_decode(&o, done + i == 0 ? NULL : at,
				at + PACK_RECORD, &err) < 0)
				return false;
		}
		memcpy(part, part + bytes, PACK_RECORD);
		done += n;
	}
	d->plain_size = o.plain_off + o.plain_size;
	digest_hasher_get(h, &is);
	return digest_equal(&is, key);
}

/* Without memory nothing is known of the file: *short_of is set. */
static bool
load_file(struct directory *d, const struct digest *key, bool *short_of)
{
	uint8_t *part = malloc((READ_RECORDS + 1) * (size_t)PACK_RECORD);
	struct digest_hasher *h = digest_hasher_new();
	bool proven = false, unlinked;

	*short_of = part == NULL || h == NULL;
	if (part != NULL && h != NULL) {
		d->signature = shelf_signature(d->fd, &unlinked);
		proven = d->signature != 0 && prove_file(d, key, part, h) &&
		    shelf_signature(d->fd, &unlinked) == d->signature;
	}
	digest_hasher_free(h);
	free(part);
	return proven;
}

static bool
load_whole(struct directory *d, const struct digest *key, bool *short_of)
{
	DM_AUTO(dm_freep) uint8_t *data = malloc(d->size);
	struct dm_err err = { 0 };
	bool proven;

	*short_of = data == NULL;
	if (data == NULL ||
	    dm_pread_full(d->fd, data, d->size, 0) != (ssize_t)d->size)
		return false;
	proven = adopt(d, key, dm_steal(&data), d->size, &err) == 0;
	*short_of = err.code == DM_NOMEM;
	dm_closep(&d->fd);
	d->fd = -1;
	return proven;
}

struct directory *
directory_load(struct shelf *s, const struct digest *key)
{
	DM_AUTO(directory_putp) struct directory *d = directory_new();
	bool short_of = false;
	struct stat st;

	if (d == NULL)
		return NULL;
	d->fd = shelf_get(s, key, SHELF_DIR, false);
	if (d->fd < 0 || fstat(d->fd, &st) < 0)
		return NULL;
	d->size = (size_t)st.st_size;
	if (st.st_size >= PACK_DIR_HEADER && st.st_size <= PACK_DIR_MAX &&
	    (d->size <= DIRECTORY_WHOLE ? load_whole(d, key, &short_of) :
					  load_file(d, key, &short_of)))
		return dm_steal(&d);
	if (short_of)
		return NULL;
	shelf_count_bad(s);
	shelf_remove(s, key, SHELF_DIR);
	return NULL;
}

int
directory_make(struct directory **out, struct shelf *s,
    const struct digest *key, void *data, size_t size, struct dm_err *err)
{
	DM_AUTO(directory_putp) struct directory *d = directory_new();
	struct directory *loaded;

	if (d == NULL) {
		free(data);
		return dm_fail(err, DM_NOMEM, "directory of a pack");
	}
	if (adopt(d, key, data, size, err) < 0)
		return -1;
	if (shelf_writable(s)) {
		if (shelf_replace(s, key, SHELF_DIR, data, size) == 0)
			shelf_worked(s);
		else if (errno != 0)
			shelf_failed(s, errno, "cannot keep a directory");
	}
	/* A large one is better read from its file, if that can be had. */
	loaded = size > DIRECTORY_WHOLE ? directory_load(s, key) : NULL;
	*out = loaded != NULL ? loaded : dm_steal(&d);
	return 0;
}

/* From the file: pread, then see that it is still the file that was hashed. */
static bool
file_objects(struct directory *d, uint32_t first, uint32_t n,
    struct pack_object *out)
{
	uint8_t part[64 * PACK_RECORD];
	uint32_t from = first == 0 ? 0 : first - 1;
	uint32_t records = first + n - from;
	size_t bytes = (size_t)records * PACK_RECORD;
	struct dm_err err;
	bool unlinked;

	if (dm_pread_full(d->fd, part, bytes,
		PACK_DIR_HEADER + (uint64_t)from * PACK_RECORD) !=
		(ssize_t)bytes ||
	    shelf_signature(d->fd, &unlinked) != d->signature)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *at =
		    part + (size_t)(first + i - from) * PACK_RECORD;

		if (pack_record_decode(&out[i],
			first + i == 0 ? NULL : at - PACK_RECORD, at, &err) < 0)
			return false;
	}
	return true;
}

bool
directory_objects(struct directory *d, uint32_t first, uint32_t n,
    struct pack_object *out)
{
	uint32_t done = 0, some;

	if (d->data != NULL) {
		for (uint32_t i = 0; i < n; i++)
			pack_dir_object(&d->dir, first + i, &out[i]);
		return true;
	}
	for (; done < n; done += some) {
		some = n - done < 63 ? n - done : 63;
		if (!file_objects(d, first + done, some, out + done))
			return false;
	}
	return true;
}
