/*
 * A repository's folder is trusted as much as a server: sizes are checked,
 * and what is no regular file is refused, for a pipe would wait for ever.
 */
#include "cache/net/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/net/net.h"
#include "cache/net/transfer.h"

enum { BLOCK_SIZE = 64 * 1024 }; /* on the stack */

static int
open_file(const struct transfer *t, struct dm_err *err)
{
	static const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	DM_AUTO(dm_closep) int root = -1;
	struct stat st;
	int fd;

	root = open(t->origin->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return dm_fail_errno(err, "open %s", t->origin->folder);
	fd = openat(root, t->get.path, flags);
	if (fd < 0)
		return dm_fail_errno(err, "open %s/%s", t->origin->folder,
		    t->get.path);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	(void)close(fd);
	return dm_fail(err, DM_CORRUPT, "%s/%s: not a regular file",
	    t->origin->folder, t->get.path);
}

/* How many bytes to read next; for a whole file one more than it may have, to
 * see that it has not. */
static size_t
next_size(const struct origin_get *get, uint64_t received)
{
	uint64_t end = get->size;

	if (get->size == ORIGIN_WHOLE)
		end = get->limit < UINT64_MAX ? get->limit + 1 : UINT64_MAX;
	return end - received < BLOCK_SIZE ? (size_t)(end - received) :
					     (size_t)BLOCK_SIZE;
}

static int
check_block(const struct transfer *t, size_t got, size_t asked,
    struct dm_err *err)
{
	uint64_t received = t->received + got;

	if (t->get.size == ORIGIN_WHOLE && received > t->get.limit)
		return dm_fail(err, DM_CORRUPT,
		    "%s/%s: larger than %" PRIu64 " bytes", t->origin->folder,
		    t->get.path, t->get.limit);
	if (t->get.size != ORIGIN_WHOLE && got < asked)
		return dm_fail(err, DM_CORRUPT,
		    "%s/%s: ends at byte %" PRIu64 " of %" PRIu64,
		    t->origin->folder, t->get.path, t->get.off + received,
		    t->get.off + t->get.size);
	return 0;
}

int
folder_read(struct net *net, struct transfer *t, struct dm_err *err)
{
	DM_AUTO(dm_closep) int fd = open_file(t, err);
	char block[BLOCK_SIZE];
	size_t asked;

	if (fd < 0)
		return -1;
	atomic_fetch_add_explicit(&t->origin->requests, 1,
	    memory_order_relaxed);
	while ((asked = next_size(&t->get, t->received)) > 0) {
		ssize_t n =
		    dm_pread_full(fd, block, asked, t->get.off + t->received);

		if (n < 0)
			return dm_fail_errno(err, "read %s/%s",
			    t->origin->folder, t->get.path);
		if (check_block(t, (size_t)n, asked, err) < 0)
			return -1;
		if (net_stopping(net))
			return dm_fail(err, DM_CANCELLED, "closing");
		if (n == 0)
			break;
		atomic_fetch_add_explicit(&t->origin->bytes, (uint64_t)n,
		    memory_order_relaxed);
		if (t->get.data(t->get.arg, block, (size_t)n) < 0)
			return dm_fail(err, DM_CANCELLED, "%s: not wanted",
			    t->get.path);
		t->received += (uint64_t)n;
	}
	return 0;
}
