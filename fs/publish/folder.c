/*
 * A folder repository: refs, commits, the publishers' lock.
 *
 * The order that a crash may cut anywhere: packs, commit, ref, hints.  A ref
 * is renamed over the old one, so it is old or new; commits that no ref names
 * are garbage that the next commit does not mind.
 */
#include "fs/publish/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/hex.h"
#include "cache/base/io.h"
#include "cache/net/url.h"
#include "fs/publish/gone_refs.h"

enum {
	LOCK_WAIT_MS = 30000,
	LOCK_LOOK_MS = 20,
	REF_PATH = DM_REF_NAME_MAX + 16, /* "refs/heads/" and a name */
	COMMIT_PATH = 16 + DIGEST_HEX,
	DIR_MODE = 0777, /* less the umask */
	FILE_MODE = 0666,
};

/* Make the name of a directory below the folder last. */
static int
sync_name(struct folder *f, const char *path, struct dm_err *err)
{
	const char *slash = strrchr(path, '/');
	char parent[REF_PATH] = ".";
	DM_AUTO(dm_closep) int fd = -1;

	if (slash != NULL)
		(void)snprintf(parent, sizeof(parent), "%.*s",
		    (int)(slash - path), path);
	fd = openat(f->fd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return dm_fail_errno(err, "fsync %s/%s", f->path, parent);
	return 0;
}

/* mkdir below the folder; one that exists is fine. */
static int
make_dir(struct folder *f, const char *path, bool *made, struct dm_err *err)
{
	*made = mkdirat(f->fd, path, DIR_MODE) == 0;
	if (!*made && errno != EEXIST)
		return dm_fail_errno(err, "mkdir %s/%s", f->path, path);
	return 0;
}

/* Make every directory above path.  One that was there may be so new that who
 * made it has not synced its name: what is put below it waits for nobody. */
static int
make_parents(struct folder *f, const char *path, struct dm_err *err)
{
	char part[REF_PATH];
	bool made;

	for (const char *p = strchr(path, '/'); p != NULL;
	     p = strchr(p + 1, '/')) {
		(void)snprintf(part, sizeof(part), "%.*s", (int)(p - path),
		    path);
		if (make_dir(f, part, &made, err) < 0 ||
		    sync_name(f, part, err) < 0)
			return -1;
	}
	return 0;
}

/* A copy made by a tool that drops empty directories is a repository too.
 * What was there is synced when something is put below it. */
static int
make_skeleton(struct folder *f, struct dm_err *err)
{
	static const char *const dirs[] = { "refs", "refs/heads", "refs/tags",
		"commits", "packs" };
	bool made = false;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (make_dir(f, dirs[i], &made, err) < 0 ||
		    (made && sync_name(f, dirs[i], err) < 0))
			return -1;
	return 0;
}

/* A user, his password and a query are not repeated. */
static int
refuse_url(const char *path, struct dm_err *err)
{
	const char *host = strstr(path, "://"), *at;

	if (host == NULL)
		return 0;
	host += strlen("://");
	at = memrchr(host, '@', strcspn(host, "/?#"));
	if (at != NULL)
		host = at + 1;
	return dm_fail(err, DM_INVALID,
	    "%.*s%.*s is a URL: write to the folder that is served there",
	    (int)(strstr(path, "://") - path) + 3, path, (int)url_shown(host),
	    host);
}

/* What an init that was killed leaves behind: the lock, and the file that was
 * to be renamed to `datamount`. */
static bool
is_left(int at, const char *name)
{
	static const char begin[] = "datamount.";
	const char *hex = name + sizeof(begin) - 1;
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return false;
	if (strcmp(name, "lock") == 0)
		return st.st_size == 0;
	return strncmp(name, begin, sizeof(begin) - 1) == 0 &&
	    strspn(hex, "0123456789abcdef") == 16 &&
	    strcmp(hex + 16, ".tmp") == 0;
}

/* Is there nothing in the directory that somebody may want? */
static int
check_empty(const char *path, struct dm_err *err)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	int rc = 0;

	if (d == NULL)
		return dm_fail_errno(err, "open %s", path);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this DIR */
	while (rc == 0 && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0 &&
		    !is_left(dirfd(d), e->d_name))
			rc = dm_fail(err, DM_INVALID,
			    "%s is not empty and no repository: "
			    "name a new or empty folder",
			    path);
	(void)closedir(d);
	return rc;
}

static int
read_identity(struct folder *f, bool *found, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(4096);

	if (dm_file_read(f->fd, "datamount", &text, found, err) < 0)
		return dm_wrap(err, "%s", f->path);
	if (!*found)
		return 0;
	if (repo_file_decode(f->id, text.data == NULL ? "" : text.data,
		text.size, err) < 0)
		return dm_wrap(err, "%s", f->path);
	return 0;
}

void
folder_close(struct folder *f)
{
	if (f == NULL)
		return;
	folder_unlock(f);
	dm_closep(&f->fd);
	free(f->path);
	free(f);
}

void
folder_closep(struct folder **f)
{
	folder_close(*f);
}

static int
open_dir(struct folder *f, const char *path, struct dm_err *err)
{
	f->path = strdup(path);
	if (f->path == NULL)
		return dm_fail(err, DM_NOMEM, "open repository");
	f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->fd < 0)
		return dm_fail_errno(err, "repository %s", path);
	return 0;
}

static int
check_new(struct folder *f, struct dm_err *err)
{
	bool found = false;

	if (read_identity(f, &found, err) < 0)
		return -1;
	if (found)
		return dm_fail(err, DM_INVALID,
		    "%s is a repository already: commit to it", f->path);
	return 0;
}

/* Nothing is written into a folder that is another's.  Of several at a time
 * one makes the repository: the rest look again when they have the lock. */
static int
make_new(struct folder *f, const char *path, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(4096);

	if (dm_mkdirs_lasting(path, DIR_MODE, err) < 0 ||
	    open_dir(f, path, err) < 0 || check_new(f, err) < 0 ||
	    check_empty(path, err) < 0 || folder_lock(f, err) < 0 ||
	    check_new(f, err) < 0)
		return -1;
	if (dm_names_sync(f->fd, err) < 0 ||
	    repo_file_encode(f->id, &text, err) < 0 ||
	    dm_file_replace(f->fd, "datamount", text.data, text.size, FILE_MODE,
		err) < 0 ||
	    make_skeleton(f, err) < 0)
		return dm_wrap(err, "init %s", path);
	folder_unlock(f);
	return 0;
}

static int
open_old(struct folder *f, const char *path, struct dm_err *err)
{
	bool found = false;

	if (open_dir(f, path, err) < 0 || read_identity(f, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND,
		    "%s is no repository: make one with `datamount init %s`",
		    path, path);
	return make_skeleton(f, err);
}

/* Open a folder; the caller closes it, also on failure. */
static int
prepare(struct folder **out, const char *path, struct dm_err *err)
{
	struct folder *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return dm_fail(err, DM_NOMEM, "open repository");
	f->fd = f->lock = -1;
	*out = f;
	return refuse_url(path, err);
}

static int
open_by(int (*fill)(struct folder *, const char *, struct dm_err *),
    struct folder **out, const char *path, struct dm_err *err)
{
	DM_AUTO(folder_closep) struct folder *f = NULL;

	if (prepare(&f, path, err) < 0 || fill(f, path, err) < 0)
		return -1;
	*out = dm_steal(&f);
	return 0;
}

static int
random_id(uint8_t id[REPO_ID_SIZE], struct dm_err *err)
{
	if (getrandom(id, REPO_ID_SIZE, 0) != REPO_ID_SIZE)
		return dm_fail_errno(err, "getrandom");
	return 0;
}

int
folder_init_as(struct folder **out, const char *path,
    const uint8_t id[REPO_ID_SIZE], struct dm_err *err)
{
	DM_AUTO(folder_closep) struct folder *f = NULL;

	if (prepare(&f, path, err) < 0)
		return -1;
	memcpy(f->id, id, REPO_ID_SIZE);
	if (make_new(f, path, err) < 0)
		return -1;
	*out = dm_steal(&f);
	return 0;
}

int
folder_init(struct folder **out, const char *path, struct dm_err *err)
{
	uint8_t id[REPO_ID_SIZE];

	if (random_id(id, err) < 0)
		return -1;
	return folder_init_as(out, path, id, err);
}

int
folder_open(struct folder **out, const char *path, struct dm_err *err)
{
	return open_by(open_old, out, path, err);
}

static void
pause_ms(long ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000 };

	(void)nanosleep(&ts, NULL); /* waking early only looks early */
}

/* Take the whole file's lock; another publisher may have it for a while. */
static int
wait_for_lock(struct folder *f, struct dm_err *err)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	uint64_t deadline = dm_deadline_ms(LOCK_WAIT_MS);

	while (fcntl(f->lock, F_OFD_SETLK, &whole) < 0) {
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return dm_fail_errno(err, "lock %s/lock", f->path);
		if (dm_now_ms() >= deadline)
			return dm_fail(err, DM_STALE,
			    "%s: another publisher has held the lock for"
			    " %d s: run the command again when it is done",
			    f->path, LOCK_WAIT_MS / 1000);
		pause_ms(LOCK_LOOK_MS);
	}
	return 0;
}

int
folder_lock(struct folder *f, struct dm_err *err)
{
	f->lock =
	    openat(f->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
	if (f->lock < 0)
		return dm_fail_errno(err, "open %s/lock", f->path);
	if (wait_for_lock(f, err) < 0) {
		folder_unlock(f);
		return -1;
	}
	return 0;
}

void
folder_unlock(struct folder *f)
{
	dm_closep(&f->lock);
	f->lock = -1;
}

static void
ref_path(char out[REF_PATH], bool tag, const char *name)
{
	(void)snprintf(out, REF_PATH, "refs/%s/%s", tag ? "tags" : "heads",
	    name);
}

int
folder_ref_read(struct folder *f, bool tag, const char *name, struct ref *out,
    bool *found, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_REF_MAX);
	char path[REF_PATH];
	struct stat st;

	if (!ref_name_valid(name, strlen(name)))
		return dm_fail(err, DM_INVALID, "%s is no name for a %s", name,
		    tag ? "tag" : "branch");
	ref_path(path, tag, name);
	*found = fstatat(f->fd, path, &st, 0) == 0;
	/* a ref that cannot be looked at is there for all we know */
	if (!*found && errno != ENOENT && errno != ENOTDIR)
		return dm_fail_errno(err, "%s/%s", f->path, path);
	*found = *found && S_ISREG(st.st_mode);
	if (*found && dm_file_read(f->fd, path, &text, found, err) < 0)
		return dm_wrap(err, "%s", f->path);
	if (!*found)
		return 0;
	if (ref_decode(out, text.data == NULL ? "" : text.data, text.size,
		err) < 0)
		return dm_wrap(err, "%s/%s", f->path, path);
	return 0;
}

int
folder_put(struct folder *f, const char *path, const void *data, size_t size,
    struct dm_err *err)
{
	if (make_parents(f, path, err) < 0 ||
	    dm_file_replace(f->fd, path, data, size, FILE_MODE, err) < 0)
		return dm_wrap(err, "%s", f->path);
	return 0;
}

/* For nftw: end at the first that is no empty directory. */
static int
remove_dir(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	return type == FTW_DP && rmdir(path) == 0 ? 0 : 1;
}

static int
fail_taken(const char *path, const char *by, struct dm_err *err)
{
	return dm_fail(err, DM_INVALID,
	    "%s cannot be beside %s: delete that, or take another name", path,
	    by);
}

int
folder_ref_room(struct folder *f, bool tag, const char *name,
    struct dm_err *err)
{
	char path[REF_PATH], part[REF_PATH], full[PATH_MAX];
	const char *p;
	struct stat st;

	ref_path(path, tag, name);
	for (p = strchr(path + strlen("refs/heads"), '/'); p != NULL;
	     p = strchr(p + 1, '/')) {
		(void)snprintf(part, sizeof(part), "%.*s", (int)(p - path),
		    path);
		if (fstatat(f->fd, part, &st, 0) == 0 && S_ISREG(st.st_mode))
			return fail_taken(path, part, err);
	}
	/* where refs below it were, their directories may be left */
	if (snprintf(full, sizeof(full), "%s/%s", f->path, path) <
	    (int)sizeof(full))
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): it changes no cwd */
		(void)nftw(full, remove_dir, 8, FTW_DEPTH | FTW_PHYS);
	if (fstatat(f->fd, path, &st, 0) == 0 && S_ISDIR(st.st_mode))
		return fail_taken(path, "what is below it", err);
	return 0;
}

int
folder_ref_put(struct folder *f, bool tag, const char *name,
    const struct ref *ref, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_REF_MAX);
	char path[REF_PATH];

	ref_path(path, tag, name);
	if (folder_ref_room(f, tag, name, err) < 0 ||
	    ref_encode(ref, &text, err) < 0)
		return -1;
	return folder_put(f, path, text.data, text.size, err);
}

int
folder_ref_move(struct folder *f, bool tag, const char *name,
    const struct digest *commit, struct dm_err *err)
{
	struct ref ref = { 0 };
	bool found = false;

	if (folder_ref_read(f, tag, name, &ref, &found, err) < 0 ||
	    (!found &&
		gone_refs_last(f->fd, tag, name, &ref.sequence, err) < 0))
		return -1;
	ref.sequence++;
	ref.commit = *commit;
	ref.time = (uint64_t)time(NULL);
	return folder_ref_put(f, tag, name, &ref, err);
}

int
folder_ref_remove(struct folder *f, bool tag, const char *name,
    struct dm_err *err)
{
	DM_AUTO(dm_closep) int fd = -1;
	char path[REF_PATH];
	struct ref ref = { 0 };
	bool found = false;

	ref_path(path, tag, name);
	if (folder_ref_read(f, tag, name, &ref, &found, err) < 0 ||
	    (found && gone_refs_note(f->fd, tag, name, &ref, err) < 0))
		return -1;
	if (unlinkat(f->fd, path, 0) < 0)
		return dm_fail_errno(err, "remove %s/%s", f->path, path);
	*strrchr(path, '/') = '\0';
	fd = openat(f->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return dm_fail_errno(err, "fsync %s/%s", f->path, path);
	return 0;
}

static void
commit_path(char out[COMMIT_PATH], const struct digest *id)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(id, hex);
	(void)snprintf(out, COMMIT_PATH, "commits/%.2s/%s", hex, hex);
}

int
folder_commit_read(struct folder *f, const struct digest *id,
    struct dm_buf *text, struct commit *out, bool *found, struct dm_err *err)
{
	char path[COMMIT_PATH];
	struct digest is;

	commit_path(path, id);
	dm_buf_clear(text);
	if (dm_file_read(f->fd, path, text, found, err) < 0)
		return dm_wrap(err, "%s", f->path);
	if (!*found)
		return 0;
	digest_of(&is, text->data == NULL ? "" : text->data, text->size);
	if (!digest_equal(&is, id))
		return dm_fail(err, DM_CORRUPT,
		    "%s/%s is damaged: restore it from a copy", f->path, path);
	if (commit_decode(out, text->data, text->size, err) < 0)
		return dm_wrap(err, "%s/%s", f->path, path);
	return 0;
}

int
folder_commit_put(struct folder *f, const void *text, size_t size,
    struct digest *id, struct dm_err *err)
{
	char path[COMMIT_PATH];

	digest_of(id, text, size);
	commit_path(path, id);
	return folder_put(f, path, text, size, err);
}

int
folder_commit_write(struct folder *f, const struct commit *c, struct digest *id,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);

	if (commit_encode(c, &text, err) < 0)
		return -1;
	return folder_commit_put(f, text.data, text.size, id, err);
}
