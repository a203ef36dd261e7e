#include "cache/store/around.h"

#include <stdatomic.h>
#include <sys/sysinfo.h>

enum {
	PART = 6,     /* of memory that is the most credit: 0.31 of a half */
	FULL_S = 1024 /* seconds in which credit comes by itself */
};

void
around_init(struct around *a, uint64_t memory)
{
	struct sysinfo info;

	if (memory == 0 && sysinfo(&info) == 0)
		memory = (uint64_t)info.totalram * info.mem_unit;
	a->most = memory / PART;
	atomic_init(&a->credit, (int64_t)a->most);
	atomic_init(&a->filled, 0);
}

/* Bounded but for a race, which costs nothing. */
static void
earn(struct around *a, uint64_t credit)
{
	int64_t lacks = (int64_t)a->most -
	    atomic_load_explicit(&a->credit, memory_order_relaxed);

	if (lacks > 0)
		atomic_fetch_add_explicit(&a->credit,
		    credit < (uint64_t)lacks ? (int64_t)credit : lacks,
		    memory_order_relaxed);
}

/* Some comes by itself, so that what did not pay is tried again. */
static void
fill(struct around *a, uint32_t now)
{
	uint32_t filled =
	    atomic_load_explicit(&a->filled, memory_order_relaxed);

	if (filled != now &&
	    atomic_compare_exchange_strong(&a->filled, &filled, now) &&
	    filled != 0)
		earn(a, a->most / FULL_S * (now - filled));
}

static bool
spend(struct around *a)
{
	if (atomic_fetch_sub_explicit(&a->credit, AROUND_WINDOW,
		memory_order_relaxed) >= AROUND_WINDOW)
		return true;
	atomic_fetch_add_explicit(&a->credit, AROUND_WINDOW,
	    memory_order_relaxed);
	return false;
}

bool
around_due(struct around *a, struct around_blob *b, uint64_t off, uint32_t size,
    uint32_t now, uint64_t *from, uint64_t *n)
{
	uint32_t since = atomic_load_explicit(&b->since, memory_order_relaxed);
	uint64_t window = off / AROUND_WINDOW;
	uint64_t bit = (uint64_t)1 << window % 64;

	if (since == 0 || now - since >= AROUND_S) {
		atomic_store_explicit(&b->asked, 0, memory_order_relaxed);
		atomic_store_explicit(&b->since, now, memory_order_relaxed);
		return false;
	}
	if ((atomic_load_explicit(&b->asked, memory_order_relaxed) & bit) !=
	    0) {
		earn(a, AROUND_WINDOW);
		return false;
	}
	fill(a, now);
	if (!spend(a))
		return false;
	atomic_fetch_or_explicit(&b->asked, bit, memory_order_relaxed);
	*from = window * AROUND_WINDOW;
	*n = AROUND_WINDOW;
	if (*n < off + size - *from)
		*n = off + size - *from;
	return true;
}
