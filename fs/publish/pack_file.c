#include "fs/publish/pack_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/pack/codec.h"

void
pack_file_path(char out[PACK_PATH], const char *folder, const struct digest *id)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(id, hex);
	(void)snprintf(out, PACK_PATH, "%s/%.2s/%s", folder, hex, hex);
}

static int
read_dir(struct pack_file *p, const struct digest *id, struct dm_err *err)
{
	uint8_t trailer[PACK_TRAILER];
	uint32_t len = 0;
	struct stat st;
	uint64_t size;

	if (fstat(p->fd, &st) < 0)
		return dm_fail_errno(err, "stat");
	size = (uint64_t)st.st_size;
	if (!S_ISREG(st.st_mode) || size < PACK_TRAILER ||
	    dm_pread_full(p->fd, trailer, PACK_TRAILER, size - PACK_TRAILER) !=
		PACK_TRAILER)
		return dm_fail(err, DM_CORRUPT, "too short");
	if (pack_trailer_decode(&len, trailer, err) < 0)
		return -1;
	if (len > PACK_DIR_MAX || len > size - PACK_TRAILER)
		return dm_fail(err, DM_CORRUPT, "damaged trailer");
	p->data = malloc(len);
	if (p->data == NULL)
		return dm_fail(err, DM_NOMEM, "directory of a pack");
	p->name.dir_off = size - PACK_TRAILER - len;
	p->name.dir_len = len;
	if (dm_pread_full(p->fd, p->data, len, p->name.dir_off) != (ssize_t)len)
		return dm_fail(err, DM_CORRUPT, "cannot be read");
	digest_of(&p->name.id, p->data, len);
	if (!digest_equal(&p->name.id, id))
		return dm_fail(err, DM_CORRUPT, "damaged directory");
	if (pack_dir_decode(&p->dir, p->data, len, err) < 0)
		return -1;
	if (p->dir.stored_size != p->name.dir_off)
		return dm_fail(err, DM_CORRUPT, "wrong length");
	p->name.count = p->dir.count;
	return 0;
}

int
pack_file_open(struct pack_file *out, int at, const char *path,
    const struct digest *id, struct dm_err *err)
{
	*out =
	    (struct pack_file){ .fd = openat(at, path, O_RDONLY | O_CLOEXEC) };
	if (out->fd < 0 && errno == ENOENT)
		return dm_fail(err, DM_NOTFOUND, "%s is missing", path);
	if (out->fd < 0)
		return dm_fail_errno(err, "open %s", path);
	if (read_dir(out, id, err) < 0) {
		pack_file_close(out);
		return dm_wrap(err, "%s", path);
	}
	return 0;
}

void
pack_file_close(struct pack_file *p)
{
	dm_closep(&p->fd);
	p->fd = -1;
	free(p->data);
	p->data = NULL;
}

int
pack_file_object(const struct pack_file *p, struct codec *codec, uint32_t i,
    struct dm_buf *stored, struct dm_buf *plain, struct dm_err *err)
{
	struct pack_object o;
	struct digest is;
	void *from, *to;

	pack_dir_object(&p->dir, i, &o);
	dm_buf_clear(stored);
	dm_buf_clear(plain);
	from = dm_buf_extend(stored, o.stored_size, err);
	to = from == NULL ? NULL : dm_buf_extend(plain, o.plain_size, err);
	if (to == NULL)
		return -1;
	if (dm_pread_full(p->fd, from, o.stored_size, o.stored_off) !=
	    (ssize_t)o.stored_size)
		return dm_fail(err, DM_CORRUPT, "object %u cannot be read", i);
	if (codec_decode(codec, o.codec, from, o.stored_size, to, o.plain_size,
		err) < 0)
		return dm_wrap(err, "object %u", i);
	digest_of(&is, to, o.plain_size);
	if (!digest_equal(&is, &o.id))
		return dm_fail(err, DM_CORRUPT,
		    "object %u does not match its digest", i);
	return 0;
}

static void
codec_freep(struct codec **c)
{
	codec_free(*c);
}

int
pack_file_check(const struct pack_file *p, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf stored = DM_BUF(OBJECT_DATA_MAX);
	DM_AUTO(dm_buf_release) struct dm_buf plain = DM_BUF(OBJECT_DATA_MAX);
	DM_AUTO(codec_freep) struct codec *codec = codec_new();

	if (codec == NULL)
		return dm_fail(err, DM_NOMEM, "read a pack");
	for (uint32_t i = 0; i < p->dir.count; i++)
		if (pack_file_object(p, codec, i, &stored, &plain, err) < 0)
			return -1;
	return 0;
}
