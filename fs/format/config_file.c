/*
 * Configuration files.
 *
 * They look like those of git, but have no quoting, no continued lines, no
 * comments behind values and no includes: what a line means can be seen by
 * looking at it.
 */
#include "fs/format/config_file.h"

#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "fs/format/source_file.h"

enum {
	TIMEOUT_MAX = 1000000000, /* seconds */
	ITEMS_FIRST = 16,
	VALUE_MAX = 4095, /* of a path, as PATH_MAX has it */
};

const char *const config_section_names[CONFIG_SECTIONS] = {
	[CONFIG_CACHE] = "cache",
	[CONFIG_NETWORK] = "network",
	[CONFIG_MOUNT] = "mount",
	[CONFIG_REPOSITORY] = "repository",
};

const char *const config_key_names[CONFIG_KEYS] = {
	[CONFIG_CACHE_DIR] = "dir",
	[CONFIG_CACHE_MEMORY] = "memory",
	[CONFIG_CACHE_SIZE] = "size",
	[CONFIG_NETWORK_TIMEOUT] = "timeout",
	[CONFIG_MOUNT_ALLOW_OTHER] = "allow-other",
	[CONFIG_MOUNT_SYMLINKS] = "symlinks",
	[CONFIG_MOUNT_IO] = "io",
	[CONFIG_REPOSITORY_URL] = "url",
	[CONFIG_REPOSITORY_MIRROR] = "mirror",
	[CONFIG_REPOSITORY_CACHE_DIR] = "cache-dir",
	[CONFIG_REPOSITORY_MEMORY] = "memory",
	[CONFIG_REPOSITORY_TIMEOUT] = "timeout",
};

/* Each says what is wrong with a value, or NULL, and sets *number: 0 for what
 * is none. */
typedef const char *(*check_fn)(struct text value, uint64_t *number);

static const char *
check_dir(struct text value, uint64_t *number)
{
	*number = 0;
	return value.data[0] == '/' && value.size <= VALUE_MAX ?
	    NULL :
	    "a directory is an absolute path";
}

static const char *
check_bytes(struct text value, uint64_t *number)
{
	static const char units[] = "KMGT";
	const char *unit = strchr(units, value.data[value.size - 1]);
	unsigned shift = 0;

	if (unit != NULL && *unit != '\0') {
		shift = 10 * (unsigned)(unit - units + 1);
		value.size--;
	}
	if (!text_number(value, (uint64_t)INT64_MAX >> shift, number))
		return "a size is a number of bytes, or like 500M or 2G";
	*number <<= shift;
	return NULL;
}

static const char *
check_size(struct text value, uint64_t *number)
{
	static const struct text by_disk = { "default", 7 };

	if (value.size == by_disk.size &&
	    memcmp(value.data, by_disk.data, value.size) == 0) {
		*number = 0;
		return NULL;
	}
	return check_bytes(value, number);
}

static const char *
check_seconds(struct text value, uint64_t *number)
{
	return text_number(value, TIMEOUT_MAX, number) ?
	    NULL :
	    "a timeout is a number of seconds";
}

static const char *
check_flag(struct text value, uint64_t *number)
{
	*number = text_equal(value, "yes");
	return *number != 0 || text_equal(value, "no") ? NULL : "say yes or no";
}

static const char *
check_symlinks(struct text value, uint64_t *number)
{
	*number = text_equal(value, "all");
	return *number != 0 || text_equal(value, "inside") ?
	    NULL :
	    "symlinks is all or inside";
}

static const char *
check_io(struct text value, uint64_t *number)
{
	static const char *const words[] = { "auto", "daemon", "passthrough" };

	for (*number = 0; *number < sizeof(words) / sizeof(words[0]);
	     (*number)++)
		if (text_equal(value, words[*number]))
			return NULL;
	return "io is auto, daemon or passthrough";
}

static bool
has_scheme(struct text value)
{
	size_t n = 0;

	while (n < value.size &&
	    strchr("abcdefghijklmnopqrstuvwxyz0123456789+-.", value.data[n]) !=
		NULL)
		n++;
	value.data += n;
	value.size -= n;
	return n > 0 && text_skip(&value, "://") && value.size > 0;
}

/* An @ would begin a ref, or end a user's name and password, which have no
 * place here. */
static const char *
check_url(struct text value, uint64_t *number)
{
	*number = 0;
	if (value.size > SOURCE_URL_MAX)
		return "the URL is too long";
	if (memchr(value.data, '@', value.size) != NULL)
		return "no user and no ref may stand here: an @ of the path is "
		       "written %40";
	if (value.data[0] != '/' && !has_scheme(value))
		return "neither a URL nor an absolute path";
	return NULL;
}

static const struct {
	enum config_section section;
	check_fn check;
} keys[CONFIG_KEYS] = {
	[CONFIG_CACHE_DIR] = { CONFIG_CACHE, check_dir },
	[CONFIG_CACHE_MEMORY] = { CONFIG_CACHE, check_bytes },
	[CONFIG_CACHE_SIZE] = { CONFIG_CACHE, check_size },
	[CONFIG_NETWORK_TIMEOUT] = { CONFIG_NETWORK, check_seconds },
	[CONFIG_MOUNT_ALLOW_OTHER] = { CONFIG_MOUNT, check_flag },
	[CONFIG_MOUNT_SYMLINKS] = { CONFIG_MOUNT, check_symlinks },
	[CONFIG_MOUNT_IO] = { CONFIG_MOUNT, check_io },
	[CONFIG_REPOSITORY_URL] = { CONFIG_REPOSITORY, check_url },
	[CONFIG_REPOSITORY_MIRROR] = { CONFIG_REPOSITORY, check_url },
	[CONFIG_REPOSITORY_CACHE_DIR] = { CONFIG_REPOSITORY, check_dir },
	[CONFIG_REPOSITORY_MEMORY] = { CONFIG_REPOSITORY, check_bytes },
	[CONFIG_REPOSITORY_TIMEOUT] = { CONFIG_REPOSITORY, check_seconds },
};

/* A file in the making. */
struct reader {
	struct config_file *out;
	size_t room;
	unsigned line;
	/* of the section at hand; CONFIG_SECTIONS before the first */
	enum config_section section;
	struct text name;
	unsigned header; /* the line that began it */
	unsigned seen;   /* keys, as bits */
	unsigned mirrors;
	unsigned sections; /* seen, as bits; but repositories */
};

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9');
}

bool
config_name_valid(struct text name)
{
	static const char suffix[] = ".source";
	const size_t n = sizeof(suffix) - 1;

	if (name.size == 0 || name.size > CONFIG_NAME_MAX ||
	    !is_alnum(name.data[0]))
		return false;
	for (size_t i = 0; i < name.size; i++)
		if (!is_alnum(name.data[i]) && name.data[i] != '.' &&
		    name.data[i] != '_' && name.data[i] != '-')
			return false;
	return name.size < n ||
	    memcmp(name.data + name.size - n, suffix, n) != 0;
}

static struct text
trim(struct text t)
{
	while (t.size > 0 && (t.data[0] == ' ' || t.data[0] == '\t')) {
		t.data++;
		t.size--;
	}
	while (t.size > 0 &&
	    (t.data[t.size - 1] == ' ' || t.data[t.size - 1] == '\t'))
		t.size--;
	return t;
}

static bool
same(struct text a, struct text b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* Every section has one item at least, so items tell which names there are. */
static bool
name_is_taken(const struct reader *r, struct text name)
{
	for (size_t i = 0; i < r->out->n; i++)
		if (r->out->items[i].section == CONFIG_REPOSITORY &&
		    same(r->out->items[i].name, name))
			return true;
	return false;
}

/* The section that was read last must be whole. */
static int
end_section(const struct reader *r, struct dm_err *err)
{
	if (r->section != CONFIG_REPOSITORY ||
	    (r->seen & (1U << CONFIG_REPOSITORY_URL)) != 0)
		return 0;
	return dm_fail(err, DM_INVALID,
	    "line %u: [repository \"%.*s\"] has no url", r->header,
	    (int)r->name.size, r->name.data);
}

/* What is wrong with the inside of "[...]"; it begins a section. */
static const char *
begin_section(struct reader *r, struct text head)
{
	unsigned s = 0;

	r->name = (struct text){ "", 0 };
	if (text_skip(&head, "repository \"")) {
		if (head.size == 0 || head.data[head.size - 1] != '"')
			return "not [repository \"NAME\"]";
		head.size--;
		if (!config_name_valid(head))
			return "a short name has letters, digits, '.', '_' and "
			       "'-' only, begins with a letter or digit, and "
			       "does not end in .source";
		if (name_is_taken(r, head))
			return "this repository is there already";
		r->name = head;
		r->section = CONFIG_REPOSITORY;
		return NULL;
	}
	while (s < CONFIG_REPOSITORY &&
	    !text_equal(head, config_section_names[s]))
		s++;
	if (s == CONFIG_REPOSITORY)
		return "unknown section: [cache], [network], [mount] and "
		       "[repository \"NAME\"] are known";
	if ((r->sections & (1U << s)) != 0)
		return "this section is there already";
	r->sections |= 1U << s;
	r->section = (enum config_section)s;
	return NULL;
}

static int
add(struct reader *r, const struct config_item *item, struct dm_err *err)
{
	struct config_file *f = r->out;
	struct config_item *grown;
	size_t room = r->room > 0 ? r->room * 2 : ITEMS_FIRST;

	if (f->n == r->room) {
		grown = realloc(f->items, room * sizeof(*grown));
		if (grown == NULL)
			return dm_fail(err, DM_NOMEM, "configuration");
		f->items = grown;
		r->room = room;
	}
	f->items[f->n++] = *item;
	return 0;
}

/* What is wrong with "key = value"; it fills the item. */
static const char *
split(struct reader *r, struct text line, struct config_item *item)
{
	struct text name;
	unsigned k = 0;

	if (r->section == CONFIG_SECTIONS)
		return "a [section] must come first";
	if (!text_cut(&name, &line, '='))
		return "not \"key = value\"";
	name = trim(name);
	item->value = trim(line);
	while (k < CONFIG_KEYS &&
	    (keys[k].section != r->section ||
		!text_equal(name, config_key_names[k])))
		k++;
	if (k == CONFIG_KEYS)
		return "no key of this section";
	if (item->value.size == 0)
		return "no value";
	if (memchr(item->value.data, '\t', item->value.size) != NULL)
		return "a tab inside of the value";
	if ((r->seen & (1U << k)) != 0 && k != CONFIG_REPOSITORY_MIRROR)
		return "this key is there already";
	if (k == CONFIG_REPOSITORY_MIRROR && ++r->mirrors == SOURCE_MIRRORS_MAX)
		return "too many mirrors";
	r->seen |= 1U << k;
	item->key = (enum config_key)k;
	return keys[k].check(item->value, &item->number);
}

/* A line that begins with "[". */
static int
read_header(struct reader *r, struct text line, struct dm_err *err)
{
	const char *fault = "no ] at the end";

	if (end_section(r, err) < 0)
		return -1;
	r->seen = r->mirrors = 0;
	r->header = r->line;
	if (line.data[line.size - 1] == ']')
		fault = begin_section(r,
		    (struct text){ line.data + 1, line.size - 2 });
	if (fault != NULL)
		return dm_fail(err, DM_INVALID, "line %u: %s", r->line, fault);
	return 0;
}

static int
read_line(struct reader *r, struct text line, struct dm_err *err)
{
	struct config_item item = { .line = r->line };
	struct text inner = trim(line);
	const char *fault;

	if (line.size > 0 && line.data[line.size - 1] == '\r')
		return dm_fail(err, DM_INVALID,
		    "line %u: it ends in CR LF: save the file with LF only",
		    r->line);
	if (!text_is_clean(inner, true))
		return dm_fail(err, DM_INVALID,
		    "line %u: control bytes, or not UTF-8", r->line);
	if (inner.size == 0 || inner.data[0] == '#')
		return 0;
	if (inner.data[0] == '[')
		return read_header(r, inner, err);
	fault = split(r, inner, &item);
	if (fault != NULL)
		return dm_fail(err, DM_INVALID, "line %u: %s", r->line, fault);
	item.section = r->section;
	item.name = r->name;
	return add(r, &item, err);
}

static int
read_lines(struct reader *r, struct text rest, struct dm_err *err)
{
	struct text line;

	while (rest.size > 0) {
		r->line++;
		if (!text_cut(&line, &rest, '\n')) {
			line = rest;
			rest.size = 0;
		}
		if (read_line(r, line, err) < 0)
			return -1;
	}
	return end_section(r, err);
}

int
config_file_decode(struct config_file *out, const void *text, size_t size,
    struct dm_err *err)
{
	struct reader r = { .out = out, .section = CONFIG_SECTIONS };

	*out = (struct config_file){ 0 };
	if (size > CONFIG_MAX)
		return dm_fail(err, DM_INVALID,
		    "larger than a configuration file");
	if (read_lines(&r, (struct text){ text, size }, err) < 0) {
		config_file_release(out);
		return -1;
	}
	return 0;
}

void
config_file_release(struct config_file *f)
{
	free(f->items);
	*f = (struct config_file){ 0 };
}
