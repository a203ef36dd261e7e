/*
 * One commit: walk, pack, commit, ref.
 *
 * One thread walks and, whenever the queue of work is full, takes the oldest
 * item out of it and puts that in its place in trees and packs; the threads
 * of the queue read, hash and compress meanwhile.  Packs become durable as
 * they fill; nothing that anybody sees changes before the ref does.
 */
#include "fs/publish/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/hex.h"
#include "cache/base/io.h"
#include "cache/pack/pack_writer.h"
#include "fs/format/limits.h"
#include "fs/publish/cache_file.h"
#include "fs/publish/file_builder.h"
#include "fs/publish/file_times.h"
#include "fs/publish/folder.h"
#include "fs/publish/hints.h"
#include "fs/publish/ignore.h"
#include "fs/publish/marks.h"
#include "fs/publish/members.h"
#include "fs/publish/object_index.h"
#include "fs/publish/packer.h"
#include "fs/publish/quote.h"
#include "fs/publish/stat_cache.h"
#include "fs/publish/tar.h"
#include "fs/publish/tree_builder.h"
#include "fs/publish/walk.h"
#include "fs/publish/work.h"

#define STATS_FILE "files-v1"

enum {
	IGNORE_MAX = 1 << 20,          /* bytes of a .datamountignore */
	TRIES = 3,                     /* of one command, when gc was faster */
	SURE = 64,                     /* files asked for before all are */
	TOO_OLD_MS = 12 * 3600 * 1000, /* half of what gc waits by default */
};

struct publisher {
	const struct publish_options *opt;
	struct folder *folder;
	int dir; /* that is published */
	char packs_dir[PATH_MAX];
	struct ignore *ignore;
	struct object_index *index;
	struct stat_cache *stats; /* NULL: out of order */
	struct file_times times;
	struct packer *packer;
	struct tree_builder *trees;
	struct file_builder *files;
	struct work_queue *queue;
	struct members *members; /* of a stream; else NULL */
	uint64_t nfiles, nbytes; /* taken from the queue */
	uint64_t files_shown;
	struct marks marked; /* by gc, when this began */
	bool gc;             /* it had been at work */
	unsigned sure; /* files that were found when they were asked for */
	bool ask;      /* for each file */
	bool no_index; /* no file can hold one */
	uint64_t deadline_ms;

	bool has_parent;
	struct ref parent;
	struct digest parent_tree;
};

static void
release(struct publisher *p)
{
	work_queue_close(p->queue);
	members_close(p->members);
	file_builder_free(p->files);
	tree_builder_free(p->trees);
	packer_close(p->packer);
	stat_cache_close(p->stats);
	object_index_close(p->index);
	ignore_free(p->ignore);
	marks_release(&p->marked);
	dm_closep(&p->dir);
	folder_close(p->folder);
}

/* ---- taking items out of the queue, in order ---- */

/* The stat cache only saves work: without it, all goes on. */
static void
drop_stats(struct publisher *p, const struct dm_err *why)
{
	char path[PATH_MAX];
	struct dm_err e = { 0 };

	p->opt->warn(p->opt->arg, why->text);
	stat_cache_close(p->stats);
	p->stats = NULL;
	if (why->code == DM_CORRUPT &&
	    (cache_file_path(path, p->opt->cache_dir, STATS_FILE, "", &e) < 0 ||
		cache_file_set_aside(path, &e) < 0))
		p->opt->warn(p->opt->arg, e.text);
}

static void
note_stat(struct publisher *p, const struct work *w, const struct digest *id)
{
	struct dm_err e = { 0 };

	if (p->stats != NULL &&
	    stat_cache_note(p->stats, w->path, &w->st, w->at_ns, id, &e) < 0)
		drop_stats(p, &e);
}

static void
rest_stats(struct publisher *p)
{
	struct dm_err e = { 0 };

	if (p->stats != NULL && stat_cache_rest(p->stats, &e) < 0)
		drop_stats(p, &e);
}

static int
add_entry(struct publisher *p, const struct work *w, const struct digest *id,
    const struct place *at, struct dm_err *err)
{
	struct tree_entry e = { .name = work_name(w), .kind = w->entry };

	if (p->members != NULL) {
		p->nfiles++;
		return members_content(p->members, w->count,
		    (uint64_t)w->st.st_size, id, at, err);
	}
	e.name_len = (uint16_t)strlen(e.name);
	if (w->kind == WORK_LINK) {
		e.target = w->target;
		e.size = strlen(w->target);
	} else {
		e.size = (uint64_t)w->st.st_size;
		e.files = 1;
		if (id != NULL)
			e.id = *id;
		p->nfiles++;
	}
	return tree_builder_add(p->trees, &e, at, err);
}

static int
end_large(struct publisher *p, const struct work *w, struct dm_err *err)
{
	static const struct place by_id = { .pack = PLACE_BY_ID };
	struct digest list;

	if (packer_file_end(p->packer, err) < 0 ||
	    file_builder_end(p->files, &w->id, &list, err) < 0)
		return -1;
	note_stat(p, w, &list);
	return add_entry(p, w, &list, &by_id, err);
}

static int
consume_data(struct publisher *p, struct work *w, struct dm_err *err)
{
	bool small = w->kind == WORK_SMALL;
	struct place at;

	if (packer_data(p->packer, small ? PACKER_SMALL : PACKER_FILE,
		&w->object, work_stored(w), &at, err) < 0)
		return -1;
	p->nbytes += w->size;
	if (!small)
		return file_builder_add(p->files, (uint32_t)w->size,
		    &w->object.id, &at, err);
	note_stat(p, w, &w->id);
	return add_entry(p, w, &w->id, &at, err);
}

static int
consume(struct publisher *p, struct work *w, struct dm_err *err)
{
	static const struct place none = { .pack = PLACE_NONE };

	if (w->err.code != DM_OK) {
		*err = w->err;
		return -1;
	}
	switch (w->kind) {
	case WORK_DIR:
		return tree_builder_begin(p->trees, work_name(w),
		    strlen(work_name(w)), w->count, err);
	case WORK_DIR_END:
		return tree_builder_end(p->trees, err);
	case WORK_LINK:
	case WORK_EMPTY:
		return add_entry(p, w, NULL, &none, err);
	case WORK_KNOWN:
		p->nbytes += (uint64_t)w->st.st_size;
		return add_entry(p, w, &w->id, &w->at, err);
	case WORK_SMALL:
	case WORK_CHUNK:
		return consume_data(p, w, err);
	case WORK_LARGE_END:
		return end_large(p, w, err);
	}
	abort();
}

static void
work_freep(struct work **w)
{
	work_free(*w);
}

static int
take_one(struct publisher *p, bool *empty, struct dm_err *err)
{
	DM_AUTO(work_freep) struct work *w = work_queue_take(p->queue);

	*empty = w == NULL;
	if (w == NULL)
		return 0;
	if (consume(p, w, err) < 0)
		return -1;
	if (p->nfiles >= p->files_shown + 64 || w->kind == WORK_CHUNK) {
		p->files_shown = p->nfiles;
		p->opt->progress(p->opt->arg, p->nfiles, p->nbytes);
	}
	return 0;
}

static int
put(void *arg, struct work *w, struct dm_err *err)
{
	struct publisher *p = arg;
	bool empty;

	while (work_queue_full(p->queue, w)) {
		if (take_one(p, &empty, err) < 0) {
			work_free(w);
			return -1;
		}
	}
	work_queue_put(p->queue, w);
	return 0;
}

/*
 * Does the repository have what a file held when it was read?  If it had that
 * of the first files that were asked for, it will have the rest: a directory
 * that did not change is found as a whole, and of one that did the packer
 * looks up all before it is written (DM_REDO: begin again, and ask each time).
 */
static int
look_up(struct publisher *p, const struct stat *st, const struct digest *id,
    struct place *at, bool *found, struct dm_err *err)
{
	if (p->sure == SURE) {
		at->pack = PLACE_BY_ID;
		return 0;
	}
	if (packer_find(p->packer, id,
		st->st_size > DM_SMALL_FILE_MAX ? OBJECT_CHUNKS : OBJECT_DATA,
		at, found, err) < 0)
		return -1;
	if (!*found)
		p->ask = true;
	if (!p->ask)
		p->sure++;
	return 0;
}

/* Was the file read before, and does the repository have what it held? */
static int
known(void *arg, const char *path, const struct stat *st, struct digest *id,
    struct place *at, bool *found, struct dm_err *err)
{
	struct publisher *p = arg;
	struct dm_err e = { 0 };

	*found = false;
	if (p->stats == NULL || p->opt->rehash ||
	    !file_times_tell(&p->times, p->dir, path, st))
		return 0;
	if (stat_cache_find(p->stats, path, st, id, found, &e) < 0) {
		drop_stats(p, &e);
		*found = false;
	}
	if (*found && look_up(p, st, id, at, found, err) < 0)
		return -1;
	/* a large file may take long to read */
	if (!*found && st->st_size > DM_SMALL_FILE_MAX)
		rest_stats(p);
	return 0;
}

static void
warn(void *arg, const char *text)
{
	struct publisher *p = arg;

	p->opt->warn(p->opt->arg, text);
}

/* ---- before ---- */

/* What is left out: the lines of a .datamountignore, and what was asked for.
 */
static int
set_ignore(void *arg, const char *text, size_t size, struct dm_err *err)
{
	struct publisher *p = arg;

	ignore_free(p->ignore);
	p->ignore = ignore_new();
	if (p->ignore == NULL)
		return dm_fail(err, DM_NOMEM, "patterns");
	if (size > 0 && ignore_add_lines(p->ignore, text, size, err) < 0)
		return dm_wrap(err, ".datamountignore");
	for (size_t i = 0; i < p->opt->nexcludes; i++)
		if (ignore_add(p->ignore, p->opt->excludes[i], err) < 0)
			return dm_wrap(err, "--exclude");
	return 0;
}

static int
load_ignore(struct publisher *p, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(IGNORE_MAX);
	static const char name[] = ".datamountignore";
	struct stat st;
	bool found = false;

	/* a pipe would have to be waited for */
	if (!p->opt->stream && fstatat(p->dir, name, &st, 0) == 0 &&
	    !S_ISREG(st.st_mode))
		return dm_fail(err, DM_INVALID, "%s/%s is no regular file",
		    p->opt->dir, name);
	if (!p->opt->stream &&
	    dm_file_read(p->dir, name, &text, &found, err) < 0)
		return -1;
	return set_ignore(p, text.data, text.size, err);
}

static int
read_marks(struct publisher *p, struct marks *out, bool *gc, struct dm_err *err)
{
	if (marks_read(p->folder, out, gc, err) == 0)
		return 0;
	if (err->code == DM_CORRUPT)
		return dm_wrap(err, "run `datamount gc`, which mends it");
	return -1;
}

/* The branch as it is now, and the tree of its commit. */
static int
load_parent(struct publisher *p, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	struct commit c;
	bool found = false;

	if (folder_ref_read(p->folder, false, p->opt->branch, &p->parent,
		&p->has_parent, err) < 0)
		return -1;
	if (!p->has_parent)
		return 0;
	if (folder_commit_read(p->folder, &p->parent.commit, &text, &c, &found,
		err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND,
		    "%s: the commit that %s names is missing: restore it from"
		    " a copy",
		    p->opt->repo, p->opt->branch);
	p->parent_tree = c.tree;
	return 0;
}

static bool
index_path(const struct publisher *p, char out[PATH_MAX], struct dm_err *err)
{
	char hex[REPO_ID_HEX + 1];

	dm_hex_encode(hex, p->folder->id, REPO_ID_SIZE);
	return cache_file_path(out, p->opt->cache_dir, "index-v2-", hex, err) ==
	    0;
}

/* Open the index; one that is damaged is put aside and made anew.  Where there
 * can be none, all directories of packs are read, and kept in memory. */
static int
open_index(struct publisher *p, struct dm_err *err)
{
	char path[PATH_MAX];
	struct dm_err e = { 0 };

	for (int i = 0; i < 2 && !p->no_index; i++) {
		bool unusable = false;

		e = (struct dm_err){ 0 };
		if (!index_path(p, path, &e))
			break;
		if (object_index_open(&p->index, path, p->packs_dir, &p->marked,
			&unusable, &e) == 0)
			return 0;
		if (!unusable) {
			*err = e;
			return -1;
		}
		if (e.code != DM_CORRUPT || i > 0)
			break;
		p->opt->warn(p->opt->arg, e.text);
		if (cache_file_set_aside(path, &e) < 0)
			break;
	}
	if (e.code != DM_OK)
		p->opt->warn(p->opt->arg, e.text);
	return object_index_open(&p->index, NULL, p->packs_dir, &p->marked,
	    NULL, err);
}

/* The index failed while it was used.  Whatever came of it, the next try finds
 * another one. */
static void
replace_index(struct publisher *p, struct dm_err *err)
{
	char path[PATH_MAX];
	struct dm_err e = { 0 };

	if (p->index == NULL || !object_index_failed(p->index) ||
	    err->code == DM_NOMEM)
		return;
	p->no_index = p->no_index || err->code != DM_CORRUPT ||
	    !index_path(p, path, &e) || cache_file_set_aside(path, &e) < 0;
	err->code = DM_REDO;
}

static void
open_stats(struct publisher *p)
{
	DM_AUTO(dm_freep) char *root = realpath(p->opt->dir, NULL);
	char path[PATH_MAX];
	struct dm_err e = { 0 };

	/* without it every file is read, which is correct and says enough */
	if (root == NULL ||
	    cache_file_path(path, p->opt->cache_dir, STATS_FILE, "", &e) < 0 ||
	    stat_cache_open(&p->stats, path, root, &e) == 0)
		return;
	p->opt->warn(p->opt->arg, e.text);
	if (e.code == DM_CORRUPT && cache_file_set_aside(path, &e) == 0 &&
	    stat_cache_open(&p->stats, path, root, &e) < 0)
		p->opt->warn(p->opt->arg, e.text);
}

static int
open_all(struct publisher *p, struct dm_err *err)
{
	if (!p->opt->stream) {
		p->dir = open(p->opt->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (p->dir < 0)
			return dm_fail_errno(err, "cannot publish %s",
			    p->opt->dir);
	}
	p->deadline_ms = dm_deadline_ms(TOO_OLD_MS);
	if (folder_open(&p->folder, p->opt->repo, err) < 0 ||
	    read_marks(p, &p->marked, &p->gc, err) < 0 ||
	    load_parent(p, err) < 0 || load_ignore(p, err) < 0)
		return -1;
	if (snprintf(p->packs_dir, sizeof(p->packs_dir), "%s/packs",
		p->opt->repo) >= (int)sizeof(p->packs_dir))
		return dm_fail(err, DM_INVALID, "%s: path too long",
		    p->opt->repo);
	p->ask = p->ask || p->gc;
	if (open_index(p, err) < 0 ||
	    packer_open(&p->packer, p->packs_dir, p->index, err) < 0 ||
	    (p->gc &&
		packer_distrust(p->packer, p->folder, &p->marked, err) < 0) ||
	    work_queue_open(&p->queue, p->packer, 0, err) < 0)
		return -1;
	if (!p->opt->stream)
		open_stats(p);
	p->trees = tree_builder_new(p->packer);
	p->files = file_builder_new(p->packer);
	if (p->trees == NULL || p->files == NULL)
		return dm_fail(err, DM_NOMEM, "publish");
	return 0;
}

/* ---- walk, and after ---- */

static int
take_all(struct publisher *p, struct dm_err *err)
{
	bool empty = false;

	while (!empty)
		if (take_one(p, &empty, err) < 0)
			return -1;
	return 0;
}

static int
walk_dir(struct publisher *p, struct dm_err *err)
{
	char tmp_dir[PATH_MAX];
	struct walk_options opt = {
		.fd = p->dir,
		.ignore = p->ignore,
		.tmp_dir = tmp_dir,
		.all_symlinks = p->opt->all_symlinks,
		.put = put,
		.known = known,
		.warn = warn,
		.arg = p,
	};

	cache_file_tmp_dir(tmp_dir, p->opt->cache_dir);
	if (fstat(p->folder->fd, &opt.repo) < 0)
		return dm_fail_errno(err, "%s", p->opt->repo);
	return walk(&opt, err) < 0 ? -1 : take_all(p, err);
}

static const struct ignore *
get_ignore(void *arg)
{
	const struct publisher *p = arg;

	return p->ignore;
}

static void
idle(void *arg)
{
	const struct publisher *p = arg;
	struct dm_err e = { 0 };

	if (object_index_rest(p->index, &e) < 0)
		return; /* and so does the next question */
}

static int
read_stream(struct publisher *p, struct dm_err *err)
{
	char tmp_dir[PATH_MAX];
	struct tar_options opt = {
		.fd = STDIN_FILENO,
		.ignore = get_ignore,
		.ignore_text = set_ignore,
		.put = put,
		.idle = idle,
		.warn = warn,
		.arg = p,
	};
	struct members_tree to = {
		.trees = p->trees,
		.all_symlinks = p->opt->all_symlinks,
	};

	cache_file_tmp_dir(tmp_dir, p->opt->cache_dir);
	if (members_open(&p->members, tmp_dir, err) < 0)
		return -1;
	opt.members = p->members;
	if (tar_read(&opt, err) < 0 || take_all(p, err) < 0)
		return -1;
	to.ignore = p->ignore;
	return members_tree(p->members, &to, err);
}

static int
read_and_pack(struct publisher *p, struct dm_err *err)
{
	if ((p->opt->stream ? read_stream(p, err) : walk_dir(p, err)) < 0)
		return -1;
	p->opt->progress(p->opt->arg, p->nfiles, p->nbytes);
	return packer_finish(p->packer, err);
}

static int
fill_text(const struct publish_options *opt, struct commit *c,
    struct dm_err *err)
{
	c->message = opt->message;
	c->message_size = strlen(opt->message);
	if (opt->author != NULL &&
	    snprintf(c->author, sizeof(c->author), "%s", opt->author) >=
		(int)sizeof(c->author))
		return dm_fail(err, DM_INVALID,
		    "the author has more than %d bytes", COMMIT_AUTHOR_MAX);
	if (c->message_size > DM_MESSAGE_MAX)
		return dm_fail(err, DM_INVALID,
		    "the message has more than %d bytes", DM_MESSAGE_MAX);
	return 0;
}

static int
fill_commit(struct publisher *p, struct commit *c, struct dm_err *err)
{
	struct tree_child root;
	struct pack_name pack;
	struct place at;
	bool found = false;

	memset(c, 0, sizeof(*c));
	tree_builder_root(p->trees, &c->level, &root);
	if (packer_find(p->packer, &root.id, OBJECT_TREE, &at, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_REDO, "the new tree is gone");
	if (packer_pack(p->packer, &at, &pack, err) < 0)
		return -1;
	c->tree = root.id;
	c->entries = root.entries;
	c->files = root.files;
	c->bytes = root.bytes;
	c->at_pack = pack.id;
	c->at_dir_off = pack.dir_off;
	c->at_dir_len = pack.dir_len;
	c->at_ordinal = at.ordinal;
	if (p->has_parent)
		c->parents[c->nparents++] = p->parent.commit;
	c->time = p->opt->time != 0 ? p->opt->time : (uint64_t)time(NULL);
	return fill_text(p->opt, c, err);
}

/* Are message and author fit for a commit?  Asked before the walk. */
static int
check_text(const struct publish_options *opt, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	struct commit c = { .time = 1 };

	/* what is not known yet must only not be nothing */
	digest_of(&c.tree, "", 0);
	c.at_pack = c.tree;
	c.at_dir_len = PACK_DIR_HEADER + 2 * PACK_RECORD;
	if (fill_text(opt, &c, err) < 0)
		return -1;
	return commit_encode(&c, &text, err);
}

/* Is the branch still where this commit started from? */
static int
check_branch(struct publisher *p, struct dm_err *err)
{
	char was[DIGEST_HEX + 1] = "nothing", is[DIGEST_HEX + 1] = "nothing";
	struct ref now;
	bool found = false;

	if (folder_ref_read(p->folder, false, p->opt->branch, &now, &found,
		err) < 0)
		return -1;
	if (found == p->has_parent &&
	    (!found || digest_equal(&now.commit, &p->parent.commit)))
		return 0;
	if (p->has_parent)
		digest_hex(&p->parent.commit, was);
	if (found)
		digest_hex(&now.commit, is);
	return dm_fail(err, DM_STALE,
	    "somebody else moved %s: %.12s -> %.12s; run the command again",
	    p->opt->branch, was, is);
}

/* Is everything that the new version needs there to stay? */
static int
settle(struct publisher *p, struct dm_err *err)
{
	struct marks now = { 0 };
	bool changed = false, gc;
	int rc;

	if (dm_now_ms() >= p->deadline_ms)
		return dm_fail(err, DM_REDO,
		    "this took more than %d hours, and gc may have removed"
		    " what it found at first",
		    TOO_OLD_MS / 3600000);
	if (read_marks(p, &now, &gc, err) < 0)
		return -1;
	if (gc && !p->gc) {
		marks_release(&now);
		return dm_fail(err, DM_REDO, "gc began to work in %s meanwhile",
		    p->opt->repo);
	}
	rc = packer_settle(p->packer, &now, &changed, err);
	if (rc == 0 && changed)
		rc = marks_write(p->folder, &now, err);
	marks_release(&now);
	return rc;
}

static int
move_branch(struct publisher *p, const struct commit *c,
    struct publish_result *out, struct dm_err *err)
{
	rest_stats(p);
	if (object_index_rest(p->index, err) < 0 ||
	    folder_lock(p->folder, err) < 0 || check_branch(p, err) < 0 ||
	    (!out->unchanged && settle(p, err) < 0))
		return -1;
	if (out->unchanged)
		out->commit = p->parent.commit;
	else if (folder_commit_write(p->folder, c, &out->commit, err) < 0 ||
	    folder_ref_move(p->folder, false, p->opt->branch, &out->commit,
		err) < 0)
		return -1;
	return hints_refresh(p->folder, err);
}

static int
publish(struct publisher *p, struct publish_result *out, struct dm_err *err)
{
	struct packer_counts counts;
	struct commit c;
	struct dm_err e = { 0 };

	if (open_all(p, err) < 0 || read_and_pack(p, err) < 0 ||
	    fill_commit(p, &c, err) < 0)
		return -1;
	out->unchanged =
	    p->has_parent && digest_equal(&c.tree, &p->parent_tree);
	if (move_branch(p, &c, out, err) < 0)
		return -1;
	if (p->stats != NULL &&
	    stat_cache_save(p->stats, p->dir, p->nfiles, &e) < 0)
		drop_stats(p, &e);
	packer_counts(p->packer, &counts);
	out->files = c.files;
	out->bytes = c.bytes;
	out->stored = counts.stored;
	out->packs = counts.packs;
	return 0;
}

/* May it begin again, and find more of its work done?  A stream is gone. */
static bool
may_begin_again(const struct publish_options *opt, int tries,
    struct dm_err *err)
{
	size_t n = strlen(err->text);

	if (err->code != DM_REDO)
		return false;
	if (opt->stream || tries == TRIES) {
		(void)snprintf(err->text + n, sizeof(err->text) - n,
		    ": run the command again");
		return false;
	}
	(void)snprintf(err->text + n, sizeof(err->text) - n,
	    ": beginning again");
	opt->warn(opt->arg, err->text);
	*err = (struct dm_err){ 0 };
	return true;
}

int
publish_commit(const struct publish_options *opt, struct publish_result *out,
    struct dm_err *err)
{
	bool no_index = false;
	int rc, tries = 0;

	if (!ref_name_valid(opt->branch, strlen(opt->branch)))
		return dm_fail(err, DM_INVALID,
		    "'%.100s' cannot name a branch: use letters, digits, . _ -"
		    " and /",
		    opt->branch);
	if (check_text(opt, err) < 0)
		return -1;
	do {
		struct publisher p = {
			.opt = opt,
			.dir = -1,
			.no_index = no_index,
			.ask = tries > 0,
		};

		memset(out, 0, sizeof(*out));
		rc = publish(&p, out, err);
		if (rc < 0)
			replace_index(&p, err);
		no_index = p.no_index;
		release(&p);
	} while (rc < 0 && may_begin_again(opt, ++tries, err));
	return rc;
}
