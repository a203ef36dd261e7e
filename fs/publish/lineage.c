#include "fs/publish/lineage.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/format/commit.h"
#include "fs/publish/folder.h"
#include "fs/publish/id_map.h"

struct lineage {
	struct folder *folder;
	const struct digest *id;
	size_t n;
	struct id_map at;   /* number by id */
	uint32_t *children; /* of each, that are not in order yet */
	uint32_t *order;
	size_t ordered;
};

static void
release(struct lineage *l)
{
	id_map_release(&l->at);
	free(l->children);
	free(l->order);
}

/* Do each for every parent of commit i that is one of the n. */
static int
each_parent(struct lineage *l, uint32_t i,
    void (*each)(struct lineage *l, uint32_t parent), struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	struct dm_err why = { 0 };
	struct commit c;
	bool found = false;
	uint32_t parent;

	if (folder_commit_read(l->folder, &l->id[i], &text, &c, &found, &why) <
	    0) {
		if (why.code == DM_CORRUPT)
			return 0;
		*err = why;
		return -1;
	}
	for (unsigned k = 0; found && k < c.nparents; k++)
		if (id_map_find(&l->at, &c.parents[k], &parent))
			each(l, parent);
	return 0;
}

static void
count_child(struct lineage *l, uint32_t parent)
{
	l->children[parent]++;
}

/* One child is in order. */
static void
release_parent(struct lineage *l, uint32_t parent)
{
	/* a file may have changed between two looks */
	if (l->children[parent] > 0 && --l->children[parent] == 0)
		l->order[l->ordered++] = parent;
}

static int
sort(struct lineage *l, struct dm_err *err)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (id_map_put(&l->at, &l->id[i], i, err) < 0)
			return -1;
	for (uint32_t i = 0; i < l->n; i++)
		if (each_parent(l, i, count_child, err) < 0)
			return -1;
	for (uint32_t i = 0; i < l->n; i++)
		if (l->children[i] == 0)
			l->order[l->ordered++] = i;
	for (size_t done = 0; done < l->ordered; done++)
		if (each_parent(l, l->order[done], release_parent, err) < 0)
			return -1;
	for (uint32_t i = 0; i < l->n; i++) /* as above */
		if (l->children[i] > 0)
			l->order[l->ordered++] = i;
	return 0;
}

int
lineage_sort(struct folder *f, struct digest *id, size_t n, struct dm_err *err)
{
	DM_AUTO(release) struct lineage l = { .folder = f, .id = id, .n = n };
	DM_AUTO(dm_freep) struct digest *was = NULL;

	if (n == 0)
		return 0;
	if (n > UINT32_MAX)
		return dm_fail(err, DM_INVALID, "too many commits");
	l.children = calloc(n, sizeof(*l.children));
	l.order = calloc(n, sizeof(*l.order));
	was = calloc(n, sizeof(*was));
	if (l.children == NULL || l.order == NULL || was == NULL)
		return dm_fail(err, DM_NOMEM, "list commits");
	if (sort(&l, err) < 0)
		return -1;
	memcpy(was, id, n * sizeof(*was));
	for (size_t i = 0; i < n; i++)
		id[i] = was[l.order[i]];
	return 0;
}
