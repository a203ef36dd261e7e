/* fs/mount/busy_poll.h - look for the next request before going to sleep. */
#ifndef DM_MOUNT_BUSY_POLL_H
#define DM_MOUNT_BUSY_POLL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * To wake a thread on a processor that sleeps can take longer than to answer a
 * request, above all in a virtual machine.  A client that sends one request
 * after the other waits for that twice each time.  So a thread that
 * waits for requests looks for the next one for 200 us before it sleeps, as
 * the kernel's haltpoll governor does, if the last waits were short and one
 * client alone sent all.  Several keep the processors awake by themselves, and
 * have a better use for them.
 *
 * Where somebody else wanted the processor meanwhile, it was dear: then the
 * thread sleeps at once, some times, before it tries that again.
 *
 * Threads: each has its own.
 */
struct busy_poll {
	int score;       /* rises with each short wait */
	uint32_t client; /* the process number of the last request */
	bool polled;
	uint64_t since_ns;
	long preempted; /* how often this thread was, as of the last look */
};

enum { BUSY_POLL_NS = 200000 };

/* Have enough of the last waits been short? */
bool busy_poll_is_due(const struct busy_poll *b);

/* A wait of ns nanoseconds for a request of this client is over.  preempted:
 * somebody wanted the processor meanwhile. */
void busy_poll_note(struct busy_poll *b, uint32_t client, uint64_t ns,
    bool preempted);

/* Before a request is waited for at fd. */
void busy_poll_begin(struct busy_poll *b, int fd);

/* The request, of this client, was read. */
void busy_poll_end(struct busy_poll *b, uint32_t client);

#endif
