#include "cache/stream.h"

#include <stddef.h>

enum { SLACK = 64 }; /* pieces that a stream may skip */

struct stream *
stream_of(struct streams *t, struct blob *b, uint32_t piece, uint32_t most)
{
	struct stream *oldest = &t->stream[0];

	for (int i = 0; i < STREAMS; i++) {
		struct stream *s = &t->stream[i];

		if (s->blob == b && piece >= s->next &&
		    piece - s->next <= SLACK) {
			s->used = ++t->uses;
			s->window =
			    s->window >= most / 2 ? most : s->window * 2;
			return s;
		}
		if (s->used < oldest->used)
			oldest = s;
	}
	*oldest = (struct stream){ .blob = b, .used = ++t->uses };
	return oldest;
}
