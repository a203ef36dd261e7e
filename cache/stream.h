/* cache/stream.h - who reads on where the last fetch ended. */
#ifndef DM_CACHE_STREAM_H
#define DM_CACHE_STREAM_H

#include <stdint.h>

#include "cache/base/attr.h"

struct blob;

/* A reader that goes forward: where its next miss is expected. */
struct stream {
	struct blob *blob;
	uint32_t next;
	uint32_t window;
	uint64_t used;
};

enum { STREAMS = 64 }; /* sequential readers that are remembered */

struct streams {
	struct stream stream[STREAMS];
	uint64_t uses;
};

/* The stream that a miss of that piece continues, its window doubled (at most
 * most); else a new one, with next and window 0, in place of the oldest. */
struct stream *stream_of(struct streams *t, struct blob *b, uint32_t piece,
    uint32_t most);

#endif
