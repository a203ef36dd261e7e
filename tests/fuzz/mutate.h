/*
 * tests/fuzz/mutate.h - mutations that know what an object is made of.
 *
 * A mutator of a target does one of three things: what libFuzzer does with any
 * bytes; an edit of the object's fields and records where they lie, which
 * mostly breaks a sum or an order, one at a time; or an object that is right,
 * made by the encoder from random choices or from what the old one decodes to.
 */
#ifndef DM_TEST_MUTATE_H
#define DM_TEST_MUTATE_H

#include "cache/base/le.h"
#include "tests/fuzz/fuzz.h"

/* libFuzzer's, and missing where a corpus is only replayed. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
    __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
    unsigned seed);

/* xorshift: as random as need be. */
struct chance {
	uint64_t state;
};

static inline struct chance
chance_of(unsigned seed)
{
	return (struct chance){ (uint64_t)seed * 2654435761U +
		88172645463325U };
}

static inline uint32_t
chance(struct chance *c, uint32_t below)
{
	c->state ^= c->state << 13;
	c->state ^= c->state >> 7;
	c->state ^= c->state << 17;
	return (uint32_t)(c->state >> 16) % below;
}

/* Mostly small, now and then at an edge. */
static inline uint64_t
chance_number(struct chance *c)
{
	static const uint64_t edges[] = { 0, 1, 127 << 10, 128 << 10, 1 << 20,
		(1 << 20) + 1, 2 << 20, 4 << 20, 16 << 20, (16 << 20) + 1,
		UINT32_MAX, (uint64_t)1 << 32, (uint64_t)1 << 48,
		(uint64_t)1 << 50, ((uint64_t)1 << 50) + 1, (uint64_t)1 << 62,
		INT64_MAX, UINT64_MAX };

	if (chance(c, 4) == 0)
		return edges[chance(c, sizeof(edges) / sizeof(edges[0]))];
	return chance(c, 1U << (1 + chance(c, 20)));
}

static inline void
chance_digest(struct chance *c, struct digest *out)
{
	uint8_t byte = (uint8_t)chance(c, 256);

	memset(out->bytes, byte, sizeof(out->bytes));
	out->bytes[chance(c, 32)] = (uint8_t)chance(c, 256);
}

/* Where an object's numbers lie. */
struct layout {
	size_t head, record; /* bytes */
	size_t count; /* of the field, 4 bytes, with how many there are */
};

/* One field becomes another number, or a neighbour of its old one. */
static inline void
edit_field(struct chance *c, uint8_t *at, size_t width)
{
	uint64_t old = width == 8 ? le64_get(at) : le32_get(at), now = old;

	switch (chance(c, 4)) {
	case 0:
		now = old + 1;
		break;
	case 1:
		now = old - 1;
		break;
	case 2:
		now = chance_number(c);
		break;
	default:
		now = old ^ (uint64_t)1 << chance(c, 8 * (uint32_t)width);
	}
	if (width == 8)
		le64_put(at, now);
	else
		le32_put(at, (uint32_t)now);
}

/* Records change places, come twice, or go, or one field changes. */
static inline size_t
edit_layout(struct chance *c, const struct layout *l, uint8_t *data,
    size_t size, size_t max)
{
	size_t n = size < l->head ? 0 : (size - l->head) / l->record;
	uint8_t *one, *two, copy[128];

	if (size < l->head || n == 0 || l->record > sizeof(copy))
		return size;
	one = data + l->head + chance(c, (uint32_t)n) * l->record;
	two = data + l->head + chance(c, (uint32_t)n) * l->record;
	switch (chance(c, 6)) {
	case 0:
		memcpy(copy, one, l->record);
		memmove(one, two, l->record);
		memcpy(two, copy, l->record);
		break;
	case 1:
		if (size + l->record > max)
			break;
		memmove(one + l->record, one, (size_t)(data + size - one));
		edit_field(c, data + l->count, 4);
		size += l->record;
		break;
	case 2:
		memmove(one, one + l->record,
		    (size_t)(data + size - one) - l->record);
		edit_field(c, data + l->count, 4);
		size -= l->record;
		break;
	case 3:
		edit_field(c, data + 4 * chance(c, (uint32_t)l->head / 4), 4);
		break;
	default:
		edit_field(c, one + 8 * chance(c, (uint32_t)l->record / 8), 8);
	}
	return size;
}

/* What came out of an encoder takes the object's place, if there is room. */
static inline size_t
replace(uint8_t *data, size_t size, size_t max, struct dm_buf *b, int rc)
{
	if (rc == 0 && b->size > 0 && b->size <= max) {
		memcpy(data, b->data, b->size);
		size = b->size;
	}
	dm_buf_release(b);
	return size;
}

#endif
