#include "fs/version/trace_find.h"

#include "cache/base/err.h"
#include "cache/cache.h"
#include "fs/format/trace.h"
#include "fs/version/version.h"

enum { LOOK_MS = 60 * 1000 }; /* before what does not come is asked for anew */

bool
trace_find(struct version *v, struct cache *c, struct cache_sleeper *s,
    const struct trace_entry *e, struct version_node *file)
{
	struct cache_sleep look;
	struct dm_err err;
	bool found = false;
	int rc;

	cache_sleep_init(&look, s, LOOK_MS);
	do
		rc = version_path(v, e->path, file, &found, &look.wait, &err);
	while (rc < 0 && cache_sleep_again(c, &look, &err));
	cache_sleep_release(&look);
	return rc == 0 && found &&
	    (file->kind == TREE_FILE || file->kind == TREE_EXEC) &&
	    (e->off == 0 || e->off < file->size);
}
