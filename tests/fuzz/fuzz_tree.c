/* tree_decode, and all that searches what it let pass. */
#include "fs/format/tree.h"
#include "tests/fuzz/fuzz.h"

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
