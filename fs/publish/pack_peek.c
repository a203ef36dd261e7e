#include "fs/publish/pack_peek.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/pack/pack_dir.h"

void
pack_peek_init(struct pack_peek *p, const char *packs_dir)
{
	memset(p, 0, sizeof(*p));
	p->packs_dir = packs_dir;
}

static void
file_close(struct pack_peek_file *f)
{
	if (f->used)
		dm_closep(&f->fd);
	f->used = false;
}

void
pack_peek_release(struct pack_peek *p)
{
	for (int i = 0; i < PACK_PEEK_FILES; i++)
		file_close(&p->file[i]);
}

bool
pack_peek_knows(const struct pack_peek *p, uint32_t number)
{
	const struct pack_peek_file *f = &p->file[number % PACK_PEEK_FILES];

	return f->used && f->number == number;
}

/* Is the open file the pack of that name, as far as its ends tell? */
static bool
is_as_named(int fd, const struct pack_name *name)
{
	uint8_t trailer[PACK_TRAILER], header[PACK_DIR_HEADER];
	uint32_t len = 0, count = 0;
	struct dm_err ignored;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size < PACK_TRAILER + PACK_DIR_HEADER)
		return false;
	if (dm_pread_full(fd, trailer, PACK_TRAILER,
		(uint64_t)st.st_size - PACK_TRAILER) != PACK_TRAILER ||
	    pack_trailer_decode(&len, trailer, &ignored) < 0 ||
	    len > (uint64_t)st.st_size - PACK_TRAILER)
		return false;
	return name->dir_len == len &&
	    name->dir_off == (uint64_t)st.st_size - PACK_TRAILER - len &&
	    dm_pread_full(fd, header, PACK_DIR_HEADER, name->dir_off) ==
	    PACK_DIR_HEADER &&
	    pack_dir_header_decode(&count, header, len, &ignored) == 0 &&
	    count == name->count;
}

int
pack_peek_open(struct pack_peek *p, uint32_t number,
    const struct pack_name *name, struct dm_err *err)
{
	struct pack_peek_file *f = &p->file[number % PACK_PEEK_FILES];
	char path[PATH_MAX], hex[DIGEST_HEX + 1];

	digest_hex(&name->id, hex);
	if (snprintf(path, sizeof(path), "%s/%.2s/%s", p->packs_dir, hex,
		hex) >= (int)sizeof(path))
		return dm_fail(err, DM_INVALID, "%s: path too long",
		    p->packs_dir);
	file_close(f);
	f->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0 && errno == ENOENT)
		return dm_fail(err, DM_REDO, "pack %.12s was removed meanwhile",
		    hex);
	if (f->fd < 0)
		return dm_fail_errno(err, "open %s", path);
	f->used = true;
	f->number = number;
	f->name = *name;
	if (!is_as_named(f->fd, name)) {
		dm_closep(&f->fd);
		f->fd = -1;
	}
	return 0;
}

int
pack_peek_holds(const struct pack_peek *p, const struct place *at,
    const struct digest *id, enum object_kind kind, bool *holds,
    struct dm_err *err)
{
	const struct pack_peek_file *f = &p->file[at->pack % PACK_PEEK_FILES];
	uint8_t records[2 * PACK_RECORD];
	size_t before = at->ordinal == 0 ? 0 : PACK_RECORD;
	struct dm_err not_one = { 0 };
	struct pack_object o;
	ssize_t n;

	*holds = false;
	if (f->fd < 0 || at->ordinal >= f->name.count)
		return 0;
	n = dm_pread_full(f->fd, records, before + PACK_RECORD,
	    f->name.dir_off + PACK_DIR_HEADER +
		(uint64_t)at->ordinal * PACK_RECORD - before);
	if (n < 0)
		return dm_fail_errno(err, "read a pack's directory");
	*holds = (size_t)n == before + PACK_RECORD &&
	    pack_record_decode(&o, before == 0 ? NULL : records,
		records + before, &not_one) == 0 &&
	    o.kind == kind && digest_equal(&o.id, id);
	return 0;
}
