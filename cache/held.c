#include "cache/held.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "cache/store/directory.h"

struct held_bytes *
held_bytes_new(uint32_t size)
{
	struct held_bytes *b = malloc(sizeof(*b) + size);

	if (b != NULL) {
		atomic_init(&b->refs, 1);
		b->size = size;
	}
	return b;
}

struct held_bytes *
held_bytes_get(struct held_bytes *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

void
held_bytes_put(struct held_bytes *b)
{
	if (b != NULL && atomic_fetch_sub(&b->refs, 1) == 1)
		free(b);
}

struct cache_held *
held_add(struct cache_held *list, const struct blob *blob, uint32_t piece,
    struct held_bytes *bytes, struct directory *dir)
{
	struct cache_held *h = malloc(sizeof(*h));

	if (h == NULL)
		return NULL;
	*h = (struct cache_held){
		.next = list,
		.blob = blob,
		.piece = piece,
		.bytes = bytes == NULL ? NULL : held_bytes_get(bytes),
		.dir = dir == NULL ? NULL : directory_get(dir),
	};
	return h;
}

struct cache_held *
held_find(struct cache_held *list, const struct blob *blob, uint32_t piece)
{
	while (list != NULL && (list->blob != blob || list->piece != piece))
		list = list->next;
	return list;
}

void
held_free(struct cache_held *list)
{
	for (struct cache_held *next; list != NULL; list = next) {
		next = list->next;
		held_bytes_put(list->bytes);
		directory_put(list->dir);
		free(list);
	}
}
