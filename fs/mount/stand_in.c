#include "fs/mount/stand_in.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "fs/mount/shared.h"
#include "fs/mount/worker.h"

static const struct fuse_in_header *
header(const struct shared *s, unsigned slot)
{
	return (const void *)s->slots[slot];
}

/* Has a worker noted how this open ended?  See shared.h. */
static bool
is_settled(const struct shared *s, unsigned slot)
{
	uint64_t unique = header(s, slot)->unique;
	uint32_t n = atomic_load(&s->nopens);

	if (s->notes[slot].closed == unique)
		return true;
	for (uint32_t i = 0; i < n; i++)
		if (atomic_load(&s->opens[i].unique) == unique)
			return true;
	return false;
}

static void
refuse(struct shared *s, int fuse_fd, unsigned slot)
{
	uint32_t noted = s->notes[slot].error;
	bool is_answered = true;

	switch (header(s, slot)->opcode) {
	case FUSE_INIT:
	case FUSE_DESTROY:
	case FUSE_RELEASE:
		return;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		is_answered = false;
		break;
	case FUSE_OPEN:
		if (is_settled(s, slot))
			return;
		break;
	default:
		break;
	}
	if (is_answered) {
		shared_count(s, STAT_errors, 1);
		shared_refuse(s, fuse_fd, slot, noted != 0 ? (int)noted : EIO);
	}
	shared_done(s, slot);
}

/* A request into the slot, if one has come. */
static bool
take(struct shared *s, int fuse_fd, unsigned slot)
{
	/* Where no request reaches that is answered: see worker.c. */
	static char rest[WORKER_IO_MAX];
	struct iovec iov[2] = {
		{ s->slots[slot], SHARED_SLOT_SIZE },
		{ rest, sizeof(rest) },
	};
	ssize_t n;

	shared_use(s, slot);
	do
		n = readv(fuse_fd, iov, 2);
	while (n < 0 && (errno == EINTR || errno == ENOENT));
	return n >= (ssize_t)sizeof(struct fuse_in_header);
}

bool
stand_in_refuse(struct shared *s, int fuse_fd)
{
	unsigned used = atomic_load(&s->nslots), i = 0;
	int flags = fcntl(fuse_fd, F_GETFL);

	for (unsigned k = 0; k < used; k++)
		if (header(s, k)->unique != 0)
			refuse(s, fuse_fd, k);
	/* Workers, who have the same open file, wait in their reads. */
	if (flags < 0 || fcntl(fuse_fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return false;
	while (i < SHARED_SLOTS) {
		if (header(s, i)->unique != 0) {
			i++;
			continue;
		}
		if (!take(s, fuse_fd, i))
			break;
		refuse(s, fuse_fd, i);
	}
	(void)fcntl(fuse_fd, F_SETFL, flags);
	return i < SHARED_SLOTS;
}
