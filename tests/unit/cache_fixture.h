/* tests/unit/cache_fixture.h - packs in a folder, a web server, a cache. */
#ifndef DM_TEST_CACHE_FIXTURE_H
#define DM_TEST_CACHE_FIXTURE_H

#include "tests/unit/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "cache/base/io.h"
#include "cache/base/log.h"
#include "cache/cache.h"
#include "cache/net/origin.h"
#include "cache/pack/codec.h"
#include "cache/pack/pack_writer.h"
#include "tests/lib/httpd.h"

/* One pack: its objects' plain bytes are made from a seed. */
struct packed {
	struct pack_name name;
	uint32_t n, size; /* objects, and bytes of each */
	unsigned seed;
};

struct fixture {
	char top[64], repo[96], dir[96]; /* dir: the cache */
	struct httpd *httpd;
	struct net *net;
	struct origin *origin;
	struct cache *cache;
};

/* Half of it compresses, half does not. */
static inline void
fill(uint8_t *out, uint32_t size, unsigned seed)
{
	uint32_t x = seed * 2654435761U + 1;

	for (uint32_t i = 0; i < size; i++) {
		x = x * 1664525U + 1013904223U;
		out[i] =
		    seed % 2 == 0 && i % 64 != 0 ? 'a' : (uint8_t)(x >> 24);
	}
}

static inline void
make_pack(const struct fixture *f, struct packed *p)
{
	struct codec *codec = codec_new();
	struct pack_writer *w = NULL;
	uint8_t *plain = malloc(p->size);
	char packs[128];

	(void)snprintf(packs, sizeof(packs), "%s/packs", f->repo);
	OK(dm_mkdirs(packs, 0700, &err));
	OK(pack_writer_open(&w, packs, &err));
	for (uint32_t i = 0; i < p->n; i++) {
		struct pack_object o = { .kind = OBJECT_DATA };
		const void *stored = NULL;
		size_t size = 0;
		uint32_t ordinal;

		fill(plain, p->size, p->seed + i);
		digest_of(&o.id, plain, p->size);
		OK(codec_encode(codec, plain, p->size, &stored, &size, &o.codec,
		    &err));
		o.plain_size = p->size;
		o.stored_size = (uint32_t)size;
		OK(pack_writer_add(w, &o, stored, &ordinal, &err));
		assert_int_equal(ordinal, i);
	}
	OK(pack_writer_finish(w, &p->name, &err));
	pack_writer_close(w);
	codec_free(codec);
	free(plain);
}

static inline void
open_cache_at(struct fixture *f, struct cache **out, uint64_t timeout_ms)
{
	struct cache_options opt = { .dir = f->dir, .timeout_ms = timeout_ms };

	OK(cache_open(out, &opt, &err));
}

/* A new run: nothing is remembered but what is on disk. */
static inline void
reopen(struct fixture *f)
{
	cache_close(f->cache);
	open_cache_at(f, &f->cache, 10000);
}

static inline int
fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct net_options opt = { 0 };

	(void)snprintf(f->top, sizeof(f->top), "/tmp/dm-cache-XXXXXX");
	if (mkdtemp(f->top) == NULL)
		return -1;
	(void)snprintf(f->repo, sizeof(f->repo), "%s/repo", f->top);
	(void)snprintf(f->dir, sizeof(f->dir), "%s/cache", f->top);
	OK(dm_mkdirs(f->repo, 0700, &err));
	OK(httpd_start(&f->httpd, f->repo, &err));
	OK(net_open(&f->net, &opt, &err));
	OK(origin_open(&f->origin, f->net, httpd_url(f->httpd), &err));
	open_cache_at(f, &f->cache, 10000);
	dm_log_setup(DM_LOG_ERROR, 0);
	*state = f;
	return 0;
}

static inline int
fixture_teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	cache_close(f->cache);
	if (f->httpd != NULL)
		httpd_stop(f->httpd);
	net_close(f->net);
	origin_close(f->origin);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->top);
	free(f);
	return system(command);
}

static inline struct cache_place
place_of(const struct packed *p, uint32_t i)
{
	return (struct cache_place){
		.pack = p->name.id,
		.dir_off = p->name.dir_off,
		.dir_len = p->name.dir_len,
		.ordinal = i,
	};
}

/* Read size bytes at off of object i; the error's code, or DM_OK with the
 * bytes compared. */
static inline enum dm_code
read_part(const struct fixture *f, struct cache *c, const struct packed *p,
    uint32_t i, uint32_t off, uint32_t size, struct cache_wait *wait)
{
	struct cache_place at = place_of(p, i);
	uint8_t *want = malloc(p->size), *got = malloc(size);
	struct dm_err err = { 0 };
	struct digest id;
	enum dm_code code = DM_OK;

	fill(want, p->size, p->seed + i);
	digest_of(&id, want, p->size);
	if (cache_read(c, f->origin, &at, &id, p->size, off, got, size, wait,
		&err) < 0)
		code = err.code;
	else if (memcmp(got, want + off, size) != 0)
		fail_msg("wrong bytes of object %u", i);
	free(want);
	free(got);
	return code;
}

static inline enum dm_code
read_whole(const struct fixture *f, struct cache *c, const struct packed *p,
    uint32_t i)
{
	return read_part(f, c, p, i, 0, p->size, NULL);
}

static inline void
read_all(const struct fixture *f, const struct packed *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		assert_int_equal(read_whole(f, f->cache, p, i), DM_OK);
}

/* The path of one of the pack's files in the cache. */
static inline void
cached_path(char out[256], const struct fixture *f, const struct packed *p,
    const char *suffix)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&p->name.id, hex);
	(void)snprintf(out, 256, "%s/blobs/%.2s/%s%s", f->dir, hex, hex,
	    suffix);
}

/* Who waits for the cache, and is not to be kept waiting. */
struct waiter {
	struct cache_wait wait; /* first */
	_Atomic int woken;
};

static inline void
note_wake(struct cache_wait *w)
{
	atomic_fetch_add(&((struct waiter *)w)->woken, 1);
}

static inline void
await(struct waiter *w, int times)
{
	uint64_t end = dm_deadline_ms(10000);

	while (atomic_load(&w->woken) < times)
		if (dm_now_ms() > end)
			fail_msg("not woken");
}

#endif
