/* fs/cmd/date.h - a point in time as people write it. */
#ifndef DM_CMD_DATE_H
#define DM_CMD_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"

/* Seconds since 1970 UTC of "1717156800", "2024-05-31", "2024-05-31T12:00:00"
 * or "...Z" or "...+02:00"; without a zone it is UTC.  A space may stand for
 * the T.  False if text is none of these. */
bool date_parse(uint64_t *seconds, const char *text) DM_MUST_CHECK;

#endif
