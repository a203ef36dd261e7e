/*
 * Pins: files in pins/ of the cache directory.
 *
 * A pin has a line for people, which begins with '#', and a key in each of the
 * others.  It appears whole, by a temporary name: what is half written is
 * neither kept nor counted.  Put or removed, it is so after a power cut: other
 * than all else in the cache, it cannot be fetched again.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/cache.h"
#include "cache/store/census.h"
#include "cache/store/shelf.h"

enum { PIN_MAX = 256 << 20 }; /* bytes of one: four million keys */

bool
cache_pin_name_valid(const char *name)
{
	size_t n = strlen(name);

	if (n > CACHE_PIN_NAME || !census_pin_named(name))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) &&
		    strchr("._-", name[i]) == NULL)
			return false;
	return true;
}

static int
check_name(const char *name, struct dm_err *err)
{
	if (cache_pin_name_valid(name))
		return 0;
	return dm_fail(err, DM_INVALID,
	    "'%.60s' is no name for a pin: give letters, digits, '.', '_',"
	    " '-', at most %d, not '.' first",
	    name, CACHE_PIN_NAME);
}

/* Open a directory below the cache's; -1 without an error: there is none. */
static int
open_folder(const char *dir, const char *name, int *out, struct dm_err *err)
{
	DM_AUTO(dm_closep) int root = -1;

	*out = -1;
	if (access(dir, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (shelf_check(dir, err) < 0)
		return -1;
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0)
		*out = openat(root, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*out < 0 && errno != ENOENT)
		return dm_fail_errno(err, "%s/%s", dir, name);
	return 0;
}

/* ---- write and remove ---- */

static int
make_folder(const char *dir, int *out, struct dm_err *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/pins", dir) >= (int)sizeof(path))
		return dm_fail(err, DM_INVALID,
		    "the path of the cache directory is too long");
	if (access(dir, F_OK) < 0 && dm_mkdirs(dir, 0700, err) < 0)
		return dm_wrap(err, "cache directory %s", dir);
	if (shelf_check(dir, err) < 0)
		return -1;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return dm_fail_errno(err, "%s", path);
	if (open_folder(dir, "pins", out, err) < 0)
		return -1;
	return *out < 0 ? dm_fail_errno(err, "%s", path) : 0;
}

static int
add_note(struct dm_buf *text, const char *note, struct dm_err *err)
{
	char line[CACHE_PIN_NOTE];
	size_t n = (size_t)snprintf(line, sizeof(line), "%s", note);

	for (size_t i = 0; i < n && line[i] != '\0'; i++)
		if (iscntrl((unsigned char)line[i]))
			line[i] = '?';
	return dm_buf_printf(text, err, "# %s\n", line);
}

int
cache_pin_put(const char *dir, const char *name, const char *note,
    const struct digest *key, size_t n, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(PIN_MAX);
	DM_AUTO(dm_closep) int pins = -1;
	char hex[DIGEST_HEX + 1];

	if (check_name(name, err) < 0 || make_folder(dir, &pins, err) < 0 ||
	    add_note(&text, note, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		digest_hex(&key[i], hex);
		if (dm_buf_printf(&text, err, "%s\n", hex) < 0)
			return -1;
	}
	if (dm_file_replace(pins, name, text.data, text.size, 0600, err) < 0 ||
	    dm_names_sync(pins, err) < 0)
		return dm_wrap(err, "pin %s", name);
	return 0;
}

int
cache_pin_remove(const char *dir, const char *name, bool *found,
    struct dm_err *err)
{
	DM_AUTO(dm_closep) int pins = -1;

	*found = false;
	if (!cache_pin_name_valid(name))
		return 0;
	if (open_folder(dir, "pins", &pins, err) < 0)
		return -1;
	if (pins < 0)
		return 0;
	*found = unlinkat(pins, name, 0) == 0;
	if ((*found && fsync(pins) < 0) || (!*found && errno != ENOENT))
		return dm_fail_errno(err, "pin %s", name);
	return 0;
}

/* ---- list ---- */

struct counting {
	struct census *census;
	struct cache_pin *pin;
};

static void
count(void *arg, const struct digest *key)
{
	struct counting *c = arg;
	const struct census_blob *b = census_find(c->census, key);

	c->pin->blobs++;
	if (b == NULL)
		return;
	c->pin->here++;
	c->pin->bytes += b->bytes;
}

/* The first line, if it is one for people. */
static void
read_note(int pins, const char *name, char note[CACHE_PIN_NOTE])
{
	DM_AUTO(dm_closep)
	int fd =
	    openat(pins, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[CACHE_PIN_NOTE + 2] = "";

	note[0] = '\0';
	if (fd < 0 || dm_pread_full(fd, text, sizeof(text) - 1, 0) <= 0 ||
	    strncmp(text, "# ", 2) != 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	(void)snprintf(note, CACHE_PIN_NOTE, "%s", text + 2);
}

static int
is_pin(const struct dirent *e)
{
	return cache_pin_name_valid(e->d_name);
}

/* Pins by name. */
static int
each_pin(int root, int pins, struct counting *c,
    int (*each)(void *arg, const struct cache_pin *pin, struct dm_err *err),
    void *arg, struct dm_err *err)
{
	struct dirent **entry = NULL;
	int n = scandirat(pins, ".", &entry, is_pin, alphasort), rc = 0;

	if (n < 0)
		return dm_fail_errno(err, "pins");
	if (n > 0)
		rc = census_take(c->census, root, err);
	for (int i = 0; i < n; i++) {
		*c->pin = (struct cache_pin){ 0 };
		(void)snprintf(c->pin->name, sizeof(c->pin->name), "%.*s",
		    CACHE_PIN_NAME, entry[i]->d_name);
		read_note(pins, c->pin->name, c->pin->note);
		if (rc == 0)
			rc = census_pin_read(pins, c->pin->name, count, c, err);
		if (rc == 0)
			rc = each(arg, c->pin, err);
		free(entry[i]);
	}
	free((void *)entry);
	return rc;
}

int
cache_pins(const char *dir,
    int (*each)(void *arg, const struct cache_pin *pin, struct dm_err *err),
    void *arg, struct dm_err *err)
{
	DM_AUTO(dm_closep) int root = -1;
	DM_AUTO(dm_closep) int pins = -1;
	struct census census = { 0 };
	struct cache_pin pin;
	struct counting c = { .census = &census, .pin = &pin };
	int rc;

	if (open_folder(dir, ".", &root, err) < 0 ||
	    open_folder(dir, "pins", &pins, err) < 0)
		return -1;
	if (root < 0 || pins < 0)
		return 0;
	rc = each_pin(root, pins, &c, each, arg, err);
	census_release(&census);
	return rc;
}
