/*
 * One pass: a member's place in the tree goes to the table of members before
 * its content is read, and what the content turned out to be whenever the
 * publisher's queue has got to it.
 */
#include "fs/publish/tar.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/format/limits.h"
#include "fs/publish/cutter.h"
#include "fs/publish/ignore.h"
#include "fs/publish/libarchive.h"
#include "fs/publish/members.h"
#include "fs/publish/quote.h"
#include "fs/publish/work.h"

enum {
	WARNINGS = 10, /* of skipped members, before they are summed */
	READ_BYTES = 256 << 10,
	IDLE_MS = 1000,
	BLOCK = 512, /* of a tar archive */
};

struct reader {
	const struct tar_options *opt;
	const struct libarchive *lib;
	struct archive *a;
	struct archive_entry *entry;
	char path[DM_PATH_MAX + 1]; /* of the present member, cleaned */
	struct cutter *cutter;      /* made for the first large file */
	uint64_t contents;          /* numbers given */
	uint64_t skipped;
	uint8_t block[READ_BYTES]; /* that the archive is read from */
};

static int
refuse(const char *path, const char *why, struct dm_err *err)
{
	char text[QUOTE_TEXT];

	return dm_fail(err, DM_INVALID, "%s %s", quote_path(text, path), why);
}

static int
archive_fail(struct reader *r, struct dm_err *err)
{
	const char *text = r->lib->archive_error_string(r->a);

	return dm_fail(err, DM_INVALID, "the archive cannot be read: %s",
	    text != NULL ? text : "it is damaged");
}

/* ---- paths ---- */

/* Write a member's path without empty components and dots; "" is the root. */
static int
clean_path(const char *from, char out[DM_PATH_MAX + 1], struct dm_err *err)
{
	size_t size = 0;

	if (*from == '/')
		return refuse(from,
		    "is an absolute path: make the archive with relative ones",
		    err);
	for (const char *p = from; *p != '\0';) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.')
			return refuse(from,
			    "has '..' in its path: make the archive without",
			    err);
		if (n > 0 && !(n == 1 && p[0] == '.')) {
			if (size + 1 + n > DM_PATH_MAX)
				return refuse(from, "is longer than 4095 bytes",
				    err);
			if (size > 0)
				out[size++] = '/';
			memcpy(out + size, p, n);
			size += n;
		}
		p += n;
		p += strspn(p, "/");
	}
	out[size] = '\0';
	return 0;
}

/* Is the member, or a directory above it, left out? */
static bool
is_ignored(const struct reader *r, bool is_dir)
{
	const struct ignore *ig = r->opt->ignore(r->opt->arg);
	char path[DM_PATH_MAX + 1];

	for (size_t i = 0; r->path[i] != '\0'; i++) {
		path[i] = '\0';
		if (r->path[i] == '/' && ignore_match(ig, path, true))
			return true;
		path[i] = r->path[i];
	}
	return ignore_match(ig, r->path, is_dir);
}

/* ---- contents ---- */

/* The next run of the member's bytes; *n is 0 at its end. */
static int
next_bytes(struct reader *r, const void **data, size_t *n, uint64_t *off,
    struct dm_err *err)
{
	la_int64_t at = 0;
	int rc;

	do {
		rc = r->lib->archive_read_data_block(r->a, data, n, &at);
	} while (rc == ARCHIVE_RETRY || (rc == ARCHIVE_OK && *n == 0));
	*off = (uint64_t)at;
	if (rc == ARCHIVE_EOF) {
		*n = 0;
		return 0;
	}
	return rc == ARCHIVE_OK ? 0 : archive_fail(r, err);
}

static int
wrong_size(const struct reader *r, struct dm_err *err)
{
	return refuse(r->path, "has another size than its header says", err);
}

static struct work *
work_of(const struct reader *r, enum work_kind kind, uint64_t size,
    struct dm_err *err)
{
	struct work *w = work_new(kind, r->path);

	if (w == NULL) {
		(void)dm_fail(err, DM_NOMEM, "read the archive");
		return NULL;
	}
	w->st.st_size = (off_t)size;
	w->count = r->contents;
	return w;
}

static int
read_small(struct reader *r, uint8_t *to, size_t size, struct dm_err *err)
{
	const void *data = NULL;
	uint64_t off;
	size_t n;

	for (;;) {
		if (next_bytes(r, &data, &n, &off, err) < 0)
			return -1;
		if (n == 0)
			return 0;
		if (off > size || n > size - off)
			return wrong_size(r, err);
		memcpy(to + off, data, n);
	}
}

static int
add_small(struct reader *r, size_t size, struct dm_err *err)
{
	struct work *w = work_of(r, WORK_SMALL, size, err);

	if (w == NULL)
		return -1;
	w->size = size;
	w->data = calloc(1, size);
	if (w->data == NULL)
		(void)dm_fail(err, DM_NOMEM, "read the archive");
	if (w->data == NULL || read_small(r, w->data, size, err) < 0 ||
	    (strcmp(r->path, ".datamountignore") == 0 &&
		r->opt->ignore_text(r->opt->arg, w->data, size, err) < 0)) {
		work_free(w);
		return -1;
	}
	return r->opt->put(r->opt->arg, w, err);
}

static int
put_chunk(void *arg, struct work *w, struct dm_err *err)
{
	struct reader *r = arg;

	return r->opt->put(r->opt->arg, w, err);
}

/* Copy bytes into the cutter. */
static int
cut_bytes(struct reader *r, const uint8_t *data, size_t n, struct dm_err *err)
{
	while (n > 0) {
		size_t room, some;
		void *to = cutter_room(r->cutter, &room);

		some = n < room ? n : room;
		memcpy(to, data, some);
		data += some;
		n -= some;
		if (cutter_add(r->cutter, some, err) < 0)
			return -1;
	}
	return 0;
}

static int
add_large(struct reader *r, uint64_t size, struct dm_err *err)
{
	const void *data = NULL;
	uint64_t done = 0, off;
	struct work *w;
	size_t n;

	if (r->cutter == NULL && cutter_open(&r->cutter, put_chunk, r, err) < 0)
		return -1;
	do {
		if (next_bytes(r, &data, &n, &off, err) < 0)
			return -1;
		if (n == 0)
			off = size;
		if (off < done || off > size || n > size - off)
			return wrong_size(r, err);
		if (cutter_zeros(r->cutter, off - done, err) < 0 ||
		    cut_bytes(r, data, n, err) < 0)
			return -1;
		done = off + n;
	} while (n > 0);
	if (cutter_end(r->cutter, &size, err) < 0)
		return -1;
	w = work_of(r, WORK_LARGE_END, size, err);
	return w == NULL ? -1 : r->opt->put(r->opt->arg, w, err);
}

/* ---- members ---- */

static int
add_file(struct reader *r, struct dm_err *err)
{
	la_int64_t size = r->lib->archive_entry_size(r->entry);
	struct member e = { .kind = TREE_FILE };

	if ((r->lib->archive_entry_mode(r->entry) & S_IXUSR) != 0)
		e.kind = TREE_EXEC;
	if (size < 0 || (uint64_t)size > DM_FILE_MAX)
		return refuse(r->path, "is too large: use --exclude", err);
	if (size == 0)
		return members_add(r->opt->members, r->path, &e, err);
	e.content = ++r->contents;
	/* refused before its content is stored */
	if (members_add(r->opt->members, r->path, &e, err) < 0)
		return -1;
	if (size > DM_SMALL_FILE_MAX)
		return add_large(r, (uint64_t)size, err);
	return add_small(r, (size_t)size, err);
}

/* A hard link has what the earlier member has now. */
static int
add_hard_link(struct reader *r, const char *to, struct dm_err *err)
{
	char path[DM_PATH_MAX + 1];
	struct member e;
	bool found = false;

	if (clean_path(to, path, err) < 0 ||
	    members_find(r->opt->members, path, &e, &found, err) < 0)
		return -1;
	if (!found || (e.kind != TREE_FILE && e.kind != TREE_EXEC))
		return refuse(r->path,
		    "is a hard link to what is no earlier file of the archive:"
		    " use --exclude",
		    err);
	return members_add(r->opt->members, r->path, &e, err);
}

static int
add_symlink(struct reader *r, struct dm_err *err)
{
	struct member e = {
		.kind = TREE_SYMLINK,
		.target = r->lib->archive_entry_symlink(r->entry),
	};
	size_t size = e.target == NULL ? 0 : strlen(e.target);

	if (size == 0 || size > DM_TARGET_MAX)
		return refuse(r->path,
		    "is a symlink with a target of bad length: use --exclude",
		    err);
	return members_add(r->opt->members, r->path, &e, err);
}

static void
skip(struct reader *r)
{
	char line[QUOTE_TEXT + 80], text[QUOTE_TEXT];

	if (r->skipped++ >= WARNINGS)
		return;
	(void)snprintf(line, sizeof(line), "%s is a pipe or device: left out",
	    quote_path(text, r->path));
	r->opt->warn(r->opt->arg, line);
}

static int
add_member(struct reader *r, struct dm_err *err)
{
	static const struct member dir = { .kind = TREE_DIR };
	const char *path = r->lib->archive_entry_pathname(r->entry);
	const char *link = r->lib->archive_entry_hardlink(r->entry);
	mode_t type = r->lib->archive_entry_filetype(r->entry);

	if (path == NULL)
		return archive_fail(r, err);
	if (clean_path(path, r->path, err) < 0)
		return -1;
	if (r->path[0] == '\0' && type != AE_IFDIR)
		return refuse(path, "is no name for a file", err);
	if (r->path[0] == '\0' || is_ignored(r, type == AE_IFDIR))
		return 0;
	if (link != NULL && r->lib->archive_entry_size(r->entry) == 0)
		return add_hard_link(r, link, err);
	if (link != NULL || type == AE_IFREG)
		return add_file(r, err);
	if (type == AE_IFDIR)
		return members_add(r->opt->members, r->path, &dir, err);
	if (type == AE_IFLNK)
		return add_symlink(r, err);
	skip(r);
	return 0;
}

/* ---- the stream ---- */

static la_ssize_t
read_block(struct archive *a, void *arg, const void **out)
{
	struct reader *r = arg;
	struct pollfd from = { .fd = r->opt->fd, .events = POLLIN };
	ssize_t n;

	while (poll(&from, 1, IDLE_MS) == 0)
		r->opt->idle(r->opt->arg);
	do
		n = read(r->opt->fd, r->block, sizeof(r->block));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		r->lib->archive_set_error(a, errno, "%s",
		    strerrordesc_np(errno));
	*out = r->block;
	return n;
}

static int
open_archive(struct reader *r, struct dm_err *err)
{
	struct archive *a = r->a = r->lib->archive_read_new();

	if (a == NULL)
		return dm_fail(err, DM_NOMEM, "read an archive");
	/* only what needs no other program */
	if (r->lib->archive_read_support_format_tar(a) != ARCHIVE_OK ||
	    r->lib->archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
	    r->lib->archive_read_support_filter_bzip2(a) != ARCHIVE_OK ||
	    r->lib->archive_read_support_filter_xz(a) != ARCHIVE_OK ||
	    r->lib->archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
	    r->lib->archive_read_open(a, r, NULL, read_block, NULL) !=
		ARCHIVE_OK)
		return archive_fail(r, err);
	return 0;
}

/* An archive ends with two blocks of zeros.  Where a program that wrote it was
 * killed between two members they are missing, and nothing else is. */
static int
check_end(struct reader *r, la_int64_t members_end, struct dm_err *err)
{
	if (r->lib->archive_filter_bytes(r->a, 0) >= members_end + BLOCK)
		return 0;
	return dm_fail(err, DM_INVALID,
	    "the archive ends without its end mark: was it cut short?");
}

static int
read_all(struct reader *r, struct dm_err *err)
{
	la_int64_t end = 0;
	int rc;

	for (;;) {
		do {
			rc = r->lib->archive_read_next_header(r->a, &r->entry);
		} while (rc == ARCHIVE_RETRY);
		if (rc == ARCHIVE_EOF)
			return check_end(r, end, err);
		/* a warning is about names that are no UTF-8, which is fine */
		if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
			return archive_fail(r, err);
		if (add_member(r, err) < 0)
			return -1;
		if (r->lib->archive_read_data_skip(r->a) < ARCHIVE_WARN)
			return archive_fail(r, err);
		end = r->lib->archive_filter_bytes(r->a, 0);
	}
}

int
tar_read(const struct tar_options *opt, struct dm_err *err)
{
	DM_AUTO(dm_freep) struct reader *r = calloc(1, sizeof(*r));
	char text[80];
	int rc;

	if (r == NULL)
		return dm_fail(err, DM_NOMEM, "read an archive");
	r->opt = opt;
	r->lib = libarchive_load(err);
	if (r->lib == NULL)
		return -1;
	rc = open_archive(r, err);
	if (rc == 0)
		rc = read_all(r, err);
	cutter_close(r->cutter);
	(void)r->lib->archive_read_free(r->a); /* it was only read */
	if (rc == 0 && r->skipped > WARNINGS) {
		(void)snprintf(text, sizeof(text),
		    "%llu pipes and devices were left out",
		    (unsigned long long)r->skipped);
		opt->warn(opt->arg, text);
	}
	return rc;
}
