/*
 * Writing a pack.
 *
 * The file has no name until it is whole and on disk; where the file system
 * knows no nameless files it has a hidden one below packs_dir.
 */
#include "cache/pack/pack_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"

enum {
	TEMP_SIZE = 32,
	NAME_SIZE = 3 + DIGEST_HEX + 1,
	PAGE = 4096,
	CACHED = 8 << 20, /* a small pack is read again soon */
};

struct pack_writer {
	int packs; /* the directory packs_dir */
	int fd;
	char temp[TEMP_SIZE]; /* the hidden name, "" if the file has none */
	struct dm_buf dir;
	struct pack_dir_encoder encoder;
	struct pack_name name; /* once the pack has ended */
	uint64_t put;          /* bytes */
	uint8_t tail[PAGE];    /* the last put % PAGE of them: unwritten */
};

static int
name_temp(struct pack_writer *w)
{
	uint64_t unique = 0;

	if (getrandom(&unique, sizeof(unique), 0) != sizeof(unique))
		return -1;
	(void)snprintf(w->temp, sizeof(w->temp), ".%016llx.tmp",
	    (unsigned long long)unique);
	return 0;
}

static int
open_named(struct pack_writer *w, struct dm_err *err)
{
	if (name_temp(w) < 0)
		return dm_fail_errno(err, "getrandom");
	w->fd = openat(w->packs, w->temp,
	    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0444);
	if (w->fd >= 0)
		return 0;
	w->temp[0] = '\0';
	return dm_fail_errno(err, "create a pack");
}

static int
open_file(struct pack_writer *w, struct dm_err *err)
{
	w->fd = openat(w->packs, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0444);
	if (w->fd >= 0)
		return 0;
	if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL ||
	    errno == ENOENT)
		return open_named(w, err);
	return dm_fail_errno(err, "create a pack");
}

static int
start(struct pack_writer *w, const char *packs_dir, struct dm_err *err)
{
	w->packs = open(packs_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->packs < 0)
		return dm_fail_errno(err, "open %s", packs_dir);
	if (open_file(w, err) < 0)
		return dm_wrap(err, "%s", packs_dir);
	return pack_dir_encode_begin(&w->encoder, &w->dir, err);
}

int
pack_writer_open(struct pack_writer **out, const char *packs_dir,
    struct dm_err *err)
{
	struct pack_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return dm_fail(err, DM_NOMEM, "write a pack");
	w->packs = -1;
	w->fd = -1;
	w->dir = (struct dm_buf)DM_BUF(PACK_DIR_MAX + PACK_TRAILER);
	if (start(w, packs_dir, err) < 0) {
		pack_writer_close(w);
		return -1;
	}
	*out = w;
	return 0;
}

void
pack_writer_close(struct pack_writer *w)
{
	if (w == NULL)
		return;
	if (w->temp[0] != '\0')
		(void)unlinkat(w->packs, w->temp, 0); /* a leftover harms not */
	dm_closep(&w->fd);
	dm_closep(&w->packs);
	dm_buf_release(&w->dir);
	free(w);
}

int
pack_writer_place(struct pack_writer *w, const struct pack_object *o,
    uint32_t *ordinal, struct dm_err *err)
{
	*ordinal = w->encoder.count;
	return pack_dir_encode_object(&w->encoder, o, err);
}

/* Whole pages are written, and what is left waits for more. */
int
pack_writer_put(struct pack_writer *w, const void *stored, size_t size,
    struct dm_err *err)
{
	size_t waits = w->put % PAGE, left = (waits + size) % PAGE;
	struct iovec part[] = {
		{ .iov_base = w->tail, .iov_len = waits },
		{ .iov_base = (void *)(uintptr_t)stored },
	};

	if (waits + size < PAGE) {
		memcpy(w->tail + waits, stored, size);
		w->put += size;
		return 0;
	}
	part[1].iov_len = size - left;
	if (dm_pwritev_full(w->fd, part, 2, w->put - waits, w->put < CACHED) <
	    0)
		return dm_fail_errno(err, "write a pack");
	memcpy(w->tail, (const uint8_t *)stored + size - left, left);
	w->put += size;
	return 0;
}

static int
write_tail(struct pack_writer *w)
{
	size_t waits = w->put % PAGE;

	return dm_pwrite_full(w->fd, w->tail, waits, w->put - waits);
}

int
pack_writer_add(struct pack_writer *w, const struct pack_object *o,
    const void *stored, uint32_t *ordinal, struct dm_err *err)
{
	if (pack_writer_place(w, o, ordinal, err) < 0)
		return -1;
	return pack_writer_put(w, stored, o->stored_size, err);
}

uint32_t
pack_writer_count(const struct pack_writer *w)
{
	return w->encoder.count;
}

uint64_t
pack_writer_plain_size(const struct pack_writer *w)
{
	return w->encoder.plain_end;
}

int
pack_writer_end(struct pack_writer *w, struct pack_name *name,
    struct dm_err *err)
{
	uint8_t trailer[PACK_TRAILER];

	if (w->encoder.count == 0)
		return dm_fail(err, DM_INVALID, "a pack needs an object");
	pack_dir_encode_end(&w->encoder);
	name->dir_off = w->encoder.stored_end;
	name->dir_len = (uint32_t)w->dir.size;
	name->count = w->encoder.count;
	digest_of(&name->id, w->dir.data, w->dir.size);
	w->name = *name;
	pack_trailer_encode(trailer, name->dir_len);
	return dm_buf_append(&w->dir, trailer, sizeof(trailer), err);
}

/* A name for a file that has none.  Without /proc it takes a privilege. */
static int
link_nameless(struct pack_writer *w, const char *path)
{
	char self[32];

	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", w->fd);
	if (linkat(AT_FDCWD, self, w->packs, path, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	if (errno != ENOENT)
		return -1;
	return linkat(w->fd, "", w->packs, path, AT_EMPTY_PATH);
}

static int
link_named(struct pack_writer *w, const char *path)
{
	if (linkat(w->packs, w->temp, w->packs, path, 0) == 0)
		return 0;
	if (errno != EPERM && errno != EOPNOTSUPP)
		return -1;
	/* No hard links here.  Where a rename cannot spare a pack that is
	 * there, it replaces it by its equal. */
	if (renameat2(w->packs, w->temp, w->packs, path, RENAME_NOREPLACE) <
		0 &&
	    (errno != EINVAL ||
		renameat(w->packs, w->temp, w->packs, path) < 0))
		return -1;
	w->temp[0] = '\0';
	return 0;
}

/* Does the file of this name end where ours does, with our directory? */
static bool
is_equal(struct pack_writer *w, const char *path)
{
	DM_AUTO(dm_closep)
	int fd = openat(w->packs, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	DM_AUTO(dm_freep) uint8_t *dir = malloc(w->dir.size);
	uint64_t off = w->name.dir_off;
	struct stat st;

	return fd >= 0 && dir != NULL && fstat(fd, &st) == 0 &&
	    S_ISREG(st.st_mode) && (uint64_t)st.st_size == off + w->dir.size &&
	    dm_pread_full(fd, dir, w->dir.size, off) == (ssize_t)w->dir.size &&
	    memcmp(dir, w->dir.data, w->dir.size) == 0;
}

/* Put ours in the place of a damaged file of its name. */
static int
replace(struct pack_writer *w, const char *path)
{
	if (w->temp[0] == '\0' &&
	    (name_temp(w) < 0 || link_nameless(w, w->temp) < 0)) {
		w->temp[0] = '\0';
		return -1;
	}
	if (renameat(w->packs, w->temp, w->packs, path) < 0)
		return -1;
	w->temp[0] = '\0';
	return 0;
}

static int
sync_directory(int at, const char *path)
{
	DM_AUTO(dm_closep)
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -1 : fsync(fd);
}

int
pack_writer_seal(struct pack_writer *w, struct dm_err *err)
{
	char hex[DIGEST_HEX + 1], path[NAME_SIZE], aa[3];
	int rc;

	if (pack_writer_put(w, w->dir.data, w->dir.size, err) < 0)
		return -1;
	if (write_tail(w) < 0 || fsync(w->fd) < 0)
		return dm_fail_errno(err, "write a pack");
	digest_hex(&w->name.id, hex);
	(void)snprintf(aa, sizeof(aa), "%.2s", hex);
	(void)snprintf(path, sizeof(path), "%s/%s", aa, hex);
	if (mkdirat(w->packs, aa, 0777) < 0 && errno != EEXIST)
		return dm_fail_errno(err, "mkdir packs/%s", aa);
	rc = w->temp[0] == '\0' ? link_nameless(w, path) : link_named(w, path);
	if (rc < 0 && errno == EEXIST)
		rc = is_equal(w, path) ? 0 : replace(w, path);
	if (rc < 0)
		return dm_fail_errno(err, "name packs/%s", path);
	/* Also when it was there: its writer may not have come this far. */
	if (sync_directory(w->packs, aa) < 0 || fsync(w->packs) < 0)
		return dm_fail_errno(err, "fsync packs/%s", aa);
	return 0;
}

int
pack_writer_finish(struct pack_writer *w, struct pack_name *name,
    struct dm_err *err)
{
	if (pack_writer_end(w, name, err) < 0)
		return -1;
	return pack_writer_seal(w, err);
}
