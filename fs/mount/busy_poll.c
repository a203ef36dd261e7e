#include "fs/mount/busy_poll.h"

#include <poll.h>
#include <sys/resource.h>

#include "cache/base/clock.h"

enum {
	SHORT_NS = 500000, /* a wait that might have been one of BUSY_POLL_NS */
	DUE = 8,           /* short waits in turn */
	MOST = 32,         /* so many are remembered at most */
	LONG = 4,          /* what a long wait costs of them */
	REST = -40,        /* after the processor was wanted by others */
};

/* How often the kernel took the processor from this thread. */
static long
preemptions(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

bool
busy_poll_is_due(const struct busy_poll *b)
{
	return b->score >= DUE;
}

void
busy_poll_note(struct busy_poll *b, uint32_t client, uint64_t ns,
    bool preempted)
{
	if (preempted)
		b->score = REST;
	else if (client != b->client && b->score > 0)
		b->score = 0;
	else if (ns <= SHORT_NS)
		b->score += b->score < MOST;
	else if (b->score > 0)
		b->score -= b->score < LONG ? b->score : LONG;
	b->client = client;
}

void
busy_poll_begin(struct busy_poll *b, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	b->since_ns = dm_now_ns();
	b->polled = busy_poll_is_due(b);
	if (!b->polled || poll(&p, 1, 0) != 0) {
		b->polled = false;
		return;
	}
	b->preempted = preemptions();
	while (poll(&p, 1, 0) == 0 && dm_now_ns() - b->since_ns < BUSY_POLL_NS)
		continue;
}

void
busy_poll_end(struct busy_poll *b, uint32_t client)
{
	busy_poll_note(b, client, dm_now_ns() - b->since_ns,
	    b->polled && preemptions() != b->preempted);
}
