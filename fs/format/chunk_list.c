/* Chunk lists: pages of chunks, indexes of pages; layout in chunk_list.h. */
#include "fs/format/chunk_list.h"

#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/le.h"
#include "fs/format/header.h"
#include "fs/format/limits.h"

enum {
	AT_LIST_SIZE = HEADER_SIZE,
	AT_CHUNKS = HEADER_SIZE + 8,
	AT_WHOLE = HEADER_SIZE + 16,
	LIST_RECORDS = AT_WHOLE + DIGEST_SIZE,
	LIST_RECORD = 8 + DIGEST_SIZE,
	AT_RECORD_ID = 8,
};

/* The chunks below one full record of an object of that level. */
static uint64_t
full(uint8_t level)
{
	uint64_t n = 1;

	while (level-- > 0)
		n *= CHUNK_PAGE;
	return n;
}

static uint64_t
end_at(const struct chunk_list *l, uint32_t i)
{
	return le64_get(l->records + (size_t)i * LIST_RECORD);
}

/* Whether count records can cover that many chunks, all but the last full. */
static bool
chunks_fit(const struct chunk_list *l)
{
	uint64_t each = full(l->level);

	return l->chunks > (l->count - 1) * each &&
	    l->chunks <= l->count * each;
}

static const char *
record_fault(const struct chunk_list *l, uint32_t i)
{
	uint64_t begin = i == 0 ? 0 : end_at(l, i - 1), end = end_at(l, i);
	uint64_t each = full(l->level);
	uint64_t chunks = i + 1 < l->count ? each : l->chunks - i * each;
	struct digest id;

	if (end <= begin || end > DM_FILE_MAX)
		return "ends are out of order";
	if (end - begin < chunks || (end - begin - 1) / CHUNK_MAX >= chunks)
		return "impossible size";
	memcpy(id.bytes, l->records + (size_t)i * LIST_RECORD + AT_RECORD_ID,
	    DIGEST_SIZE);
	return digest_is_zero(&id) ? "bad id" : NULL;
}

int
chunk_list_decode(struct chunk_list *out, const void *data, size_t size,
    struct dm_err *err)
{
	const uint8_t *p = data;
	struct header h = { 0 };
	struct chunk_list l;

	if (header_decode(&h, OBJECT_CHUNKS, data, size, LIST_RECORDS, err) < 0)
		return dm_wrap(err, "chunk list");
	if (h.level > DM_LEVEL_MAX || h.heap != 0 || h.count == 0 ||
	    h.count > CHUNK_PAGE ||
	    size != LIST_RECORDS + (size_t)h.count * LIST_RECORD)
		return dm_fail(err, DM_CORRUPT, "chunk list: bad size");
	l = (struct chunk_list){
		.records = p + LIST_RECORDS,
		.level = h.level,
		.count = h.count,
		.size = le64_get(p + AT_LIST_SIZE),
		.chunks = le64_get(p + AT_CHUNKS),
	};
	memcpy(l.whole.bytes, p + AT_WHOLE, DIGEST_SIZE);
	if (!chunks_fit(&l))
		return dm_fail(err, DM_CORRUPT,
		    "chunk list: bad number of chunks");
	if (l.level > 0 && l.count == 1 && !digest_is_zero(&l.whole))
		return dm_fail(err, DM_CORRUPT,
		    "chunk list: index of one page on top");
	for (uint32_t i = 0; i < l.count; i++) {
		const char *fault = record_fault(&l, i);

		if (fault != NULL)
			return dm_fail(err, DM_CORRUPT,
			    "chunk list: record %u: %s", i, fault);
	}
	if (end_at(&l, l.count - 1) != l.size)
		return dm_fail(err, DM_CORRUPT, "chunk list: wrong size");
	*out = l;
	return 0;
}

void
chunk_list_at(const struct chunk_list *l, uint32_t i, uint64_t *off,
    uint64_t *size, struct digest *id)
{
	*off = i == 0 ? 0 : end_at(l, i - 1);
	*size = end_at(l, i) - *off;
	memcpy(id->bytes, l->records + (size_t)i * LIST_RECORD + AT_RECORD_ID,
	    DIGEST_SIZE);
}

uint32_t
chunk_list_find(const struct chunk_list *l, uint64_t off)
{
	uint32_t lo = 0, hi = l->count - 1;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (end_at(l, mid) <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct chunk_list_encoder {
	uint8_t level;
	uint32_t count;
	uint64_t size, chunks;
	struct dm_buf records;
};

struct chunk_list_encoder *
chunk_list_encoder_new(uint8_t level)
{
	struct chunk_list_encoder *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->level = level;
	e->records = (struct dm_buf)DM_BUF(OBJECT_STRUCT_MAX);
	return e;
}

void
chunk_list_encoder_free(struct chunk_list_encoder *e)
{
	if (e == NULL)
		return;
	dm_buf_release(&e->records);
	free(e);
}

int
chunk_list_encode(struct chunk_list_encoder *e, uint64_t size, uint64_t chunks,
    const struct digest *id, struct dm_err *err)
{
	uint64_t each = full(e->level);
	uint8_t *r;

	if (e->count == CHUNK_PAGE)
		return dm_fail(err, DM_INVALID, "chunk list page is full");
	if (chunks == 0 || chunks > each || e->chunks != e->count * each)
		return dm_fail(err, DM_INVALID,
		    "chunk list: only the last page may be less than full");
	if (size < chunks || (size - 1) / CHUNK_MAX >= chunks ||
	    size > DM_FILE_MAX - e->size)
		return dm_fail(err, DM_INVALID, "chunk list: impossible size");
	if (digest_is_zero(id))
		return dm_fail(err, DM_INVALID, "chunk list: bad id");
	r = dm_buf_extend(&e->records, LIST_RECORD, err);
	if (r == NULL)
		return -1;
	e->count++;
	e->size += size;
	e->chunks += chunks;
	le64_put(r, e->size);
	memcpy(r + AT_RECORD_ID, id->bytes, DIGEST_SIZE);
	return 0;
}

uint32_t
chunk_list_encoder_count(const struct chunk_list_encoder *e)
{
	return e->count;
}

int
chunk_list_encode_finish(struct chunk_list_encoder *e,
    const struct digest *whole, struct dm_buf *out, uint64_t *size,
    uint64_t *chunks, struct dm_err *err)
{
	uint8_t head[LIST_RECORDS] = { 0 };

	if (e->count == 0 || (whole != NULL && e->level > 0 && e->count == 1))
		return dm_fail(err, DM_INVALID,
		    "chunk list: too few records for its level");
	header_encode(head, OBJECT_CHUNKS,
	    &(struct header){ e->level, e->count, 0 });
	le64_put(head + AT_LIST_SIZE, e->size);
	le64_put(head + AT_CHUNKS, e->chunks);
	if (whole != NULL)
		memcpy(head + AT_WHOLE, whole->bytes, DIGEST_SIZE);
	if (dm_buf_append(out, head, sizeof(head), err) < 0 ||
	    dm_buf_append(out, e->records.data, e->records.size, err) < 0)
		return -1;
	*size = e->size;
	*chunks = e->chunks;
	e->count = 0;
	e->size = e->chunks = 0;
	dm_buf_clear(&e->records);
	return 0;
}
