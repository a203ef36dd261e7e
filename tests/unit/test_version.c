/* fs/version: what a mounted tree is made of, found by name and number. */
#include "fs/version/version.h"
#include "tests/unit/check.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "cache/base/io.h"
#include "cache/net/origin.h"
#include "tests/lib/maker.h"

enum { BIG = 21000, LARGE = 5 << 20, LARGE_CHUNK = 300000, FINE_CHUNK = 64 };
enum { OWNED = 1 }; /* as chunk of a small file: data is to be freed */

/* A repository made for one test, opened. */
struct fixture {
	char dir[64], cache_dir[80], repo[80];
	struct net *net;
	struct cache *cache;
	struct origin *origin;
	struct commit commit;
	struct digest id;
	struct version *v;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/dm-version-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->repo, sizeof(f->repo), "%s/repo", f->dir);
	(void)snprintf(f->cache_dir, sizeof(f->cache_dir), "%s/cache", f->dir);
	assert_int_equal(mkdir(f->repo, 0755), 0);
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
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* Write the tree, and open it. */
static struct version *
open_tree(struct fixture *f, struct maker_entry *root, size_t page,
    size_t index)
{
	struct cache_options opt = { .dir = f->cache_dir };
	struct version_options how = { 0 };
	struct net_options wire = { 0 };

	OK(maker_write(f->repo, root, page, index, &f->id, &f->commit, &err));
	OK(net_open(&f->net, &wire, &err));
	OK(cache_open(&f->cache, &opt, &err));
	OK(origin_open(&f->origin, f->net, f->repo, &err));
	OK(version_open(&f->v, f->cache, f->origin, &f->commit, &how, &err));
	return f->v;
}

static struct maker_entry
dir(const char *name, struct maker_entry *kids, size_t nkids)
{
	struct maker_entry e = {
		.kind = TREE_DIR, .kids = kids, .nkids = nkids
	};

	(void)snprintf(e.name, sizeof(e.name), "%s", name);
	return e;
}

static struct maker_entry
file(const char *name, const char *data, size_t size)
{
	struct maker_entry e = {
		.kind = TREE_FILE, .data = data, .size = size
	};

	(void)snprintf(e.name, sizeof(e.name), "%s", name);
	return e;
}

static struct maker_entry
link_to(const char *name, const char *target)
{
	struct maker_entry e = {
		.kind = TREE_SYMLINK, .data = target, .size = strlen(target)
	};

	(void)snprintf(e.name, sizeof(e.name), "%s", name);
	return e;
}

/* ---- a random tree ---- */

static uint64_t
next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static char *
random_bytes(uint64_t *seed, size_t size)
{
	char *p = malloc(size + 8);
	size_t i;

	assert_non_null(p);
	for (i = 0; i < size; i += 8) {
		uint64_t r = next_random(seed);

		memcpy(p + i, &r, 8);
	}
	return p;
}

/* Names that sort oddly: no common length, all bytes but / and NUL. */
static void
random_name(uint64_t *seed, char *out, unsigned n)
{
	static const char odd[] = "\x01\n \"-.0Aa~\x7f\x80\xff\xc3\xa9";

	(void)snprintf(out, 64, "%c%.*s%u",
	    odd[next_random(seed) % (sizeof(odd) - 1)],
	    (int)(next_random(seed) % 5), odd + next_random(seed) % 8, n);
}

static void
fill(struct maker_entry *d, uint64_t *seed, unsigned depth)
{
	unsigned i, n = (unsigned)(next_random(seed) % 40);

	d->kids = calloc(n + 1, sizeof(*d->kids));
	d->nkids = n;
	assert_non_null(d->kids);
	for (i = 0; i < n; i++) {
		struct maker_entry *e = &d->kids[i];
		uint64_t r = next_random(seed);

		random_name(seed, e->name, i);
		if (r % 8 < 2 && depth < 4) {
			e->kind = TREE_DIR;
			fill(e, seed, depth + 1);
		} else if (r % 8 == 2) {
			*e = link_to(e->name, "x");
		} else {
			e->kind = r % 8 == 3 ? TREE_EXEC : TREE_FILE;
			e->size = next_random(seed) % 300;
			e->data = random_bytes(seed, e->size);
			e->chunk = OWNED;
		}
	}
}

static void
fill_big(struct maker_entry *d)
{
	unsigned i;

	d->kids = calloc(BIG, sizeof(*d->kids));
	d->nkids = BIG;
	assert_non_null(d->kids);
	for (i = 0; i < BIG; i++) {
		(void)snprintf(d->kids[i].name, 32, "%u", i * 7919 % BIG);
		d->kids[i].kind = i % 1000 == 0 ? TREE_DIR : TREE_FILE;
		d->kids[i].data = "0123456789";
		d->kids[i].size = i % 1000 == 0 ? 0 : 1 + i % 10;
		if (i % 1000 == 0) {
			d->kids[i].kids = calloc(1, sizeof(*d->kids));
			d->kids[i].nkids = 1;
			d->kids[i].kids[0] = file("below", "y", 1);
		}
	}
}

static void
free_tree(struct maker_entry *d)
{
	size_t i;

	for (i = 0; i < d->nkids; i++) {
		struct maker_entry *e = &d->kids[i];

		if (e->kind == TREE_DIR)
			free_tree(e);
		else if (e->chunk == OWNED)
			free((void *)(uintptr_t)e->data);
	}
	free(d->kids);
}

/* ---- every number is the entry that its path is ---- */

struct listed {
	const struct maker_entry *dir;
	const struct version_node *node;
	uint64_t n, ino;
};

static bool
compare_listed(void *arg, uint64_t n, const char *name, size_t name_len,
    const struct version_node *node)
{
	struct listed *l = arg;
	const struct maker_entry *e = &l->dir->kids[n];

	assert_int_equal(n, l->n++);
	assert_int_equal(name_len, strlen(e->name));
	assert_memory_equal(name, e->name, name_len);
	assert_int_equal(node->ino, l->ino);
	assert_int_equal(node->parent, l->node->ino);
	assert_int_equal(node->depth, l->node->depth + 1);
	assert_int_equal(node->kind, e->kind);
	if (e->kind != TREE_DIR)
		assert_int_equal(node->size, e->size);
	l->ino += 1 + node->entries;
	return true;
}

static void
assert_same(const struct version_node *a, const struct version_node *b)
{
	assert_int_equal(a->ino, b->ino);
	assert_int_equal(a->parent, b->parent);
	assert_int_equal(a->depth, b->depth);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->entries, b->entries);
	assert_memory_equal(&a->id, &b->id, sizeof(a->id));
	assert_memory_equal(&a->at.pack, &b->at.pack, sizeof(a->at.pack));
	assert_int_equal(a->at.ordinal, b->at.ordinal);
}

/* Compare all below d, whose node is given; *ino is the next number. */
static void
compare_tree(struct version *v, const struct maker_entry *d,
    const struct version_node *node, uint64_t *ino)
{
	struct listed l = { .dir = d, .node = node, .ino = *ino };
	struct version_node by_name, by_number, by_path;
	char path[DM_PATH_MAX + 1];
	uint64_t children;
	bool found = false;
	size_t i;

	OK(version_list(v, node, 0, compare_listed, &l, NULL, &err));
	assert_int_equal(l.n, d->nkids);
	OK(version_children(v, node, &children, NULL, &err));
	assert_int_equal(children, d->nkids);
	for (i = 0; i < d->nkids; i++) {
		const struct maker_entry *e = &d->kids[i];

		OK(version_lookup(v, node, e->name, strlen(e->name), &by_name,
		    &found, NULL, &err));
		assert_true(found);
		assert_int_equal(by_name.ino, *ino);
		OK(version_node(v, *ino, &by_number, NULL, &err));
		assert_same(&by_name, &by_number);
		if (version_recall_path(v, *ino, path, sizeof(path))) {
			OK(version_path(v, path, &by_path, &found, NULL, &err));
			assert_true(found);
			assert_same(&by_name, &by_path);
		}
		++*ino;
		if (e->kind == TREE_DIR)
			compare_tree(v, e, &by_name, ino);
	}
	assert_int_equal(*ino, node->ino + node->entries + 1);
}

static void
check_random_tree(struct fixture *f, uint64_t seed, size_t page, size_t index)
{
	struct maker_entry root = dir("", NULL, 0);
	struct version_node node;
	uint64_t ino = 2;

	print_message("seed %llu\n", (unsigned long long)seed);
	fill(&root, &seed, 0);
	while (root.nkids < 3 || root.kids[1].kind != TREE_DIR) {
		free_tree(&root);
		fill(&root, &seed, 0);
	}
	free_tree(&root.kids[1]);
	fill_big(&root.kids[1]);
	open_tree(f, &root, page, index);
	version_root(f->v, &node);
	compare_tree(f->v, &root, &node, &ino);
	assert_int_equal(ino, 2 + node.entries);
	FAILS(DM_INVALID, "no entry has number",
	    version_node(f->v, ino, &node, NULL, &err));
	FAILS(DM_INVALID, "no entry has number",
	    version_node(f->v, 0, &node, NULL, &err));
	free_tree(&root);
}

static void
test_every_number_is_the_entry_of_its_path(void **state)
{
	check_random_tree(*state, 88172645463325252, 0, 0);
}

static void
test_a_path_is_told_only_from_what_is_in_memory(void **state)
{
	struct maker_entry in[] = { file("b", "1", 1), file("c", "2", 1) };
	struct maker_entry top[] = { dir("a", in, 2) };
	struct maker_entry root = dir("", top, 1);
	struct fixture *f = *state;
	struct version_node node;
	char path[8];

	open_tree(f, &root, 0, 0);
	assert_true(version_recall_path(f->v, 1, path, sizeof(path)));
	assert_string_equal(path, "/");
	assert_false(version_recall_path(f->v, 4, path, sizeof(path)));
	OK(version_node(f->v, 4, &node, NULL, &err));
	assert_true(version_recall_path(f->v, 4, path, sizeof(path)));
	assert_string_equal(path, "/a/c");
	assert_true(version_recall_path(f->v, 4, path, 4));
	assert_string_equal(path, "/a/");
	assert_false(version_recall_path(f->v, 0, path, sizeof(path)));
	assert_false(version_recall_path(f->v, 5, path, sizeof(path)));
}

static void
test_a_path_is_fetched_if_it_is_not_in_memory(void **state)
{
	struct maker_entry in[] = { file("c", "1", 1) };
	struct maker_entry top[] = { dir("a", in, 1) };
	struct maker_entry root = dir("", top, 1);
	struct fixture *f = *state;
	char path[8];

	open_tree(f, &root, 0, 0);
	assert_false(version_recall_path(f->v, 3, path, sizeof(path)));
	OK(version_path_of(f->v, 3, path, sizeof(path), NULL, &err));
	assert_string_equal(path, "/a/c");
	assert_true(version_recall_path(f->v, 3, path, sizeof(path)));
	OK(version_path_of(f->v, 1, path, sizeof(path), NULL, &err));
	assert_string_equal(path, "/");
	FAILS(DM_INVALID, "no entry has number",
	    version_path_of(f->v, 4, path, sizeof(path), NULL, &err));
}

static void
test_pages_and_indexes_change_no_number(void **state)
{
	check_random_tree(*state, 1234567, 13, 20);
}

/* ---- reading ---- */

static void
compare_reads(struct version *v, const char *path, const char *data,
    size_t size, uint64_t seed)
{
	DM_AUTO(dm_freep) char *buf = malloc(size + 16);
	struct version_node node;
	struct digest want, got;
	bool found = false;
	size_t n, i;

	OK(version_path(v, path, &node, &found, NULL, &err));
	assert_true(found);
	OK(version_read(v, &node, buf, size + 16, 0, &n, NULL, &err));
	assert_int_equal(n, size);
	assert_memory_equal(buf, data, size);
	for (i = 0; i < 200; i++) {
		uint64_t off = next_random(&seed) % (size + 10);
		size_t part = next_random(&seed) % 400000 % (size + 16);
		size_t left = off < size ? size - (size_t)off : 0;

		OK(version_read(v, &node, buf, part, off, &n, NULL, &err));
		assert_int_equal(n, part < left ? part : left);
		assert_memory_equal(buf, data + (n > 0 ? off : 0), n);
	}
	digest_of(&want, data, size);
	OK(version_digest(v, &node, &got, NULL, &err));
	assert_memory_equal(&want, &got, sizeof(want));
}

static void
test_any_part_of_a_file_reads_as_published(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 4711;
	DM_AUTO(dm_freep) char *data = random_bytes(&seed, LARGE);
	struct maker_entry kids[] = {
		file("empty", data, 0), file("one", data, 1),
		file("small", data, 1 << 20), file("large", data, LARGE),
		file("pages", data, (1 << 20) + 100001), /* of 16,384 chunks */
	};
	struct maker_entry root = dir("", kids, 5);
	uint64_t chunks, cached;
	struct version_node node;
	bool found;

	kids[3].chunk = LARGE_CHUNK;
	kids[4].chunk = FINE_CHUNK;
	open_tree(f, &root, 0, 0);
	compare_reads(f->v, "empty", data, 0, 1);
	compare_reads(f->v, "one", data, 1, 2);
	compare_reads(f->v, "small", data, 1 << 20, 3);
	compare_reads(f->v, "large", data, LARGE, 4);
	compare_reads(f->v, "pages", data, (1 << 20) + 100001, 5);
	OK(version_path(f->v, "large", &node, &found, NULL, &err));
	OK(version_file_state(f->v, &node, &chunks, &cached, NULL, &err));
	assert_int_equal(chunks, LARGE / LARGE_CHUNK + 1);
	assert_int_equal(cached, LARGE);
	OK(version_path(f->v, "small", &node, &found, NULL, &err));
	OK(version_file_state(f->v, &node, &chunks, &cached, NULL, &err));
	assert_int_equal(chunks, 1);
	assert_int_equal(cached, 1 << 20);
	OK(version_path(f->v, "empty", &node, &found, NULL, &err));
	OK(version_file_state(f->v, &node, &chunks, &cached, NULL, &err));
	assert_int_equal(chunks, 0);
	OK(version_path(f->v, "pages", &node, &found, NULL, &err));
	OK(version_file_state(f->v, &node, &chunks, &cached, NULL, &err));
	assert_int_equal(chunks, ((1 << 20) + 100001) / FINE_CHUNK + 1);
}

static void
test_only_regular_files_are_read(void **state)
{
	struct fixture *f = *state;
	struct maker_entry kids[] = { link_to("l", "x"), dir("d", NULL, 0) };
	struct maker_entry root = dir("", kids, 2);
	struct version_node node;
	bool found;
	char buf[8];
	size_t n;

	open_tree(f, &root, 0, 0);
	OK(version_path(f->v, "l", &node, &found, NULL, &err));
	FAILS(DM_INVALID, "not a regular file",
	    version_read(f->v, &node, buf, 8, 0, &n, NULL, &err));
	FAILS(DM_INVALID, "not a directory",
	    version_lookup(f->v, &node, "x", 1, &node, &found, NULL, &err));
	OK(version_path(f->v, "d", &node, &found, NULL, &err));
	FAILS(DM_INVALID, "not a symlink",
	    version_readlink(f->v, &node, (char[DM_TARGET_MAX + 1]){ 0 }, NULL,
		&err));
	OK(version_path(f->v, "l/x", &node, &found, NULL, &err));
	assert_false(found);
	OK(version_path(f->v, "d/x", &node, &found, NULL, &err));
	assert_false(found);
}

/* ---- what is hidden, what leaves ---- */

static bool
count_one(void *arg, uint64_t n, const char *name, size_t name_len,
    const struct version_node *node)
{
	(void)n;
	(void)node;
	assert_false(tree_name_is_git(name, name_len));
	++*(unsigned *)arg;
	return true;
}

static void
test_git_aliases_are_neither_found_nor_listed(void **state)
{
	struct fixture *f = *state;
	struct maker_entry hidden[] = { file("config", "x", 1) };
	struct maker_entry kids[] = { dir(".git", hidden, 1),
		file("GIT~1", "x", 1), file(".gitignore", "x", 1),
		file("z", "x", 1) };
	struct maker_entry root = dir("", kids, 4);
	struct version_node node;
	unsigned n = 0;
	bool found;

	open_tree(f, &root, 0, 0);
	version_root(f->v, &node);
	OK(version_list(f->v, &node, 0, count_one, &n, NULL, &err));
	assert_int_equal(n, 2);
	OK(version_path(f->v, ".git", &node, &found, NULL, &err));
	assert_false(found);
	OK(version_path(f->v, ".git/config", &node, &found, NULL, &err));
	assert_false(found);
	OK(version_path(f->v, "GIT~1", &node, &found, NULL, &err));
	assert_false(found);
	/* Numbers stay positions all the same. */
	OK(version_path(f->v, "z", &node, &found, NULL, &err));
	assert_true(found);
	assert_int_equal(node.ino, 6);
}

static void
test_links_out_of_the_mounted_root_are_denied(void **state)
{
	struct fixture *f = *state;
	struct maker_entry deep[] = { link_to("in", "../../x"),
		link_to("out", "../../../x"), link_to("abs", "/etc/passwd") };
	struct maker_entry mid[] = { dir("c", deep, 3) };
	struct maker_entry kids[] = { dir("b", mid, 1) };
	struct maker_entry root = dir("", kids, 1);
	char target[DM_TARGET_MAX + 1];
	struct version_node node;
	bool found;

	open_tree(f, &root, 0, 0);
	OK(version_path(f->v, "b/c/in", &node, &found, NULL, &err));
	OK(version_readlink(f->v, &node, target, NULL, &err));
	assert_string_equal(target, "../../x");
	OK(version_path(f->v, "b/c/out", &node, &found, NULL, &err));
	FAILS(DM_DENIED, "leaves",
	    version_readlink(f->v, &node, target, NULL, &err));
	OK(version_path(f->v, "b/c/abs", &node, &found, NULL, &err));
	FAILS(DM_DENIED, "leaves",
	    version_readlink(f->v, &node, target, NULL, &err));

	/* Below b, "in" leaves too: the rule counts from the mounted root. */
	OK(version_open_subtree(&f->v, dm_steal(&f->v), "b", &err));
	OK(version_path(f->v, "c/in", &node, &found, NULL, &err));
	assert_int_equal(node.ino, 4);
	FAILS(DM_DENIED, "leaves",
	    version_readlink(f->v, &node, target, NULL, &err));
}

static void
test_a_subtree_begins_at_number_one(void **state)
{
	struct fixture *f = *state;
	struct maker_entry below[] = { file("x", "1", 1), file("y", "2", 1) };
	struct maker_entry kids[] = { file("a", "3", 1), dir("b", below, 2),
		file("c", "4", 1) };
	struct maker_entry root = dir("", kids, 3);
	struct version_node node;
	bool found;

	open_tree(f, &root, 0, 0);
	OK(version_open_subtree(&f->v, dm_steal(&f->v), "b", &err));
	version_root(f->v, &node);
	assert_int_equal(node.ino, 1);
	assert_int_equal(node.entries, 2);
	OK(version_path(f->v, "y", &node, &found, NULL, &err));
	assert_int_equal(node.ino, 3);
	assert_int_equal(node.parent, 1);
	assert_int_equal(node.depth, 1);
	FAILS(DM_INVALID, "no entry has number",
	    version_node(f->v, 4, &node, NULL, &err));
	FAILS(DM_INVALID, "not a directory",
	    version_open_subtree(&f->v, dm_steal(&f->v), "x", &err));
	assert_null(f->v);
	OK(version_open(&f->v, f->cache, f->origin, &f->commit,
	    &(struct version_options){ 0 }, &err));
	FAILS(DM_NOTFOUND, "no 'a/b' in this version",
	    version_open_subtree(&f->v, dm_steal(&f->v), "a/b", &err));
}

/* ---- lies ---- */

static void
lie_about_dir(void **state, struct maker_entry lie)
{
	struct fixture *f = *state;
	struct maker_entry below[] = { file("x", "1", 1), file("y", "2", 1) };
	struct maker_entry kids[] = { file("a", "3", 1), dir("b", below, 2) };
	struct maker_entry root = dir("", kids, 2);
	struct version_node node, sub;
	bool found = false;
	uint64_t ino = 3;

	lie.kids = below;
	lie.nkids = 2;
	lie.kind = TREE_DIR;
	(void)snprintf(lie.name, sizeof(lie.name), "b");
	kids[1] = lie;
	open_tree(f, &root, 0, 0);
	/* The root is fine: what lies is found where it is used. */
	OK(version_path(f->v, "a", &node, &found, NULL, &err));
	assert_true(found);
	OK(version_path(f->v, "b", &node, &found, NULL, &err));
	assert_true(found);
	FAILS(DM_CORRUPT, "",
	    version_lookup(f->v, &node, "x", 1, &sub, &found, NULL, &err));
	FAILS(DM_CORRUPT, "",
	    version_list(f->v, &node, 0, count_one, &found, NULL, &err));
	if (lie.more_entries >= 0)
		FAILS(DM_CORRUPT, "",
		    version_node(f->v, ino + 1, &node, NULL, &err));
}

static void
test_wrong_number_of_entries_is_corrupt(void **state)
{
	lie_about_dir(state, (struct maker_entry){ .more_entries = 1 });
}

static void
test_wrong_number_of_files_is_corrupt(void **state)
{
	lie_about_dir(state, (struct maker_entry){ .more_files = -1 });
}

static void
test_wrong_number_of_bytes_is_corrupt(void **state)
{
	lie_about_dir(state, (struct maker_entry){ .more_size = 5 });
}

static void
test_wrong_level_is_corrupt(void **state)
{
	lie_about_dir(state, (struct maker_entry){ .more_level = 1 });
}

static void
test_where_with_a_row_too_few_is_corrupt(void **state)
{
	lie_about_dir(state, (struct maker_entry){ .where = MAKER_SHORT });
}

static void
test_where_with_a_row_too_many_is_corrupt(void **state)
{
	lie_about_dir(state, (struct maker_entry){ .where = MAKER_LONG });
}

static void
test_where_of_another_shape_is_corrupt(void **state)
{
	lie_about_dir(state, (struct maker_entry){ .where = MAKER_SHAPE });
}

static void
test_wrong_totals_of_the_root_are_corrupt(void **state)
{
	struct fixture *f = *state;
	struct maker_entry kids[] = { file("a", "3", 1) };
	struct maker_entry root = dir("", kids, 1);
	struct version_node node;
	bool found;

	root.more_entries = 7;
	open_tree(f, &root, 0, 0);
	FAILS(DM_CORRUPT, "not what its parent says",
	    version_path(f->v, "a", &node, &found, NULL, &err));
	FAILS(DM_CORRUPT, "not what its parent says",
	    version_node(f->v, 5, &node, NULL, &err));
}

static void
test_a_wrong_place_never_gives_other_bytes(void **state)
{
	struct fixture *f = *state;
	struct maker_entry kids[] = { file("a", "first", 5),
		file("b", "other", 5), file("c", "third", 5) };
	struct maker_entry root = dir("", kids, 3);
	struct version_node node;
	bool found;
	char buf[8];
	size_t n;

	root.where = MAKER_ASIDE;
	open_tree(f, &root, 0, 0);
	OK(version_path(f->v, "a", &node, &found, NULL, &err));
	FAILS(DM_CORRUPT, "",
	    version_read(f->v, &node, buf, 8, 0, &n, NULL, &err));
}

static void
test_index_with_a_wrong_first_name_is_corrupt(void **state)
{
	static const char *const names[] = { "a", "c", "e", "g", "i", "k" };
	struct fixture *f = *state;
	struct maker_entry kids[6];
	struct maker_entry root = dir("", kids, 6);
	struct version_node node;
	unsigned n = 0;
	bool found;
	size_t i;

	for (i = 0; i < 6; i++)
		kids[i] = file(names[i], "x", 1);
	root.first = "d"; /* the second page begins with e */
	open_tree(f, &root, 2, 0);
	version_root(f->v, &node);
	FAILS(DM_CORRUPT, "not what its parent says",
	    version_lookup(f->v, &node, "e", 1, &node, &found, NULL, &err));
	version_root(f->v, &node);
	FAILS(DM_CORRUPT, "not what its parent says",
	    version_list(f->v, &node, 0, count_one, &n, NULL, &err));
	assert_int_equal(n, 2);
}

static void
test_pages_with_overlapping_names_are_corrupt(void **state)
{
	static const char *const names[] = { "a", "c", "e", "g" };
	struct fixture *f = *state;
	struct maker_entry kids[4];
	struct maker_entry root = dir("", kids, 4);
	struct version_node node;
	bool found;
	size_t i;

	for (i = 0; i < 4; i++)
		kids[i] = file(names[i], "x", 1);
	root.first = "b"; /* so c of the first page is behind it */
	open_tree(f, &root, 2, 0);
	FAILS(DM_CORRUPT, "not what its parent says",
	    version_path(f->v, "a", &node, &found, NULL, &err));
}

static void
test_a_file_of_another_size_than_its_chunks_is_corrupt(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 99;
	DM_AUTO(dm_freep) char *data = random_bytes(&seed, LARGE);
	struct maker_entry kids[] = { file("f", data, LARGE) };
	struct maker_entry root = dir("", kids, 1);
	struct version_node node;
	bool found;
	char buf[8];
	size_t n;

	kids[0].chunk = LARGE_CHUNK;
	kids[0].more_size = 1;
	open_tree(f, &root, 0, 0);
	OK(version_path(f->v, "f", &node, &found, NULL, &err));
	FAILS(DM_CORRUPT, "not what its parent says",
	    version_read(f->v, &node, buf, 8, 0, &n, NULL, &err));
}

static void
lie_about_list(void **state, size_t chunk, enum maker_where lie)
{
	struct fixture *f = *state;
	uint64_t seed = 98;
	DM_AUTO(dm_freep) char *data = random_bytes(&seed, LARGE);
	struct maker_entry kids[] = { file("f", data, 2 << 20) };
	struct maker_entry root = dir("", kids, 1);
	struct version_node node;
	uint64_t chunks, cached;
	struct digest whole;
	bool found;
	char buf[8];
	size_t n;

	kids[0].chunk = chunk;
	kids[0].where = lie;
	open_tree(f, &root, 0, 0);
	OK(version_path(f->v, "f", &node, &found, NULL, &err));
	FAILS(DM_CORRUPT, "where does not fit",
	    version_read(f->v, &node, buf, 8, 0, &n, NULL, &err));
	FAILS(DM_CORRUPT, "where does not fit",
	    version_digest(f->v, &node, &whole, NULL, &err));
	FAILS(DM_CORRUPT, "where does not fit",
	    version_file_state(f->v, &node, &chunks, &cached, NULL, &err));
}

static void
test_a_chunk_list_with_a_where_too_short_is_corrupt(void **state)
{
	lie_about_list(state, LARGE_CHUNK, MAKER_SHORT);
}

static void
test_a_chunk_list_with_a_where_of_children_is_corrupt(void **state)
{
	lie_about_list(state, LARGE_CHUNK, MAKER_SHAPE);
}

static void
test_an_index_of_chunks_with_a_where_too_short_is_corrupt(void **state)
{
	lie_about_list(state, FINE_CHUNK, MAKER_SHORT);
}

static void
test_a_missing_pack_is_an_error_and_not_an_absent_file(void **state)
{
	struct fixture *f = *state;
	struct maker_entry kids[] = { file("a", "1", 1) };
	struct maker_entry root = dir("", kids, 1);
	struct version_node node, child;
	char command[128];
	bool found = true;

	open_tree(f, &root, 0, 0);
	(void)snprintf(command, sizeof(command), "rm -r %s/packs", f->repo);
	assert_int_equal(system(command), 0);
	version_root(f->v, &node);
	FAILS(DM_NOTFOUND, "",
	    version_lookup(f->v, &node, "a", 1, &child, &found, NULL, &err));
	FAILS(DM_NOTFOUND, "",
	    version_children(f->v, &node, &(uint64_t){ 0 }, NULL, &err));
	FAILS(DM_NOTFOUND, "",
	    version_open_subtree(&f->v, dm_steal(&f->v), "a", &err));
}

/* ---- depth, sharing ---- */

static void
test_directories_nest_128_deep_and_no_deeper(void **state)
{
	struct fixture *f = *state;
	struct maker_entry level[DM_DEPTH_MAX + 2];
	struct version_node node, sub;
	bool found = true;
	int i;

	level[DM_DEPTH_MAX + 1] = file("f", "x", 1);
	for (i = DM_DEPTH_MAX; i >= 0; i--)
		level[i] = dir("d", &level[i + 1], 1);
	open_tree(f, &level[0], 0, 0);
	version_root(f->v, &node);
	for (i = 0; i < DM_DEPTH_MAX; i++) {
		OK(version_lookup(f->v, &node, "d", 1, &sub, &found, NULL,
		    &err));
		assert_true(found);
		node = sub;
	}
	assert_int_equal(node.depth, DM_DEPTH_MAX);
	OK(version_node(f->v, DM_DEPTH_MAX + 1, &node, NULL, &err));
	FAILS(DM_CORRUPT, "nested deeper",
	    version_lookup(f->v, &node, "f", 1, &sub, &found, NULL, &err));
	FAILS(DM_CORRUPT, "nested deeper",
	    version_node(f->v, DM_DEPTH_MAX + 2, &node, NULL, &err));
}

static void
test_a_tree_that_repeats_itself_has_a_number_for_each_path(void **state)
{
	enum { LEVELS = 40 };
	struct fixture *f = *state;
	struct maker_entry level[LEVELS][2], leaf[1], root;
	char path[2 * LEVELS + 8];
	struct version_node node, same;
	bool found;
	int i;

	leaf[0] = file("f", "x", 1);
	for (i = LEVELS - 1; i >= 0; i--) {
		level[i][0] = i == LEVELS - 1 ? dir("a", leaf, 1) :
						dir("a", level[i + 1], 2);
		level[i][1] = dir("b", NULL, 0);
		level[i][1].same = &level[i][0];
	}
	root = dir("", level[0], 2);
	open_tree(f, &root, 0, 0);
	for (i = 0; i < LEVELS; i++)
		memcpy(path + 2 * i, i % 3 == 0 ? "b/" : "a/", 3);
	memcpy(path + 2 * i, "f", 2);
	OK(version_path(f->v, path, &node, &found, NULL, &err));
	assert_true(found);
	OK(version_node(f->v, node.ino, &same, NULL, &err));
	assert_same(&node, &same);
	OK(version_node(f->v, f->commit.entries + 1, &same, NULL, &err));
	assert_int_equal(same.depth, LEVELS + 1);
}

/* ---- memory ---- */

static void
test_a_table_of_no_size_still_finds_everything(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 5, ino = 2;
	struct maker_entry root = dir("", NULL, 0);
	struct version_options how = { .pages = 1 };
	struct version_node node;

	fill(&root, &seed, 0);
	open_tree(f, &root, 7, 5);
	version_close(f->v);
	OK(version_open(&f->v, f->cache, f->origin, &f->commit, &how, &err));
	version_root(f->v, &node);
	compare_tree(f->v, &root, &node, &ino);
	free_tree(&root);
}

/* ---- several threads, and waits ---- */

struct prober {
	struct version *v;
	uint64_t seed;
	unsigned wrong;
};

/* Number to entry, entry to its parent, and back by name from a list. */
static void *
probe(void *arg)
{
	struct prober *p = arg;
	struct version_node root, node, parent;
	struct dm_err err = { 0 };
	unsigned i, n;

	version_root(p->v, &root);
	for (i = 0; i < 3000; i++) {
		uint64_t ino = 2 + next_random(&p->seed) % root.entries;

		n = 0;
		if (version_node(p->v, ino, &node, NULL, &err) < 0 ||
		    version_node(p->v, node.parent, &parent, NULL, &err) < 0 ||
		    version_list(p->v, &parent, 0, count_one, &n, NULL, &err) <
			0 ||
		    node.ino != ino || parent.kind != TREE_DIR || n == 0)
			p->wrong++;
	}
	return NULL;
}

static void
test_threads_share_a_small_table(void **state)
{
	struct fixture *f = *state;
	struct maker_entry root = dir("", NULL, 0);
	struct version_options how = { .pages = 20000 };
	struct prober probers[4];
	pthread_t threads[4];
	uint64_t seed = 31;
	int i;

	fill(&root, &seed, 0);
	open_tree(f, &root, 7, 5);
	version_close(f->v);
	OK(version_open(&f->v, f->cache, f->origin, &f->commit, &how, &err));
	for (i = 0; i < 4; i++) {
		probers[i] = (struct prober){ f->v, 100 + (unsigned)i, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, probe,
				     &probers[i]),
		    0);
	}
	for (i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(probers[i].wrong, 0);
	}
	free_tree(&root);
}

struct waiter {
	struct cache_wait wait; /* first: wake gets it */
	sem_t woken;
};

static void
wake(struct cache_wait *w)
{
	(void)sem_post(&((struct waiter *)w)->woken);
}

static void
test_an_operation_run_again_when_woken_gets_there(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 17;
	DM_AUTO(dm_freep) char *data = random_bytes(&seed, LARGE);
	DM_AUTO(dm_freep) char *buf = malloc(LARGE);
	struct maker_entry below[] = { file("f", data, LARGE) };
	struct maker_entry kids[] = { dir("d", below, 1) };
	struct maker_entry root = dir("", kids, 1);
	struct version_node node;
	struct dm_err err = { 0 };
	struct waiter w;
	unsigned waits = 0;
	bool found;
	size_t n;

	below[0].chunk = LARGE_CHUNK;
	open_tree(f, &root, 0, 0);
	assert_int_equal(sem_init(&w.woken, 0, 0), 0);
	cache_wait_init(&w.wait, wake, dm_deadline_ms(20000));
	while (version_path(f->v, "d/f", &node, &found, &w.wait, &err) < 0 ||
	    version_read(f->v, &node, buf, LARGE, 0, &n, &w.wait, &err) < 0) {
		if (err.code != DM_AGAIN)
			fail_msg("%s", err.text);
		assert_true(waits++ < 100);
		assert_int_equal(sem_wait(&w.woken), 0);
	}
	cache_wait_release(&w.wait);
	(void)sem_destroy(&w.woken);
	assert_true(waits >= 3);
	assert_int_equal(n, LARGE);
	assert_memory_equal(buf, data, LARGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_number_is_the_entry_of_its_path),
		TEST(pages_and_indexes_change_no_number),
		TEST(a_path_is_told_only_from_what_is_in_memory),
		TEST(a_path_is_fetched_if_it_is_not_in_memory),
		TEST(any_part_of_a_file_reads_as_published),
		TEST(only_regular_files_are_read),
		TEST(git_aliases_are_neither_found_nor_listed),
		TEST(links_out_of_the_mounted_root_are_denied),
		TEST(a_subtree_begins_at_number_one),
		TEST(wrong_number_of_entries_is_corrupt),
		TEST(wrong_number_of_files_is_corrupt),
		TEST(wrong_number_of_bytes_is_corrupt),
		TEST(wrong_level_is_corrupt),
		TEST(where_with_a_row_too_few_is_corrupt),
		TEST(where_with_a_row_too_many_is_corrupt),
		TEST(where_of_another_shape_is_corrupt),
		TEST(wrong_totals_of_the_root_are_corrupt),
		TEST(a_wrong_place_never_gives_other_bytes),
		TEST(index_with_a_wrong_first_name_is_corrupt),
		TEST(pages_with_overlapping_names_are_corrupt),
		TEST(a_file_of_another_size_than_its_chunks_is_corrupt),
		TEST(a_chunk_list_with_a_where_too_short_is_corrupt),
		TEST(a_chunk_list_with_a_where_of_children_is_corrupt),
		TEST(an_index_of_chunks_with_a_where_too_short_is_corrupt),
		TEST(a_missing_pack_is_an_error_and_not_an_absent_file),
		TEST(directories_nest_128_deep_and_no_deeper),
		TEST(a_tree_that_repeats_itself_has_a_number_for_each_path),
		TEST(a_table_of_no_size_still_finds_everything),
		TEST(threads_share_a_small_table),
		TEST(an_operation_run_again_when_woken_gets_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
