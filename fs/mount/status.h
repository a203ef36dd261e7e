/* fs/mount/status.h - what a mount says of itself, as JSON. */
#ifndef DM_MOUNT_STATUS_H
#define DM_MOUNT_STATUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cache/base/attr.h"

struct dm_buf;
struct dm_err;
struct supervisor;

/* Append the text; see datamount(1), status --json. */
int status_json(const struct supervisor *s, struct dm_buf *out,
    struct dm_err *err) DM_MUST_CHECK;

/* The path under key in such an object, to the byte; "" and false if there is
 * none, or no room. */
bool status_path(const json_t *status, const char *key, char *out, size_t size);

/* The name of a request, as in the counters; "request" if it has none. */
const char *status_opcode(unsigned opcode);

#endif
