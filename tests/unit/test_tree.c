/* fs/format/tree: pages and indexes of a directory. */
#include "fs/format/tree.h"
#include "tests/unit/refusals.h"

#include "cache/base/le.h"
#include "cache/base/object.h"
#include "fs/format/limits.h"

enum { RECORDS = 48, RECORD = 64, INDEX_RECORD = 80 };

static struct tree_entry
entry(const char *name, enum tree_kind kind, uint64_t size)
{
	struct tree_entry e = { .name = name,
		.name_len = (uint16_t)strlen(name),
		.kind = kind,
		.size = size };

	if (kind == TREE_FILE || kind == TREE_EXEC)
		e.files = 1;
	if (kind == TREE_DIR || (e.files == 1 && size > 0))
		e.id = id_of((uint8_t)name[0]);
	return e;
}

static void
finish(struct tree_encoder *e, struct dm_buf *out, struct tree_child *summary)
{
	struct tree_child s;

	OK(tree_encode_finish(e, out, summary == NULL ? &s : summary, &err));
}

/* dir (7 entries, 5 files, 1000 bytes), empty, link -> dir/x, run */
static void
encode_page(struct dm_buf *out, struct tree_child *summary)
{
	struct tree_encoder *e = tree_encoder_new(0);
	struct tree_entry d = entry("dir", TREE_DIR, 1000);
	struct tree_entry f = entry("empty", TREE_FILE, 0);
	struct tree_entry l = entry("link", TREE_SYMLINK, 5);
	struct tree_entry x = entry("run", TREE_EXEC, 99);

	assert_non_null(e);
	d.how = 2;
	d.entries = 7;
	d.files = 5;
	l.target = "dir/x";
	OK(tree_encode_entry(e, &d, &err));
	OK(tree_encode_entry(e, &f, &err));
	OK(tree_encode_entry(e, &l, &err));
	OK(tree_encode_entry(e, &x, &err));
	assert_int_equal(tree_encoder_count(e), 4);
	finish(e, out, summary);
	assert_int_equal(tree_encoder_count(e), 0);
	tree_encoder_free(e);
}

static struct tree_child
child(const char *name, uint64_t children, uint64_t entries)
{
	return (struct tree_child){ .name = name,
		.name_len = (uint16_t)strlen(name),
		.children = children,
		.entries = entries,
		.files = 1,
		.bytes = 10,
		.id = id_of((uint8_t)name[0]) };
}

/* Pages from "a" (2 children, 5 entries), "m" (3, 3), "t" (1, 9). */
static void
encode_index(struct dm_buf *out)
{
	struct tree_encoder *e = tree_encoder_new(1);
	struct tree_child a = child("a", 2, 5), m = child("m", 3, 3);
	struct tree_child t = child("t", 1, 9);

	assert_non_null(e);
	OK(tree_encode_child(e, &a, &err));
	OK(tree_encode_child(e, &m, &err));
	OK(tree_encode_child(e, &t, &err));
	finish(e, out, NULL);
	tree_encoder_free(e);
}

static void
test_a_page_comes_back_as_it_was_given(void **state)
{
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct tree_child sum;
	struct tree_entry e;
	struct digest id;
	struct tree t;

	(void)state;
	encode_page(&b, &sum);
	OK(tree_decode(&t, b.data, b.size, &err));
	assert_int_equal(t.count, 4);
	assert_int_equal(t.children, 4);
	assert_int_equal(t.entries, 11);
	assert_int_equal(t.files, 7);
	assert_int_equal(t.bytes, 1099);
	assert_int_equal(sum.entries, 11);
	digest_of(&id, b.data, b.size);
	assert_true(digest_equal(&id, &sum.id));
	tree_entry_at(&t, 0, &e);
	assert_int_equal(e.kind, TREE_DIR);
	assert_int_equal(e.how, 2);
	assert_int_equal(e.entries, 7);
	assert_int_equal(e.files, 5);
	assert_int_equal(e.before, 0);
	tree_entry_at(&t, 2, &e);
	assert_int_equal(e.kind, TREE_SYMLINK);
	assert_int_equal(e.name_len, 4);
	assert_memory_equal(e.name, "link", 4);
	assert_memory_equal(e.target, "dir/x", 5);
	assert_int_equal(e.before, 9);
	tree_entry_at(&t, 3, &e);
	assert_int_equal(e.entries, 0);
	assert_null(e.target);
	dm_buf_release(&b);
}

static void
test_an_empty_directory_is_a_page_without_records(void **state)
{
	struct tree_encoder *e = tree_encoder_new(0);
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	bool found = true;
	struct tree t;
	uint32_t i;

	(void)state;
	assert_non_null(e);
	finish(e, &b, NULL);
	assert_int_equal(b.size, RECORDS);
	OK(tree_decode(&t, b.data, b.size, &err));
	assert_int_equal(t.count, 0);
	tree_find(&t, "a", 1, &i, &found);
	assert_false(found);
	tree_encoder_free(e);
	dm_buf_release(&b);
}

static void
test_an_index_comes_back_as_it_was_given(void **state)
{
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct tree_child c;
	struct tree t;

	(void)state;
	encode_index(&b);
	OK(tree_decode(&t, b.data, b.size, &err));
	assert_int_equal(t.level, 1);
	assert_int_equal(t.children, 6);
	assert_int_equal(t.entries, 17);
	tree_child_at(&t, 1, &c);
	assert_int_equal(c.children_before, 2);
	assert_int_equal(c.entries_before, 5);
	assert_int_equal(c.children, 3);
	assert_int_equal(c.entries, 3);
	assert_int_equal(c.bytes, 10);
	tree_child_at(&t, 2, &c);
	assert_int_equal(c.children, 1);
	assert_int_equal(c.entries, 9);
	dm_buf_release(&b);
}

static int
decode(const void *data, size_t size, struct dm_err *err)
{
	struct tree t;

	return tree_decode(&t, data, size, err);
}

static void
encode_page_only(struct dm_buf *b)
{
	encode_page(b, NULL);
}

#define R(n) (RECORDS + (n)*RECORD)
#define HEAP R(4)

static void
test_only_the_canonical_page_passes(void **state)
{
	static const struct patch patches[] = {
		{ 0, 1, "d", "not an object" },
		{ 4, 1, "\3", "not an object" },
		{ 5, 1, "\4", "bad number of records" },
		{ 5, 1, "\1", "bad size" },
		{ 6, 1, "\1", "not an object" },
		{ 8, 1, "\3", "bad size" },
		{ 8, 2, "\1\x20", "bad number of records" },
		{ 12, 1, "\1", "bad size" },
		{ 12, 4, "\1\0\x20\0", "bad size" },
		{ 16, 1, "\5", "wrong totals" },
		{ 24, 1, "\x0c", "record 3: bad sums of a file" },
		{ 24, 8, ZERO8, "record 3: bad sum of entries" },
		{ 32, 1, "\x0a", "wrong totals" },
		{ 40, 1, "\0", "wrong totals" },
		{ R(0), 1, "\1", "record 0: name is not" },
		{ R(0) + 4, 2, "\xff\xff", "record 0: name is not" },
		{ R(0) + 4, 2, "\0\0", "record 0: bad name" },
		{ R(0) + 6, 1, "\0", "record 0: unknown kind" },
		{ R(0) + 6, 1, "\5", "record 0: unknown kind" },
		{ R(0) + 7, 1, "\4", "record 0: bad level" },
		{ R(0) + 8, 8, FULL8, "record 0: impossible sum" },
		{ R(0) + 16, 1, "\1", "record 0: bad sum of entries" },
		{ R(0) + 24, 1, "\x08", "record 0: impossible sum" },
		{ R(0) + 24, 1, "\0", "record 0: impossible sum" },
		{ R(0) + 32, 32, ZERO32, "record 0: bad id" },
		{ R(1) + 7, 1, "\1", "record 1: unknown kind of id" },
		{ R(1) + 8, 1, "\1", "record 1: bad id" },
		{ R(1) + 16, 1, "\0", "record 0: bad sum of entries" },
		{ R(1) + 16, 8, FULL8, "record 0: impossible sum" },
		{ R(1) + 24, 1, "\0", "record 1: bad sums of a file" },
		{ R(1) + 32, 1, "\1", "record 1: bad id" },
		{ R(2) + 7, 1, "\1", "record 2: bad symlink" },
		{ R(2) + 8, 1, "\0", "record 2: bad symlink" },
		{ R(2) + 8, 1, "\4", "record 3: name is not" },
		{ R(2) + 8, 1, "\x09", "record 2: symlink target is cut" },
		{ R(2) + 24, 1, "\1", "record 2: bad symlink" },
		{ R(2) + 40, 1, "\1", "record 2: bad id" },
		{ R(3) + 7, 1, "\2", "record 3: unknown kind of id" },
		{ R(3) + 14, 1, "\5", "record 3: bad sums of a file" },
		{ HEAP, 1, "f", "record 1: names are not in order" },
		{ HEAP + 3, 1, "/", "record 1: bad name" },
		{ HEAP + 14, 1, "\0", "record 2: bad symlink target" },
	};

	(void)state;
	refuse_patched(encode_page_only, decode, patches,
	    sizeof(patches) / sizeof(patches[0]));
}

#define I(n) (RECORDS + (n)*INDEX_RECORD)

static void
test_only_the_canonical_index_passes(void **state)
{
	static const struct patch patches[] = {
		{ 8, 2, "\0\0", "bad number of records" },
		{ 8, 2, "\1\x08", "bad number of records" },
		{ 16, 1, "\5", "record 2: impossible sum" },
		{ 24, 1, "\x08", "record 2: impossible sum" },
		{ 24, 8, FULL8, "record 2: impossible sum" },
		{ 32, 1, "\2", "wrong totals" },
		{ 40, 1, "\2", "wrong totals" },
		{ I(0) + 6, 1, "\1", "record 0: reserved" },
		{ I(0) + 8, 1, "\1", "record 0: bad sum of entries" },
		{ I(0) + 24, 1, "\6", "record 0: impossible sum" },
		{ I(0) + 24, 1, "\0", "record 0: impossible sum" },
		{ I(0) + 32, 8, FULL8, "record 0: impossible sum" },
		{ I(0) + 40, 1, "\1", "record 0: reserved" },
		{ I(0) + 48, 32, ZERO32, "record 0: bad id" },
		{ I(1) + 8, 1, "\0", "record 0: impossible sum" },
		{ I(1) + 16, 1, "\1", "record 0: impossible sum" },
		{ I(3), 1, "z", "record 1: names are not in order" },
		{ I(3) + 1, 1, "a", "record 1: names are not in order" },
	};

	(void)state;
	refuse_patched(encode_index, decode, patches,
	    sizeof(patches) / sizeof(patches[0]));
}

static void
test_an_object_of_another_size_is_refused(void **state)
{
	(void)state;
	refuse_other_sizes(encode_page_only, decode);
}

static void
test_a_name_is_found_and_others_are_not(void **state)
{
	static const struct {
		const char *name;
		bool found;
		uint32_t i;
	} page[] = { { "dir", true, 0 }, { "empty", true, 1 },
		{ "link", true, 2 }, { "run", true, 3 }, { "a", false, 0 },
		{ "di", false, 0 }, { "dira", false, 0 }, { "z", false, 0 } },
	  index[] = { { "A", false, 0 }, { "a", true, 0 }, { "b", true, 0 },
		  { "lzz", true, 0 }, { "m", true, 1 }, { "t", true, 2 },
		  { "zz", true, 2 } };
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	uint32_t n = 0;
	struct tree t;
	bool found;

	(void)state;
	encode_page(&b, NULL);
	OK(tree_decode(&t, b.data, b.size, &err));
	for (size_t i = 0; i < sizeof(page) / sizeof(page[0]); i++) {
		tree_find(&t, page[i].name, strlen(page[i].name), &n, &found);
		assert_int_equal(found, page[i].found);
		assert_true(!found || n == page[i].i);
	}
	dm_buf_clear(&b);
	encode_index(&b);
	OK(tree_decode(&t, b.data, b.size, &err));
	for (size_t i = 0; i < sizeof(index) / sizeof(index[0]); i++) {
		tree_find(&t, index[i].name, strlen(index[i].name), &n, &found);
		assert_int_equal(found, index[i].found);
		assert_true(!found || n == index[i].i);
	}
	dm_buf_release(&b);
}

static void
test_positions_lead_to_the_record_that_covers_them(void **state)
{
	static const uint32_t page[] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3 };
	static const uint32_t index[] = { 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2,
		2, 2, 2, 2 };
	static const uint32_t children[] = { 0, 0, 1, 1, 1, 2 };
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct tree t;

	(void)state;
	encode_page(&b, NULL);
	OK(tree_decode(&t, b.data, b.size, &err));
	for (uint32_t i = 0; i < t.entries; i++)
		assert_int_equal(tree_by_entry(&t, i), page[i]);
	for (uint32_t i = 0; i < t.children; i++)
		assert_int_equal(tree_by_child(&t, i), i);
	dm_buf_clear(&b);
	encode_index(&b);
	OK(tree_decode(&t, b.data, b.size, &err));
	for (uint32_t i = 0; i < t.entries; i++)
		assert_int_equal(tree_by_entry(&t, i), index[i]);
	for (uint32_t i = 0; i < t.children; i++)
		assert_int_equal(tree_by_child(&t, i), children[i]);
	dm_buf_release(&b);
}

static void
test_encoders_refuse_what_decoders_would(void **state)
{
	struct tree_entry bad[] = {
		entry("..", TREE_FILE, 0),
		entry("a/b", TREE_FILE, 0),
		entry("", TREE_FILE, 0),
		entry("big", TREE_FILE, DM_FILE_MAX + 1),
		entry("link", TREE_SYMLINK, 0),
		entry("long", TREE_SYMLINK, DM_TARGET_MAX + 1),
		entry("dir", TREE_DIR, 1),
		entry("deep", TREE_DIR, 0),
		entry("many", TREE_DIR, 0),
		entry("odd", (enum tree_kind)9, 0),
	};
	struct tree_encoder *e;

	(void)state;
	bad[7].how = DM_LEVEL_MAX + 1;
	bad[8].entries = DM_ENTRIES_MAX;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		e = tree_encoder_new(0);
		assert_non_null(e);
		FAILS(DM_INVALID, "", tree_encode_entry(e, &bad[i], &err));
		tree_encoder_free(e);
	}
}

static void
test_names_must_ascend_by_bytes(void **state)
{
	struct tree_encoder *e = tree_encoder_new(0);
	struct tree_entry a = entry("a", TREE_FILE, 0);
	struct tree_entry high = entry("\xff", TREE_FILE, 0);
	struct tree_entry ab = entry("a.b", TREE_FILE, 0);

	(void)state;
	assert_non_null(e);
	OK(tree_encode_entry(e, &a, &err));
	FAILS(DM_INVALID, "not in order", tree_encode_entry(e, &a, &err));
	tree_encoder_free(e);
	e = tree_encoder_new(0);
	OK(tree_encode_entry(e, &a, &err));
	OK(tree_encode_entry(e, &ab, &err));
	OK(tree_encode_entry(e, &high, &err));
	FAILS(DM_INVALID, "not in order", tree_encode_entry(e, &ab, &err));
	tree_encoder_free(e);
}

static void
test_limits_hold_on_both_sides(void **state)
{
	struct tree_entry big = entry("a", TREE_FILE, DM_FILE_MAX);
	struct tree_entry dir = entry("b", TREE_DIR, DM_BYTES_MAX);
	struct tree_entry full = entry("c", TREE_DIR, 0);
	struct tree_entry last = entry("d", TREE_FILE, 0);
	struct tree_child wide = child("a", DM_DIR_ENTRIES_MAX, 1ULL << 40);
	struct tree_child more = child("b", 1, 1);
	struct tree_encoder *e = tree_encoder_new(0);
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct tree t;

	(void)state;
	dir.files = dir.entries = 1;
	full.entries = DM_ENTRIES_MAX - 1;
	OK(tree_encode_entry(e, &full, &err));
	FAILS(DM_INVALID, "too many entries",
	    tree_encode_entry(e, &last, &err));
	finish(e, &b, NULL);
	OK(tree_decode(&t, b.data, b.size, &err));
	OK(tree_encode_entry(e, &big, &err));
	FAILS(DM_INVALID, "too many bytes", tree_encode_entry(e, &dir, &err));
	tree_encoder_free(e);
	e = tree_encoder_new(1);
	OK(tree_encode_child(e, &wide, &err));
	FAILS(DM_INVALID, "in one directory",
	    tree_encode_child(e, &more, &err));
	dm_buf_clear(&b);
	finish(e, &b, NULL);
	OK(tree_decode(&t, b.data, b.size, &err));
	tree_encoder_free(e);
	dm_buf_release(&b);
}

static void
test_a_page_holds_8192_records(void **state)
{
	struct tree_encoder *e = tree_encoder_new(0);
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct tree_entry x;
	char name[16];
	struct tree t;

	(void)state;
	for (int i = 0; i < TREE_PAGE_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%06d", i);
		x = entry(name, TREE_FILE, 0);
		OK(tree_encode_entry(e, &x, &err));
	}
	x = entry("z", TREE_FILE, 0);
	FAILS(DM_INVALID, "full", tree_encode_entry(e, &x, &err));
	finish(e, &b, NULL);
	OK(tree_decode(&t, b.data, b.size, &err));
	assert_int_equal(t.count, TREE_PAGE_MAX);
	tree_encoder_free(e);
	dm_buf_release(&b);
}

static void
test_an_index_holds_2048_records(void **state)
{
	struct tree_encoder *e = tree_encoder_new(1);
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct tree_child c;
	char name[16];
	struct tree t;

	(void)state;
	for (int i = 0; i < TREE_INDEX_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%06d", i);
		c = child(name, 1, 1);
		OK(tree_encode_child(e, &c, &err));
	}
	c = child("z", 1, 1);
	FAILS(DM_INVALID, "full", tree_encode_child(e, &c, &err));
	finish(e, &b, NULL);
	OK(tree_decode(&t, b.data, b.size, &err));
	assert_int_equal(t.count, TREE_INDEX_MAX);
	tree_encoder_free(e);
	dm_buf_release(&b);
}

/* 512 links of 4 + 4,092 bytes: exactly as much as a heap holds. */
static void
test_a_heap_holds_2_mib(void **state)
{
	struct tree_encoder *e = tree_encoder_new(0);
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct tree_entry x;
	char name[16], target[4092];
	struct tree t;

	(void)state;
	memset(target, 't', sizeof(target));
	for (int i = 0; i < 512; i++) {
		(void)snprintf(name, sizeof(name), "%04d", i);
		x = entry(name, TREE_SYMLINK, sizeof(target));
		x.target = target;
		OK(tree_encode_entry(e, &x, &err));
	}
	finish(e, &b, NULL);
	OK(tree_decode(&t, b.data, b.size, &err));
	assert_int_equal(b.size, RECORDS + 512 * RECORD + TREE_HEAP_MAX);
	for (int i = 0; i < 512; i++) {
		(void)snprintf(name, sizeof(name), "%04d", i);
		x = entry(name, TREE_SYMLINK, sizeof(target));
		x.target = target;
		OK(tree_encode_entry(e, &x, &err));
	}
	x = entry("z", TREE_FILE, 0);
	FAILS(DM_INVALID, "larger than", tree_encode_entry(e, &x, &err));
	tree_encoder_free(e);
	dm_buf_release(&b);
}

static void
test_a_target_ends_at_4095_bytes(void **state)
{
	struct tree_encoder *e = tree_encoder_new(0);
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	char target[DM_TARGET_MAX + 1];
	struct tree_entry x;
	struct tree t;

	(void)state;
	memset(target, 't', sizeof(target));
	x = entry("link", TREE_SYMLINK, DM_TARGET_MAX);
	x.target = target;
	OK(tree_encode_entry(e, &x, &err));
	x = entry("more", TREE_SYMLINK, DM_TARGET_MAX + 1);
	x.target = target;
	FAILS(DM_INVALID, "bad symlink", tree_encode_entry(e, &x, &err));
	finish(e, &b, NULL);
	OK(tree_decode(&t, b.data, b.size, &err));
	/* one byte more in size, heap and header */
	OK(dm_buf_append(&b, "t", 1, &err));
	le32_put(b.data + 12, 4 + DM_TARGET_MAX + 1);
	le64_put(b.data + RECORDS + 8, DM_TARGET_MAX + 1);
	FAILS(DM_CORRUPT, "bad symlink", tree_decode(&t, b.data, b.size, &err));
	tree_encoder_free(e);
	dm_buf_release(&b);
}

static void
test_names_end_at_255_bytes(void **state)
{
	char name[DM_NAME_MAX + 1];

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_true(tree_name_valid(name, DM_NAME_MAX));
	assert_false(tree_name_valid(name, DM_NAME_MAX + 1));
	assert_false(tree_name_valid(name, 0));
	assert_true(tree_name_valid("...", 3));
	assert_true(tree_name_valid("a\nb\xff", 4));
	assert_false(tree_name_valid(".", 1));
	assert_false(tree_name_valid("..", 2));
	assert_false(tree_name_valid("a/", 2));
	assert_false(tree_name_valid("a\0b", 3));
}

static void
test_git_aliases_are_known(void **state)
{
	static const struct {
		const char *name;
		bool git;
	} cases[] = { { ".git", true }, { ".GIT", true }, { ".gIt", true },
		{ ".git.", true }, { ".git ", true }, { ".git . .", true },
		{ ".git::$INDEX_ALLOCATION", true }, { ".git\\x", true },
		{ "git~1", true }, { "GIT~1", true }, { "git~1.", true },
		{ ".g\xe2\x80\x8cit", true }, { "\xe2\x80\xaa.git", true },
		{ ".git\xef\xbb\xbf", true }, { ".gi\xe2\x81\xaat", true },
		{ ".gitignore", false }, { ".gitattributes", false },
		{ "git", false }, { "git~2", false }, { "git~10", false },
		{ ".gi", false }, { ".g\xe2\x80\x90it", false },
		{ "x.git", false }, { ".git-x", false } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (tree_name_is_git(cases[i].name, strlen(cases[i].name)) !=
		    cases[i].git)
			fail_msg("%s", cases[i].name);
}

static void
test_targets_that_leave_are_known(void **state)
{
	static const struct {
		const char *target;
		unsigned depth;
		bool stays;
	} cases[] = { { "a", 0, true }, { "a/b/c", 0, true }, { ".", 0, true },
		{ "./a", 0, true }, { "..", 0, false }, { "..", 1, true },
		{ "../a", 1, true }, { "../../a", 1, false },
		{ "../../a", 2, true }, { ".././../a", 2, true },
		{ "a/..", 5, false }, { "a/../b", 5, false },
		{ "/a", 9, false }, { "", 9, false }, { "...", 0, true },
		{ "..a", 0, true }, { "a//b", 0, true },
		{ "..//..", 1, false } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (tree_target_stays(cases[i].target, strlen(cases[i].target),
			cases[i].depth) != cases[i].stays)
			fail_msg("%s at %u", cases[i].target, cases[i].depth);
}

/* A name whose digest asks for a new page of that level. */
static void
splitter(char name[16], uint8_t level, uint64_t mod)
{
	struct digest d;

	for (unsigned i = 0;; i++) {
		(void)snprintf(name, 16, "%u", i);
		digest_of(&d, name, strlen(name));
		if (le64_get(d.bytes + 8 * level) % mod == 0)
			return;
	}
}

static void
test_pages_split_where_names_say(void **state)
{
	char yes[16];

	(void)state;
	splitter(yes, 0, TREE_PAGE_MOD);
	assert_true(tree_split_before(0, TREE_PAGE_MIN, 0, yes, strlen(yes),
	    9));
	assert_false(tree_split_before(0, TREE_PAGE_MIN - 1, 0, yes,
	    strlen(yes), 9));
	assert_false(tree_split_before(0, TREE_PAGE_MAX - 1, 0, "x", 1, 1));
	assert_true(tree_split_before(0, TREE_PAGE_MAX, 0, "x", 1, 1));
	assert_false(tree_split_before(0, 0, TREE_HEAP_MAX - 1, "x", 1, 1));
	assert_true(tree_split_before(0, 0, TREE_HEAP_MAX, "x", 1, 1));
	for (uint8_t level = 1; level <= DM_LEVEL_MAX; level++) {
		splitter(yes, level, TREE_INDEX_MOD);
		assert_true(tree_split_before(level, TREE_INDEX_MIN, 0, yes,
		    strlen(yes), 9));
		assert_false(tree_split_before(level, TREE_INDEX_MIN - 1, 0,
		    yes, strlen(yes), 9));
		assert_true(tree_split_before(level, TREE_INDEX_MAX, 0, "x", 1,
		    1));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_page_comes_back_as_it_was_given),
		cmocka_unit_test(
		    test_an_empty_directory_is_a_page_without_records),
		cmocka_unit_test(test_an_index_comes_back_as_it_was_given),
		cmocka_unit_test(test_only_the_canonical_page_passes),
		cmocka_unit_test(test_only_the_canonical_index_passes),
		cmocka_unit_test(test_an_object_of_another_size_is_refused),
		cmocka_unit_test(test_a_name_is_found_and_others_are_not),
		cmocka_unit_test(
		    test_positions_lead_to_the_record_that_covers_them),
		cmocka_unit_test(test_encoders_refuse_what_decoders_would),
		cmocka_unit_test(test_names_must_ascend_by_bytes),
		cmocka_unit_test(test_limits_hold_on_both_sides),
		cmocka_unit_test(test_a_page_holds_8192_records),
		cmocka_unit_test(test_an_index_holds_2048_records),
		cmocka_unit_test(test_a_heap_holds_2_mib),
		cmocka_unit_test(test_a_target_ends_at_4095_bytes),
		cmocka_unit_test(test_names_end_at_255_bytes),
		cmocka_unit_test(test_git_aliases_are_known),
		cmocka_unit_test(test_targets_that_leave_are_known),
		cmocka_unit_test(test_pages_split_where_names_say),
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
