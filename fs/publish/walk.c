/*
 * The walk is a recursion, at most DM_DEPTH_MAX deep.  A directory's names are
 * read and sorted whole before its first entry is handed out, because its
 * pages depend on their number: so what is left out is decided then.
 */
#include "fs/publish/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/format/limits.h"
#include "fs/publish/cutter.h"
#include "fs/publish/ignore.h"
#include "fs/publish/names.h"
#include "fs/publish/quote.h"
#include "fs/publish/work.h"

enum {
	WARNINGS = 10,      /* of skipped files, before they are summed */
	LOOKS = 3,          /* at a file that is being written to */
	PAUSES = 3000,      /* of a millisecond: should the clock go back */
	TICK_NS = 20000000, /* no kernel's tick is as long */
};

static const int64_t UNIT_NS = 2000000000;

struct walker {
	const struct walk_options *opt;
	char path[DM_PATH_MAX + 1]; /* of the present entry, below the root */
	size_t path_size;
	unsigned depth; /* directories above the present entry, less the root */
	uint64_t skipped;
	struct cutter *cutter; /* made for the first large file */
};

static int
refuse(const struct walker *wk, struct dm_err *err, const char *why)
{
	char text[QUOTE_TEXT];

	return dm_fail(err, DM_INVALID, "%s %s", quote_path(text, wk->path),
	    why);
}

static int
refuse_errno(const struct walker *wk, struct dm_err *err)
{
	char text[QUOTE_TEXT];

	if (errno == ENOENT)
		return work_changed(wk->path, err);
	return dm_fail_errno(err, "cannot read %s", quote_path(text, wk->path));
}

/* Put a name behind the path; returns where it began, for path_leave. */
static int
path_enter(struct walker *wk, const char *name, size_t *was, struct dm_err *err)
{
	size_t n = strlen(name), at = wk->path_size;

	*was = at;
	if (n > DM_NAME_MAX)
		return dm_fail(err, DM_INVALID,
		    "a name in %.80s is longer than %d bytes: rename it or"
		    " use --exclude",
		    wk->path, DM_NAME_MAX);
	if (at + 1 + n > DM_PATH_MAX) {
		char text[QUOTE_TEXT];

		return dm_fail(err, DM_INVALID,
		    "a path below %s is longer than %d bytes: use --exclude",
		    quote_path(text, wk->path), DM_PATH_MAX);
	}
	if (at > 0)
		wk->path[at++] = '/';
	memcpy(wk->path + at, name, n + 1);
	wk->path_size = at + n;
	return 0;
}

static void
path_leave(struct walker *wk, size_t was)
{
	wk->path_size = was;
	wk->path[was] = '\0';
}

static int
put(struct walker *wk, struct work *w, struct dm_err *err)
{
	return wk->opt->put(wk->opt->arg, w, err);
}

static void
skip(struct walker *wk)
{
	char line[QUOTE_TEXT + 80], text[QUOTE_TEXT];

	if (wk->skipped++ >= WARNINGS)
		return;
	(void)snprintf(line, sizeof(line),
	    "%s is a socket, pipe or device: left out",
	    quote_path(text, wk->path));
	wk->opt->warn(wk->opt->arg, line);
}

/* ---- names ---- */

/* A directory whose names are being read. */
struct listing {
	struct walker *wk;
	int fd;
};

/* What readdir did not say. */
static unsigned char
type_of(int fd, const char *name)
{
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return (unsigned char)IFTODT(st.st_mode);
}

/* Is the entry at wk->path part of the version? */
static int
keep_entry(struct walker *wk, const char *name, unsigned char type,
    struct dm_err *err)
{
	if (ignore_match(wk->opt->ignore, wk->path, type == DT_DIR))
		return 0;
	if (tree_name_is_git(name, strlen(name)))
		return refuse(wk, err,
		    "is Git's own, or is taken for it on some systems:"
		    " use --exclude");
	if (type != DT_REG && type != DT_DIR && type != DT_LNK &&
	    type != DT_UNKNOWN) {
		skip(wk);
		return 0;
	}
	return 1;
}

static int
keep(void *arg, const char *name, unsigned char type, struct dm_err *err)
{
	struct listing *l = arg;
	size_t was;
	int rc;

	if (type == DT_UNKNOWN)
		type = type_of(l->fd, name);
	if (path_enter(l->wk, name, &was, err) < 0)
		return -1;
	rc = keep_entry(l->wk, name, type, err);
	path_leave(l->wk, was);
	return rc;
}

/* ---- entries ---- */

static struct work *
work_of(const struct walker *wk, enum work_kind kind, const struct stat *st,
    struct dm_err *err)
{
	struct work *w = work_new(kind, wk->path);

	if (w == NULL) {
		(void)dm_fail(err, DM_NOMEM, "walk");
		return NULL;
	}
	if (st != NULL) {
		w->st = *st;
		w->entry = (st->st_mode & S_IXUSR) != 0 ? TREE_EXEC : TREE_FILE;
	}
	return w;
}

static int
visit_link(struct walker *wk, int fd, const char *name, struct dm_err *err)
{
	char target[DM_TARGET_MAX + 2];
	ssize_t n = readlinkat(fd, name, target, sizeof(target) - 1);
	struct work *w;

	if (n < 0)
		return refuse_errno(wk, err);
	if (n == 0 || n > DM_TARGET_MAX)
		return refuse(wk, err,
		    "is a symlink with a target of bad length: use --exclude");
	if (!wk->opt->all_symlinks &&
	    !tree_target_stays(target, (size_t)n, wk->depth))
		return refuse(wk, err,
		    "is a symlink that leaves the directory:"
		    " use --symlinks=keep or --exclude");
	w = work_of(wk, WORK_LINK, NULL, err);
	if (w == NULL)
		return -1;
	w->entry = TREE_SYMLINK;
	w->target = strndup(target, (size_t)n);
	if (w->target == NULL) {
		work_free(w);
		return dm_fail(err, DM_NOMEM, "walk");
	}
	return put(wk, w, err);
}

/* One chunk of a large file. */
static int
put_chunk(void *arg, struct work *w, struct dm_err *err)
{
	return put(arg, w, err);
}

/* Read the file's next n bytes, or to its end. */
static int
read_data(struct walker *wk, int fd, uint64_t *n, struct dm_err *err)
{
	size_t room;
	void *to = cutter_room(wk->cutter, &room);
	ssize_t got;

	got = dm_read_full(fd, to, *n < room ? (size_t)*n : room);
	if (got < 0)
		return refuse_errno(wk, err);
	*n = (uint64_t)got;
	return cutter_add(wk->cutter, (size_t)got, err);
}

/*
 * Where the file's next bytes lie that may be other than zeros, from off on,
 * and where they end.  A file system that does not know has one run of data.
 * Between looking and reading the file may change: then its times do, too.
 */
static void
next_data(int fd, uint64_t off, uint64_t size, uint64_t *begin, uint64_t *end)
{
	off_t at = lseek(fd, (off_t)off, SEEK_DATA);

	*end = size;
	*begin = at >= 0 ? (uint64_t)at : errno == ENXIO ? size : off;
	if (*begin > size)
		*begin = size;
	if (at >= 0 && (at = lseek(fd, at, SEEK_HOLE)) >= 0 &&
	    (uint64_t)at < size)
		*end = (uint64_t)at;
}

/* Read an open large file to its end and hand it out in chunks. */
static int
read_large(struct walker *wk, int fd, const struct stat *st, uint64_t *size,
    struct dm_err *err)
{
	bool holes = (uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size;
	uint64_t all = (uint64_t)st->st_size, off = 0, begin, end, n;

	while (holes && off < all) {
		next_data(fd, off, all, &begin, &end);
		if (lseek(fd, (off_t)begin, SEEK_SET) < 0)
			return refuse_errno(wk, err);
		if (cutter_zeros(wk->cutter, begin - off, err) < 0)
			return -1;
		for (off = begin; off < end; off += n) {
			n = end - off;
			if (read_data(wk, fd, &n, err) < 0)
				return -1;
			if (n == 0)
				return work_changed(wk->path, err);
		}
	}
	/* what lies behind is there only if the file has grown */
	do {
		n = CHUNK_MAX;
		if (read_data(wk, fd, &n, err) < 0)
			return -1;
	} while (n > 0);
	return cutter_end(wk->cutter, size, err);
}

static int
visit_large(struct walker *wk, int dir, const char *name, const struct stat *st,
    int64_t at_ns, struct dm_err *err)
{
	DM_AUTO(dm_closep)
	int fd = openat(dir, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	uint64_t size = 0;
	struct stat now;
	struct work *w;

	if (fd < 0 || fstat(fd, &now) < 0)
		return refuse_errno(wk, err);
	if (!work_same_stat(&now, st))
		return work_changed(wk->path, err);
	if (wk->cutter == NULL &&
	    cutter_open(&wk->cutter, put_chunk, wk, err) < 0)
		return -1;
	/* only speed depends on it */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	if (read_large(wk, fd, st, &size, err) < 0)
		return -1;
	if (fstat(fd, &now) < 0)
		return refuse_errno(wk, err);
	if (size != (uint64_t)st->st_size || !work_same_stat(&now, st))
		return work_changed(wk->path, err);
	w = work_of(wk, WORK_LARGE_END, st, err);
	if (w == NULL)
		return -1;
	w->at_ns = at_ns;
	return put(wk, w, err);
}

static int64_t
wall_ns(void)
{
	struct timespec ts;

	/* the clock that stamps files */
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return dm_timespec_ns(&ts);
}

/* When a write will surely give the file other times than these; 0: now.  Times
 * from a clock that was ahead are not waited for. */
static int64_t
racy_until(const struct stat *st, int64_t at_ns)
{
	const int64_t time[] = { dm_timespec_ns(&st->st_mtim),
		dm_timespec_ns(&st->st_ctim) };
	int64_t until = 0;
	/* some file systems count in seconds, or in two */
	int64_t unit =
	    st->st_mtim.tv_nsec == 0 && st->st_ctim.tv_nsec == 0 ? UNIT_NS : 0;

	for (int i = 0; i < 2; i++)
		if (time[i] >= at_ns - unit && time[i] <= at_ns + TICK_NS &&
		    time[i] + unit > until)
			until = time[i] + unit;
	return until;
}

/*
 * Look at an entry.  That a file changes while it is read is known by its
 * times; but a write within the tick of the clock that they are of leaves them
 * as they are.  So a file that was written to just now is looked at again when
 * the tick is over.
 */
static int
look(const struct walker *wk, int dir, const char *name, struct stat *st,
    int64_t *at_ns, struct dm_err *err)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < LOOKS; i++) {
		int64_t until;

		*at_ns = wall_ns();
		if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) < 0)
			return refuse_errno(wk, err);
		until = S_ISREG(st->st_mode) ? racy_until(st, *at_ns) : 0;
		if (until == 0)
			break;
		for (int n = 0; n < PAUSES && wall_ns() <= until; n++)
			(void)nanosleep(&pause, NULL);
	}
	return 0;
}

static int
visit_file(struct walker *wk, struct work_dir *dir, const char *name,
    const struct stat *st, int64_t at_ns, struct dm_err *err)
{
	struct digest id;
	struct place at;
	bool found = false;
	struct work *w;

	if ((uint64_t)st->st_size > DM_FILE_MAX)
		return refuse(wk, err, "is too large: use --exclude");
	if (st->st_size > 0 &&
	    wk->opt->known(wk->opt->arg, wk->path, st, &id, &at, &found, err) <
		0)
		return -1;
	if (!found && st->st_size > DM_SMALL_FILE_MAX)
		return visit_large(wk, dir->fd, name, st, at_ns, err);
	w = work_of(wk,
	    st->st_size == 0 ? WORK_EMPTY :
		found        ? WORK_KNOWN :
			       WORK_SMALL,
	    st, err);
	if (w == NULL)
		return -1;
	w->at_ns = at_ns;
	if (found) {
		w->id = id;
		w->at = at;
	} else {
		w->dir = dir;
		__atomic_add_fetch(&dir->users, 1, __ATOMIC_RELAXED);
	}
	return put(wk, w, err);
}

static int walk_dir(struct walker *wk, int fd, struct dm_err *err);

static int
visit_dir(struct walker *wk, int fd, const char *name, struct dm_err *err)
{
	int below;

	/* the root is one of the directories above an entry */
	if (wk->depth + 1 == DM_DEPTH_MAX)
		return refuse(wk, err, "lies too deep: use --exclude");
	below =
	    openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (below < 0)
		return refuse_errno(wk, err);
	wk->depth++;
	if (walk_dir(wk, below, err) < 0)
		return -1;
	wk->depth--;
	return 0;
}

static int
visit(struct walker *wk, struct work_dir *dir, const char *name,
    struct dm_err *err)
{
	int64_t at_ns;
	struct stat st;

	if (look(wk, dir->fd, name, &st, &at_ns, err) < 0)
		return -1;
	if (S_ISDIR(st.st_mode))
		return visit_dir(wk, dir->fd, name, err);
	if (S_ISLNK(st.st_mode))
		return visit_link(wk, dir->fd, name, err);
	if (S_ISREG(st.st_mode))
		return visit_file(wk, dir, name, &st, at_ns, err);
	return work_changed(wk->path, err);
}

static int
visit_all(struct walker *wk, struct work_dir *dir, struct names *names,
    struct dm_err *err)
{
	for (;;) {
		const char *name;
		size_t was;

		if (names_next(names, &name, err) < 0)
			return -1;
		if (name == NULL)
			return 0;
		if (path_enter(wk, name, &was, err) < 0 ||
		    visit(wk, dir, name, err) < 0)
			return -1;
		path_leave(wk, was);
	}
}

static void
names_freep(struct names **n)
{
	names_free(*n);
}

static void
dir_putp(struct work_dir **d)
{
	work_dir_put(*d);
}

static int
check_dir(const struct walker *wk, int fd, struct dm_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return refuse_errno(wk, err);
	if (st.st_dev != wk->opt->repo.st_dev ||
	    st.st_ino != wk->opt->repo.st_ino)
		return 0;
	if (wk->path_size == 0)
		return dm_fail(err, DM_INVALID,
		    "the directory to publish is the repository itself");
	return refuse(wk, err,
	    "is the repository itself: use --exclude or keep it elsewhere");
}

/* Takes fd. */
static int
walk_dir(struct walker *wk, int fd, struct dm_err *err)
{
	DM_AUTO(dir_putp) struct work_dir *dir = work_dir_new(fd);
	DM_AUTO(names_freep) struct names *names = NULL;
	struct listing l = { .wk = wk, .fd = fd };
	struct work *w;

	if (dir == NULL) {
		(void)close(fd);
		return dm_fail(err, DM_NOMEM, "walk");
	}
	if (check_dir(wk, fd, err) < 0 ||
	    names_read(&names, fd, wk->opt->tmp_dir, keep, &l, err) < 0)
		return -1;
	w = work_of(wk, WORK_DIR, NULL, err);
	if (w == NULL)
		return -1;
	w->count = names_count(names);
	if (put(wk, w, err) < 0 || visit_all(wk, dir, names, err) < 0)
		return -1;
	w = work_of(wk, WORK_DIR_END, NULL, err);
	return w == NULL ? -1 : put(wk, w, err);
}

int
walk(const struct walk_options *opt, struct dm_err *err)
{
	struct walker wk = { .opt = opt };
	int fd = openat(opt->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[80];
	int rc;

	if (fd < 0)
		return dm_fail_errno(err, "open directory");
	rc = walk_dir(&wk, fd, err);
	cutter_close(wk.cutter);
	if (rc == 0 && wk.skipped > WARNINGS) {
		(void)snprintf(text, sizeof(text),
		    "%llu sockets, pipes and devices were left out",
		    (unsigned long long)wk.skipped);
		opt->warn(opt->arg, text);
	}
	return rc;
}
