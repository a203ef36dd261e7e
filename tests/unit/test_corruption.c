/* Every byte of a small repository and of its cache, damaged in turn. */
#include "fs/version/version.h"
#include "tests/unit/check.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/io.h"
#include "cache/base/log.h"
#include "cache/net/origin.h"
#include "tests/lib/maker.h"
#include "tests/lib/result.h"

/*
 * DM_CORRUPT_TRIES positions of the cache, and half as many of the repository;
 * the seed is DM_SEED, or the time.  tests/floors says how many a run must do.
 */
enum { TRIES = 14000, MAX_FILES = 64, HUGE_FILE = 1100000, GROW_MAX = 4 << 20 };

/* What is done to a file, the byte at a position being what matters. */
enum damage { FLIP, ZERO, CUT, SWAP, GROW, DAMAGES };

struct fixture {
	char top[64], repo[80], cache_dir[80];
	struct maker_entry kids[8], deep[4], root;
	char *bytes; /* of the files */
	struct net *net;
	struct origin *origin;
	struct cache *cache;
	struct commit commit;
	struct digest id;
	char files[MAX_FILES][128];
	size_t nfiles;
	uint64_t seed, random;
	unsigned runs;
};

static uint64_t
next_random(struct fixture *f)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return f->random;
}

static void
name_entry(struct maker_entry *e, const char *name, enum tree_kind kind,
    const char *data, size_t size)
{
	*e = (struct maker_entry){ .kind = kind, .data = data, .size = size };
	(void)snprintf(e->name, sizeof(e->name), "%s", name);
}

/* Small files, one in chunks, links, and a directory of several pages. */
static void
fill(struct fixture *f)
{
	f->bytes = malloc(HUGE_FILE);
	assert_non_null(f->bytes);
	for (size_t i = 0; i < HUGE_FILE; i++)
		f->bytes[i] =
		    i % 3000 < 1500 ? 'a' : (char)(next_random(f) >> 20);
	name_entry(&f->deep[0], "b", TREE_FILE, f->bytes + 1, 700);
	name_entry(&f->deep[1], "c", TREE_EXEC, f->bytes + 2000, 900);
	name_entry(&f->deep[2], "d", TREE_SYMLINK, "b", 1);
	name_entry(&f->deep[3], "e", TREE_FILE, "", 0);
	name_entry(&f->kids[0], "chunks", TREE_FILE, f->bytes, HUGE_FILE);
	f->kids[0].chunk = 200000;
	name_entry(&f->kids[1], "deep", TREE_DIR, NULL, 0);
	f->kids[1].kids = f->deep;
	f->kids[1].nkids = 4;
	name_entry(&f->kids[2], "one", TREE_FILE, f->bytes + 3, 1000);
	name_entry(&f->kids[3], "two", TREE_FILE, f->bytes + 1500, 1500);
	name_entry(&f->kids[4], "two-again", TREE_FILE, f->bytes + 1500, 1500);
	name_entry(&f->kids[5], "way", TREE_SYMLINK, "deep/c", 6);
	name_entry(&f->kids[6], "x", TREE_FILE, f->bytes, 1);
	name_entry(&f->kids[7], "y", TREE_FILE, f->bytes + 7, 4000);
	name_entry(&f->root, "", TREE_DIR, NULL, 0);
	f->root.kids = f->kids;
	f->root.nkids = 8;
}

static void
open_cache(struct fixture *f)
{
	struct cache_options opt = { .dir = f->cache_dir, .timeout_ms = 20000 };

	OK(cache_open(&f->cache, &opt, &err));
}

/* A new run; if it is to be cold, in a directory of its own. */
static void
reopen(struct fixture *f, bool cold)
{
	cache_close(f->cache);
	if (cold)
		(void)snprintf(f->cache_dir, sizeof(f->cache_dir), "%s/cache%u",
		    f->top, ++f->runs);
	open_cache(f);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct net_options wire = { 0 };
	const char *seed = getenv("DM_SEED");

	assert_non_null(f);
	f->seed =
	    seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	f->random = f->seed * 2654435761U + 1;
	print_message("DM_SEED=%llu\n", (unsigned long long)f->seed);
	/* Thousands of caches: in memory, if that can be. */
	(void)snprintf(f->top, sizeof(f->top), "/dev/shm/dm-corrupt-XXXXXX");
	if (mkdtemp(f->top) == NULL) {
		(void)snprintf(f->top, sizeof(f->top),
		    "/tmp/dm-corrupt-XXXXXX");
		assert_non_null(mkdtemp(f->top));
	}
	(void)snprintf(f->repo, sizeof(f->repo), "%s/repo", f->top);
	(void)snprintf(f->cache_dir, sizeof(f->cache_dir), "%s/cache", f->top);
	assert_int_equal(mkdir(f->repo, 0755), 0);
	fill(f);
	OK(maker_write(f->repo, &f->root, 2, 2, &f->id, &f->commit, &err));
	OK(net_open(&f->net, &wire, &err));
	OK(origin_open(&f->origin, f->net, f->repo, &err));
	open_cache(f);
	dm_log_setup(DM_LOG_ERROR, 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	cache_close(f->cache);
	net_close(f->net);
	origin_close(f->origin);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->top);
	free(f->bytes);
	free(f);
	return system(command);
}

/* ---- reading all there is ---- */

struct reader {
	struct fixture *f;
	struct version *v;
	char *got; /* HUGE_FILE bytes */
	enum dm_code code;
};

/* False, and noted, if that was an error. */
static bool
went_well(struct reader *r, int rc, const struct dm_err *err)
{
	if (rc < 0)
		r->code = err->code;
	return rc >= 0;
}

/* The entry is what was published, or an error is noted. */
static bool
same_entry(struct reader *r, const struct version_node *n,
    const struct maker_entry *e)
{
	struct dm_err err = { 0 };
	size_t size = 0;

	assert_int_equal(n->kind, e->kind);
	if (e->kind == TREE_SYMLINK) {
		char target[DM_TARGET_MAX + 1];

		if (!went_well(r, version_readlink(r->v, n, target, NULL, &err),
			&err))
			return false;
		assert_string_equal(target, e->data);
		return true;
	}
	if (!went_well(r,
		version_read(r->v, n, r->got, HUGE_FILE, 0, &size, NULL, &err),
		&err))
		return false;
	assert_int_equal(size, e->size);
	assert_memory_equal(r->got, e->data, size);
	return true;
}

struct counted {
	const struct maker_entry *dir;
	uint64_t n;
};

static bool
same_name(void *arg, uint64_t n, const char *name, size_t name_len,
    const struct version_node *node)
{
	struct counted *c = arg;

	assert_true(n < c->dir->nkids);
	assert_int_equal(name_len, strlen(c->dir->kids[n].name));
	assert_memory_equal(name, c->dir->kids[n].name, name_len);
	assert_int_equal(node->kind, c->dir->kids[n].kind);
	c->n++;
	return true;
}

static bool
same_dir(struct reader *r, const struct version_node *dir,
    const struct maker_entry *d)
{
	struct counted c = { .dir = d };
	struct version_node n;
	struct dm_err err = { 0 };
	bool found = false;

	if (!went_well(r, version_list(r->v, dir, 0, same_name, &c, NULL, &err),
		&err))
		return false;
	assert_int_equal(c.n, d->nkids);
	for (size_t i = 0; i < d->nkids; i++) {
		const struct maker_entry *e = &d->kids[i];

		if (!went_well(r,
			version_lookup(r->v, dir, e->name, strlen(e->name), &n,
			    &found, NULL, &err),
			&err))
			return false;
		assert_true(found);
		if (e->kind == TREE_DIR ? !same_dir(r, &n, e) :
					  !same_entry(r, &n, e))
			return false;
	}
	return true;
}

/* Its digest says that it is the one that was published. */
static bool
same_commit(struct reader *r)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(1 << 20);
	char path[128], hex[DIGEST_HEX + 1];
	struct dm_err err = { 0 };
	struct digest id;

	digest_hex(&r->f->id, hex);
	(void)snprintf(path, sizeof(path), "commits/%.2s/%s", hex, hex);
	if (!went_well(r,
		cache_file(r->f->cache, r->f->origin, path, &r->f->id, 0, &text,
		    &err),
		&err))
		return false;
	digest_of(&id, text.data, text.size);
	assert_true(digest_equal(&id, &r->f->id));
	return true;
}

/* Read and compare everything: DM_OK, or the first error's code.  A wrong
 * byte, or a wrong name, fails the test. */
static enum dm_code
read_all(struct fixture *f)
{
	struct version_options how = { 0 };
	struct reader r = { .f = f, .got = malloc(HUGE_FILE) };
	struct version_node root;

	assert_non_null(r.got);
	OK(version_open(&r.v, f->cache, f->origin, &f->commit, &how, &err));
	version_root(r.v, &root);
	if (same_commit(&r))
		(void)same_dir(&r, &root, &f->root);
	version_close(r.v);
	free(r.got);
	return r.code;
}

/* ---- damage ---- */

static struct fixture *listing; /* nftw() has no argument to pass */

static int
add_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct fixture *f = listing;

	if (type != FTW_F || st->st_size == 0 ||
	    strstr(path, "/refs/") != NULL ||
	    strcmp(path + ftw->base, "datamount") == 0)
		return 0;
	assert_true(f->nfiles < MAX_FILES);
	(void)snprintf(f->files[f->nfiles++], sizeof(f->files[0]), "%s", path);
	return 0;
}

/* The files below dir that hold anything; of a repository, what a digest
 * names. */
static void
list_files(struct fixture *f, const char *dir)
{
	listing = f;
	f->nfiles = 0;
	assert_int_equal(nftw(dir, add_file, 8, FTW_PHYS), 0);
	assert_true(f->nfiles > 0);
}

struct kept {
	const char *path;
	struct dm_buf bytes;
};

/* False: it is gone, or empty. */
static bool
keep(struct kept *k, const char *path)
{
	bool found = false;

	*k = (struct kept){ .path = path, .bytes = { .max = 16 << 20 } };
	OK(dm_file_read(AT_FDCWD, path, &k->bytes, &found, &err));
	return k->bytes.size > 0;
}

static void
write_over(const char *path, const void *data, size_t size, size_t off)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(dm_pwrite_full(fd, data, size, off), 0);
	close(fd);
}

static void
put_back(struct kept *k)
{
	assert_int_equal(truncate(k->path, (off_t)k->bytes.size), 0);
	write_over(k->path, k->bytes.data, k->bytes.size, 0);
	dm_buf_release(&k->bytes);
}

/* Do it to the file at off, below its size. */
static void
damage(struct fixture *f, const struct kept *k, enum damage how, size_t off)
{
	const char *was = k->bytes.data;
	size_t size = k->bytes.size, other = next_random(f) % size;
	uint8_t byte = (uint8_t)was[off];

	if (how == SWAP && was[other] == was[off])
		how = FLIP;
	/* The cache does not shorten a file: it would double again and again */
	if (how == GROW && size > GROW_MAX)
		how = CUT;
	switch (how) {
	case FLIP:
		byte ^= (uint8_t)(1 << next_random(f) % 8);
		write_over(k->path, &byte, 1, off);
		break;
	case ZERO:
		byte = byte == 0 ? 0xff : 0;
		write_over(k->path, &byte, 1, off);
		break;
	case CUT:
		assert_int_equal(truncate(k->path, (off_t)off), 0);
		break;
	case SWAP:
		write_over(k->path, &was[other], 1, off);
		write_over(k->path, &byte, 1, other);
		break;
	case GROW:
		write_over(k->path, was, off, size);
		break;
	case DAMAGES:
	default:
		fail();
	}
}

static unsigned
tries(void)
{
	const char *text = getenv("DM_CORRUPT_TRIES");

	return text != NULL ? (unsigned)strtoul(text, NULL, 10) : TRIES;
}

/* The i-th position: each file gets as many as the others, in its turn. */
static size_t
position(struct fixture *f, unsigned i, const struct kept *k)
{
	size_t round = i / f->nfiles;

	return k->bytes.size <= 4096 ? round % k->bytes.size :
				       next_random(f) % k->bytes.size;
}

static void
test_a_damaged_cache_never_shows_and_heals(void **state)
{
	struct fixture *f = *state;
	struct cache_check check = { 0 };
	struct kept k;
	unsigned n = tries();

	assert_int_equal(read_all(f), DM_OK);
	for (unsigned i = 0; i < n; i++) {
		if (i % 500 == 0)
			list_files(f, f->cache_dir);
		if (!keep(&k, f->files[i % f->nfiles])) {
			list_files(f, f->cache_dir);
			assert_true(keep(&k, f->files[i % f->nfiles]));
		}
		damage(f, &k, (enum damage)(i / 7 % DAMAGES),
		    position(f, i, &k));
		dm_buf_release(&k.bytes);
		if (i % 16 == 0)
			reopen(f, false);
		assert_int_equal(read_all(f), DM_OK);
	}
	reopen(f, false);
	assert_int_equal(read_all(f), DM_OK);
	OK(cache_fsck(f->cache_dir, &check, NULL, NULL, &err));
	assert_int_equal(check.bad, 0);
	result_add("corrupt-cache", n, 0, f->seed);
}

static void
test_any_damage_of_a_repository_is_found(void **state)
{
	struct fixture *f = *state;
	struct kept k;
	unsigned n = tries() / 2;

	list_files(f, f->repo);
	for (unsigned i = 0; i < n; i++) {
		enum damage how = (enum damage)(i / 7 % DAMAGES);
		enum dm_code code;

		assert_true(keep(&k, f->files[i % f->nfiles]));
		damage(f, &k, how, position(f, i, &k));
		reopen(f, true);
		code = read_all(f);
		if (code != DM_OK && code != DM_CORRUPT && code != DM_NOTFOUND)
			fail_msg("%s, damage %d: error %d", k.path, how, code);
		put_back(&k);
		assert_int_equal(read_all(f), DM_OK);
	}
	result_add("corrupt-repository", n, 0, f->seed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_a_damaged_cache_never_shows_and_heals, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    test_any_damage_of_a_repository_is_found, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
