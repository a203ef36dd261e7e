/* cache/store/around.h - small pieces come from the disk with their neighbours.
 */
#ifndef DM_STORE_AROUND_H
#define DM_STORE_AROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"

/*
 * Who reads many small files of a pack, in whatever order, comes to the others
 * before long.  A disk gives 256 KiB in hardly more time than 10, so from the
 * second piece on the kernel is told to read all that lies around a piece.
 *
 * That pays as long as what was read so is still in memory when its turn comes.
 * So each window costs credit, and each piece that lies in a window read before
 * earns it back.  A shuffled read of n bytes takes at most 0.31 n of credit
 * before it earns more than it spends; there is enough for as much as half of
 * the machine's memory.  A reader of more than that, whose windows are gone
 * before they serve, soon reads single pieces again.
 *
 * Threads: any call from any thread.
 */
struct around {
	uint64_t most; /* immutable */
	_Atomic int64_t credit;
	_Atomic uint32_t filled; /* when credit came by itself last: seconds */
};

/* What a blob remembers; zero at first. */
struct around_blob {
	_Atomic uint64_t asked; /* one bit a window */
	_Atomic uint32_t since; /* the bits hold for a while only: seconds */
};

/* memory: of the machine, bytes; 0: what it has. */
void around_init(struct around *a, uint64_t memory);

enum { AROUND_WINDOW = 256 << 10, AROUND_S = 60 };

/* A piece of size bytes at off is about to be read, at second now (not 0).
 * True: *from and *n are what to read around it. */
bool around_due(struct around *a, struct around_blob *b, uint64_t off,
    uint32_t size, uint32_t now, uint64_t *from, uint64_t *n);

#endif
