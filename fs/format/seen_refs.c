#include "fs/format/seen_refs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "fs/format/ref.h"
#include "fs/format/text.h"

static const char header[] = "datamount seen refs 1\n";

static bool
name_valid(struct text name)
{
	struct text rest = name;

	if (!text_skip(&rest, "heads/") && !text_skip(&rest, "tags/"))
		return false;
	return ref_name_valid(rest.data, rest.size);
}

/* "NAME HEX SEQUENCE" */
static bool
read_line(struct seen_ref *out, struct text line)
{
	struct text name, hex;

	if (!text_cut(&name, &line, ' ') || !name_valid(name) ||
	    !text_cut(&hex, &line, ' ') ||
	    !digest_parse(&out->commit, hex.data, hex.size) ||
	    !text_number(line, INT64_MAX, &out->sequence) || out->sequence == 0)
		return false;
	memcpy(out->name, name.data, name.size);
	out->name[name.size] = '\0';
	return true;
}

static size_t
count_lines(struct text t)
{
	size_t n = 0;

	for (size_t i = 0; i < t.size; i++)
		n += t.data[i] == '\n';
	return n;
}

int
seen_refs_decode(struct seen_refs *out, const void *text, size_t size,
    struct dm_err *err)
{
	struct text rest = { text, size }, line;

	*out = (struct seen_refs){ 0 };
	if (size > SEEN_REFS_MAX || !text_skip(&rest, header))
		return dm_fail(err, DM_CORRUPT, "not a list of refs seen");
	out->ref = calloc(count_lines(rest) + 1, sizeof(*out->ref));
	if (out->ref == NULL)
		return dm_fail(err, DM_NOMEM, "refs seen");
	while (rest.size > 0) {
		struct seen_ref *r = &out->ref[out->n];

		if (!text_cut(&line, &rest, '\n') || !read_line(r, line) ||
		    (out->n > 0 && strcmp(r[-1].name, r->name) >= 0))
			return dm_fail(err, DM_CORRUPT, "bad line %zu",
			    out->n + 2);
		out->n++;
	}
	return 0;
}

int
seen_refs_encode(const struct seen_refs *s, struct dm_buf *out,
    struct dm_err *err)
{
	char hex[DIGEST_HEX + 1];

	if (dm_buf_append(out, header, sizeof(header) - 1, err) < 0)
		return -1;
	for (size_t i = 0; i < s->n; i++) {
		digest_hex(&s->ref[i].commit, hex);
		if (dm_buf_printf(out, err, "%s %s %" PRIu64 "\n",
			s->ref[i].name, hex, s->ref[i].sequence) < 0)
			return -1;
	}
	return 0;
}

void
seen_refs_release(struct seen_refs *s)
{
	free(s->ref);
	*s = (struct seen_refs){ 0 };
}

/* Where name is, or would be. */
static size_t
position(const struct seen_refs *s, const char *name)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(s->ref[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct seen_ref *
seen_refs_find(const struct seen_refs *s, const char *name)
{
	size_t i = position(s, name);

	return i < s->n && strcmp(s->ref[i].name, name) == 0 ? &s->ref[i] :
							       NULL;
}

int
seen_refs_set(struct seen_refs *s, const struct seen_ref *ref,
    struct dm_err *err)
{
	size_t i = position(s, ref->name);
	struct seen_ref *grown;

	if (i == s->n || strcmp(s->ref[i].name, ref->name) != 0) {
		grown = realloc(s->ref, (s->n + 1) * sizeof(*grown));
		if (grown == NULL)
			return dm_fail(err, DM_NOMEM, "refs seen");
		s->ref = grown;
		memmove(&grown[i + 1], &grown[i], (s->n - i) * sizeof(*grown));
		s->n++;
	}
	s->ref[i] = *ref;
	return 0;
}
