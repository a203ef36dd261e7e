/*
 * Where the children of an object lie; layout in where.h.
 *
 * Canonical: the table is strictly ascending by id and each of its packs is
 * used by a row; runs that could be one are one.
 */
#include "fs/format/where.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/le.h"
#include "fs/format/header.h"
#include "fs/format/limits.h"

enum {
	AT_NPACKS = HEADER_SIZE,
	AT_NPACKS_ZERO = HEADER_SIZE + 4,
	WHERE_PACKS = HEADER_SIZE + 8,

	WHERE_PACK = 48,
	AT_DIR_OFF = 32,
	AT_DIR_LEN = 40,
	AT_PACK_ZERO = 44,

	CHILD_ROW = 8,
	RUN_ROW = 16,
	AT_RUN_N = 4,
	AT_RUN_PACK = 8,
	AT_RUN_ORDINAL = 12,

	/* children of a tree page or index, of a chunk list page or index */
	WHERE_ROWS_MAX = CHUNK_PAGE,
};

static size_t
row_size(enum where_shape shape)
{
	return shape == WHERE_CHILDREN ? CHILD_ROW : RUN_ROW;
}

static const uint8_t *
pack_at(const struct where *w, uint32_t n)
{
	return w->packs + (size_t)(n - 1) * WHERE_PACK;
}

static const uint8_t *
row_at(const struct where *w, uint32_t i)
{
	return w->rows + i * row_size(w->shape);
}

static const char *
check_packs(const struct where *w)
{
	for (uint32_t n = 1; n <= w->npacks; n++) {
		const uint8_t *p = pack_at(w, n);

		if (n > 1 && memcmp(p - WHERE_PACK, p, DIGEST_SIZE) >= 0)
			return "packs are not in order";
		if (le64_get(p + AT_DIR_OFF) > DM_BYTES_MAX ||
		    le32_get(p + AT_DIR_LEN) == 0 ||
		    le32_get(p + AT_PACK_ZERO) != 0)
			return "bad place of a directory";
	}
	return NULL;
}

static const char *
check_child(const struct where *w, uint32_t i, uint32_t *pack)
{
	uint32_t ordinal;

	where_child_at(w, i, pack, &ordinal);
	if (*pack == WHERE_NONE)
		return ordinal == 0 ? NULL : "place of nothing";
	return *pack <= w->npacks ? NULL : "unknown pack";
}

static const char *
check_run(const struct where *w, uint32_t i, uint32_t *pack)
{
	const uint8_t *r = row_at(w, i), *prev = r - RUN_ROW;
	uint32_t first = le32_get(r), n = le32_get(r + AT_RUN_N);
	uint32_t ordinal = le32_get(r + AT_RUN_ORDINAL), prev_n;

	*pack = le32_get(r + AT_RUN_PACK);
	if (*pack > w->npacks)
		return "unknown pack";
	if (first > CHUNK_PAGE || n == 0 || n > CHUNK_PAGE - first ||
	    ordinal > UINT32_MAX - n)
		return "bad run";
	if (i == 0)
		return first == 0 ? NULL : "bad run";
	prev_n = le32_get(prev + AT_RUN_N);
	if (first != le32_get(prev) + prev_n)
		return "bad run";
	if (*pack == le32_get(prev + AT_RUN_PACK) &&
	    ordinal == le32_get(prev + AT_RUN_ORDINAL) + prev_n)
		return "runs that could be one";
	return NULL;
}

static const char *
check_rows(const struct where *w)
{
	uint8_t used[WHERE_ROWS_MAX / 8 + 1] = { 0 };
	uint32_t nused = 0;

	for (uint32_t i = 0; i < w->nrows; i++) {
		uint32_t pack = 0;
		const char *fault = w->shape == WHERE_CHILDREN ?
		    check_child(w, i, &pack) :
		    check_run(w, i, &pack);

		if (fault != NULL)
			return fault;
		if (pack == 0 || pack == WHERE_NONE ||
		    (used[pack / 8] & (1U << pack % 8)) != 0)
			continue;
		used[pack / 8] |= (uint8_t)(1U << pack % 8);
		nused++;
	}
	return nused == w->npacks ? NULL : "pack that no row names";
}

int
where_decode(struct where *out, const void *data, size_t size,
    struct dm_err *err)
{
	const uint8_t *p = data;
	struct header h = { 0 };
	struct where w = { 0 };
	const char *fault;

	if (header_decode(&h, OBJECT_WHERE, data, size, WHERE_PACKS, err) < 0)
		return dm_wrap(err, "where");
	w.shape = (enum where_shape)h.level;
	w.nrows = h.count;
	w.npacks = le32_get(p + AT_NPACKS);
	if (h.level > WHERE_RUNS || h.heap != 0 ||
	    le32_get(p + AT_NPACKS_ZERO) != 0 || w.nrows > WHERE_ROWS_MAX ||
	    w.npacks > w.nrows || (w.shape == WHERE_RUNS && w.nrows == 0) ||
	    size !=
		WHERE_PACKS + (size_t)w.npacks * WHERE_PACK +
		    w.nrows * row_size(w.shape))
		return dm_fail(err, DM_CORRUPT, "where: bad size");
	w.packs = p + WHERE_PACKS;
	w.rows = w.packs + (size_t)w.npacks * WHERE_PACK;
	fault = check_packs(&w);
	if (fault == NULL)
		fault = check_rows(&w);
	if (fault != NULL)
		return dm_fail(err, DM_CORRUPT, "where: %s", fault);
	*out = w;
	return 0;
}

void
where_pack_at(const struct where *w, uint32_t n, struct where_pack *out)
{
	const uint8_t *p = pack_at(w, n);

	memcpy(out->id.bytes, p, DIGEST_SIZE);
	out->dir_off = le64_get(p + AT_DIR_OFF);
	out->dir_len = le32_get(p + AT_DIR_LEN);
}

void
where_child_at(const struct where *w, uint32_t i, uint32_t *pack,
    uint32_t *ordinal)
{
	const uint8_t *r = row_at(w, i);

	*pack = le32_get(r);
	*ordinal = le32_get(r + 4);
}

void
where_run_find(const struct where *w, uint32_t chunk, uint32_t *pack,
    uint32_t *ordinal, uint32_t *n)
{
	uint32_t lo = 0, hi = w->nrows - 1, skip;
	const uint8_t *r;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo + 1) / 2;

		if (le32_get(row_at(w, mid)) <= chunk)
			lo = mid;
		else
			hi = mid - 1;
	}
	r = row_at(w, lo);
	skip = chunk - le32_get(r);
	*pack = le32_get(r + AT_RUN_PACK);
	*ordinal = le32_get(r + AT_RUN_ORDINAL) + skip;
	*n = le32_get(r + AT_RUN_N) - skip;
}

uint32_t
where_chunks(const struct where *w)
{
	const uint8_t *last;

	if (w->nrows == 0)
		return 0;
	last = row_at(w, w->nrows - 1);
	return le32_get(last) + le32_get(last + AT_RUN_N);
}
