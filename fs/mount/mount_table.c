#include "fs/mount/mount_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"

enum { MOUNT_TABLE_MAX = 64 << 20 }; /* bytes of a table */

static bool
is_octal(const char *s, size_t n)
{
	if (n < 4 || s[0] != '\\')
		return false;
	for (int i = 1; i < 4; i++)
		if (s[i] < '0' || s[i] > '7')
			return false;
	return s[1] <= '3';
}

/* The kernel writes space, tab, newline and backslash as \ooo. */
static bool
unescape(char *out, size_t room, const char *s, size_t n)
{
	size_t o = 0;

	for (size_t i = 0; i < n; o++) {
		if (o + 1 >= room)
			return false;
		if (is_octal(s + i, n - i)) {
			out[o] = (char)((s[i + 1] - '0') * 64 +
			    (s[i + 2] - '0') * 8 + (s[i + 3] - '0'));
			i += 4;
		} else {
			out[o] = s[i++];
		}
	}
	out[o] = '\0';
	return true;
}

/* Cut the next field, up to a space, off the line. */
static bool
field(const char **line, size_t *size, const char **out, size_t *n)
{
	const char *space;

	if (*size == 0)
		return false;
	space = memchr(*line, ' ', *size);
	*out = *line;
	*n = space == NULL ? *size : (size_t)(space - *line);
	*line += *n;
	*size -= *n;
	if (space != NULL) {
		(*line)++;
		(*size)--;
	}
	return true;
}

/* Digits up to the end or to a colon. */
static bool
number(unsigned *out, const char **s, size_t *n)
{
	unsigned value = 0;
	size_t i = 0;

	for (; i < *n && (*s)[i] >= '0' && (*s)[i] <= '9'; i++)
		if (__builtin_mul_overflow(value, 10U, &value) ||
		    __builtin_add_overflow(value, (unsigned)((*s)[i] - '0'),
			&value))
			return false;
	*s += i;
	*n -= i;
	*out = value;
	return i > 0;
}

static bool
device(struct mount_entry *out, const char *s, size_t n)
{
	if (!number(&out->major, &s, &n) || n == 0 || *s != ':')
		return false;
	s++;
	n--;
	return number(&out->minor, &s, &n) && n == 0;
}

/* id parent major:minor root dir options tag... - type source options */
static bool
parse_line(struct mount_entry *out, const char *line, size_t size)
{
	const char *s;
	size_t n;

	for (int i = 0; i < 6; i++) {
		if (!field(&line, &size, &s, &n))
			return false;
		if (i == 2 && !device(out, s, n))
			return false;
		if (i == 4 && !unescape(out->dir, sizeof(out->dir), s, n))
			return false;
	}
	do
		if (!field(&line, &size, &s, &n))
			return false;
	while (n != 1 || *s != '-');
	return field(&line, &size, &s, &n) &&
	    unescape(out->type, sizeof(out->type), s, n);
}

bool
mount_table_next(struct mount_entry *out, const char **text, size_t *size)
{
	while (*size > 0) {
		const char *end = memchr(*text, '\n', *size), *line = *text;
		size_t n = end == NULL ? *size : (size_t)(end - line);
		size_t step = end == NULL ? n : n + 1;

		*text += step;
		*size -= step;
		if (parse_line(out, line, n))
			return true;
	}
	return false;
}

bool
mount_table_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (strncmp(path, dir, n) != 0)
		return false;
	return path[n] == '\0' || path[n] == '/' || (n == 1 && dir[0] == '/');
}

/* Later lines lie on top of earlier ones; of two directories above path the
 * longer one is nearer. */
static bool
better(const struct mount_entry *e, const char *path, bool exact,
    const struct mount_entry *best, bool found)
{
	if (exact)
		return strcmp(e->dir, path) == 0;
	return strcmp(e->type, MOUNT_TABLE_TYPE) == 0 &&
	    mount_table_below(path, e->dir) &&
	    (!found || strlen(e->dir) >= strlen(best->dir));
}

static int
search(const char *path, bool exact, struct mount_entry *out, bool *found,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf b = DM_BUF(MOUNT_TABLE_MAX);
	struct mount_entry e;
	const char *text;
	size_t size;
	bool there;

	*found = false;
	if (dm_file_read(AT_FDCWD, "/proc/self/mountinfo", &b, &there, err) < 0)
		return -1;
	text = b.data;
	size = b.size;
	while (mount_table_next(&e, &text, &size))
		if (better(&e, path, exact, out, *found)) {
			*out = e;
			*found = true;
		}
	return 0;
}

int
mount_table_at(const char *dir, struct mount_entry *out, bool *found,
    struct dm_err *err)
{
	return search(dir, true, out, found, err);
}

int
mount_table_above(const char *path, struct mount_entry *out, bool *found,
    struct dm_err *err)
{
	return search(path, false, out, found, err);
}

int
mount_table_each(int (*each)(void *arg, const char *dir, struct dm_err *err),
    void *arg, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf b = DM_BUF(MOUNT_TABLE_MAX);
	struct mount_entry e;
	const char *text;
	size_t size;
	bool there;
	int rc = 0;

	if (dm_file_read(AT_FDCWD, "/proc/self/mountinfo", &b, &there, err) < 0)
		return -1;
	text = b.data;
	size = b.size;
	while (rc == 0 && mount_table_next(&e, &text, &size))
		if (strcmp(e.type, MOUNT_TABLE_TYPE) == 0)
			rc = each(arg, e.dir, err);
	return rc;
}

/* Resolve the directory above the last component, and put that behind it. */
static int
resolve_above(const char *dir, char out[PATH_MAX], struct dm_err *err)
{
	char above[PATH_MAX], real[PATH_MAX];
	size_t n = strlen(dir);
	const char *last;

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (n >= sizeof(above))
		return dm_fail(err, DM_INVALID, "%s: path too long", dir);
	memcpy(above, dir, n);
	above[n] = '\0';
	last = strrchr(above, '/');
	if (last == NULL) {
		if (realpath(".", real) == NULL)
			return dm_fail_errno(err, "resolve .");
		last = above;
	} else {
		size_t cut = (size_t)(last - above);

		above[cut] = '\0';
		if (realpath(cut == 0 ? "/" : above, real) == NULL)
			return dm_fail_errno(err, "%s", above);
		last = above + cut + 1;
	}
	if (snprintf(out, PATH_MAX, "%s/%s", strcmp(real, "/") == 0 ? "" : real,
		last) >= PATH_MAX)
		return dm_fail(err, DM_INVALID, "%s: path too long", dir);
	return 0;
}

int
mount_table_resolve(const char *dir, char out[PATH_MAX], struct dm_err *err)
{
	if (dir[0] == '\0')
		return dm_fail(err, DM_INVALID,
		    "the directory's name is empty");
	if (realpath(dir, out) != NULL)
		return 0;
	/* ENOTCONN: its daemon is dead; EACCES: it belongs to another user, who
	 * shares it with nobody, root included. */
	if (errno != ENOTCONN && errno != ENOENT && errno != EACCES &&
	    errno != EIO)
		return dm_fail_errno(err, "%s", dir);
	return resolve_above(dir, out, err);
}
