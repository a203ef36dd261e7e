/*
 * A census of the cache.
 *
 * The directory is the truth, so this is what every index is made from.  It
 * holds some 60 bytes in memory for each blob: a blob is a pack, so that is
 * little.  Pins are files too: pins/NAME lists keys of blobs that are to stay,
 * 64 hexadecimal digits a line.
 */
#include "cache/store/census.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/store/listing.h"

enum { LEFT_S = 3600 }; /* nobody writes one file for so long */

bool
census_is_temporary(const char *name)
{
	size_t n = strlen(name);

	return n >= 4 && strcmp(name + n - 4, ".tmp") == 0;
}

bool
census_is_leftover(const char *name, const struct stat *st)
{
	return census_is_temporary(name) &&
	    time(NULL) - st->st_mtim.tv_sec > LEFT_S;
}

static int
add(struct census *c, const char *name, const struct stat *st,
    struct dm_err *err)
{
	struct census_blob b = {
		.bytes = (uint64_t)st->st_blocks * 512,
		.used_s = st->st_mtim.tv_sec,
	};

	c->bytes += b.bytes;
	/* Who removes the blob does not remove what is being written. */
	if (strlen(name) < DIGEST_HEX || census_is_temporary(name) ||
	    !digest_parse(&b.key, name, DIGEST_HEX))
		return 0;
	if (c->n == c->room) {
		size_t room = c->room == 0 ? 256 : c->room * 2;
		struct census_blob *more =
		    realloc(c->blob, room * sizeof(*more));

		if (more == NULL)
			return dm_fail(err, DM_NOMEM, "count the cache");
		c->blob = more;
		c->room = room;
	}
	c->blob[c->n++] = b;
	return 0;
}

static int
read_folder(struct census *c, int blobs, const char *name, struct dm_err *err)
{
	DM_AUTO(listing_closep) DIR *dir = NULL;
	struct stat st;
	int rc = listing_open_any(&dir, blobs, name, err);

	if (rc < 0 || dir == NULL)
		return rc;
	while ((rc = listing_next(&name, dir, err)) == 0 && name != NULL) {
		if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    (census_is_leftover(name, &st) &&
			unlinkat(dirfd(dir), name, 0) == 0))
			continue;
		if (add(c, name, &st, err) < 0)
			return -1;
	}
	return rc;
}

static int
by_key(const void *a, const void *b)
{
	const struct census_blob *x = a, *y = b;

	return memcmp(x->key.bytes, y->key.bytes, sizeof(x->key.bytes));
}

static int
by_use(const void *a, const void *b)
{
	const struct census_blob *x = a, *y = b;

	if (x->used_s != y->used_s)
		return x->used_s < y->used_s ? -1 : 1;
	return by_key(a, b);
}

/* The files of one key become one blob. */
static void
merge(struct census *c)
{
	size_t n = 0;

	if (c->n == 0)
		return;
	qsort(c->blob, c->n, sizeof(*c->blob), by_key);
	for (size_t i = 1; i < c->n; i++) {
		struct census_blob *last = &c->blob[n];
		const struct census_blob *b = &c->blob[i];

		if (!digest_equal(&last->key, &b->key)) {
			c->blob[++n] = *b;
			continue;
		}
		last->bytes += b->bytes;
		if (b->used_s > last->used_s)
			last->used_s = b->used_s;
	}
	c->n = n + 1;
}

int
census_take(struct census *c, int root, struct dm_err *err)
{
	DM_AUTO(listing_closep) DIR *blobs = NULL;
	const char *name;
	int rc;

	*c = (struct census){ 0 };
	rc = listing_open_any(&blobs, root, "blobs", err);
	if (rc < 0 || blobs == NULL)
		return rc;
	while ((rc = listing_next(&name, blobs, err)) == 0 && name != NULL)
		if (read_folder(c, dirfd(blobs), name, err) < 0)
			return -1;
	merge(c);
	return rc;
}

void
census_release(struct census *c)
{
	free(c->blob);
	*c = (struct census){ 0 };
}

struct census_blob *
census_find(struct census *c, const struct digest *key)
{
	struct census_blob want = { .key = *key };

	return c->n == 0 ?
	    NULL :
	    bsearch(&want, c->blob, c->n, sizeof(*c->blob), by_key);
}

/* Beginnings of longer lines are keys to nobody. */
static bool
parse_line(struct digest *key, const char *line)
{
	return strlen(line) == DIGEST_HEX + 1 && line[DIGEST_HEX] == '\n' &&
	    digest_parse(key, line, DIGEST_HEX);
}

int
census_pin_read(int pins, const char *name,
    void (*each)(void *arg, const struct digest *key), void *arg,
    struct dm_err *err)
{
	char line[DIGEST_HEX + 16];
	struct digest key;
	int fd =
	    openat(pins, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	FILE *f;
	int rc = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : dm_fail_errno(err, "pin %s", name);
	f = fdopen(fd, "r");
	if (f == NULL) {
		(void)dm_fail_errno(err, "pin %s", name);
		(void)close(fd); /* it was only read */
		return -1;
	}
	while (fgets(line, sizeof(line), f) != NULL)
		if (parse_line(&key, line))
			each(arg, &key);
	if (ferror(f))
		rc = dm_fail_errno(err, "pin %s", name);
	(void)fclose(f); /* it was only read */
	return rc;
}

bool
census_pin_named(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && !census_is_temporary(name);
}

static void
mark(void *arg, const struct digest *key)
{
	struct census_blob *b = census_find(arg, key);

	if (b != NULL)
		b->pinned = true;
}

int
census_mark_pinned(struct census *c, int root, struct dm_err *err)
{
	DM_AUTO(listing_closep) DIR *pins = NULL;
	const char *name;
	int rc = listing_open_any(&pins, root, "pins", err);

	if (rc < 0 || pins == NULL)
		return rc;
	while ((rc = listing_next(&name, pins, err)) == 0 && name != NULL)
		if (census_pin_named(name) &&
		    census_pin_read(dirfd(pins), name, mark, c, err) < 0)
			return -1;
	return rc;
}

void
census_sort_by_use(struct census *c)
{
	if (c->n > 0)
		qsort(c->blob, c->n, sizeof(*c->blob), by_use);
}
