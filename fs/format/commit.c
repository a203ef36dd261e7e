/* A commit: canonical text, so that sha256sum(1) prints its id. */
#include "fs/format/commit.h"

#include <stdbool.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "fs/format/limits.h"
#include "fs/format/text.h"

enum { KEY_NAME_MAX = 64 };

/* The value of the next line, which must have that key. */
static bool
take(struct text *rest, const char *key, struct text *value)
{
	struct text after = *rest, line;

	if (!text_cut(&line, &after, '\n') || !text_skip(&line, key) ||
	    !text_skip(&line, " "))
		return false;
	*rest = after;
	*value = line;
	return true;
}

static bool
take_number(struct text *rest, const char *key, uint64_t max, uint64_t *out)
{
	struct text value;

	return take(rest, key, &value) && text_number(value, max, out);
}

static bool
take_id(struct text *rest, const char *key, struct digest *out)
{
	struct text value;

	return take(rest, key, &value) &&
	    digest_parse(out, value.data, value.size);
}

/* at HEX OFF LEN ORDINAL */
static bool
take_at(struct text *rest, struct commit *c)
{
	struct text value, hex, off, len;
	uint64_t dir_len, ordinal;

	if (!take(rest, "at", &value) || !text_cut(&hex, &value, ' ') ||
	    !text_cut(&off, &value, ' ') || !text_cut(&len, &value, ' ') ||
	    !digest_parse(&c->at_pack, hex.data, hex.size) ||
	    !text_number(off, DM_BYTES_MAX, &c->at_dir_off) ||
	    !text_number(len, UINT32_MAX, &dir_len) || dir_len == 0 ||
	    !text_number(value, UINT32_MAX, &ordinal))
		return false;
	c->at_dir_len = (uint32_t)dir_len;
	c->at_ordinal = (uint32_t)ordinal;
	return true;
}

static bool
has_parent(const struct commit *c, const struct digest *id, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (digest_equal(&c->parents[i], id))
			return true;
	return false;
}

static const char *
take_parents(struct text *rest, struct commit *c)
{
	struct text value;

	while (take(rest, "parent", &value)) {
		struct digest id;

		if (c->nparents == COMMIT_PARENTS_MAX)
			return "too many parents";
		if (!digest_parse(&id, value.data, value.size) ||
		    has_parent(c, &id, c->nparents))
			return "bad parent";
		c->parents[c->nparents++] = id;
	}
	return NULL;
}

static bool
take_author(struct text *rest, struct commit *c)
{
	struct text value;

	c->author[0] = '\0';
	if (!take(rest, "author", &value))
		return true;
	if (value.size == 0 || value.size > COMMIT_AUTHOR_MAX ||
	    !text_is_clean(value, false))
		return false;
	memcpy(c->author, value.data, value.size);
	c->author[value.size] = '\0';
	return true;
}

/* The NAME of an "x-NAME TEXT" line, if the line is well-formed. */
static bool
key_name(struct text line, struct text *name)
{
	if (!text_skip(&line, "x-") || !text_cut(name, &line, ' ') ||
	    name->size == 0 || name->size > KEY_NAME_MAX || line.size == 0 ||
	    !text_is_clean(line, false))
		return false;
	for (size_t i = 0; i < name->size; i++) {
		char c = name->data[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '-')
			return false;
	}
	return true;
}

/* Take x- lines off the front of *rest. */
static bool
take_keys(struct text *rest)
{
	struct text last = { "", 0 }, line, name, after = *rest;

	for (unsigned n = 0; text_cut(&line, &after, '\n'); n++) {
		size_t common;
		int c;

		if (line.size < 2 || memcmp(line.data, "x-", 2) != 0)
			return true;
		if (n == COMMIT_KEYS_MAX || !key_name(line, &name))
			return false;
		common = last.size < name.size ? last.size : name.size;
		c = memcmp(last.data, name.data, common);
		if (c > 0 || (c == 0 && last.size >= name.size))
			return false;
		last = name;
		*rest = after;
	}
	return true;
}

/* Everything behind the format line, or what is wrong. */
static const char *
decode_rest(struct commit *c, struct text rest)
{
	uint64_t level = 0;
	const char *fault;

	if (!take_id(&rest, "tree", &c->tree) || digest_is_zero(&c->tree))
		return "bad tree";
	if (!take_number(&rest, "level", DM_LEVEL_MAX, &level))
		return "bad level";
	c->level = (uint8_t)level;
	if (!take_number(&rest, "entries", DM_ENTRIES_MAX, &c->entries) ||
	    !take_number(&rest, "files", c->entries, &c->files) ||
	    !take_number(&rest, "bytes", c->files > 0 ? DM_BYTES_MAX : 0,
		&c->bytes))
		return "bad totals";
	if (!take_at(&rest, c))
		return "bad place of the root";
	fault = take_parents(&rest, c);
	if (fault != NULL)
		return fault;
	if (!take_number(&rest, "time", DM_TIME_MAX, &c->time))
		return "bad time";
	if (!take_author(&rest, c))
		return "bad author";
	c->keys = rest.data;
	if (!take_keys(&rest))
		return "bad free key";
	c->keys_size = (size_t)(rest.data - c->keys);
	if (!text_skip(&rest, "\n"))
		return "unknown or misplaced line";
	if (rest.size > DM_MESSAGE_MAX || !text_is_clean(rest, true))
		return "bad message";
	c->message = rest.data;
	c->message_size = rest.size;
	return NULL;
}

int
commit_decode(struct commit *out, const void *text, size_t size,
    struct dm_err *err)
{
	struct text rest = { text, size }, value;
	struct commit c = { 0 };
	const char *fault;
	uint64_t format;

	if (size > DM_COMMIT_MAX)
		return dm_fail(err, DM_CORRUPT, "commit: too large");
	if (!take(&rest, "format", &value) ||
	    !text_number(value, UINT64_MAX, &format) || format == 0)
		return dm_fail(err, DM_CORRUPT, "not a commit");
	if (format != 1)
		return dm_fail(err, DM_INVALID,
		    "commit of format %llu, made by a newer datamount: "
		    "update this one",
		    (unsigned long long)format);
	fault = decode_rest(&c, rest);
	if (fault != NULL)
		return dm_fail(err, DM_CORRUPT, "commit: %s", fault);
	*out = c;
	return 0;
}

/* What commit_decode could not see once the fields are one text. */
static const char *
field_fault(const struct commit *c)
{
	struct text author = { c->author, strlen(c->author) };
	struct text keys = { c->keys, c->keys_size };

	if (c->nparents > COMMIT_PARENTS_MAX)
		return "too many parents";
	if (!text_is_clean(author, false))
		return "bad author: not UTF-8, or control characters";
	if (c->message_size > DM_MESSAGE_MAX)
		return "message too long";
	if (!text_is_clean((struct text){ c->message, c->message_size }, true))
		return "bad message: not UTF-8, or control characters";
	if (!take_keys(&keys) || keys.size > 0)
		return "bad free key";
	return NULL;
}

static int
encode(const struct commit *c, struct dm_buf *out, struct dm_err *err)
{
	char hex[DIGEST_HEX + 1], pack[DIGEST_HEX + 1];

	digest_hex(&c->tree, hex);
	digest_hex(&c->at_pack, pack);
	if (dm_buf_printf(out, err,
		"format 1\ntree %s\nlevel %u\nentries %llu\nfiles %llu\n"
		"bytes %llu\nat %s %llu %u %u\n",
		hex, c->level, (unsigned long long)c->entries,
		(unsigned long long)c->files, (unsigned long long)c->bytes,
		pack, (unsigned long long)c->at_dir_off, c->at_dir_len,
		c->at_ordinal) < 0)
		return -1;
	for (unsigned i = 0; i < c->nparents; i++) {
		digest_hex(&c->parents[i], hex);
		if (dm_buf_printf(out, err, "parent %s\n", hex) < 0)
			return -1;
	}
	if (dm_buf_printf(out, err, "time %llu\n",
		(unsigned long long)c->time) < 0)
		return -1;
	if (c->author[0] != '\0' &&
	    dm_buf_printf(out, err, "author %s\n", c->author) < 0)
		return -1;
	if (dm_buf_append(out, c->keys, c->keys_size, err) < 0 ||
	    dm_buf_append(out, "\n", 1, err) < 0)
		return -1;
	return dm_buf_append(out, c->message, c->message_size, err);
}

int
commit_encode(const struct commit *c, struct dm_buf *out, struct dm_err *err)
{
	const char *fault = field_fault(c);
	size_t begins = out->size;
	struct commit check;

	if (fault != NULL)
		return dm_fail(err, DM_INVALID, "commit: %s", fault);
	if (encode(c, out, err) < 0)
		return -1;
	/* The other rules are in one place. */
	if (commit_decode(&check, out->data + begins, out->size - begins,
		err) == 0)
		return 0;
	err->code = DM_INVALID;
	return -1;
}
