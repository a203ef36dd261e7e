/* fs/mount/late.h - who waited in vain does not wait again at once. */
#ifndef DM_MOUNT_LATE_H
#define DM_MOUNT_LATE_H

#include <stdbool.h>
#include <stdint.h>

struct task;

/*
 * A page that the kernel could not read ahead it asks for once more, by
 * itself, and where a mapping is read a third and a fourth time, before it
 * tells the reader; and so does each reader who waited for the page of
 * another.  Of those who look up the same name one asks, and when that fails
 * the next asks.  Were each of these requests waited for until its deadline,
 * one call would take several times the mount's timeout.  So for a moment after
 * a read or a lookup timed out, a tenth of the timeout but half a second to
 * a second, what is asked for of the same place gets what is here, or fails.
 */
enum { LATE_MS_MIN = 500, LATE_MS_MAX = 1000, LATE_READS = 64 };

struct late_read {
	uint64_t ino;
	uint64_t off, end;
	uint64_t until_ms; /* clock.h */
};

/* Such a moment, for a mount's timeout. */
uint64_t late_ms(uint64_t timeout_ms);

/* t, a read or a lookup that had its time, has timed out. */
void late_note(const struct task *t);

/* Is t, a read or a lookup, such a repetition? */
bool late_again(const struct task *t);

#endif
