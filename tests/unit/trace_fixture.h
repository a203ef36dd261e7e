/* A version of many small files and a large one, and a trace of it. */
#ifndef DM_TESTS_TRACE_FIXTURE_H
#define DM_TESTS_TRACE_FIXTURE_H

#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/io.h"
#include "cache/cache.h"
#include "cache/net/origin.h"
#include "fs/format/trace.h"
#include "fs/version/replay.h"
#include "fs/version/version.h"
#include "tests/lib/maker.h"

enum { FILES = 600, SIZE = 20000, LARGE = 20 << 20, CHUNK = 400000 };

struct fixture {
	char dir[64], cache_dir[80], repo[80];
	struct net *net;
	struct cache *cache;
	struct origin *origin;
	struct commit commit;
	struct version *v;
	int fd; /* of the trace */
	struct replay_readers readers;
	_Atomic uint64_t bytes_read;
	uint64_t read_ino; /* was read */
};

static bool
was_read(void *arg, uint64_t ino, uint64_t off)
{
	const struct fixture *f = arg;

	(void)off;
	return ino == f->read_ino;
}

static uint64_t
bytes_read(void *arg)
{
	struct fixture *f = arg;

	return atomic_load(&f->bytes_read);
}

static char *
some_bytes(size_t size, uint64_t seed)
{
	char *p = malloc(size + 8);

	assert_non_null(p);
	for (size_t i = 0; i < size; i += 8) {
		seed = seed * 6364136223846793005U + 1442695040888963407U;
		memcpy(p + i, &seed, 8);
	}
	return p;
}

/* 600 files f000..., and one of many chunks. */
static void
make_repository(struct fixture *f)
{
	static struct maker_entry kids[FILES + 1];
	struct maker_entry root = { .kind = TREE_DIR };
	struct digest id;

	memset(kids, 0, sizeof(kids));
	for (unsigned i = 0; i < FILES; i++) {
		(void)snprintf(kids[i].name, 16, "f%03u", i);
		kids[i].kind = TREE_FILE;
		kids[i].data = some_bytes(SIZE, i + 1);
		kids[i].size = SIZE;
	}
	(void)snprintf(kids[FILES].name, 16, "large");
	kids[FILES].kind = TREE_FILE;
	kids[FILES].data = some_bytes(LARGE, FILES + 1);
	kids[FILES].size = LARGE;
	kids[FILES].chunk = CHUNK;
	root.kids = kids;
	root.nkids = FILES + 1;
	OK(maker_write(f->repo, &root, 0, 0, &id, &f->commit, &err));
	for (unsigned i = 0; i <= FILES; i++)
		free((void *)(uintptr_t)kids[i].data);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct cache_options cache = { 0 };
	struct version_options how = { 0 };
	struct net_options wire = { 0 };

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/dm-trace-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->repo, sizeof(f->repo), "%s/repo", f->dir);
	(void)snprintf(f->cache_dir, sizeof(f->cache_dir), "%s/cache", f->dir);
	assert_int_equal(mkdir(f->repo, 0755), 0);
	make_repository(f);
	cache.dir = f->cache_dir;
	OK(net_open(&f->net, &wire, &err));
	OK(cache_open(&f->cache, &cache, &err));
	OK(origin_open(&f->origin, f->net, f->repo, &err));
	OK(version_open(&f->v, f->cache, f->origin, &f->commit, &how, &err));
	f->fd = -1;
	f->readers = (struct replay_readers){ was_read, bytes_read, f };
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	version_close(f->v);
	cache_close(f->cache);
	net_close(f->net);
	origin_close(f->origin);
	if (f->fd >= 0)
		(void)close(f->fd);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void
write_trace(struct fixture *f, const char *text)
{
	char path[80];

	(void)snprintf(path, sizeof(path), "%s/trace", f->dir);
	f->fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(f->fd >= 0);
	assert_int_equal(dm_write_full(f->fd, text, strlen(text)), 0);
}

#endif
