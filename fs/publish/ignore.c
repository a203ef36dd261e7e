/*
 * Patterns are cut at their slashes once; a path is matched component by
 * component with fnmatch(3).  Only the last ** needs to be gone back to, so
 * the work is bounded by components of the pattern times those of the path.
 */
#include "fs/publish/ignore.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "fs/format/limits.h"

enum { PARTS_MAX = DM_DEPTH_MAX + 2 };

struct pattern {
	char *text; /* the parts, each ending in NUL */
	const char *part[PARTS_MAX];
	size_t nparts;
	bool negated, dir_only;
};

struct ignore {
	struct pattern *pattern;
	size_t n, room;
};

struct ignore *
ignore_new(void)
{
	return calloc(1, sizeof(struct ignore));
}

void
ignore_free(struct ignore *ig)
{
	if (ig == NULL)
		return;
	for (size_t i = 0; i < ig->n; i++)
		free(ig->pattern[i].text);
	free(ig->pattern);
	free(ig);
}

/* Spaces at the end do not count, unless a backslash stands before. */
static void
trim(char *text)
{
	size_t n = strlen(text);

	if (n > 0 && text[n - 1] == '\r')
		text[--n] = '\0';
	while (n > 0 && text[n - 1] == ' ' && !(n > 1 && text[n - 2] == '\\'))
		text[--n] = '\0';
}

/* Cut the pattern at its slashes.  Where nothing is between two, it matches
 * nothing, and so does one that is only a slash. */
static int
cut(struct pattern *p, char *text, struct dm_err *err)
{
	size_t n = strlen(text);
	const char *slash;
	char *next;

	if (n > 0 && text[n - 1] == '/') {
		p->dir_only = true;
		text[--n] = '\0';
	}
	slash = strchr(text, '/');
	if (slash == NULL)
		p->part[p->nparts++] = "**";
	if (slash == text)
		text++;
	for (; text != NULL; text = next) {
		next = strchr(text, '/');
		if (next != NULL)
			*next++ = '\0';
		if (*text == '\0') {
			p->nparts = 0;
			return 0;
		}
		if (p->nparts == PARTS_MAX)
			return dm_fail(err, DM_INVALID,
			    "a pattern has more than %d slashes", PARTS_MAX);
		p->part[p->nparts++] = text;
	}
	return 0;
}

/* Room for one more pattern. */
static struct pattern *
grow(struct ignore *ig, struct dm_err *err)
{
	if (ig->n == ig->room) {
		size_t room = ig->room == 0 ? 16 : 2 * ig->room;
		struct pattern *p = reallocarray(ig->pattern, room, sizeof(*p));

		if (p == NULL) {
			(void)dm_fail(err, DM_NOMEM, "pattern");
			return NULL;
		}
		ig->pattern = p;
		ig->room = room;
	}
	memset(&ig->pattern[ig->n], 0, sizeof(ig->pattern[0]));
	return &ig->pattern[ig->n];
}

int
ignore_add(struct ignore *ig, const char *pattern, struct dm_err *err)
{
	struct pattern *p = grow(ig, err);
	char *text;

	if (p == NULL)
		return -1;
	text = p->text = strdup(pattern);
	if (text == NULL)
		return dm_fail(err, DM_NOMEM, "pattern");
	ig->n++; /* frees it; one without parts matches nothing */
	trim(text);
	if (text[0] == '\0' || text[0] == '#')
		return 0;
	if (text[0] == '!') {
		p->negated = true;
		text++;
	}
	return cut(p, text, err);
}

int
ignore_add_lines(struct ignore *ig, const char *text, size_t size,
    struct dm_err *err)
{
	const char *end = text + size;
	int rc = 0;

	while (rc == 0 && text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		char *line;

		if (stop == NULL)
			stop = end;
		line = strndup(text, (size_t)(stop - text));
		if (line == NULL)
			return dm_fail(err, DM_NOMEM, "pattern");
		rc = ignore_add(ig, line, err);
		free(line);
		text = stop + 1;
	}
	return rc;
}

static bool
is_any(const char *part)
{
	size_t stars = strspn(part, "*");

	return stars > 1 && part[stars] == '\0';
}

static bool
parts_match(const struct pattern *p, const char *const *name, size_t n)
{
	size_t i = 0, k = 0, back_i = 0, back_k = 0;
	bool can_go_back = false;

	while (k < n) {
		if (i < p->nparts && is_any(p->part[i])) {
			/* at the end it stands for one or more */
			if (i + 1 == p->nparts)
				return true;
			can_go_back = true;
			back_i = ++i;
			back_k = k;
		} else if (i < p->nparts &&
		    fnmatch(p->part[i], name[k], 0) == 0) {
			i++;
			k++;
		} else if (can_go_back) {
			i = back_i;
			k = ++back_k;
		} else {
			return false;
		}
	}
	return i == p->nparts;
}

bool
ignore_match(const struct ignore *ig, const char *path, bool is_dir)
{
	char copy[DM_PATH_MAX + 1];
	const char *name[DM_DEPTH_MAX + 1];
	size_t n = 0, size = strlen(path);

	if (ig->n == 0 || size >= sizeof(copy))
		return false;
	memcpy(copy, path, size + 1);
	for (char *p = copy; p != NULL && n <= DM_DEPTH_MAX; n++) {
		name[n] = p;
		p = strchr(p, '/');
		if (p != NULL)
			*p++ = '\0';
	}
	for (size_t i = ig->n; i-- > 0;) {
		const struct pattern *p = &ig->pattern[i];

		if ((is_dir || !p->dir_only) && parts_match(p, name, n))
			return !p->negated;
	}
	return false;
}
