/*
 * Nothing is listed: the way to what is needed is read from what has come.  A
 * structured object names the packs of its children, which are fetched while
 * the walk goes on.
 */
#include "fs/publish/copy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/net/origin.h"
#include "fs/format/commit.h"
#include "fs/publish/fetcher.h"
#include "fs/publish/folder.h"
#include "fs/publish/gone_refs.h"
#include "fs/publish/hints.h"
#include "fs/publish/history.h"
#include "fs/publish/id_map.h"
#include "fs/publish/marks.h"
#include "fs/publish/pack_file.h"
#include "fs/publish/reach.h"

enum {
	TRIES = 3, /* when gc was faster */
	/* Commits that are fetched one by one, before many are at a time. */
	ONE_BY_ONE = 4,
	/* Versions whose first pack is fetched while one is walked. */
	ROOTS_AHEAD = 16,
};

struct text {
	struct digest id;
	char *data;
	size_t size;
};

struct copy {
	const struct copy_options *opt;
	struct copy_result *result;
	const struct ref_line *ref; /* that are to be brought */
	size_t nrefs;
	struct folder *folder;
	struct fetcher *fetcher;
	struct reach *reach;
	struct ref_line *was; /* the folder's refs */
	size_t nwas;
	struct id_map have;      /* commits that these reach */
	struct id_map seen;      /* commits that are to come */
	struct history *history; /* commits that came early, or NULL */
	struct text *text;       /* of those seen */
	size_t n, room;
	uint64_t broken;
};

static void
release(struct copy *c)
{
	reach_close(c->reach);
	history_close(c->history);
	fetcher_close(c->fetcher);
	folder_close(c->folder);
	free(c->was);
	id_map_release(&c->have);
	id_map_release(&c->seen);
	for (size_t i = 0; i < c->n; i++)
		free(c->text[i].data);
	free(c->text);
}

/* ---- packs ---- */

static int
want(void *arg, const struct moved_place *pack, struct dm_err *err)
{
	struct copy *c = arg;
	struct fetcher_counts counts;

	fetcher_counts(c->fetcher, &counts);
	c->opt->progress(c->opt->arg, counts.packs, counts.bytes);
	return fetcher_want(c->fetcher, pack, err);
}

static int
need(void *arg, const struct moved_place *pack, bool gone, struct dm_err *err)
{
	struct copy *c = arg;

	return fetcher_need(c->fetcher, pack, gone, err);
}

static void
note_broken(void *arg, const struct dm_err *why)
{
	struct copy *c = arg;

	(void)why; /* who reads the version next is told */
	c->broken++;
}

static int
begin(struct copy *c, bool repair, struct dm_err *err)
{
	struct fetcher_options fo = { .folder = c->folder,
		.origin = c->opt->from,
		.timeout_ms = c->opt->timeout_ms,
		.check = repair };
	struct reach_hooks hooks = { .want = want,
		.need = need,
		.broken = repair ? note_broken : NULL,
		.arg = c };

	if (fetcher_open(&c->fetcher, &fo, err) < 0)
		return -1;
	return reach_open(&c->reach, c->folder, &hooks, err);
}

/* ---- commits ---- */

static int
add_text(struct copy *c, const struct digest *id, struct dm_buf *text,
    struct dm_err *err)
{
	if (c->n == c->room) {
		size_t room = c->room == 0 ? 64 : 2 * c->room;
		struct text *q = reallocarray(c->text, room, sizeof(*q));

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "commits");
		c->text = q;
		c->room = room;
	}
	c->text[c->n].id = *id;
	c->text[c->n].size = text->size;
	c->text[c->n++].data = dm_steal(&text->data);
	text->size = text->room = 0;
	return 0;
}

/* Note all commits of the folder from id on. */
static int
note_have(struct copy *c, const struct digest *id, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	DM_AUTO(dm_freep) struct digest *todo = calloc(1, sizeof(*todo));
	size_t n = 1, room = 1;

	if (todo == NULL)
		return dm_fail(err, DM_NOMEM, "commits");
	todo[0] = *id;
	while (n > 0) {
		struct digest at = todo[--n];
		struct commit commit;
		bool found = false;

		if (id_map_has(&c->have, &at))
			continue;
		if (folder_commit_read(c->folder, &at, &text, &commit, &found,
			err) < 0)
			return -1;
		if (!found)
			continue;
		if (n + commit.nparents > room) {
			struct digest *q = reallocarray(todo,
			    2 * room + commit.nparents, sizeof(*q));

			if (q == NULL)
				return dm_fail(err, DM_NOMEM, "commits");
			todo = q;
			room = 2 * room + commit.nparents;
		}
		memcpy(todo + n, commit.parents,
		    commit.nparents * sizeof(*todo));
		n += commit.nparents;
		if (id_map_put(&c->have, &at, 0, err) < 0)
			return -1;
	}
	return 0;
}

static int
note_refs(struct copy *c, struct dm_err *err)
{
	if (hints_refs(c->folder, &c->was, &c->nwas, err) < 0)
		return -1;
	for (size_t i = 0; i < c->nwas; i++)
		if (note_have(c, &c->was[i].ref.commit, err) < 0)
			return -1;
	return 0;
}

static bool
is_known(void *arg, const struct digest *id)
{
	const struct copy *c = arg;

	return id_map_has(&c->have, id) || id_map_has(&c->seen, id);
}

/* There is much to come: fetch what the refs and what has come lead to. */
static int
look_ahead(struct copy *c, struct dm_err *err)
{
	struct history_options o = { .fetcher = c->fetcher,
		.origin = c->opt->from,
		.timeout_ms = c->opt->timeout_ms,
		.known = is_known,
		.arg = c };
	DM_AUTO(dm_freep)
	struct digest *from = calloc(c->nrefs + c->n + 1, sizeof(*from));
	size_t k = 0;

	if (from == NULL)
		return dm_fail(err, DM_NOMEM, "commits");
	for (size_t i = 0; i < c->nrefs; i++)
		if (!id_map_has(&c->have, &c->ref[i].ref.commit))
			from[k++] = c->ref[i].ref.commit;
	for (size_t i = 0; i < c->n; i++)
		from[k++] = c->text[i].id;
	return history_open(&c->history, &o, from, k, err);
}

/* Get a commit that the folder may lack. */
static int
get_commit(struct copy *c, const struct digest *id, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	char path[PACK_PATH];

	if (id_map_has(&c->have, id) || id_map_has(&c->seen, id))
		return 0;
	if (c->n >= ONE_BY_ONE && c->history == NULL && look_ahead(c, err) < 0)
		return -1;
	pack_file_path(path, "commits", id);
	if ((c->history == NULL || !history_take(c->history, id, &text)) &&
	    fetcher_file(c->fetcher, path, id, &text, err) < 0)
		return -1;
	if (id_map_put(&c->seen, id, 0, err) < 0)
		return -1;
	return add_text(c, id, &text, err);
}

/* All that is below the commits. */
static int
get_trees(struct copy *c, struct dm_err *err)
{
	struct commit commit;
	size_t ahead = 0;

	for (size_t i = 0; i < c->n; i++) {
		char hex[DIGEST_HEX + 1];

		for (; ahead < c->n && ahead < i + ROOTS_AHEAD; ahead++) {
			struct moved_place root = { 0 };

			if (commit_decode(&commit, c->text[ahead].data,
				c->text[ahead].size, err) < 0)
				return -1;
			root.pack = commit.at_pack;
			root.dir_off = commit.at_dir_off;
			root.dir_len = commit.at_dir_len;
			root.ordinal = commit.at_ordinal;
			if (fetcher_want(c->fetcher, &root, err) < 0)
				return -1;
		}
		digest_hex(&c->text[i].id, hex);
		if (commit_decode(&commit, c->text[i].data, c->text[i].size,
			err) < 0 ||
		    reach_commit(c->reach, &commit, err) < 0)
			return dm_wrap(err, "version %.12s", hex);
	}
	return 0;
}

/* The commits, their parents, and all that is below them. */
static int
get_all(struct copy *c, struct dm_err *err)
{
	struct commit commit;

	for (size_t i = 0; i < c->nrefs; i++)
		if (get_commit(c, &c->ref[i].ref.commit, err) < 0)
			return -1;
	for (size_t i = 0; i < c->n; i++) { /* grows meanwhile */
		if (commit_decode(&commit, c->text[i].data, c->text[i].size,
			err) < 0)
			return -1;
		for (unsigned k = 0; k < commit.nparents; k++)
			if (get_commit(c, &commit.parents[k], err) < 0)
				return -1;
	}
	return get_trees(c, err);
}

/* ---- refs, under the lock ---- */

static int
check_has(struct copy *c, const struct digest *id, struct dm_err *err)
{
	if (is_known(c, id))
		return 0;
	return dm_fail(err, DM_REDO,
	    "a branch or tag of the copy moved, and gc may have removed what it"
	    " reached: run the command again");
}

/* What the refs reached, and was not brought for that reason, they must reach
 * now: else gc is free to remove it, or has done so. */
static int
check_have(struct copy *c, struct dm_err *err)
{
	DM_AUTO(dm_freep) struct ref_line *was = dm_steal(&c->was);
	size_t n = c->nwas;
	struct commit commit;
	bool same;

	if (hints_refs(c->folder, &c->was, &c->nwas, err) < 0)
		return -1;
	same = n == c->nwas;
	for (size_t i = 0; same && i < n; i++)
		same = digest_equal(&was[i].ref.commit, &c->was[i].ref.commit);
	if (same)
		return 0;
	id_map_release(&c->have);
	c->have = (struct id_map){ 0 };
	for (size_t i = 0; i < c->nwas; i++)
		if (note_have(c, &c->was[i].ref.commit, err) < 0)
			return -1;
	for (size_t i = 0; i < c->nrefs; i++)
		if (check_has(c, &c->ref[i].ref.commit, err) < 0)
			return -1;
	for (size_t i = 0; i < c->n; i++) {
		if (commit_decode(&commit, c->text[i].data, c->text[i].size,
			err) < 0)
			return -1;
		for (unsigned k = 0; k < commit.nparents; k++)
			if (check_has(c, &commit.parents[k], err) < 0)
				return -1;
	}
	return 0;
}

/* Is what the walk came by still there? */
static int
check_pack(struct copy *c, const struct reach_pack *p, struct dm_err *err)
{
	char path[PACK_PATH];
	bool there = true;

	pack_file_path(path, "packs", &p->id);
	if (p->live > 0)
		there = faccessat(c->folder->fd, path, F_OK, 0) == 0;
	pack_file_path(path, "moved", &p->id);
	if (there && p->followed)
		there = faccessat(c->folder->fd, path, F_OK, 0) == 0;
	if (there)
		return 0;
	return dm_fail(err, DM_REDO,
	    "gc removed a pack meanwhile: run the command again");
}

/* Is all still there?  Then it loses its marks. */
static int
settle(struct copy *c, struct dm_err *err)
{
	struct marks m = { 0 };
	bool gc, changed = false;
	int rc = marks_read(c->folder, &m, &gc, err);

	for (size_t i = 0; rc == 0 && i < reach_count(c->reach); i++) {
		const struct reach_pack *p = reach_at(c->reach, i);

		rc = check_pack(c, p, err);
		if (p->live > 0 && marks_remove(&m, MARK_PACK, &p->id))
			changed = true;
		if (p->followed && marks_remove(&m, MARK_MOVED, &p->id))
			changed = true;
	}
	for (size_t i = 0; rc == 0 && i < c->n; i++)
		if (marks_remove(&m, MARK_COMMIT, &c->text[i].id))
			changed = true;
	if (rc == 0 && changed)
		rc = marks_write(c->folder, &m, err);
	marks_release(&m);
	return rc;
}

static int
put_commits(struct copy *c, struct dm_err *err)
{
	struct digest id;

	for (size_t i = c->n; i-- > 0;) /* parents first */
		if (folder_commit_put(c->folder, c->text[i].data,
			c->text[i].size, &id, err) < 0)
			return -1;
	c->result->commits = c->n;
	return 0;
}

/* May the ref move from old to its new commit? */
static int
check_move(struct copy *c, const struct ref_line *ref, const struct ref *old,
    struct dm_err *err)
{
	char was[DIGEST_HEX + 1], is[DIGEST_HEX + 1];
	bool leads;

	if (c->opt->force)
		return 0;
	id_map_release(&c->have);
	c->have = (struct id_map){ 0 };
	if (!ref->tag && note_have(c, &ref->ref.commit, err) < 0)
		return -1;
	leads = !ref->tag && id_map_has(&c->have, &old->commit);
	if (leads)
		return 0;
	digest_hex(&old->commit, was);
	digest_hex(&ref->ref.commit, is);
	return dm_fail(err, DM_INVALID,
	    "%s %s is %.12s there, and %.12s does not follow from it:"
	    " --force moves it all the same",
	    ref->tag ? "tag" : "branch", ref->name, was, is);
}

static int
put_ref(struct copy *c, const struct ref_line *ref, bool check_only,
    struct dm_err *err)
{
	struct ref new = ref->ref, old;
	bool found = false, same;

	if (folder_ref_read(c->folder, ref->tag, ref->name, &old, &found, err) <
	    0)
		return -1;
	same = found && digest_equal(&old.commit, &new.commit);
	if (same && old.sequence >= new.sequence)
		return 0;
	if (found && !same && check_move(c, ref, &old, err) < 0)
		return -1;
	if (check_only)
		return folder_ref_room(c->folder, ref->tag, ref->name, err);
	if (!found &&
	    gone_refs_last(c->folder->fd, ref->tag, ref->name, &old.sequence,
		err) < 0)
		return -1;
	if (!same && new.sequence <= old.sequence)
		new.sequence = old.sequence + 1;
	if (folder_ref_put(c->folder, ref->tag, ref->name, &new, err) < 0)
		return -1;
	c->result->refs++;
	c->opt->moved(c->opt->arg, ref);
	return 0;
}

/* All refs move, or none. */
static int
put_refs(struct copy *c, struct dm_err *err)
{
	for (int go = 0; go < 2; go++)
		for (size_t i = 0; i < c->nrefs; i++)
			if (put_ref(c, &c->ref[i], go == 0, err) < 0)
				return -1;
	return hints_refresh(c->folder, err);
}

/* ---- all of it ---- */

static int
open_folder(struct copy *c, struct dm_err *err)
{
	char path[4096];
	bool there = snprintf(path, sizeof(path), "%s/datamount", c->opt->to) >=
		(int)sizeof(path) ||
	    access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);

	if (!there && !c->opt->make && strstr(c->opt->to, "://") == NULL)
		return dm_fail(err, DM_NOTFOUND,
		    "%s is no repository: make it with"
		    " `datamount clone %s %s`",
		    c->opt->to, origin_name(c->opt->from), c->opt->to);
	if (!there && c->opt->make) {
		if (folder_init_as(&c->folder, c->opt->to, c->opt->id, err) < 0)
			return -1;
		return 0;
	}
	if (folder_open(&c->folder, c->opt->to, err) < 0)
		return -1;
	if (memcmp(c->folder->id, c->opt->id, REPO_ID_SIZE) != 0)
		return dm_fail(err, DM_INVALID,
		    "%s is another repository than %s, not a copy of it:"
		    " make one with `datamount clone`",
		    c->opt->to, origin_name(c->opt->from));
	return 0;
}

static int
run(struct copy *c, struct dm_err *err)
{
	struct fetcher_counts counts;
	int rc;

	if (open_folder(c, err) < 0 || note_refs(c, err) < 0 ||
	    begin(c, false, err) < 0)
		return -1;
	rc = get_all(c, err);
	fetcher_counts(c->fetcher, &counts);
	c->result->packs += counts.packs;
	c->result->bytes += counts.bytes;
	if (rc < 0 || folder_lock(c->folder, err) < 0 ||
	    check_have(c, err) < 0 || settle(c, err) < 0 ||
	    put_commits(c, err) < 0)
		return -1;
	return put_refs(c, err);
}

int
copy_versions(const struct copy_options *opt, const struct ref_line *ref,
    size_t n, struct copy_result *out, struct dm_err *err)
{
	int rc, tries = 0;

	*out = (struct copy_result){ 0 };
	do {
		struct copy c = {
			.opt = opt, .result = out, .ref = ref, .nrefs = n
		};

		*err = (struct dm_err){ 0 };
		rc = run(&c, err);
		release(&c);
		/* gc took something meanwhile: bring that again */
	} while (rc < 0 && err->code == DM_REDO && ++tries < TRIES);
	return rc;
}

/* ---- repair ---- */

static int
repair(struct copy *c, const struct digest *id, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	struct fetcher_counts counts;
	struct dm_err why = { 0 };
	struct commit commit;
	bool found = false;

	if (folder_open(&c->folder, c->opt->to, err) < 0 ||
	    begin(c, true, err) < 0)
		return -1;
	if (folder_commit_read(c->folder, id, &text, &commit, &found, &why) <
		0 &&
	    why.code != DM_CORRUPT) {
		*err = why;
		return -1;
	}
	if (!found || why.code == DM_CORRUPT) {
		if (get_commit(c, id, err) < 0 || put_commits(c, err) < 0 ||
		    commit_decode(&commit, c->text[0].data, c->text[0].size,
			err) < 0)
			return -1;
	}
	if (reach_commit(c->reach, &commit, err) < 0)
		return -1;
	fetcher_counts(c->fetcher, &counts);
	c->result->packs = counts.packs;
	c->result->bytes = counts.bytes;
	return 0;
}

int
copy_repair(const struct copy_options *opt, const struct digest *commit,
    struct copy_result *out, uint64_t *left, struct dm_err *err)
{
	struct copy c = { .opt = opt, .result = out };
	int rc;

	*out = (struct copy_result){ 0 };
	rc = repair(&c, commit, err);
	*left = c.broken;
	release(&c);
	return rc;
}
