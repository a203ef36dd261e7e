/* The .source file: read strictly, for what it says is fetched and trusted. */
#include "fs/format/source_file.h"

#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/hex.h"
#include "fs/format/text.h"
#include "fs/format/tree.h"

#define COMMENT                                           \
	"# Which data belongs here.  Made by datamount; " \
	"see datamount-source(5).\n"

enum key {
	KEY_VERSION,
	KEY_REPOSITORY,
	KEY_REPOSITORY_ID,
	KEY_COMMIT,
	KEY_PATH,
	KEY_REF,
	KEY_SEQUENCE,
	KEYS,
};

/* In the order in which they must come. */
static const char *const key_names[KEYS] = {
	[KEY_VERSION] = "version",
	[KEY_REPOSITORY] = "repository",
	[KEY_REPOSITORY_ID] = "repository-id",
	[KEY_COMMIT] = "commit",
	[KEY_PATH] = "path",
	[KEY_REF] = "ref",
	[KEY_SEQUENCE] = "sequence",
};

/* Also U+0080 to U+009F: a terminal takes U+009B for ESC and "[".  All else
 * may be the name of a folder. */
static bool
has_control(struct text t)
{
	for (size_t i = 0; i < t.size; i++) {
		unsigned char c = (unsigned char)t.data[i];

		if (c < 0x20 || c == 0x7f)
			return true;
		if (c == 0xc2 && i + 1 < t.size &&
		    ((unsigned char)t.data[i + 1] & 0xe0) == 0x80)
			return true;
	}
	return false;
}

static bool
repository_valid(struct text t)
{
	return t.size > 0 && t.size <= SOURCE_URL_MAX && !has_control(t);
}

/* A path below the root, without slashes at its ends. */
static bool
path_valid(struct text t)
{
	struct text part;

	if (t.size == 0 || t.size > DM_PATH_MAX || has_control(t))
		return false;
	for (unsigned depth = 0; depth <= DM_DEPTH_MAX; depth++) {
		if (!text_cut(&part, &t, '/'))
			return tree_name_valid(t.data, t.size);
		if (!tree_name_valid(part.data, part.size))
			return false;
	}
	return false;
}

static void
copy(char *out, struct text t)
{
	memcpy(out, t.data, t.size);
	out[t.size] = '\0';
}

/* Each sets its field, or says what is wrong with the value. */
static const char *
set_repository(struct source_file *s, struct text value)
{
	if (s->nrepositories == SOURCE_MIRRORS_MAX)
		return "too many repositories";
	if (!repository_valid(value))
		return "bad repository";
	copy(s->repository[s->nrepositories++], value);
	return NULL;
}

static const char *
set_path(struct source_file *s, struct text value)
{
	if (!text_skip(&value, "/") || !path_valid(value))
		return "bad path: it begins with / and has no empty part, "
		       ". or ..";
	copy(s->path, value);
	return NULL;
}

static const char *
set_value(struct source_file *s, enum key key, struct text value)
{
	switch (key) {
	case KEY_VERSION:
		return NULL; /* read before all else */
	case KEY_REPOSITORY:
		return set_repository(s, value);
	case KEY_REPOSITORY_ID:
		return value.size == REPO_ID_HEX &&
			dm_hex_decode(s->repo_id, REPO_ID_SIZE, value.data) ?
		    NULL :
		    "repository-id is not 32 hex digits";
	case KEY_COMMIT:
		return digest_parse(&s->commit, value.data, value.size) ?
		    NULL :
		    "commit is not 64 hex digits";
	case KEY_PATH:
		return set_path(s, value);
	case KEY_REF:
		if (!ref_name_valid(value.data, value.size))
			return "bad name of a ref";
		copy(s->ref, value);
		return NULL;
	case KEY_SEQUENCE:
		if (s->ref[0] == '\0')
			return "sequence without ref";
		return text_number(value, INT64_MAX, &s->sequence) &&
			s->sequence > 0 ?
		    NULL :
		    "bad sequence";
	case KEYS:
		break;
	}
	return "unknown key";
}

/* Split "key = value". */
static const char *
split(struct text line, enum key *key, struct text *value)
{
	struct text name;

	if (text_skip(&line, "<<<<<<<") || text_skip(&line, ">>>>>>>") ||
	    text_skip(&line, "======="))
		return "unresolved merge conflict: keep one side";
	if (has_control(line))
		return "control bytes";
	if (!text_cut(&name, &line, ' ') || !text_skip(&line, "= "))
		return "not \"key = value\"";
	for (unsigned k = 0; k < KEYS; k++) {
		if (!text_equal(name, key_names[k]))
			continue;
		*key = (enum key)k;
		*value = line;
		return NULL;
	}
	return "unknown key";
}

/* Whether key may follow last. */
static bool
in_order(int last, enum key key)
{
	if (key == KEY_REPOSITORY && last == KEY_REPOSITORY)
		return true;
	return (int)key > last;
}

/* One line that is neither empty nor a comment. */
static int
read_line(struct source_file *s, struct text line, int *last, unsigned *seen,
    struct dm_err *err)
{
	enum key key = KEYS;
	struct text value = { 0 };
	const char *fault = split(line, &key, &value);

	if (fault != NULL)
		return dm_fail(err, DM_INVALID, "%s", fault);
	if (!in_order(*last, key))
		return dm_fail(err, DM_INVALID, "%s is doubled or too late",
		    key_names[key]);
	if (*last < 0 && key != KEY_VERSION)
		return dm_fail(err, DM_INVALID, "version must come first");
	if (key == KEY_VERSION && !text_equal(value, "1"))
		return dm_fail(err, DM_INVALID,
		    "version is not 1: made by a newer datamount, or damaged");
	fault = set_value(s, key, value);
	if (fault != NULL)
		return dm_fail(err, DM_INVALID, "%s", fault);
	*last = (int)key;
	*seen |= 1U << key;
	return 0;
}

/* Keys that must be there, were they? */
static int
check_seen(unsigned seen, struct dm_err *err)
{
	for (unsigned k = KEY_VERSION; k <= KEY_COMMIT; k++)
		if ((seen & (1U << k)) == 0)
			return dm_fail(err, DM_INVALID, "%s is missing",
			    key_names[k]);
	return 0;
}

int
source_file_decode(struct source_file *out, const void *text, size_t size,
    struct dm_err *err)
{
	struct text rest = { text, size }, line;
	unsigned seen = 0;
	int last = -1;

	memset(out, 0, sizeof(*out));
	if (size > DM_SOURCE_MAX)
		return dm_fail(err, DM_INVALID, "larger than a .source file");
	for (unsigned n = 1; rest.size > 0; n++) {
		if (!text_cut(&line, &rest, '\n')) {
			line = rest;
			rest.size = 0;
		}
		if (line.size == 0 ||
		    (line.data[0] == '#' && !has_control(line)))
			continue;
		if (read_line(out, line, &last, &seen, err) < 0)
			return dm_wrap(err, "line %u", n);
	}
	return check_seen(seen, err);
}

static const char *
fields_fault(const struct source_file *s)
{
	if (s->nrepositories == 0 || s->nrepositories > SOURCE_MIRRORS_MAX)
		return "needs one to eight repositories";
	for (unsigned i = 0; i < s->nrepositories; i++) {
		const char *r = s->repository[i];

		if (!repository_valid((struct text){ r, strlen(r) }))
			return "bad repository";
	}
	if (s->path[0] != '\0' &&
	    !path_valid((struct text){ s->path, strlen(s->path) }))
		return "bad path";
	if (s->ref[0] != '\0' && !ref_name_valid(s->ref, strlen(s->ref)))
		return "bad name of a ref";
	if (s->sequence > INT64_MAX || (s->sequence > 0 && s->ref[0] == '\0'))
		return "bad sequence";
	return NULL;
}

int
source_file_encode(const struct source_file *s, struct dm_buf *out,
    struct dm_err *err)
{
	char id[REPO_ID_HEX + 1], commit[DIGEST_HEX + 1];
	const char *fault = fields_fault(s);

	if (fault != NULL)
		return dm_fail(err, DM_INVALID, ".source file: %s", fault);
	if (dm_buf_printf(out, err, COMMENT "version = 1\n") < 0)
		return -1;
	for (unsigned i = 0; i < s->nrepositories; i++)
		if (dm_buf_printf(out, err, "repository = %s\n",
			s->repository[i]) < 0)
			return -1;
	dm_hex_encode(id, s->repo_id, REPO_ID_SIZE);
	digest_hex(&s->commit, commit);
	if (dm_buf_printf(out, err, "repository-id = %s\ncommit = %s\n", id,
		commit) < 0)
		return -1;
	if (s->path[0] != '\0' &&
	    dm_buf_printf(out, err, "path = /%s\n", s->path) < 0)
		return -1;
	if (s->ref[0] != '\0' &&
	    dm_buf_printf(out, err, "ref = %s\n", s->ref) < 0)
		return -1;
	if (s->sequence > 0 &&
	    dm_buf_printf(out, err, "sequence = %llu\n",
		(unsigned long long)s->sequence) < 0)
		return -1;
	return 0;
}
