#include "cache/store/hashing.h"

#include <fcntl.h>
#include <string.h>

#include "cache/base/digest.h"
#include "cache/base/io.h"
#include "cache/base/lock.h"
#include "cache/store/blob.h"

enum {
	PART = 64 << 10,
	SLICE = 128 << 10, /* that the disk reads as one */
	AHEAD = 2 << 20,
};

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Copy what is wanted of n bytes at off of the piece. */
static void
copy(const struct hashing_span *want, uint32_t off, const uint8_t *part,
    uint32_t n)
{
	uint32_t lo = off > want->off ? off : want->off;
	uint32_t hi = least(off + n, want->off + want->size);

	if (lo < hi)
		memcpy(want->buf + (lo - want->off), part + (lo - off),
		    hi - lo);
}

/* Have the kernel read all of it, in slices: pages of one are there only when
 * it is there as a whole, and the first can be hashed while the others come. */
static void
read_ahead(int fd, const struct blob_piece *p, bool further)
{
	for (uint32_t off = 0; off < p->size; off += SLICE)
		(void)posix_fadvise(fd, (off_t)(p->off + off),
		    (off_t)least(p->size - off, SLICE), POSIX_FADV_WILLNEED);
	if (further)
		(void)posix_fadvise(fd, (off_t)(p->off + p->size), AHEAD,
		    POSIX_FADV_WILLNEED);
}

bool
hashing_read(int fd, const struct blob_piece *p, struct digest_hasher *h,
    const struct hashing_span *want)
{
	uint32_t end = want->off + want->size, n;
	uint8_t part[PART];
	struct digest is;

	read_ahead(fd, p, want->further);
	for (uint32_t off = 0; off < p->size; off += n) {
		uint8_t *at = part;

		n = least(p->size - off, PART);
		if (off >= want->off && off + n <= end)
			at = want->buf + (off - want->off);
		if (dm_pread_full(fd, at, n, p->off + off) != (ssize_t)n)
			return false;
		digest_hasher_add(h, at, n);
		if (at == part)
			copy(want, off, part, n);
	}
	digest_hasher_get(h, &is);
	return digest_equal(&is, &p->id);
}

bool
hashing_has(const struct hashing *h, uint32_t n)
{
	const struct hashing_one *one = h->all;

	while (one != NULL && one->n != n)
		one = one->next;
	return one != NULL;
}

void
hashing_wait(struct hashing *h, const struct hashing_one *one,
    struct dm_mutex *mu)
{
	while (hashing_has(h, one->n))
		dm_cond_wait(&h->ended, mu);
}

void
hashing_begin(struct hashing *h, struct hashing_one *one)
{
	one->next = h->all;
	h->all = one;
}

void
hashing_end(struct hashing *h, const struct hashing_one *one)
{
	struct hashing_one **at = &h->all;

	while (*at != one)
		at = &(*at)->next;
	*at = one->next;
	pthread_cond_broadcast(&h->ended);
}
