#include "cache/stream.h"

#include <stdatomic.h>
#include <stddef.h>

enum { SLACK = 64 }; /* pieces that a stream may skip */

static uint32_t
hash(const struct blob *b)
{
	uint64_t h = (uint64_t)(uintptr_t)b * 0x9e3779b97f4a7c15U;

	return (uint32_t)(h >> 32) | 1;
}

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
	stream_set_mark(t, oldest, STREAM_NO_MARK);
	return oldest;
}

unsigned
stream_misses(struct streams *t, const struct blob *b)
{
	uint32_t i = (hash(b) >> 1) % STREAM_BLOBS;

	if (t->count[i].blob != b) {
		t->count[i].blob = b;
		t->count[i].misses = 0;
	}
	return t->count[i].misses++;
}

bool
stream_is_in(const struct streams *t, const struct blob *b)
{
	for (int i = 0; i < STREAMS; i++)
		if (t->stream[i].blob == b)
			return true;
	return false;
}

void
stream_set_mark(struct streams *t, struct stream *s, uint32_t mark)
{
	uint64_t due =
	    mark == STREAM_NO_MARK ? 0 : (uint64_t)hash(s->blob) << 32 | mark;

	s->mark = mark;
	atomic_store_explicit(&t->due[s - t->stream], due,
	    memory_order_relaxed);
}

bool
stream_is_due(const struct streams *t, const struct blob *b, uint32_t piece)
{
	uint32_t h = hash(b);

	for (int i = 0; i < STREAMS; i++) {
		uint64_t due =
		    atomic_load_explicit(&t->due[i], memory_order_relaxed);

		if (due >> 32 == h && piece - (uint32_t)due <= SLACK)
			return true;
	}
	return false;
}

struct stream *
stream_marked(struct streams *t, const struct blob *b, uint32_t piece)
{
	for (int i = 0; i < STREAMS; i++) {
		struct stream *s = &t->stream[i];

		if (s->blob == b && s->mark != STREAM_NO_MARK &&
		    piece >= s->mark && piece - s->mark <= SLACK) {
			s->used = ++t->uses;
			return s;
		}
	}
	return NULL;
}
