/* fs/version/trace_find.h - the file that an entry of a trace names. */
#ifndef DM_VERSION_TRACE_FIND_H
#define DM_VERSION_TRACE_FIND_H

#include <stdbool.h>

struct cache;
struct cache_sleeper;
struct trace_entry;
struct version;
struct version_node;

/* Look it up by readers' ordinary ways, so that the trees which that needs come
 * as fast as for a reader; wait for them as long as it takes, or until the
 * sleeper is stopped.  False: this version has no such file, or it ends before
 * the entry's part, or it cannot be told.  Threads: the sleeper's. */
bool trace_find(struct version *v, struct cache *c, struct cache_sleeper *s,
    const struct trace_entry *e, struct version_node *file);

#endif
