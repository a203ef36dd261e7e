/*
 * The mapping is some 44 MiB of address space: 32 are slots, 12 open files.
 * Memory is taken only for what was ever used of either; slots are taken last
 * in, first out.
 */
#include "fs/mount/shared.h"

#include <linux/fuse.h>
#include <sys/mman.h>

#include "cache/base/err.h"
#include "cache/base/io.h"

const char *const shared_stat_names[SHARED_STATS] = {
#define STAT(name, help) #name,
#include "fs/mount/stats.def"
#undef STAT
};

int
shared_new(struct shared **out, struct dm_err *err)
{
	void *p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return dm_fail_errno(err, "map memory for requests");
	*out = p;
	return 0;
}

void
shared_free(struct shared *s)
{
	if (s != NULL)
		(void)munmap(s, sizeof(*s));
}

void
shared_add_counts(struct shared_counts *sum, const struct shared_counts *more)
{
	sum->hits += more->hits;
	sum->misses += more->misses;
	sum->fetched += more->fetched;
	sum->wasted += more->wasted;
	sum->bad_disk += more->bad_disk;
	sum->bad_origin += more->bad_origin;
	sum->requests += more->requests;
	sum->bytes += more->bytes;
	sum->retries += more->retries;
	sum->failures += more->failures;
}

void
shared_add_place(struct shared_place *sum, const struct shared_place *more)
{
	sum->requests += more->requests;
	sum->bytes += more->bytes;
	sum->failures += more->failures;
	sum->bad += more->bad;
}

void
shared_bury(struct shared *s, bool own_doing)
{
	unsigned used = atomic_load(&s->nslots);

	for (unsigned i = 0; i < used && i < SHARED_SLOTS; i++) {
		const struct fuse_in_header *h = (const void *)s->slots[i];
		struct shared_note *note = &s->notes[i];

		if (h->unique == 0) /* killed before it had cleared it all */
			*note = (struct shared_note){ 0 };
		else if (own_doing && note->begun > 0)
			note->deaths++;
		note->begun = 0;
	}
}

/* The compiler must not move this: another process reads it. */
static void
set_unique(struct shared *s, unsigned slot, uint64_t unique)
{
	volatile uint64_t *p =
	    &((struct fuse_in_header *)(void *)s->slots[slot])->unique;

	*p = unique;
}

void
shared_done(struct shared *s, unsigned slot)
{
	struct shared_note *note = &s->notes[slot];

	set_unique(s, slot, 0);
	note->started_ms = 0;
	note->begun = 0;
	note->deaths = 0;
	note->error = 0;
}

/* As above: before the answer. */
void
shared_note_refusal(struct shared *s, unsigned slot, int e)
{
	volatile uint32_t *p = &s->notes[slot].error;

	*p = (uint32_t)e;
}

void
shared_refuse(struct shared *s, int fuse_fd, unsigned slot, int e)
{
	const struct fuse_in_header *h = (const void *)s->slots[slot];
	struct fuse_out_header out = {
		.len = sizeof(out),
		.error = -e,
		.unique = h->unique,
	};

	shared_note_refusal(s, slot, e);
	/* The caller may be gone, or an earlier worker has answered. */
	(void)dm_write_full(fuse_fd, &out, sizeof(out));
}

/* Several readers may raise the number of slots at a time. */
void
shared_use(struct shared *s, unsigned slot)
{
	uint32_t n = atomic_load(&s->nslots);

	while (n <= slot &&
	    !atomic_compare_exchange_weak(&s->nslots, &n, slot + 1))
		continue;
	set_unique(s, slot, 0);
}

void
shared_count(struct shared *s, enum shared_stat which, uint64_t n)
{
	atomic_fetch_add_explicit(&s->stats[which], n, memory_order_relaxed);
}

uint64_t
shared_stat(const struct shared *s, enum shared_stat which)
{
	return atomic_load_explicit(&s->stats[which], memory_order_relaxed);
}
