/*
 * One run: walk, repack, walk again, lock, walk what the refs have gained
 * meanwhile, mark, delete.
 *
 * The long walks hold no lock that publishers want.  Whether something is
 * needed is settled under it, and nothing moves a ref then; so what is deleted
 * is certainly not needed.  A commit goes before its parents, and all of them
 * before packs: killed at any moment, those that are left are whole.  The marks
 * are for publishers that are at work and have moved no ref yet.
 */
#include "fs/publish/gc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/format/commit.h"
#include "fs/format/ref.h"
#include "fs/publish/folder.h"
#include "fs/publish/hints.h"
#include "fs/publish/id_map.h"
#include "fs/publish/leftovers.h"
#include "fs/publish/lineage.h"
#include "fs/publish/pack_file.h"
#include "fs/publish/reach.h"
#include "fs/publish/repack.h"

enum { LOG_MAX = 256 << 20 };

static const char *const folders[MARK_KINDS] = {
	[MARK_PACK] = "packs",
	[MARK_COMMIT] = "commits",
	[MARK_MOVED] = "moved",
};

struct gc {
	const struct gc_options *opt;
	struct gc_result *result;
	struct folder *folder;
	int lock; /* against another gc, or -1 */
	struct reach *reach;
	struct id_map commits; /* that are reached */
	struct marks there;    /* all that the folder has; no times */
	struct marks old, left, gone;
	struct leftovers temps;
};

static void
release(struct gc *g)
{
	reach_close(g->reach);
	id_map_release(&g->commits);
	marks_release(&g->there);
	marks_release(&g->old);
	marks_release(&g->left);
	marks_release(&g->gone);
	leftovers_release(&g->temps);
	folder_close(g->folder);
	dm_closep(&g->lock);
}

/* ---- what is reached ---- */

struct stack {
	struct digest *id;
	size_t n, room;
};

static void
stack_release(struct stack *s)
{
	free(s->id);
}

static int
push(struct stack *s, const struct digest *id, struct dm_err *err)
{
	if (s->n == s->room) {
		size_t room = s->room == 0 ? 64 : 2 * s->room;
		struct digest *q = reallocarray(s->id, room, sizeof(*q));

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "list commits");
		s->id = q;
		s->room = room;
	}
	s->id[s->n++] = *id;
	return 0;
}

static int
walk_commit(struct gc *g, const struct digest *id, struct stack *todo,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	char hex[DIGEST_HEX + 1];
	struct commit c;
	bool found = false;

	digest_hex(id, hex);
	if (folder_commit_read(g->folder, id, &text, &c, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND,
		    "%s: commit %.12s is missing: restore it from a copy",
		    g->folder->path, hex);
	if (reach_commit(g->reach, &c, err) < 0)
		return dm_wrap(err, "version %.12s", hex);
	for (unsigned i = 0; i < c.nparents; i++)
		if (push(todo, &c.parents[i], err) < 0)
			return -1;
	return 0;
}

/* Walk what the refs reach, but for what was walked before. */
static int
walk_refs(struct gc *g, struct dm_err *err)
{
	DM_AUTO(dm_freep) struct ref_line *line = NULL;
	DM_AUTO(stack_release) struct stack todo = { 0 };
	size_t n = 0;

	if (hints_refs(g->folder, &line, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (push(&todo, &line[i].ref.commit, err) < 0)
			return -1;
	while (todo.n > 0) {
		struct digest id = todo.id[--todo.n];

		if (id_map_has(&g->commits, &id))
			continue;
		if (walk_commit(g, &id, &todo, err) < 0 ||
		    id_map_put(&g->commits, &id, 0, err) < 0)
			return -1;
	}
	return 0;
}

static int
walk_anew(struct gc *g, struct dm_err *err)
{
	reach_close(g->reach);
	g->reach = NULL;
	id_map_release(&g->commits);
	g->commits = (struct id_map){ 0 };
	if (reach_open(&g->reach, g->folder, NULL, err) < 0)
		return -1;
	return walk_refs(g, err);
}

/* ---- what is there ---- */

static void
closedirp(DIR **d)
{
	if (*d != NULL)
		(void)closedir(*d);
}

/* The directory path of the repository; NULL without an error: none. */
static DIR *
open_dir(struct gc *g, const char *path)
{
	int fd = openat(g->folder->fd, path,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL)
		dm_closep(&fd);
	return d;
}

static int
list_files(struct gc *g, enum mark_kind kind, const char *aa,
    struct dm_err *err)
{
	struct mark m = { .kind = kind };
	const struct dirent *e;
	char path[32];
	DM_AUTO(closedirp) DIR *d = NULL;

	(void)snprintf(path, sizeof(path), "%s/%s", folders[kind], aa);
	d = open_dir(g, path);
	if (d == NULL)
		return errno == ENOTDIR ?
		    0 :
		    dm_fail_errno(err, "open %s/%s", g->folder->path, path);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this DIR */
	while ((e = readdir(d)) != NULL)
		if (digest_parse(&m.id, e->d_name, strlen(e->d_name)) &&
		    marks_add(&g->there, &m, err) < 0)
			return -1;
	return 0;
}

static int
list_kind(struct gc *g, enum mark_kind kind, struct dm_err *err)
{
	DM_AUTO(closedirp) DIR *d = open_dir(g, folders[kind]);
	const struct dirent *e;

	if (d == NULL)
		return errno == ENOENT ? 0 :
					 dm_fail_errno(err, "open %s/%s",
					     g->folder->path, folders[kind]);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this DIR */
	while ((e = readdir(d)) != NULL)
		if (strlen(e->d_name) == 2 &&
		    strspn(e->d_name, "0123456789abcdef") == 2 &&
		    list_files(g, kind, e->d_name, err) < 0)
			return -1;
	return 0;
}

/* What commits may need is listed first, so that it is marked no earlier than
 * they are: those are listed once no more can come. */
static int
list_needed(struct gc *g, struct dm_err *err)
{
	return list_kind(g, MARK_PACK, err) < 0 ? -1 :
						  list_kind(g, MARK_MOVED, err);
}

static int
list_commits(struct gc *g, struct dm_err *err)
{
	if (list_kind(g, MARK_COMMIT, err) < 0)
		return -1;
	marks_sort(&g->there);
	return 0;
}

static uint64_t
size_of(struct gc *g, const struct mark *m)
{
	char path[PACK_PATH];
	struct stat st;

	pack_file_path(path, folders[m->kind], &m->id);
	return fstatat(g->folder->fd, path, &st, 0) < 0 ? 0 :
							  (uint64_t)st.st_size;
}

/* ---- marking and deleting, under the lock ---- */

static bool
is_needed(struct gc *g, const struct mark *m)
{
	const struct reach_pack *p;

	if (m->kind == MARK_COMMIT)
		return id_map_has(&g->commits, &m->id);
	p = reach_find(g->reach, &m->id);
	if (p == NULL)
		return false;
	return m->kind == MARK_PACK ? p->live > 0 : p->followed;
}

static int
judge(struct gc *g, const struct mark *there, uint64_t now, struct dm_err *err)
{
	const struct mark *old = marks_find(&g->old, there->kind, &there->id);
	struct mark m = *there;
	bool pack = m.kind == MARK_PACK;
	uint64_t bytes = size_of(g, there);

	if (is_needed(g, there)) {
		g->result->packs += pack;
		g->result->bytes += pack ? bytes : 0;
		return 0;
	}
	/* a mark from the future was made by a clock that was wrong */
	m.time = old == NULL || old->time > now ? now : old->time;
	if (old != NULL && now - m.time >= g->opt->grace_s) {
		g->opt->say(g->opt->arg, GC_DELETE, m.kind, &m.id, bytes);
		g->result->deleted += pack;
		g->result->deleted_bytes += pack ? bytes : 0;
		g->result->commits += m.kind == MARK_COMMIT;
		return marks_add(&g->gone, &m, err);
	}
	if (old == NULL)
		g->opt->say(g->opt->arg, GC_MARK, m.kind, &m.id, bytes);
	g->result->marked += pack;
	g->result->marked_bytes += pack ? bytes : 0;
	return marks_add(&g->left, &m, err);
}

static int
judge_all(struct gc *g, struct dm_err *err)
{
	uint64_t now = (uint64_t)time(NULL);
	struct dm_err e = { 0 };
	bool gc;

	if (marks_read(g->folder, &g->old, &gc, &e) < 0) {
		if (e.code != DM_CORRUPT) {
			*err = e;
			return -1;
		}
		g->opt->warn(g->opt->arg, e.text); /* their time begins anew */
	}
	for (size_t i = 0; i < g->there.n; i++)
		if (judge(g, &g->there.mark[i], now, err) < 0)
			return -1;
	return 0;
}

/* Everything that is going to be gone is marked until it is. */
static int
write_marks(struct gc *g, bool before, struct dm_err *err)
{
	struct marks all = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < g->left.n; i++)
		rc = marks_add(&all, &g->left.mark[i], err);
	for (size_t i = 0; before && rc == 0 && i < g->gone.n; i++)
		rc = marks_add(&all, &g->gone.mark[i], err);
	marks_sort(&all);
	if (rc == 0)
		rc = marks_write(g->folder, &all, err);
	marks_release(&all);
	return rc;
}

static int
sync_dir(struct gc *g, const char *path, struct dm_err *err)
{
	DM_AUTO(dm_closep)
	int fd =
	    openat(g->folder->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return dm_fail_errno(err, "fsync %s/%s", g->folder->path, path);
	return 0;
}

static int
delete_one(struct gc *g, enum mark_kind kind, const struct digest *id,
    struct dm_err *err)
{
	char path[PACK_PATH];

	pack_file_path(path, folders[kind], id);
	if (unlinkat(g->folder->fd, path, 0) < 0 && errno != ENOENT)
		return dm_fail_errno(err, "remove %s/%s", g->folder->path,
		    path);
	*strrchr(path, '/') = '\0';
	/* No tag may be put on a commit whose parents or packs are gone. */
	return kind == MARK_COMMIT ? sync_dir(g, path, err) : 0;
}

/* What commits need goes after them. */
static int
delete_kind(struct gc *g, enum mark_kind kind, struct dm_err *err)
{
	DM_AUTO(dm_freep)
	struct digest *id = calloc(g->gone.n + 1, sizeof(*id));
	size_t n = 0;

	if (id == NULL)
		return dm_fail(err, DM_NOMEM, "list what goes");
	for (size_t i = 0; i < g->gone.n; i++)
		if (g->gone.mark[i].kind == kind)
			id[n++] = g->gone.mark[i].id;
	if (kind == MARK_COMMIT && lineage_sort(g->folder, id, n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (delete_one(g, kind, &id[i], err) < 0)
			return -1;
	return 0;
}

/* Take the lines of commits that are going out of refs/log. */
static int
filter_log(struct gc *g, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf old = DM_BUF(LOG_MAX);
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(LOG_MAX);
	bool found = false;
	const char *end;

	if (dm_file_read(g->folder->fd, "refs/log", &old, &found, err) < 0)
		return -1;
	marks_sort(&g->gone);
	for (const char *p = old.data; p != NULL && p < old.data + old.size &&
	     (end = strchr(p, '\n')) != NULL;
	     p = end + 1) {
		size_t size = (size_t)(end - p);
		struct dm_err ignored = { 0 };
		struct log_line l;

		if (log_line_decode(&l, p, size, &ignored) == 0 &&
		    marks_find(&g->gone, MARK_COMMIT, &l.commit) != NULL)
			continue;
		if (dm_buf_append(&text, p, size + 1, err) < 0)
			return -1;
	}
	if (text.size == old.size)
		return 0;
	return folder_put(g->folder, "refs/log",
	    text.data == NULL ? "" : text.data, text.size, err);
}

static int
mark_and_delete(struct gc *g, struct dm_err *err)
{
	if (g->opt->dry_run)
		return 0;
	if (write_marks(g, true, err) < 0)
		return -1;
	if (g->result->commits > 0 && filter_log(g, err) < 0)
		return -1;
	if (delete_kind(g, MARK_COMMIT, err) < 0 ||
	    delete_kind(g, MARK_PACK, err) < 0 ||
	    delete_kind(g, MARK_MOVED, err) < 0)
		return -1;
	if (g->gone.n > 0 && write_marks(g, false, err) < 0)
		return -1;
	return hints_refresh(g->folder, err);
}

/* ---- chains ---- */

/* Make the rows of a moved/ file say where the objects are in the end. */
static int
shorten(struct gc *g, struct reach_pack *p, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(MOVED_MAX);
	DM_AUTO(dm_freep)
	struct moved_row *row = calloc(p->moved.count, sizeof(*row));
	char path[PACK_PATH];
	bool changed = false;

	if (row == NULL)
		return dm_fail(err, DM_NOMEM, "moved objects");
	for (uint32_t i = 0; i < p->moved.count; i++) {
		struct moved_place to;

		row[i].old = moved_at(&p->moved, i, &to);
		if (reach_resolve(g->reach, &to, &row[i].to, err) < 0)
			return -1;
		if (!digest_equal(&to.pack, &row[i].to.pack))
			changed = true;
	}
	if (!changed)
		return 0;
	pack_file_path(path, "moved", &p->id);
	if (moved_encode(row, p->moved.count, &text, err) < 0)
		return -1;
	return folder_put(g->folder, path, text.data, text.size, err);
}

static int
shorten_all(struct gc *g, struct dm_err *err)
{
	for (size_t i = 0; i < reach_count(g->reach); i++) {
		struct reach_pack *p = reach_at(g->reach, i);

		if (p->has_moved && p->followed && shorten(g, p, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- temporary files ---- */

static void
note_left(void *arg, const char *path, uint64_t bytes)
{
	struct gc *g = arg;

	g->result->temps++;
	g->result->temp_bytes += bytes;
	g->opt->left(g->opt->arg, path, bytes);
}

static int
remove_left(struct gc *g, struct dm_err *err)
{
	struct leftovers_options o = { .age_s = g->opt->grace_s,
		.dry_run = g->opt->dry_run,
		.say = note_left,
		.arg = g };

	return leftovers_remove(&g->temps, g->folder, &o, err);
}

/* ---- a run ---- */

/* Be the only gc. */
static int
lock_gc(struct gc *g, struct dm_err *err)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (mkdirat(g->folder->fd, "gc", 0777) < 0 && errno != EEXIST)
		return dm_fail_errno(err, "mkdir %s/gc", g->folder->path);
	g->lock = openat(g->folder->fd, "gc/lock", O_RDWR | O_CREAT | O_CLOEXEC,
	    0666);
	if (g->lock < 0)
		return dm_fail_errno(err, "open %s/gc/lock", g->folder->path);
	if (fcntl(g->lock, F_OFD_SETLK, &whole) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return dm_fail_errno(err, "lock %s/gc/lock", g->folder->path);
	return dm_fail(err, DM_STALE,
	    "%s: another gc is at work: run the command again when it is done",
	    g->folder->path);
}

static int
repack_phase(struct gc *g, struct dm_err *err)
{
	struct repack_counts c = { 0 };
	bool any = false;

	for (size_t i = 0; i < reach_count(g->reach); i++) {
		const struct reach_pack *p = reach_at(g->reach, i);

		if (!repack_worthy(p))
			continue;
		any = true;
		g->opt->say(g->opt->arg, GC_REPACK, MARK_PACK, &p->id,
		    p->name.dir_off + p->name.dir_len + PACK_TRAILER);
	}
	if (!any || g->opt->dry_run)
		return 0;
	if (repack(g->folder, g->reach, &c, err) < 0)
		return -1;
	g->result->repacked = c.packs;
	g->result->repacked_bytes = c.bytes;
	g->result->new_packs = c.new_packs;
	g->result->new_bytes = c.new_bytes;
	/* Only what is found without the old packs may lose them. */
	return walk_anew(g, err);
}

static int
run(struct gc *g, struct dm_err *err)
{
	bool dry = g->opt->dry_run;

	if (folder_open(&g->folder, g->opt->repo, err) < 0 ||
	    (!dry && lock_gc(g, err) < 0) || walk_anew(g, err) < 0 ||
	    (!dry && shorten_all(g, err) < 0) ||
	    (g->opt->repack && repack_phase(g, err) < 0) ||
	    list_needed(g, err) < 0 ||
	    leftovers_find(&g->temps, g->folder, err) < 0)
		return -1;
	if ((!dry && folder_lock(g->folder, err) < 0) ||
	    list_commits(g, err) < 0 || walk_refs(g, err) < 0 ||
	    judge_all(g, err) < 0 || mark_and_delete(g, err) < 0 ||
	    remove_left(g, err) < 0)
		return -1;
	folder_unlock(g->folder);
	return dry ? 0 : shorten_all(g, err);
}

int
gc_run(const struct gc_options *opt, struct gc_result *out, struct dm_err *err)
{
	struct gc g = { .opt = opt, .result = out, .lock = -1 };
	int rc;

	*out = (struct gc_result){ 0 };
	rc = run(&g, err);
	release(&g);
	return rc;
}
