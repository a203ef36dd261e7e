/*
 * The directory of a pack: fixed-size records whose neighbours place an
 * object.  Layout in pack_dir.h.
 */
#include "cache/pack/pack_dir.h"

#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/le.h"

#define DIR_MAGIC "DMpackd1"
#define END_MAGIC "DMpacke1"
enum {
	MAGIC_SIZE = 8,
	AT_FLAGS = 8,
	AT_COUNT = 12,
	/* in a record */
	AT_PLAIN_END = 32,
	AT_STORED_END = 40,
	AT_KIND = 48,
	AT_CODEC = 49,
	AT_ZERO = 50,
	ZERO_SIZE = 6,
	/* in a trailer */
	AT_LEN_ZERO = 4,
	AT_END_MAGIC = 8,
};

/* What is wrong with an object of these sizes, or NULL. */
static const char *
object_fault(uint64_t plain, uint64_t stored, unsigned kind, unsigned codec)
{
	uint64_t max =
	    kind == OBJECT_DATA ? OBJECT_DATA_MAX : OBJECT_STRUCT_MAX;

	if (kind < OBJECT_DATA || kind > OBJECT_WHERE)
		return "unknown kind";
	if (plain == 0 || plain > max)
		return "bad plain size";
	if (codec == PACK_PLAIN)
		return stored == plain ? NULL : "bad stored size";
	if (codec != PACK_ZSTD)
		return "unknown codec";
	return stored > 0 && stored < plain ? NULL : "bad stored size";
}

/* The object of a record, given where the one before it ends. */
static const char *
record_read(struct pack_object *out, uint64_t plain_off, uint64_t stored_off,
    const uint8_t *record)
{
	static const uint8_t zero[ZERO_SIZE];
	uint64_t plain_end = le64_get(record + AT_PLAIN_END);
	uint64_t stored_end = le64_get(record + AT_STORED_END);
	const char *fault;

	if (memcmp(record + AT_ZERO, zero, ZERO_SIZE) != 0)
		return "reserved bytes are not zero";
	if (plain_end < plain_off || stored_end < stored_off)
		return "ends are out of order";
	if (plain_end > PACK_FILE_BYTES)
		return "more bytes than a pack may hold";
	fault = object_fault(plain_end - plain_off, stored_end - stored_off,
	    record[AT_KIND], record[AT_CODEC]);
	if (fault != NULL)
		return fault;
	memcpy(out->id.bytes, record, DIGEST_SIZE);
	out->plain_off = plain_off;
	out->stored_off = stored_off;
	out->plain_size = (uint32_t)(plain_end - plain_off);
	out->stored_size = (uint32_t)(stored_end - stored_off);
	out->kind = (enum object_kind)record[AT_KIND];
	out->codec = (enum pack_codec)record[AT_CODEC];
	return NULL;
}

int
pack_record_decode(struct pack_object *out, const uint8_t *prev,
    const uint8_t *record, struct dm_err *err)
{
	const char *fault =
	    record_read(out, prev == NULL ? 0 : le64_get(prev + AT_PLAIN_END),
		prev == NULL ? 0 : le64_get(prev + AT_STORED_END), record);

	if (fault != NULL)
		return dm_fail(err, DM_CORRUPT, "pack record: %s", fault);
	return 0;
}

int
pack_dir_header_decode(uint32_t *count, const void *data, size_t size,
    struct dm_err *err)
{
	const uint8_t *p = data;

	if (size < PACK_DIR_HEADER || memcmp(p, DIR_MAGIC, MAGIC_SIZE) != 0)
		return dm_fail(err, DM_CORRUPT, "not a pack directory");
	if (le32_get(p + AT_FLAGS) != 0)
		return dm_fail(err, DM_CORRUPT,
		    "pack directory: unknown flags");
	*count = le32_get(p + AT_COUNT);
	if (*count == 0 || *count > PACK_OBJECTS_MAX)
		return dm_fail(err, DM_CORRUPT,
		    "pack directory: bad number of records");
	return 0;
}

int
pack_dir_decode(struct pack_dir *out, const void *data, size_t size,
    struct dm_err *err)
{
	const uint8_t *records = (const uint8_t *)data + PACK_DIR_HEADER;
	uint64_t plain_end = 0, stored_end = 0;
	struct pack_object o;
	uint32_t count = 0;

	if (pack_dir_header_decode(&count, data, size, err) < 0)
		return -1;
	if (size - PACK_DIR_HEADER != (size_t)count * PACK_RECORD)
		return dm_fail(err, DM_CORRUPT, "pack directory: bad size");
	for (uint32_t i = 0; i < count; i++) {
		const char *fault = record_read(&o, plain_end, stored_end,
		    records + (size_t)i * PACK_RECORD);

		if (fault != NULL)
			return dm_fail(err, DM_CORRUPT,
			    "pack directory: record %u: %s", i, fault);
		plain_end += o.plain_size;
		stored_end += o.stored_size;
	}
	out->records = records;
	out->count = count;
	out->plain_size = plain_end;
	out->stored_size = stored_end;
	return 0;
}

void
pack_dir_object(const struct pack_dir *dir, uint32_t i, struct pack_object *out)
{
	const uint8_t *record = dir->records + (size_t)i * PACK_RECORD;
	uint64_t plain_off = 0, stored_off = 0;

	if (i > 0) {
		plain_off = le64_get(record - PACK_RECORD + AT_PLAIN_END);
		stored_off = le64_get(record - PACK_RECORD + AT_STORED_END);
	}
	(void)record_read(out, plain_off, stored_off, record); /* validated */
}

int
pack_dir_encode_begin(struct pack_dir_encoder *e, struct dm_buf *out,
    struct dm_err *err)
{
	uint8_t *p = dm_buf_extend(out, PACK_DIR_HEADER, err);

	if (p == NULL)
		return -1;
	memcpy(p, DIR_MAGIC, MAGIC_SIZE);
	*e = (struct pack_dir_encoder){ .out = out };
	return 0;
}

int
pack_dir_encode_object(struct pack_dir_encoder *e, const struct pack_object *o,
    struct dm_err *err)
{
	const char *fault = object_fault(o->plain_size, o->stored_size,
	    (unsigned)o->kind, (unsigned)o->codec);
	uint8_t *p;

	if (fault != NULL)
		return dm_fail(err, DM_INVALID, "object for a pack: %s", fault);
	if (e->count == PACK_OBJECTS_MAX ||
	    o->plain_size > PACK_FILE_BYTES - e->plain_end)
		return dm_fail(err, DM_INVALID, "pack is full");
	p = dm_buf_extend(e->out, PACK_RECORD, err);
	if (p == NULL)
		return -1;
	e->plain_end += o->plain_size;
	e->stored_end += o->stored_size;
	e->count++;
	memcpy(p, o->id.bytes, DIGEST_SIZE);
	le64_put(p + AT_PLAIN_END, e->plain_end);
	le64_put(p + AT_STORED_END, e->stored_end);
	p[AT_KIND] = (uint8_t)o->kind;
	p[AT_CODEC] = (uint8_t)o->codec;
	return 0;
}

void
pack_dir_encode_end(struct pack_dir_encoder *e)
{
	char *begin = e->out->data + e->out->size -
	    (size_t)e->count * PACK_RECORD - PACK_DIR_HEADER;

	le32_put(begin + AT_COUNT, e->count);
}

void
pack_trailer_encode(uint8_t out[PACK_TRAILER], uint32_t dir_len)
{
	le32_put(out, dir_len);
	le32_put(out + AT_LEN_ZERO, 0);
	memcpy(out + AT_END_MAGIC, END_MAGIC, MAGIC_SIZE);
}

int
pack_trailer_decode(uint32_t *dir_len, const uint8_t data[PACK_TRAILER],
    struct dm_err *err)
{
	uint32_t len = le32_get(data);

	if (memcmp(data + AT_END_MAGIC, END_MAGIC, MAGIC_SIZE) != 0 ||
	    le32_get(data + AT_LEN_ZERO) != 0)
		return dm_fail(err, DM_CORRUPT, "not the end of a pack");
	if (len < PACK_DIR_HEADER + PACK_RECORD || len > PACK_DIR_MAX ||
	    (len - PACK_DIR_HEADER) % PACK_RECORD != 0)
		return dm_fail(err, DM_CORRUPT,
		    "pack trailer: bad directory length");
	*dir_len = len;
	return 0;
}
