#include "fs/publish/fetcher.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/base/lock.h"
#include "cache/net/origin.h"
#include "fs/publish/folder.h"
#include "fs/publish/id_map.h"
#include "fs/publish/pack_file.h"

enum {
	THREADS = 4,
	BLOCK = 32 << 20, /* bytes of one transfer at most */
	TEMP_PATH = PACK_PATH + 16,
	DRAIN_MS = 1000,        /* what has come of one is written so often */
	LOOK_MS = 50,           /* between two looks at another's lock */
	WAIT_MS = 30 * 1000,    /* for another, if no timeout was given */
	HASHED_A_MS = 64 << 10, /* bytes, also where that is slow */
};

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_MOVED, JOB_FAILED };

struct job {
	struct moved_place pack;
	enum job_state state;
	bool gone; /* moved/ is not enough */
	struct dm_err err;
};

struct fetcher {
	/* immutable after open */
	struct fetcher_options opt;
	pthread_t thread[THREADS];
	unsigned nthreads;

	struct dm_mutex mu; /* guards all below */
	pthread_cond_t changed;
	struct job **job;
	size_t n, room, next; /* jobs before next are not queued */
	struct id_map by_id;
	bool ending;
	struct fetcher_counts counts;
};

/* ---- one transfer ---- */

struct block {
	struct dm_mutex mu; /* guards all below */
	pthread_cond_t ended;
	struct dm_buf bytes;
	bool done, unwanted;
	struct dm_err err;
};

static int
block_data(void *arg, const void *data, size_t size)
{
	struct block *b = arg;
	struct dm_err err;
	int rc;

	dm_lock(&b->mu);
	rc = b->unwanted ? -1 : dm_buf_append(&b->bytes, data, size, &err);
	dm_unlock(&b->mu);
	return rc;
}

static void
block_done(void *arg, const struct dm_err *err)
{
	struct block *b = arg;

	dm_lock(&b->mu);
	if (err != NULL)
		b->err = *err;
	b->done = true;
	pthread_cond_signal(&b->ended);
	dm_unlock(&b->mu);
}

static void
begin(struct fetcher *f, struct origin_get *get, struct block *b)
{
	dm_mutex_init(&b->mu, DM_RANK_WAIT);
	dm_cond_init(&b->ended);
	get->deadline_ms = dm_deadline_ms(f->opt.timeout_ms);
	get->immutable = true;
	get->data = block_data;
	get->done = block_done;
	get->arg = b;
	origin_start(f->opt.origin, get);
}

/* It is done. */
static int
end(struct block *b, struct dm_err *err)
{
	pthread_cond_destroy(&b->ended);
	dm_mutex_destroy(&b->mu);
	if (b->err.code == DM_OK)
		return 0;
	*err = b->err;
	return -1;
}

/* Append a whole file to out, whose max bounds it. */
static int
get(struct fetcher *f, struct origin_get *get, struct dm_buf *out,
    struct dm_err *err)
{
	struct block b = { .bytes = *out };

	get->limit = out->max - out->size;
	begin(f, get, &b);
	dm_lock(&b.mu);
	while (!b.done)
		dm_cond_wait(&b.ended, &b.mu);
	dm_unlock(&b.mu);
	*out = b.bytes;
	return end(&b, err);
}

int
fetcher_file(struct fetcher *f, const char *path, const struct digest *id,
    struct dm_buf *out, struct dm_err *err)
{
	static const enum origin_fresh tries[] = { ORIGIN_CACHED,
		ORIGIN_REVALIDATE, ORIGIN_UNIQUE };
	size_t before = out->size;
	struct digest is;

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		struct origin_get g = {
			.path = path, .size = ORIGIN_WHOLE, .fresh = tries[i]
		};

		out->size = before;
		if (get(f, &g, out, err) < 0) {
			if (err->code == DM_CORRUPT ||
			    (err->code == DM_NOTFOUND && i == 0))
				continue;
			return -1;
		}
		digest_of(&is, out->data == NULL ? "" : out->data + before,
		    out->size - before);
		if (digest_equal(&is, id))
			return 0;
		(void)dm_fail(err, DM_CORRUPT, "%s: %s does not match its id",
		    origin_name(f->opt.origin), path);
	}
	out->size = before;
	return -1;
}

/* ---- one pack ---- */

/* Write what has come since the last time; true: that was all.  Who waits for
 * the file sees that it grows, and who goes on with it has that much.  Once
 * *why is set, nothing more is wanted. */
static bool
drain(struct fetcher *f, struct block *b, int fd, uint64_t *off,
    struct dm_err *why)
{
	DM_AUTO(dm_buf_release) struct dm_buf came = DM_BUF(BLOCK);
	uint64_t until = dm_now_ms() + DRAIN_MS;
	bool done;

	dm_lock(&b->mu);
	b->unwanted = why->code != DM_OK;
	while (!b->done && dm_cond_wait_until(&b->ended, &b->mu, until))
		continue;
	done = b->done;
	came = b->bytes;
	b->bytes = (struct dm_buf)DM_BUF(BLOCK);
	dm_unlock(&b->mu);
	if (why->code != DM_OK)
		return done;
	if (dm_pwrite_full(fd, came.data, came.size, *off) < 0) {
		(void)dm_fail_errno(why, "write to %s/packs",
		    f->opt.folder->path);
		return done;
	}
	*off += came.size;
	dm_lock(&f->mu);
	f->counts.bytes += came.size;
	dm_unlock(&f->mu);
	return done;
}

/* One transfer to the file at fd; *off grows by what came. */
static int
get_block(struct fetcher *f, struct origin_get *get, int fd, uint64_t *off,
    struct dm_err *err)
{
	struct block b = { .bytes = DM_BUF(BLOCK) };
	struct dm_err why = { 0 };
	int rc;

	begin(f, get, &b);
	while (!drain(f, &b, fd, off, &why))
		continue;
	rc = end(&b, err);
	if (why.code == DM_OK)
		return rc;
	*err = why;
	return -1;
}

/* What is missing of the file at fd, in transfers of a bounded size. */
static int
fill(struct fetcher *f, int fd, const char *path, uint64_t size,
    enum origin_fresh fresh, struct dm_err *err)
{
	struct stat st;
	uint64_t off, was;

	if (fstat(fd, &st) < 0)
		return dm_fail_errno(err, "stat %s", path);
	for (off = (uint64_t)st.st_size; off < size;) {
		struct origin_get g = {
			.path = path, .off = off, .fresh = fresh
		};

		g.size = size - off < BLOCK ? size - off : BLOCK;
		was = off;
		/* What came in time stays: on a slow link it is a part. */
		if (get_block(f, &g, fd, &off, err) < 0 && off == was)
			return -1;
	}
	return 0;
}

static int
check_pack(struct fetcher *f, const char *path, const struct digest *id,
    struct dm_err *err)
{
	struct pack_file p;
	int rc;

	if (pack_file_open(&p, f->opt.folder->fd, path, id, err) < 0)
		return -1;
	rc = pack_file_check(&p, err);
	pack_file_close(&p);
	return rc;
}

/* Fetch it to temp, which fd is, from where a run before this one stopped, and
 * check it; a second time as a whole if it is not right. */
static int
fetch_temp(struct fetcher *f, const struct moved_place *pack, const char *path,
    const char *temp, int fd, struct dm_err *err)
{
	uint64_t size = pack->dir_off + pack->dir_len + PACK_TRAILER;

	for (int i = 0; i < 2; i++) {
		if (fill(f, fd, path, size,
			i == 0 ? ORIGIN_CACHED : ORIGIN_UNIQUE, err) < 0) {
			struct stat st;

			/* nothing of it came: leave no trace */
			if (fstat(fd, &st) == 0 && st.st_size == 0)
				(void)unlinkat(f->opt.folder->fd, temp, 0);
			return -1;
		}
		if (check_pack(f, temp, &pack->pack, err) == 0)
			return fsync(fd) < 0 ? dm_fail_errno(err, "fsync %s/%s",
						   f->opt.folder->path, temp) :
					       0;
		if (err->code != DM_CORRUPT || ftruncate(fd, 0) < 0)
			return -1;
	}
	(void)unlinkat(f->opt.folder->fd, temp, 0);
	return dm_wrap(err, "%s", origin_name(f->opt.origin));
}

/* Rest between two looks at a lock; false: the fetcher is ending. */
static bool
rest(struct fetcher *f)
{
	bool ending;

	dm_lock(&f->mu);
	if (!f->ending)
		(void)dm_cond_wait_until(&f->changed, &f->mu,
		    dm_now_ms() + LOOK_MS);
	ending = f->ending;
	dm_unlock(&f->mu);
	return !ending;
}

/* How long another's file of so many bytes may stay as it is: once all of it is
 * there it is hashed, and grows no more.  What the pack is said to have would
 * be a number of the origin's. */
static uint64_t
patience(struct fetcher *f, off_t size)
{
	uint64_t ms = f->opt.timeout_ms / 10;

	return (ms > 0 ? ms : WAIT_MS) + (uint64_t)size / HASHED_A_MS;
}

/* Open a temporary file and lock it; *got: it is ours alone until it is
 * closed.  Not so if another has it who does not get on. */
static int
lock_temp(struct fetcher *f, const char *temp, int *out, bool *got,
    struct dm_err *err)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int at = f->opt.folder->fd;
	uint64_t until = DM_NEVER_MS;
	off_t size = -1;
	struct stat is, named;

	for (;;) {
		bool locked;

		dm_closep(out);
		*out = openat(at, temp,
		    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (*out < 0)
			return dm_fail_errno(err, "create %s/%s",
			    f->opt.folder->path, temp);
		locked = fcntl(*out, F_OFD_SETLK, &whole) == 0;
		if ((!locked && errno != EAGAIN && errno != EACCES) ||
		    fstat(*out, &is) < 0)
			return dm_fail_errno(err, "lock %s/%s",
			    f->opt.folder->path, temp);
		/* who had it may have given it another name, or removed it */
		*got = locked &&
		    fstatat(at, temp, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		    named.st_ino == is.st_ino && named.st_dev == is.st_dev;
		if (*got || dm_now_ms() >= until)
			return 0;
		if (is.st_size != size) {
			size = is.st_size;
			until = dm_now_ms() + patience(f, size);
		}
		if (!locked && !rest(f))
			return dm_fail(err, DM_CANCELLED, "the copy ends");
	}
}

/* Open a temporary file for the pack at path, and lock it: ID.tmp, which holds
 * what came before this.  While another has it and gets on, wait for that;
 * else (he may be stopped) take the next name. */
static int
open_temp(struct fetcher *f, const char *path, char temp[TEMP_PATH], int *out,
    struct dm_err *err)
{
	bool got = false;

	(void)snprintf(temp, TEMP_PATH, "%s.tmp", path);
	for (unsigned i = 2;; i++) {
		if (lock_temp(f, temp, out, &got, err) < 0)
			return -1;
		if (got)
			return 0;
		(void)snprintf(temp, TEMP_PATH, "%s.%u.tmp", path, i);
	}
}

static int
make_dir(struct fetcher *f, const char *path, struct dm_err *err)
{
	if (mkdirat(f->opt.folder->fd, path, 0777) < 0 && errno != EEXIST)
		return dm_fail_errno(err, "mkdir %s/%s", f->opt.folder->path,
		    path);
	return 0;
}

/* Make the names in a directory below the folder last. */
static int
sync_dir(struct fetcher *f, const char *path, struct dm_err *err)
{
	DM_AUTO(dm_closep)
	int fd =
	    openat(f->opt.folder->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return dm_fail_errno(err, "fsync %s/%s", f->opt.folder->path,
		    path);
	return 0;
}

/* Is the pack there, and right as far as we are to look? */
static bool
is_there(struct fetcher *f, const char *path, const struct digest *id)
{
	struct dm_err why;

	return faccessat(f->opt.folder->fd, path, F_OK, 0) == 0 &&
	    (!f->opt.check || check_pack(f, path, id, &why) == 0);
}

static int
fetch_pack(struct fetcher *f, const struct moved_place *pack, const char *path,
    struct dm_err *err)
{
	int at = f->opt.folder->fd;
	DM_AUTO(dm_closep) int fd = -1;
	char temp[TEMP_PATH], parent[PACK_PATH];
	bool there;

	(void)snprintf(parent, sizeof(parent), "%.8s", path); /* packs/AA */
	if (make_dir(f, parent, err) < 0 ||
	    open_temp(f, path, temp, &fd, err) < 0)
		return -1;
	/* Another may have been faster; also meanwhile, by another name. */
	there = is_there(f, path, &pack->pack);
	if (!there && fetch_temp(f, pack, path, temp, fd, err) < 0)
		return -1;
	if (!there && !f->opt.check)
		there = is_there(f, path, &pack->pack);
	if (there)
		(void)unlinkat(at, temp, 0);
	/* read-only last: what is killed before goes on with it */
	else if (renameat(at, temp, at, path) < 0 || fchmod(fd, 0444) < 0)
		return dm_fail_errno(err, "rename %s", temp);
	/* packs, too: whoever made packs/AA may not have come this far. */
	if (sync_dir(f, parent, err) < 0 || sync_dir(f, "packs", err) < 0)
		return -1;
	dm_lock(&f->mu);
	f->counts.packs += !there;
	dm_unlock(&f->mu);
	return 0;
}

/* The origin does not have the pack: take what it says of its objects. */
static int
fetch_moved(struct fetcher *f, const struct digest *id,
    const struct dm_err *why, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(MOVED_MAX);
	struct moved_place to;
	struct moved m;
	char path[PACK_PATH];
	bool found = false;

	pack_file_path(path, "moved", id);
	if (origin_read(f->opt.origin, path, dm_deadline_ms(f->opt.timeout_ms),
		&text, &found, err) < 0)
		return -1;
	if (!found) {
		*err = *why;
		return -1;
	}
	if (moved_decode(&m, text.data, text.size, err) < 0)
		return dm_wrap(err, "%s: %s", origin_name(f->opt.origin), path);
	for (uint32_t i = 0; i < m.npacks; i++) {
		moved_pack_at(&m, i, &to);
		if (fetcher_want(f, &to, err) < 0)
			return -1;
	}
	return folder_put(f->opt.folder, path, text.data, text.size, err);
}

static bool
has_moved(struct fetcher *f, const struct digest *id)
{
	char path[PACK_PATH];

	pack_file_path(path, "moved", id);
	return faccessat(f->opt.folder->fd, path, F_OK, 0) == 0;
}

static enum job_state
do_job(struct fetcher *f, struct job *j, struct dm_err *err)
{
	struct dm_err why = { 0 };
	char path[PACK_PATH];

	pack_file_path(path, "packs", &j->pack.pack);
	if (is_there(f, path, &j->pack.pack))
		return JOB_DONE;
	if (!j->gone && has_moved(f, &j->pack.pack) &&
	    faccessat(f->opt.folder->fd, path, F_OK, 0) < 0)
		return JOB_MOVED;
	if (fetch_pack(f, &j->pack, path, &why) == 0)
		return JOB_DONE;
	if (why.code == DM_NOTFOUND && !j->gone)
		return fetch_moved(f, &j->pack.pack, &why, err) == 0 ?
		    JOB_MOVED :
		    JOB_FAILED;
	*err = why;
	return JOB_FAILED;
}

static void *
work(void *arg)
{
	struct fetcher *f = arg;

	dm_lock(&f->mu);
	for (;;) {
		struct dm_err err = { 0 };
		enum job_state state;
		struct job *j;

		while (f->next == f->n && !f->ending)
			dm_cond_wait(&f->changed, &f->mu);
		if (f->ending)
			break;
		j = f->job[f->next++];
		if (j->state != JOB_QUEUED)
			continue;
		j->state = JOB_RUNNING;
		dm_unlock(&f->mu);
		state = do_job(f, j, &err);
		dm_lock(&f->mu);
		j->err = err;
		j->state = state;
		(void)pthread_cond_broadcast(&f->changed);
	}
	dm_unlock(&f->mu);
	return NULL;
}

/* ---- the queue ---- */

static int
queue_locked(struct fetcher *f, struct job *j, struct dm_err *err)
{
	if (f->n == f->room) {
		size_t room = f->room == 0 ? 64 : 2 * f->room;
		struct job **q =
		    reallocarray(f->job, room, sizeof(struct job *));

		if (q == NULL)
			return dm_fail(err, DM_NOMEM, "list of packs");
		f->job = q;
		f->room = room;
	}
	j->state = JOB_QUEUED;
	f->job[f->n++] = j;
	(void)pthread_cond_broadcast(&f->changed);
	return 0;
}

static int
want_locked(struct fetcher *f, const struct moved_place *pack, struct job **out,
    struct dm_err *err)
{
	struct job *j;
	uint32_t i;

	if (id_map_find(&f->by_id, &pack->pack, &i)) {
		*out = f->job[i];
		return 0;
	}
	j = calloc(1, sizeof(*j));
	if (j == NULL)
		return dm_fail(err, DM_NOMEM, "list of packs");
	j->pack = *pack;
	if (id_map_put(&f->by_id, &pack->pack, (uint32_t)f->n, err) < 0 ||
	    queue_locked(f, j, err) < 0) {
		free(j);
		return -1;
	}
	*out = j;
	return 0;
}

int
fetcher_want(struct fetcher *f, const struct moved_place *pack,
    struct dm_err *err)
{
	struct job *j;
	int rc;

	dm_lock(&f->mu);
	rc = want_locked(f, pack, &j, err);
	dm_unlock(&f->mu);
	return rc;
}

int
fetcher_need(struct fetcher *f, const struct moved_place *pack, bool gone,
    struct dm_err *err)
{
	struct job *j = NULL;
	int rc;

	dm_lock(&f->mu);
	rc = want_locked(f, pack, &j, err);
	while (rc == 0 && j->state <= JOB_RUNNING)
		dm_cond_wait(&f->changed, &f->mu);
	if (rc == 0 && gone && j->state == JOB_MOVED) {
		j->gone = true;
		rc = queue_locked(f, j, err);
		while (rc == 0 && j->state <= JOB_RUNNING)
			dm_cond_wait(&f->changed, &f->mu);
	}
	if (rc == 0 && j->state == JOB_FAILED) {
		*err = j->err;
		rc = -1;
	}
	dm_unlock(&f->mu);
	return rc;
}

void
fetcher_counts(struct fetcher *f, struct fetcher_counts *out)
{
	dm_lock(&f->mu);
	*out = f->counts;
	dm_unlock(&f->mu);
}

int
fetcher_open(struct fetcher **out, const struct fetcher_options *opt,
    struct dm_err *err)
{
	struct fetcher *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return dm_fail(err, DM_NOMEM, "fetch packs");
	f->opt = *opt;
	dm_mutex_init(&f->mu, DM_RANK_PUBLISH);
	dm_cond_init(&f->changed);
	while (f->nthreads < THREADS &&
	    pthread_create(&f->thread[f->nthreads], NULL, work, f) == 0)
		f->nthreads++;
	*out = f;
	return f->nthreads > 0 ? 0 : dm_fail(err, DM_NOMEM, "start a thread");
}

void
fetcher_close(struct fetcher *f)
{
	uint32_t at;

	if (f == NULL)
		return;
	dm_lock(&f->mu);
	f->ending = true;
	(void)pthread_cond_broadcast(&f->changed);
	dm_unlock(&f->mu);
	for (unsigned i = 0; i < f->nthreads; i++)
		(void)pthread_join(f->thread[i], NULL); /* they exist */
	/* a job that was queued again stands there twice: free the first */
	for (size_t i = f->n; i-- > 0;)
		if (id_map_find(&f->by_id, &f->job[i]->pack.pack, &at) &&
		    at == i)
			free(f->job[i]);
	free(f->job);
	id_map_release(&f->by_id);
	pthread_cond_destroy(&f->changed);
	dm_mutex_destroy(&f->mu);
	free(f);
}
