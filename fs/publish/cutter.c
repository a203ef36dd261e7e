/*
 * A window slides over the file.  A chunk is cut when CHUNK_MAX bytes are
 * there, or the file has ended.
 *
 * In a hole every chunk has the same bytes, once the chunk before it has
 * ended: as many zeros as the chunker takes of CHUNK_MAX of them.
 */
#include "fs/publish/cutter.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "fs/format/chunker.h"
#include "fs/format/limits.h"
#include "fs/publish/work.h"

enum { WINDOW = 4 * CHUNK_MAX };

struct cutter {
	int (*put)(void *arg, struct work *w, struct dm_err *err);
	void *arg;
	uint8_t *window;     /* WINDOW bytes */
	size_t at, have;     /* not cut yet: window[at .. have - 1] */
	uint64_t tail_zeros; /* that the file's bytes so far end with */
	uint64_t size;
	size_t zeros; /* bytes of a hole's chunk; 0: none was made yet */
	struct digest zeros_id;
};

int
cutter_open(struct cutter **out,
    int (*put)(void *arg, struct work *w, struct dm_err *err), void *arg,
    struct dm_err *err)
{
	struct cutter *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->window = malloc(WINDOW)) == NULL) {
		free(c);
		return dm_fail(err, DM_NOMEM, "cut a file");
	}
	c->put = put;
	c->arg = arg;
	*out = c;
	return 0;
}

void
cutter_close(struct cutter *c)
{
	if (c == NULL)
		return;
	free(c->window);
	free(c);
}

void *
cutter_room(struct cutter *c, size_t *size)
{
	if (WINDOW - c->have < CHUNK_MAX) {
		memmove(c->window, c->window + c->at, c->have - c->at);
		c->have -= c->at;
		c->at = 0;
	}
	*size = WINDOW - c->have;
	return c->window + c->have;
}

/* Put the first n bytes of the window as a chunk. */
static int
put_chunk(struct cutter *c, size_t n, struct dm_err *err)
{
	struct work *w = work_new(WORK_CHUNK, "");

	if (w == NULL || (w->data = malloc(n)) == NULL) {
		work_free(w);
		return dm_fail(err, DM_NOMEM, "cut a file");
	}
	memcpy(w->data, c->window + c->at, n);
	w->size = n;
	c->at += n;
	c->size += n;
	return c->put(c->arg, w, err);
}

/* Cut as long as more than least bytes are there. */
static int
cut(struct cutter *c, size_t least, struct dm_err *err)
{
	while (c->have - c->at > least)
		if (put_chunk(c,
			chunker_cut(c->window + c->at, c->have - c->at),
			err) < 0)
			return -1;
	return 0;
}

int
cutter_add(struct cutter *c, size_t n, struct dm_err *err)
{
	c->have += n;
	if (n > 0)
		c->tail_zeros = 0;
	return cut(c, CHUNK_MAX - 1, err);
}

/* Put the chunk that a hole consists of: the first time as any chunk, then as
 * one that has been stored. */
static int
put_zeros(struct cutter *c, uint64_t *n, struct dm_err *err)
{
	struct work *w = work_new(WORK_CHUNK, "");

	if (w == NULL)
		return dm_fail(err, DM_NOMEM, "cut a file");
	if (c->zeros == 0) {
		w->data = calloc(1, CHUNK_MAX);
		if (w->data == NULL) {
			work_free(w);
			return dm_fail(err, DM_NOMEM, "cut a file");
		}
		c->zeros = chunker_cut(w->data, CHUNK_MAX);
		digest_of(&c->zeros_id, w->data, c->zeros);
	} else {
		w->zeros = true;
		w->object.id = c->zeros_id;
	}
	w->size = c->zeros;
	c->size += w->size;
	*n -= w->size;
	return c->put(c->arg, w, err);
}

int
cutter_zeros(struct cutter *c, uint64_t n, struct dm_err *err)
{
	while (n > 0) {
		size_t room, some = n < CHUNK_MAX ? (size_t)n : CHUNK_MAX;

		/* a window of nothing but zeros is part of the hole */
		if (c->tail_zeros >= c->have - c->at) {
			n += c->have - c->at;
			c->at = c->have = 0;
			c->tail_zeros = 0;
		}
		if (c->have == 0 && n >= CHUNK_MAX) {
			if (put_zeros(c, &n, err) < 0)
				return -1;
			continue;
		}
		if (c->have == 0)
			some = (size_t)n;
		memset(cutter_room(c, &room), 0, some);
		c->have += some;
		c->tail_zeros += some;
		n -= some;
		if (cut(c, CHUNK_MAX - 1, err) < 0)
			return -1;
	}
	return 0;
}

int
cutter_end(struct cutter *c, uint64_t *size, struct dm_err *err)
{
	int rc = cut(c, 0, err);

	*size = c->size;
	c->at = c->have = 0;
	c->tail_zeros = 0;
	c->size = 0;
	return rc;
}
