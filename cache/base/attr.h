/* cache/base/attr.h - compiler attributes under short names. */
#ifndef DM_BASE_ATTR_H
#define DM_BASE_ATTR_H

#define DM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define DM_MUST_CHECK __attribute__((warn_unused_result))

/* Run fn(&var) when var leaves its scope.  Initialise var where you declare
 * it: an early return before the first assignment would free garbage. */
#define DM_AUTO(fn) __attribute__((cleanup(fn)))

/* Take the pointer out of *pp, leaving NULL for a DM_AUTO to find. */
#define dm_steal(pp)                          \
	__extension__({                       \
		__typeof__(*(pp)) p_ = *(pp); \
		*(pp) = NULL;                 \
		p_;                           \
	})

#ifdef __clang__
#define DM_TSA(x) __attribute__((x))
#else
#define DM_TSA(x)
#endif
#define DM_CAPABILITY(name) DM_TSA(capability(name))
#define DM_REQUIRES(mu) DM_TSA(requires_capability(mu))
#define DM_EXCLUDES(mu) DM_TSA(locks_excluded(mu))
#define DM_ACQUIRES(mu) DM_TSA(acquire_capability(mu))
#define DM_RELEASES(mu) DM_TSA(release_capability(mu))
/* For the functions that are the lock. */
#define DM_IS_LOCK DM_TSA(no_thread_safety_analysis)

#endif
