/* The door, part two: whole packs as files, for readers other than us. */
#include <sys/stat.h>

#include "cache/base/io.h"
#include "cache/cache.h"
#include "cache/inside.h"
#include "cache/store/blob.h"
#include "cache/store/directory.h"

enum { LEND_BATCH = 64 }; /* records looked at in one go */

static bool
parts(struct directory *dir, uint32_t first, uint32_t n, struct cache_part *out)
{
	struct pack_object o[LEND_BATCH];

	while (n > 0) {
		uint32_t some = n < LEND_BATCH ? n : LEND_BATCH;

		if (!directory_objects(dir, first, some, o))
			return false;
		for (uint32_t i = 0; i < some; i++)
			*out++ = (struct cache_part){ .id = o[i].id,
				.off = o[i].plain_off,
				.size = o[i].plain_size };
		first += some;
		n -= some;
	}
	return true;
}

bool
cache_parts(struct cache *c, const struct digest *pack, uint32_t first,
    uint32_t n, struct cache_part *out, uint32_t *objects, uint64_t *bytes)
{
	struct blob *b = cache_enter(c, pack);
	struct directory *dir;
	bool here = false;

	if (b == NULL)
		return false;
	dir = blob_directory(b);
	if (dir != NULL) {
		*objects = directory_count(dir);
		*bytes = directory_plain_size(dir);
		here = first <= *objects && n <= *objects - first &&
		    parts(dir, first, n, out);
		directory_put(dir);
	}
	cache_leave(c);
	return here;
}

/* Device and inode in one number. */
static bool
name_file(int fd, uint64_t *file)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	*file = (uint64_t)st.st_dev << 40 ^ (uint64_t)st.st_ino;
	return true;
}

bool
cache_lend(struct cache *c, const struct digest *pack, enum cache_lend how,
    struct cache_lent *out)
{
	static const enum blob_prove prove[] = {
		[CACHE_LEND] = BLOB_PROVEN,
		[CACHE_LEND_HASH] = BLOB_HASH,
		[CACHE_LEND_LOOK] = BLOB_AS_IT_IS,
	};
	struct blob *b = cache_enter(c, pack);
	struct directory *dir;

	*out = (struct cache_lent){ .fd = -1 };
	if (b == NULL)
		return false;
	dir = blob_directory(b);
	if (dir != NULL)
		out->fd = blob_prove(b, dir, prove[how], &out->state);
	directory_put(dir);
	cache_leave(c);
	if (out->fd >= 0 && !name_file(out->fd, &out->file)) {
		dm_closep(&out->fd);
		out->fd = -1;
	}
	return out->fd >= 0;
}

void
cache_lend_mark(struct cache *c, const struct digest *pack, bool begin)
{
	struct blob *b = cache_enter(c, pack);

	if (b == NULL)
		return;
	blob_lend(b, begin);
	cache_leave(c);
}
