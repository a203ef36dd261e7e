/* cache/stream.h - who reads on where the last fetch ended, and who reads here
 * and there. */
#ifndef DM_CACHE_STREAM_H
#define DM_CACHE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct blob;

/*
 * A reader that goes forward: where its next miss is expected, and the piece
 * whose use has more fetched ahead (STREAM_NO_MARK: none).  All functions but
 * stream_is_due are called under the lock of the fetch (DM_RANK_FETCH).
 */
struct stream {
	struct blob *blob;
	uint32_t next;
	uint32_t mark;
	uint32_t window;
	uint64_t used;
};

enum {
	STREAMS = 64,        /* sequential readers that are remembered */
	STREAM_BLOBS = 4096, /* blobs whose misses are counted; a power of 2 */
};
#define STREAM_NO_MARK UINT32_MAX

struct streams {
	struct stream stream[STREAMS];
	uint64_t uses;
	/* of each stream: its blob, hashed, and its mark; a hint.  0: none */
	_Atomic uint64_t due[STREAMS];
	/* misses here and there, by blob */
	struct {
		const struct blob *blob;
		unsigned misses;
	} count[STREAM_BLOBS];
};

/* The stream that a miss of that piece continues, its window doubled (at most
 * most); else a new one, with next and window 0, in place of the oldest. */
struct stream *stream_of(struct streams *t, struct blob *b, uint32_t piece,
    uint32_t most);

/* A miss that continues nothing: how many came before it in that blob, as far
 * as is remembered. */
unsigned stream_misses(struct streams *t, const struct blob *b);

/* Does any stream go through the blob, wherever it is by now? */
bool stream_is_in(const struct streams *t, const struct blob *b);

void stream_set_mark(struct streams *t, struct stream *s, uint32_t mark);

/* A use of that piece: should more be fetched ahead?  Any thread, no lock; to
 * be asked again with stream_marked. */
bool stream_is_due(const struct streams *t, const struct blob *b,
    uint32_t piece);

/* The stream whose mark that piece is, or is just behind; or NULL. */
struct stream *stream_marked(struct streams *t, const struct blob *b,
    uint32_t piece);

#endif
