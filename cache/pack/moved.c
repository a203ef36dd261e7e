#include "cache/pack/moved.h"

#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/le.h"

static const uint8_t magic[8] = { 'D', 'M', 'm', 'o', 'v', 'e', 'd', '1' };

static int
bad(const char *what, struct dm_err *err)
{
	return dm_fail(err, DM_CORRUPT, "list of moved objects: %s", what);
}

static int
check_packs(const struct moved *m, struct dm_err *err)
{
	for (uint32_t i = 0; i < m->npacks; i++) {
		const uint8_t *p = m->packs + (size_t)i * MOVED_PACK;
		uint32_t len = le32_get(p + 40);

		if (i > 0 && memcmp(p - MOVED_PACK, p, DIGEST_SIZE) >= 0)
			return bad("packs out of order", err);
		if (le64_get(p + 32) > INT64_MAX - PACK_DIR_MAX ||
		    len < PACK_DIR_HEADER + PACK_RECORD || len > PACK_DIR_MAX)
			return bad("no pack has such a directory", err);
		if (le32_get(p + 44) != 0)
			return bad("reserved bytes", err);
	}
	return 0;
}

/* used: a byte for each pack of the table, zero. */
static int
check_rows(const struct moved *m, uint8_t *used, struct dm_err *err)
{
	for (uint32_t i = 0; i < m->count; i++) {
		const uint8_t *r = m->rows + (size_t)i * MOVED_ROW;

		if (i > 0 && le32_get(r - MOVED_ROW) >= le32_get(r))
			return bad("rows out of order", err);
		if (le32_get(r) >= PACK_OBJECTS_MAX ||
		    le32_get(r + 8) >= PACK_OBJECTS_MAX)
			return bad("no pack has so many objects", err);
		if (le32_get(r + 4) >= m->npacks)
			return bad("a pack that is not in the table", err);
		used[le32_get(r + 4)] = 1;
	}
	if (m->npacks > 0 && memchr(used, 0, m->npacks) != NULL)
		return bad("a pack that holds nothing of it", err);
	return 0;
}

int
moved_decode(struct moved *out, const void *data, size_t size,
    struct dm_err *err)
{
	const uint8_t *p = data;
	uint8_t *used;
	int rc;

	if (size < MOVED_HEADER || memcmp(p, magic, sizeof(magic)) != 0)
		return bad("this is something else", err);
	out->npacks = le32_get(p + 8);
	out->count = le32_get(p + 12);
	if (out->count == 0 || out->count > PACK_OBJECTS_MAX ||
	    out->npacks > out->count)
		return bad("impossible counts", err);
	if (size !=
	    MOVED_HEADER + (size_t)out->npacks * MOVED_PACK +
		(size_t)out->count * MOVED_ROW)
		return bad("wrong length", err);
	out->packs = p + MOVED_HEADER;
	out->rows = out->packs + (size_t)out->npacks * MOVED_PACK;
	if (check_packs(out, err) < 0)
		return -1;
	used = calloc(out->npacks + 1U, 1);
	if (used == NULL)
		return dm_fail(err, DM_NOMEM, "list of moved objects");
	rc = check_rows(out, used, err);
	free(used);
	return rc;
}

void
moved_pack_at(const struct moved *m, uint32_t i, struct moved_place *out)
{
	const uint8_t *p = m->packs + (size_t)i * MOVED_PACK;

	memcpy(out->pack.bytes, p, DIGEST_SIZE);
	out->dir_off = le64_get(p + 32);
	out->dir_len = le32_get(p + 40);
	out->ordinal = 0;
}

uint32_t
moved_at(const struct moved *m, uint32_t i, struct moved_place *out)
{
	const uint8_t *r = m->rows + (size_t)i * MOVED_ROW;

	moved_pack_at(m, le32_get(r + 4), out);
	out->ordinal = le32_get(r + 8);
	return le32_get(r);
}

bool
moved_find(const struct moved *m, uint32_t old, struct moved_place *out)
{
	uint32_t lo = 0, hi = m->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		uint32_t is = le32_get(m->rows + (size_t)mid * MOVED_ROW);

		if (is == old) {
			(void)moved_at(m, mid, out);
			return true;
		}
		if (is < old)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static int
by_pack(const void *a, const void *b)
{
	const struct moved_place *const *x = a, *const *y = b;

	return memcmp((*x)->pack.bytes, (*y)->pack.bytes, DIGEST_SIZE);
}

/* Sort the rows' packs, each once; returns how many. */
static uint32_t
make_table(const struct moved_place **pack, uint32_t n)
{
	uint32_t kept = 0;

	qsort(pack, n, sizeof(struct moved_place *), by_pack);
	for (uint32_t i = 0; i < n; i++)
		if (kept == 0 ||
		    !digest_equal(&pack[kept - 1]->pack, &pack[i]->pack))
			pack[kept++] = pack[i];
	return kept;
}

static void
put_packs(uint8_t *p, const struct moved_place **pack, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++, p += MOVED_PACK) {
		memcpy(p, pack[i]->pack.bytes, DIGEST_SIZE);
		le64_put(p + 32, pack[i]->dir_off);
		le32_put(p + 40, pack[i]->dir_len);
	}
}

static void
put_rows(uint8_t *p, const struct moved_row *row, uint32_t n,
    const struct moved_place **pack, uint32_t npacks)
{
	for (uint32_t i = 0; i < n; i++, p += MOVED_ROW) {
		const struct moved_place *key = &row[i].to;
		const struct moved_place **at = bsearch(&key, pack, npacks,
		    sizeof(struct moved_place *), by_pack);

		le32_put(p, row[i].old);
		le32_put(p + 4, (uint32_t)(at - pack));
		le32_put(p + 8, key->ordinal);
	}
}

int
moved_encode(const struct moved_row *row, uint32_t n, struct dm_buf *out,
    struct dm_err *err)
{
	const struct moved_place **pack = calloc(n + 1U,
	    sizeof(struct moved_place *)); /* of each row, then of the table */
	struct moved check;
	size_t before = out->size, size;
	uint32_t npacks;
	uint8_t *p;
	int rc = -1;

	if (pack == NULL)
		return dm_fail(err, DM_NOMEM, "list of moved objects");
	for (uint32_t i = 0; i < n; i++)
		pack[i] = &row[i].to;
	npacks = make_table(pack, n);
	size =
	    MOVED_HEADER + (size_t)npacks * MOVED_PACK + (size_t)n * MOVED_ROW;
	p = dm_buf_extend(out, size, err);
	if (p != NULL) {
		memcpy(p, magic, sizeof(magic));
		le32_put(p + 8, npacks);
		le32_put(p + 12, n);
		put_packs(p + MOVED_HEADER, pack, npacks);
		put_rows(p + MOVED_HEADER + (size_t)npacks * MOVED_PACK, row, n,
		    pack, npacks);
		rc = moved_decode(&check, out->data + before, size, err);
	}
	free(pack);
	return rc;
}
