#include "cache/base/clock.h"

#include <stdlib.h>

uint64_t
dm_now_ns(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
		abort();
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t
dm_now_ms(void)
{
	return dm_now_ns() / 1000000;
}

uint64_t
dm_deadline_ms(uint64_t timeout_ms)
{
	uint64_t now = dm_now_ms();

	if (timeout_ms == 0 || timeout_ms >= DM_NEVER_MS - now)
		return DM_NEVER_MS;
	return now + timeout_ms;
}

int64_t
dm_timespec_ns(const struct timespec *ts)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)ts->tv_sec, 1000000000, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)ts->tv_nsec, &ns))
		return ts->tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}
