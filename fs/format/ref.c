/* Refs, the lists of them, and the file that says "a repository is here". */
#include "fs/format/ref.h"

#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/hex.h"
#include "fs/format/text.h"

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z');
}

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
	    (c >= 'A' && c <= 'F');
}

static bool
ends_with(const char *name, size_t size, const char *end)
{
	size_t n = strlen(end);

	return size >= n && memcmp(name + size - n, end, n) == 0;
}

/* May b follow a?  Both are '/' at the ends of the name. */
static bool
pair_valid(char a, char b)
{
	if (a == '/' || a == '.')
		return b != '/' && b != '.';
	return true;
}

bool
ref_name_valid(const char *name, size_t size)
{
	size_t hex = 0;

	if (size == 0 || size > DM_REF_NAME_MAX || !is_alnum(name[0]))
		return false;
	for (size_t i = 0; i < size; i++) {
		char next = '/';

		if (i + 1 < size)
			next = name[i + 1];
		if (!is_alnum(name[i]) && strchr("._-/", name[i]) == NULL)
			return false;
		if (name[i] == '\0' || !pair_valid(name[i], next))
			return false;
		hex += is_hex(name[i]);
	}
	if (ends_with(name, size, ".lock") || ends_with(name, size, ".tmp"))
		return false;
	return hex != size || size < 8 || size > DIGEST_HEX;
}

/* The value of the next line, which must have that key. */
static bool
take(struct text *rest, const char *key, struct text *value)
{
	return text_cut(value, rest, '\n') && text_skip(value, key) &&
	    text_skip(value, " ");
}

static bool
ref_fields_valid(const struct ref *r)
{
	return r->sequence > 0 && r->sequence <= INT64_MAX &&
	    r->time <= DM_TIME_MAX;
}

int
ref_decode(struct ref *out, const void *text, size_t size, struct dm_err *err)
{
	struct text rest = { text, size }, commit, sequence, time;
	struct ref r = { 0 };

	if (size > DM_REF_MAX || !take(&rest, "commit", &commit) ||
	    !take(&rest, "sequence", &sequence) ||
	    !take(&rest, "time", &time) || rest.size != 0 ||
	    !digest_parse(&r.commit, commit.data, commit.size) ||
	    !text_number(sequence, INT64_MAX, &r.sequence) ||
	    !text_number(time, DM_TIME_MAX, &r.time) || !ref_fields_valid(&r))
		return dm_fail(err, DM_CORRUPT, "not a ref");
	*out = r;
	return 0;
}

int
ref_encode(const struct ref *r, struct dm_buf *out, struct dm_err *err)
{
	char hex[DIGEST_HEX + 1];

	if (!ref_fields_valid(r))
		return dm_fail(err, DM_INVALID, "ref: bad sequence or time");
	digest_hex(&r->commit, hex);
	return dm_buf_printf(out, err, "commit %s\nsequence %llu\ntime %llu\n",
	    hex, (unsigned long long)r->sequence, (unsigned long long)r->time);
}

int
repo_file_decode(uint8_t id[REPO_ID_SIZE], const void *text, size_t size,
    struct dm_err *err)
{
	struct text rest = { text, size }, line;
	uint8_t found[REPO_ID_SIZE];
	uint64_t version;

	if (size > DM_REF_MAX || !take(&rest, "datamount repository", &line) ||
	    !text_number(line, UINT64_MAX, &version) || version == 0)
		return dm_fail(err, DM_CORRUPT,
		    "not the datamount file of a repository");
	if (version != 1)
		return dm_fail(err, DM_INVALID,
		    "repository of version %llu, made by a newer datamount: "
		    "update this one",
		    (unsigned long long)version);
	if (!take(&rest, "id", &line) || rest.size != 0 ||
	    line.size != REPO_ID_HEX ||
	    !dm_hex_decode(found, REPO_ID_SIZE, line.data))
		return dm_fail(err, DM_CORRUPT,
		    "datamount file of a repository: bad id");
	memcpy(id, found, REPO_ID_SIZE);
	return 0;
}

int
repo_file_encode(const uint8_t id[REPO_ID_SIZE], struct dm_buf *out,
    struct dm_err *err)
{
	char hex[REPO_ID_HEX + 1];

	dm_hex_encode(hex, id, REPO_ID_SIZE);
	return dm_buf_printf(out, err, "datamount repository 1\nid %s\n", hex);
}

/* The line without the newline that may end it; no other newline. */
static struct text
one_line(const char *line, size_t size)
{
	if (size > 0 && line[size - 1] == '\n')
		size--;
	return (struct text){ line, size };
}

int
ref_line_decode(struct ref_line *out, const char *line, size_t size,
    struct dm_err *err)
{
	struct text rest = one_line(line, size), name, hex, sequence;
	struct ref_line l = { 0 };

	if (text_skip(&rest, "tags/"))
		l.tag = true;
	else if (!text_skip(&rest, "heads/"))
		return dm_fail(err, DM_CORRUPT, "refs/all: not a ref");
	if (!text_cut(&name, &rest, ' ') || !text_cut(&hex, &rest, ' ') ||
	    !text_cut(&sequence, &rest, ' ') ||
	    !ref_name_valid(name.data, name.size) ||
	    !digest_parse(&l.ref.commit, hex.data, hex.size) ||
	    !text_number(sequence, INT64_MAX, &l.ref.sequence) ||
	    !text_number(rest, DM_TIME_MAX, &l.ref.time) ||
	    !ref_fields_valid(&l.ref))
		return dm_fail(err, DM_CORRUPT, "refs/all: bad line");
	memcpy(l.name, name.data, name.size);
	*out = l;
	return 0;
}

int
ref_line_encode(const struct ref_line *l, struct dm_buf *out,
    struct dm_err *err)
{
	char hex[DIGEST_HEX + 1];

	if (!ref_name_valid(l->name, strlen(l->name)) ||
	    !ref_fields_valid(&l->ref))
		return dm_fail(err, DM_INVALID, "bad ref %s", l->name);
	digest_hex(&l->ref.commit, hex);
	return dm_buf_printf(out, err, "%s/%s %s %llu %llu\n",
	    l->tag ? "tags" : "heads", l->name, hex,
	    (unsigned long long)l->ref.sequence,
	    (unsigned long long)l->ref.time);
}

enum { LOG_PARENTS_MAX = 16, SUBJECT_MAX = 100 };

/* HEX[,HEX...] or -. */
static bool
parents_decode(struct log_line *l, struct text list)
{
	struct text hex;

	if (text_equal(list, "-"))
		return true;
	for (bool more = true; more; l->nparents++) {
		more = text_cut(&hex, &list, ',');
		if (!more)
			hex = list;
		if (l->nparents == LOG_PARENTS_MAX ||
		    !digest_parse(&l->parents[l->nparents], hex.data, hex.size))
			return false;
	}
	return true;
}

int
log_line_decode(struct log_line *out, const char *line, size_t size,
    struct dm_err *err)
{
	struct text rest = one_line(line, size), hex, parents, time, branch;
	struct log_line l = { 0 };

	if (!text_cut(&hex, &rest, ' ') || !text_cut(&parents, &rest, ' ') ||
	    !text_cut(&time, &rest, ' ') || !text_cut(&branch, &rest, ' ') ||
	    !digest_parse(&l.commit, hex.data, hex.size) ||
	    !parents_decode(&l, parents) ||
	    !text_number(time, DM_TIME_MAX, &l.time) ||
	    !ref_name_valid(branch.data, branch.size) ||
	    rest.size > SUBJECT_MAX || !text_is_clean(rest, false))
		return dm_fail(err, DM_CORRUPT, "refs/log: bad line");
	memcpy(l.branch, branch.data, branch.size);
	if (rest.size > 0)
		memcpy(l.subject, rest.data, rest.size);
	*out = l;
	return 0;
}

int
log_line_encode(const struct log_line *l, struct dm_buf *out,
    struct dm_err *err)
{
	struct text subject = { l->subject, strlen(l->subject) };
	char hex[DIGEST_HEX + 1];

	if (l->nparents > LOG_PARENTS_MAX || l->time > DM_TIME_MAX ||
	    !ref_name_valid(l->branch, strlen(l->branch)) ||
	    !text_is_clean(subject, false))
		return dm_fail(err, DM_INVALID, "bad log line");
	digest_hex(&l->commit, hex);
	if (dm_buf_printf(out, err, "%s ", hex) < 0)
		return -1;
	for (unsigned i = 0; i < l->nparents; i++) {
		digest_hex(&l->parents[i], hex);
		if (dm_buf_printf(out, err, "%s%s", i > 0 ? "," : "", hex) < 0)
			return -1;
	}
	return dm_buf_printf(out, err, "%s %llu %s %s\n",
	    l->nparents == 0 ? "-" : "", (unsigned long long)l->time, l->branch,
	    l->subject);
}

void
log_line_subject(struct log_line *l, const char *message, size_t size)
{
	const char *end = size == 0 ? NULL : memchr(message, '\n', size);
	size_t n = end == NULL ? size : (size_t)(end - message);

	if (n > SUBJECT_MAX) {
		n = SUBJECT_MAX;
		while (n > 0 && ((unsigned char)message[n] & 0xc0) == 0x80)
			n--; /* a character stays whole */
	}
	for (size_t i = 0; i < n; i++)
		l->subject[i] = (char)(message[i] == '\t' ? ' ' : message[i]);
	l->subject[n] = '\0';
}
