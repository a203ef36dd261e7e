/* cache/base/clock.h - what time is it, for deadlines. */
#ifndef DM_BASE_CLOCK_H
#define DM_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* No deadline: further away than any clock gets. */
#define DM_NEVER_MS ((uint64_t)INT64_MAX / 1000000)

/* Milliseconds of CLOCK_MONOTONIC; nothing sets this clock back. */
uint64_t dm_now_ms(void);

/* The same in nanoseconds, for what is much shorter. */
uint64_t dm_now_ns(void);

/* The deadline that lies timeout_ms ahead; 0 means DM_NEVER_MS. */
uint64_t dm_deadline_ms(uint64_t timeout_ms);

/* A time stamp, of a file perhaps, in nanoseconds; INT64_MIN or INT64_MAX for
 * one that lies centuries away. */
int64_t dm_timespec_ns(const struct timespec *ts);

#endif
