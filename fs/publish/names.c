#include "fs/publish/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"

enum {
	RUN_NAME = NAME_MAX + 1,
	RUN_BYTES = NAMES_RUN * RUN_NAME, /* of names in memory, at most */
	MERGE_BYTES = 4 << 20,            /* that all runs read ahead, */
	AHEAD_MAX = 16384,                /* each at most so many, */
	AHEAD_MIN = 1024,                 /* and at least: a name has less */
};

/* A sorted run in the temporary file: names, each ending in NUL. */
struct run {
	uint64_t off, end; /* what was not read yet */
	char *data;        /* what is read ahead, and a byte more */
	size_t at, size;   /* the present name begins at data + at */
};

struct names {
	struct dm_buf text; /* names in memory, each ending in NUL */
	size_t *at;         /* where they begin, in order once sorted */
	size_t n, room;
	size_t next; /* in memory only: the next one to give */
	uint64_t count;
	int fd; /* of the temporary file, or -1 */
	uint64_t written;
	struct run *run;
	size_t nruns, ahead; /* bytes that each reads ahead */
	size_t *heap;        /* runs, the one with the least name first */
	size_t nheap;
	bool moved; /* the least run's present name was given */
};

void
names_free(struct names *n)
{
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->nruns; i++)
		free(n->run[i].data);
	free(n->run);
	free(n->heap);
	free(n->at);
	dm_buf_release(&n->text);
	dm_closep(&n->fd);
	free(n);
}

uint64_t
names_count(const struct names *n)
{
	return n->count;
}

static int
by_bytes(const void *a, const void *b, void *text)
{
	const size_t *x = a, *y = b;

	return strcmp((const char *)text + *x, (const char *)text + *y);
}

static void
sort(struct names *n)
{
	if (n->n > 1 && n->at != NULL && n->text.data != NULL)
		qsort_r(n->at, n->n, sizeof(*n->at), by_bytes, n->text.data);
}

static int
open_temp(struct names *n, const char *tmp_dir, struct dm_err *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/names.XXXXXX", tmp_dir) >=
	    (int)sizeof(path))
		return dm_fail(err, DM_INVALID, "%s: path too long", tmp_dir);
	n->fd = mkostemp(path, O_CLOEXEC);
	if (n->fd < 0)
		return dm_fail_errno(err, "create a temporary file in %s",
		    tmp_dir);
	(void)unlink(path); /* a name that stays is only untidy */
	return 0;
}

/* Sort what is in memory and append it to the temporary file. */
static int
spill(struct names *n, const char *tmp_dir, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf sorted = DM_BUF(RUN_BYTES);
	struct run *run;

	if (n->n == 0 || (n->fd < 0 && open_temp(n, tmp_dir, err) < 0))
		return n->n == 0 ? 0 : -1;
	run = reallocarray(n->run, n->nruns + 1, sizeof(*run));
	if (run == NULL)
		return dm_fail(err, DM_NOMEM, "names");
	n->run = run;
	sort(n);
	for (size_t i = 0; n->text.data != NULL && i < n->n; i++) {
		const char *name = n->text.data + n->at[i];

		if (dm_buf_append(&sorted, name, strlen(name) + 1, err) < 0)
			return -1;
	}
	if (dm_pwrite_full(n->fd, sorted.data, sorted.size, n->written) < 0)
		return dm_fail_errno(err, "write temporary file in %s",
		    tmp_dir);
	n->run[n->nruns++] =
	    (struct run){ .off = n->written, .end = n->written + sorted.size };
	n->written += sorted.size;
	dm_buf_clear(&n->text);
	n->n = 0;
	return 0;
}

static int
add(struct names *n, const char *name, const char *tmp_dir, struct dm_err *err)
{
	if (n->n == NAMES_RUN && spill(n, tmp_dir, err) < 0)
		return -1;
	if (n->n == n->room) {
		size_t room = n->room == 0 ? 64 : 2 * n->room;
		size_t *at = reallocarray(n->at, room, sizeof(*at));

		if (at == NULL)
			return dm_fail(err, DM_NOMEM, "names");
		n->at = at;
		n->room = room;
	}
	n->at[n->n++] = n->text.size;
	n->count++;
	return dm_buf_append(&n->text, name, strlen(name) + 1, err);
}

static const char *
present(const struct names *n, size_t run)
{
	return n->run[run].data + n->run[run].at;
}

/* Make the run's next name its present one; *more is false at its end. */
static int
run_next(struct names *n, struct run *r, bool *more, struct dm_err *err)
{
	size_t left, want;
	ssize_t got;

	if (r->size > 0)
		r->at += strlen(r->data + r->at) + 1;
	*more = true;
	left = r->size - r->at;
	if (left > 0 && memchr(r->data + r->at, '\0', left) != NULL)
		return 0;
	memmove(r->data, r->data + r->at, left);
	want = n->ahead - left;
	if (want > r->end - r->off)
		want = (size_t)(r->end - r->off);
	got = dm_pread_full(n->fd, r->data + left, want, r->off);
	if (got < 0 || (size_t)got != want)
		return dm_fail(err, DM_IO, "read temporary file: %m");
	r->off += want;
	r->at = 0;
	r->size = left + want;
	*more = r->size > 0;
	return 0;
}

static void
sift(struct names *n, size_t i)
{
	for (;;) {
		size_t least = i;

		for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < n->nheap; k++)
			if (strcmp(present(n, n->heap[k]),
				present(n, n->heap[least])) < 0)
				least = k;
		if (least == i)
			return;
		size_t x = n->heap[i];

		n->heap[i] = n->heap[least];
		n->heap[least] = x;
		i = least;
	}
}

/* How much each of the runs reads ahead. */
static size_t
ahead_of(size_t runs)
{
	size_t share = MERGE_BYTES / runs;

	if (share > AHEAD_MAX)
		return AHEAD_MAX;
	return share < AHEAD_MIN ? AHEAD_MIN : share;
}

static int
begin_merge(struct names *n, struct dm_err *err)
{
	n->heap = calloc(n->nruns, sizeof(*n->heap));
	if (n->heap == NULL)
		return dm_fail(err, DM_NOMEM, "names");
	n->ahead = ahead_of(n->nruns);
	for (size_t i = 0; i < n->nruns; i++) {
		struct run *r = &n->run[i];
		bool more = false;

		r->data = malloc(n->ahead + 1);
		if (r->data == NULL)
			return dm_fail(err, DM_NOMEM, "names");
		if (run_next(n, r, &more, err) < 0)
			return -1;
		if (more)
			n->heap[n->nheap++] = i;
	}
	for (size_t i = n->nheap / 2; i-- > 0;)
		sift(n, i);
	dm_buf_release(&n->text);
	free(n->at);
	n->at = NULL;
	return 0;
}

static void
closedirp(DIR **d)
{
	if (*d != NULL)
		(void)closedir(*d);
}

static int
read_names(struct names *n, DIR *d, const char *tmp_dir, names_keep_fn keep,
    void *arg, struct dm_err *err)
{
	const struct dirent *e;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this DIR */
	while (errno = 0, (e = readdir(d)) != NULL) {
		int rc;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		rc = keep(arg, e->d_name, e->d_type, err);
		if (rc < 0 || (rc > 0 && add(n, e->d_name, tmp_dir, err) < 0))
			return -1;
	}
	if (errno != 0)
		return dm_fail_errno(err, "read directory");
	if (n->nruns > 0 &&
	    (spill(n, tmp_dir, err) < 0 || begin_merge(n, err) < 0))
		return -1;
	sort(n);
	return 0;
}

static void
freep(struct names **n)
{
	names_free(*n);
}

int
names_read(struct names **out, int fd, const char *tmp_dir, names_keep_fn keep,
    void *arg, struct dm_err *err)
{
	DM_AUTO(freep) struct names *n = calloc(1, sizeof(*n));
	DM_AUTO(closedirp) DIR *d = NULL;
	int copy;

	if (n == NULL)
		return dm_fail(err, DM_NOMEM, "names");
	n->fd = -1;
	n->text = (struct dm_buf)DM_BUF(RUN_BYTES);
	copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (copy < 0 || (d = fdopendir(copy)) == NULL) {
		(void)dm_fail_errno(err, "read directory");
		dm_closep(&copy);
		return -1;
	}
	if (read_names(n, d, tmp_dir, keep, arg, err) < 0)
		return -1;
	*out = dm_steal(&n);
	return 0;
}

/* The least name of all runs. */
static int
merge_next(struct names *n, const char **name, struct dm_err *err)
{
	bool more = true;

	*name = NULL;
	if (n->moved && n->nheap > 0) {
		if (run_next(n, &n->run[n->heap[0]], &more, err) < 0)
			return -1;
		if (!more)
			n->heap[0] = n->heap[--n->nheap];
		sift(n, 0);
	}
	n->moved = true;
	if (n->nheap > 0)
		*name = present(n, n->heap[0]);
	return 0;
}

int
names_next(struct names *n, const char **name, struct dm_err *err)
{
	if (n->nruns > 0)
		return merge_next(n, name, err);
	*name = n->next < n->n ? n->text.data + n->at[n->next++] : NULL;
	return 0;
}
