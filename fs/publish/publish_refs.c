/* Repositories, branches and tags: what needs no walk. */
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/hex.h"
#include "cache/base/io.h"
#include "fs/publish/folder.h"
#include "fs/publish/hints.h"
#include "fs/publish/publish.h"

/* Replace %40 by @ and %3A by :, which a name in a target needs. */
static void
unescape(char *text)
{
	char *out = text;

	for (; *text != '\0'; text++) {
		if (strncmp(text, "%40", 3) == 0) {
			*out++ = '@';
			text += 2;
		} else if (strncasecmp(text, "%3a", 3) == 0) {
			*out++ = ':';
			text += 2;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

int
publish_target_parse(struct publish_target *out, const char *text,
    struct dm_err *err)
{
	const char *scheme = strstr(text, "://");
	/* behind scheme://user:password@host */
	const char *at =
	    strchr(scheme == NULL ? text :
				    scheme + 3 + strcspn(scheme + 3, "/?#"),
		'@');
	size_t n = at == NULL ? strlen(text) : (size_t)(at - text);

	memset(out, 0, sizeof(*out));
	if (at != NULL && !ref_name_valid(at + 1, strlen(at + 1)) &&
	    strspn(at + 1, "0123456789abcdef") != strlen(at + 1))
		return dm_fail(err, DM_INVALID,
		    "'%.100s' is no name of a branch or tag",
		    scheme == NULL ? at + 1 : "what is behind the @");
	if (at != NULL && strlen(at + 1) > DM_REF_NAME_MAX)
		return dm_fail(err, DM_INVALID,
		    "the name of a ref is too long");
	if (n == 0)
		return dm_fail(err, DM_INVALID, "no repository named");
	out->repo = strndup(text, n);
	if (out->repo == NULL)
		return dm_fail(err, DM_NOMEM, "name of a repository");
	unescape(out->repo);
	if (at != NULL)
		memcpy(out->ref, at + 1, strlen(at + 1) + 1);
	return 0;
}

void
publish_target_release(struct publish_target *t)
{
	free(t->repo);
	t->repo = NULL;
}

int
publish_init(const char *repo, char id[REPO_ID_HEX + 1], struct dm_err *err)
{
	DM_AUTO(folder_closep) struct folder *f = NULL;

	if (folder_init(&f, repo, err) < 0 || folder_lock(f, err) < 0 ||
	    hints_refresh(f, err) < 0)
		return -1;
	dm_hex_encode(id, f->id, REPO_ID_SIZE);
	return 0;
}

static int
check_name(bool tag, const char *name, struct dm_err *err)
{
	if (ref_name_valid(name, strlen(name)))
		return 0;
	return dm_fail(err, DM_INVALID,
	    "'%.100s' cannot name a %s: use letters, digits, . _ - and /", name,
	    tag ? "tag" : "branch");
}

/* Point the ref at id, unless it is there and may not be moved. */
static int
put_ref(struct folder *f, bool tag, const char *name, const struct digest *id,
    bool force, struct dm_err *err)
{
	struct ref old;
	bool found = false;

	if (folder_ref_read(f, tag, name, &old, &found, err) < 0)
		return -1;
	if (found && digest_equal(&old.commit, id))
		return 0;
	if (found && !force) {
		char hex[DIGEST_HEX + 1];

		digest_hex(&old.commit, hex);
		return dm_fail(err, DM_INVALID,
		    "%s %s is %.12s already: --force moves it",
		    tag ? "tag" : "branch", name, hex);
	}
	return folder_ref_move(f, tag, name, id, err);
}

int
publish_ref(const char *repo, bool tag, const char *name, const char *ref,
    bool force, struct digest *out, struct dm_err *err)
{
	DM_AUTO(folder_closep) struct folder *f = NULL;
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	struct commit c;
	bool found = false;

	if (check_name(tag, name, err) < 0 || folder_open(&f, repo, err) < 0 ||
	    folder_lock(f, err) < 0 ||
	    hints_resolve(f, *ref == '\0' ? "main" : ref, out, err) < 0 ||
	    folder_commit_read(f, out, &text, &c, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND, "%s has no such commit: %s",
		    repo, ref);
	if (put_ref(f, tag, name, out, force, err) < 0)
		return -1;
	return hints_refresh(f, err);
}

int
publish_ref_delete(const char *repo, bool tag, const char *name,
    struct dm_err *err)
{
	DM_AUTO(folder_closep) struct folder *f = NULL;
	struct ref old;
	bool found = false;

	if (check_name(tag, name, err) < 0 || folder_open(&f, repo, err) < 0 ||
	    folder_lock(f, err) < 0 ||
	    folder_ref_read(f, tag, name, &old, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND, "%s has no %s %s", repo,
		    tag ? "tag" : "branch", name);
	if (folder_ref_remove(f, tag, name, err) < 0)
		return -1;
	return hints_refresh(f, err);
}

int
publish_refs(const char *repo, bool tag,
    void (*each)(void *arg, const struct ref_line *line), void *arg,
    struct dm_err *err)
{
	DM_AUTO(folder_closep) struct folder *f = NULL;
	DM_AUTO(dm_freep) struct ref_line *line = NULL;
	size_t n = 0;

	if (folder_open(&f, repo, err) < 0 || hints_refs(f, &line, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (line[i].tag == tag)
			each(arg, &line[i]);
	return 0;
}
