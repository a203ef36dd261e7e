/*
 * Names of versions: REPO[@REF][:PATH].
 *
 * The only thing asked of the system is the working directory, to make a
 * folder's path absolute.  getcwd(3) has no symlinks in it, so ".." at the
 * beginning of a path may be taken off it by text alone; any later ".." may
 * stand behind a link and stays.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "fs/source/source.h"

/* Length of "scheme://" at the start of text, or 0: a folder. */
static size_t
scheme_len(const char *text)
{
	size_t n = strspn(text,
	    "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

	if (n == 0 || strncmp(text + n, "://", 3) != 0)
		return 0;
	return n + 3;
}

/* Control bytes could forge lines of logs, .source files and requests. */
static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	}
	return false;
}

/* A folder's path in the making: no "." components, no doubled slashes, none at
 * the end. */
struct folder {
	char *out;
	size_t size, room;
};

static int
put_component(struct folder *f, const char *name, size_t size,
    struct dm_err *err)
{
	if (f->size + 1 + size > f->room)
		return dm_fail(err, DM_INVALID,
		    "repository path longer than %zu bytes", f->room);
	f->out[f->size++] = '/';
	memcpy(f->out + f->size, name, size);
	f->size += size;
	f->out[f->size] = '\0';
	return 0;
}

static void
drop_component(struct folder *f)
{
	while (f->size > 0 && f->out[--f->size] != '/')
		;
	f->out[f->size] = '\0';
}

/* Turn %40, %3A and %25 into what they stand for, in place. */
static void
decode_percent(char *text)
{
	static const struct {
		char code[4], c;
	} codes[] = { { "%40", '@' }, { "%3A", ':' }, { "%3a", ':' },
		{ "%25", '%' } };
	char *w = text;
	size_t i;

	for (; *text != '\0'; text++, w++) {
		*w = *text;
		for (i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
			if (strncmp(text, codes[i].code, 3) == 0) {
				*w = codes[i].c;
				text += 2;
				break;
			}
		}
	}
	*w = '\0';
}

static int
put_folder(struct folder *f, const char *path, struct dm_err *err)
{
	bool leading = true;

	while (*path != '\0') {
		size_t n = strcspn(path, "/");

		if (n == 0 || (n == 1 && path[0] == '.')) {
			path += n == 0 ? 1 : n;
			continue;
		}
		if (leading && n == 2 && strncmp(path, "..", 2) == 0)
			drop_component(f);
		else if (put_component(f, path, n, err) < 0)
			return -1;
		else
			leading = false;
		path += n;
	}
	return 0;
}

static int
parse_folder(struct source_name *out, char *text, struct dm_err *err)
{
	struct folder f = { .out = out->repo, .room = SOURCE_URL_MAX };

	decode_percent(text);
	out->repo[0] = '\0';
	if (text[0] != '/') {
		if (getcwd(out->repo, sizeof(out->repo)) == NULL)
			return dm_fail_errno(err, "find the working directory");
		f.size = strcmp(out->repo, "/") == 0 ? 0 : strlen(out->repo);
		out->repo[f.size] = '\0';
	}
	if (put_folder(&f, text, err) < 0)
		return -1;
	if (f.size == 0)
		memcpy(out->repo, "/", 2);
	return 0;
}

/* Copy the components of a path in a version, without needless slashes. */
static int
parse_path(struct source_name *out, const char *text, struct dm_err *err)
{
	size_t size = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, "/");

		if (n == 0 || (n == 1 && text[0] == '.')) {
			text += n == 0 ? 1 : n;
			continue;
		}
		if (n == 2 && strncmp(text, "..", 2) == 0)
			return dm_fail(err, DM_INVALID,
			    "a path in a version cannot have '..' in it");
		if (n > DM_NAME_MAX)
			return dm_fail(err, DM_INVALID,
			    "a name in the path is longer than %d bytes",
			    DM_NAME_MAX);
		if (size + 1 + n > DM_PATH_MAX)
			return dm_fail(err, DM_INVALID,
			    "path longer than %d bytes", DM_PATH_MAX);
		if (size > 0)
			out->path[size++] = '/';
		memcpy(out->path + size, text, n);
		size += n;
		text += n;
	}
	out->path[size] = '\0';
	return 0;
}

static bool
is_id(const char *ref, size_t size)
{
	return size >= 8 && size <= DIGEST_HEX &&
	    strspn(ref, "0123456789abcdef") == size;
}

static int
parse_ref(struct source_name *out, const char *text, size_t size,
    struct dm_err *err)
{
	if (size > DM_REF_NAME_MAX)
		return dm_fail(err, DM_INVALID, "ref name longer than %d bytes",
		    DM_REF_NAME_MAX);
	memcpy(out->ref, text, size);
	out->ref[size] = '\0';
	if (size > 0 && !is_id(out->ref, size) &&
	    !ref_name_valid(out->ref, size))
		return dm_fail(err, DM_INVALID,
		    "'%s' is neither a branch or tag name nor a commit id",
		    out->ref);
	return 0;
}

/* Where REPO ends: at the first @ behind scheme and authority. */
static int
find_repo_end(const char *text, size_t *size, struct dm_err *err)
{
	size_t n = scheme_len(text), authority;

	if (n == 0) {
		*size = strcspn(text, "@");
		return 0;
	}
	authority = strcspn(text + n, "/?#");
	if (memchr(text + n, '@', authority) != NULL)
		return dm_fail(err, DM_INVALID,
		    "a URL cannot have a user in it; a ref stands behind a "
		    "slash, as in https://host/@main");
	*size = n + authority + strcspn(text + n + authority, "@");
	return 0;
}

int
source_name_parse(struct source_name *out, const char *text, struct dm_err *err)
{
	char repo[SOURCE_URL_MAX + 1];
	const char *ref;
	size_t size = 0, n;

	*out = (struct source_name){ 0 };
	if (has_control(text))
		return dm_fail(err, DM_INVALID,
		    "a name cannot have control bytes in it");
	if (find_repo_end(text, &size, err) < 0)
		return -1;
	if (size == 0)
		return dm_fail(err, DM_INVALID, "no repository in '%.200s'",
		    text);
	if (size > SOURCE_URL_MAX)
		return dm_fail(err, DM_INVALID,
		    "repository name longer than %d bytes", SOURCE_URL_MAX);
	memcpy(repo, text, size);
	repo[size] = '\0';
	if (scheme_len(text) > 0)
		memcpy(out->repo, repo, size + 1);
	else if (parse_folder(out, repo, err) < 0)
		return -1;
	if (text[size] == '\0')
		return 0;
	ref = text + size + 1;
	n = strcspn(ref, ":");
	out->ref_given = true;
	if (parse_ref(out, ref, n, err) < 0)
		return -1;
	return ref[n] == ':' ? parse_path(out, ref + n + 1, err) : 0;
}
