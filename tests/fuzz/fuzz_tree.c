/* tree_decode, and all that searches what it let pass. */
#include "fs/format/tree.h"
#include "tests/fuzz/mutate.h"

#include "cache/base/object.h"

static void
again(const struct tree *t, struct dm_buf *out, struct dm_err *err)
{
	struct tree_encoder *e = tree_encoder_new(t->level);
	struct tree_child child, summary;
	struct tree_entry entry;

	assert(e != NULL);
	for (uint32_t i = 0; i < t->count; i++) {
		if (t->level == 0) {
			tree_entry_at(t, i, &entry);
			MUST(tree_encode_entry(e, &entry, err));
		} else {
			tree_child_at(t, i, &child);
			MUST(tree_encode_child(e, &child, err));
		}
	}
	MUST(tree_encode_finish(e, out, &summary, err));
	assert(summary.entries == t->entries);
	tree_encoder_free(e);
}

static void
search(const struct tree *t)
{
	struct tree_entry entry;
	struct tree_child child;
	uint32_t at = 0;
	bool found;

	for (uint32_t i = 0; i < t->count; i++) {
		if (t->level == 0) {
			tree_entry_at(t, i, &entry);
			(void)tree_name_is_git(entry.name, entry.name_len);
			if (entry.target != NULL)
				(void)tree_target_stays(entry.target,
				    entry.size, 1);
			tree_find(t, entry.name, entry.name_len, &at, &found);
			assert(tree_by_entry(t, entry.before) == i);
			assert(tree_by_entry(t, entry.before + entry.entries) ==
			    i);
		} else {
			tree_child_at(t, i, &child);
			tree_find(t, child.name, child.name_len, &at, &found);
			assert(tree_by_entry(t, child.entries_before) == i);
			assert(tree_by_child(t, child.children_before) == i);
		}
		assert(found && at == i);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct dm_err err;
	struct tree t;

	if (tree_decode(&t, data, size, &err) < 0)
		return 0;
	search(&t);
	again(&t, &b, &err);
	SAME(&b, data, size);
	dm_buf_release(&b);
	return 0;
}

/* ---- mutations ---- */

/* An entry that a publisher might write, or nearly so. */
static void
make_entry(struct chance *c, struct tree_entry *e)
{
	e->kind = (enum tree_kind)(1 + chance(c, 4));
	e->size = chance_number(c);
	e->how = (uint8_t)(chance(c, 4) == 0 ? chance(c, 256) : 0);
	chance_digest(c, &e->id);
	switch (e->kind) {
	case TREE_DIR:
		e->files = chance_number(c);
		e->entries = e->files + chance_number(c);
		break;
	case TREE_SYMLINK:
		e->target = "../a/../b";
		e->size = 1 + chance(c, 9);
		memset(&e->id, 0, sizeof(e->id));
		break;
	case TREE_FILE:
	case TREE_EXEC:
		e->files = 1;
		if (e->size == 0)
			memset(&e->id, 0, sizeof(e->id));
	}
}

/* Names ascend: each is the last one with its end made larger or longer. */
static void
next_name(struct chance *c, char name[256], uint16_t *len)
{
	if (*len > 0 && chance(c, 2) == 0) {
		unsigned char last = (unsigned char)name[*len - 1];

		if (last < 250) {
			name[*len - 1] = (char)(last + 1 + chance(c, 5));
			return;
		}
	}
	if (*len < 250)
		name[(*len)++] = (char)('0' + chance(c, 70));
}

static int
make_page(struct chance *c, struct tree_encoder *e, const struct tree *old)
{
	uint32_t n = old->count > 0 ? old->count : 1 + chance(c, 40);
	uint32_t changed = chance(c, n);
	char name[256];
	uint16_t len = 0;
	struct dm_err err;

	for (uint32_t i = 0; i < n; i++) {
		struct tree_entry entry = { 0 };

		if (i < old->count) {
			tree_entry_at(old, i, &entry);
			if (i == changed && chance(c, 3) == 0)
				continue;
			if (i == changed)
				make_entry(c, &entry);
		} else {
			next_name(c, name, &len);
			entry.name = name;
			entry.name_len = len;
			make_entry(c, &entry);
		}
		if (tree_encode_entry(e, &entry, &err) < 0)
			return -1;
	}
	return 0;
}

static int
make_index(struct chance *c, struct tree_encoder *e, const struct tree *old)
{
	uint32_t n = old->count > 0 ? old->count : 1 + chance(c, 40);
	uint32_t changed = chance(c, n);
	char name[256];
	uint16_t len = 0;
	struct dm_err err;

	for (uint32_t i = 0; i < n; i++) {
		struct tree_child child = { 0 };

		if (i < old->count)
			tree_child_at(old, i, &child);
		else {
			next_name(c, name, &len);
			child.name = name;
			child.name_len = len;
		}
		if (i >= old->count || i == changed) {
			child.children = 1 + chance_number(c);
			child.files = chance_number(c);
			child.entries = child.children + child.files;
			child.bytes = chance_number(c);
			chance_digest(c, &child.id);
		}
		if (tree_encode_child(e, &child, &err) < 0)
			return -1;
	}
	return 0;
}

static int
make(struct chance *c, const struct tree *old, struct dm_buf *out)
{
	struct tree_encoder *e = tree_encoder_new(old->level);
	struct tree_child summary;
	struct dm_err err;
	int rc;

	assert(e != NULL);
	rc = old->level == 0 ? make_page(c, e, old) : make_index(c, e, old);
	if (rc == 0)
		rc = tree_encode_finish(e, out, &summary, &err);
	tree_encoder_free(e);
	return rc;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	static const struct layout page = { 48, 64, 8 }, index = { 48, 80, 8 };
	struct chance c = chance_of(seed);
	struct dm_buf b = DM_BUF(OBJECT_STRUCT_MAX);
	struct tree old = { 0 };
	struct dm_err err;

	switch (chance(&c, 4)) {
	case 0:
		return LLVMFuzzerMutate(data, size, max);
	case 1:
		return edit_layout(&c, size > 5 && data[5] > 0 ? &index : &page,
		    data, size, max);
	default:
		if (chance(&c, 2) == 0 ||
		    tree_decode(&old, data, size, &err) < 0)
			old = (struct tree){ .level = (uint8_t)chance(&c, 4) };
		return replace(data, size, max, &b, make(&c, &old, &b));
	}
}
