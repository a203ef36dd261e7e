#include "fs/publish/file_builder.h"

#include <stdbool.h>
#include <stdlib.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "fs/format/chunk_list.h"
#include "fs/format/limits.h"
#include "fs/publish/packer.h"

struct open_list {
	struct chunk_list_encoder *e;
	struct place *rows; /* CHUNK_PAGE of them */
	uint32_t n;
	bool used; /* this file has a list of this level */
};

struct file_builder {
	struct packer *packer;
	struct open_list list[DM_LEVEL_MAX + 1];
	struct dm_buf object;
};

struct file_builder *
file_builder_new(struct packer *p)
{
	struct file_builder *fb = calloc(1, sizeof(*fb));

	if (fb == NULL)
		return NULL;
	fb->packer = p;
	fb->object = (struct dm_buf)DM_BUF(OBJECT_STRUCT_MAX);
	return fb;
}

void
file_builder_free(struct file_builder *fb)
{
	if (fb == NULL)
		return;
	for (int k = 0; k <= DM_LEVEL_MAX; k++) {
		chunk_list_encoder_free(fb->list[k].e);
		free(fb->list[k].rows);
	}
	dm_buf_release(&fb->object);
	free(fb);
}

/* What an index says of a finished list. */
struct summary {
	struct digest id;
	uint64_t size, chunks;
};

static int
list_finish(struct file_builder *fb, uint8_t level, const struct digest *whole,
    struct summary *out, struct dm_err *err)
{
	struct open_list *l = &fb->list[level];
	struct packer_struct s = { .kind = OBJECT_CHUNKS, .level = level };

	dm_buf_clear(&fb->object);
	if (chunk_list_encode_finish(l->e, whole, &fb->object, &out->size,
		&out->chunks, err) < 0)
		return -1;
	digest_of(&out->id, fb->object.data, fb->object.size);
	s.id = out->id;
	s.data = fb->object.data;
	s.size = fb->object.size;
	s.rows = l->rows;
	s.nrows = l->n;
	if (packer_structure(fb->packer, &s, err) < 0)
		return -1;
	l->n = 0;
	return 0;
}

static int
list_open(struct open_list *l, uint8_t level, struct dm_err *err)
{
	l->used = true;
	if (l->e == NULL)
		l->e = chunk_list_encoder_new(level);
	if (l->rows == NULL)
		l->rows = calloc(CHUNK_PAGE, sizeof(*l->rows));
	if (l->e == NULL || l->rows == NULL)
		return dm_fail(err, DM_NOMEM, "chunk list");
	return 0;
}

/* Add a record to the list of that level; a full one goes under the level
 * above first. */
static int
add(struct file_builder *fb, uint8_t level, const struct summary *child,
    const struct place *at, struct dm_err *err)
{
	static const struct place by_id = { .pack = PLACE_BY_ID };
	struct open_list *l;
	struct summary full;

	if (level > DM_LEVEL_MAX)
		return dm_fail(err, DM_INVALID, "the file is too large");
	l = &fb->list[level];
	if (list_open(l, level, err) < 0)
		return -1;
	if (l->n == CHUNK_PAGE &&
	    (list_finish(fb, level, NULL, &full, err) < 0 ||
		add(fb, (uint8_t)(level + 1), &full, &by_id, err) < 0))
		return -1;
	l->rows[l->n++] = *at;
	return chunk_list_encode(l->e, child->size, child->chunks, &child->id,
	    err);
}

int
file_builder_add(struct file_builder *fb, uint32_t size,
    const struct digest *id, const struct place *at, struct dm_err *err)
{
	struct summary chunk = { .id = *id, .size = size, .chunks = 1 };

	return add(fb, 0, &chunk, at, err);
}

int
file_builder_end(struct file_builder *fb, const struct digest *whole,
    struct digest *id, struct dm_err *err)
{
	static const struct place by_id = { .pack = PLACE_BY_ID };

	for (int k = 0; k <= DM_LEVEL_MAX; k++) {
		bool top = k == DM_LEVEL_MAX || !fb->list[k + 1].used;
		struct summary done;

		fb->list[k].used = false;
		if (list_finish(fb, (uint8_t)k, top ? whole : NULL, &done,
			err) < 0)
			return -1;
		*id = done.id;
		if (top)
			break;
		if (add(fb, (uint8_t)(k + 1), &done, &by_id, err) < 0)
			return -1;
	}
	return 0;
}
