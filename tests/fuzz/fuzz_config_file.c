/* config_file_decode.  What comes out lies in the text, in its order, and
 * makes the same items again when it is written down line by line. */
#include "fs/format/config_file.h"
#include "tests/fuzz/fuzz.h"

static void
write_down(struct dm_buf *out, const struct config_file *f)
{
	const struct config_item *last = NULL;
	struct dm_err err;

	for (size_t i = 0; i < f->n; i++) {
		const struct config_item *it = &f->items[i];

		if (last == NULL || last->section != it->section ||
		    last->name.data != it->name.data)
			MUST(dm_buf_printf(out, &err, "[%s%s%.*s%s]\n",
			    config_section_names[it->section],
			    it->name.size > 0 ? " \"" : "", (int)it->name.size,
			    it->name.data, it->name.size > 0 ? "\"" : ""));
		MUST(dm_buf_printf(out, &err, "%s = %.*s\n",
		    config_key_names[it->key], (int)it->value.size,
		    it->value.data));
		last = it;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_buf text = DM_BUF(4 * CONFIG_MAX);
	struct config_file f, g;
	unsigned line = 0;
	struct dm_err err;

	if (config_file_decode(&f, data, size, &err) < 0)
		return 0;
	for (size_t i = 0; i < f.n; i++) {
		const struct config_item *it = &f.items[i];

		assert(it->line > line && it->value.size > 0);
		assert(it->value.data > (const char *)data);
		assert(it->value.data + it->value.size <=
		    (const char *)data + size);
		line = it->line;
	}
	write_down(&text, &f);
	/* Spaces that were left out may not fit any more. */
	if (text.size <= CONFIG_MAX && text.size > 0) {
		MUST(config_file_decode(&g, text.data, text.size, &err));
		assert(g.n == f.n);
		for (size_t i = 0; i < f.n; i++)
			assert(g.items[i].key == f.items[i].key &&
			    g.items[i].number == f.items[i].number);
		config_file_release(&g);
	}
	config_file_release(&f);
	dm_buf_release(&text);
	return 0;
}
