/* Pins: what is written, what is read, what counts for nothing. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/digest.h"
#include "cache/base/io.h"
#include "cache/cache.h"
#include "cache/store/census.h"

static char dir[] = "/tmp/dm-pins-XXXXXX";

static int
setup(void **state)
{
	(void)state;
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	char command[64];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static struct digest
key(uint8_t n)
{
	struct digest d;

	digest_of(&d, &n, 1);
	return d;
}

/* A blob of a page in the cache. */
static void
put_blob(uint8_t n)
{
	struct digest k = key(n);
	char hex[DIGEST_HEX + 1], path[256];
	int fd;

	digest_hex(&k, hex);
	(void)snprintf(path, sizeof(path), "%s/blobs/%.2s", dir, hex);
	OK(dm_mkdirs(path, 0700, &err));
	(void)snprintf(path, sizeof(path), "%s/blobs/%.2s/%s", dir, hex, hex);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(dm_write_full(fd, path, sizeof(path)), 0);
	assert_int_equal(close(fd), 0);
}

static void
put_file(const char *name, const char *text)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/pins", dir);
	OK(dm_mkdirs(path, 0700, &err));
	(void)snprintf(path, sizeof(path), "%s/pins/%s", dir, name);
	OK(dm_file_replace(AT_FDCWD, path, text, strlen(text), 0600, &err));
}

struct list {
	unsigned n;
	struct cache_pin pin[4];
};

static int
note(void *arg, const struct cache_pin *pin, struct dm_err *e)
{
	struct list *l = arg;

	(void)e;
	assert_true(l->n < 4);
	l->pin[l->n++] = *pin;
	return 0;
}

static struct list
all_pins(void)
{
	struct list l = { 0 };

	OK(cache_pins(dir, note, &l, &err));
	return l;
}

static bool
is_pinned(uint8_t n)
{
	struct digest k = key(n);
	const struct census_blob *b;
	struct census c;
	bool pinned;
	int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	OK(census_take(&c, root, &err));
	OK(census_mark_pinned(&c, root, &err));
	b = census_find(&c, &k);
	assert_non_null(b);
	pinned = b->pinned;
	census_release(&c);
	assert_int_equal(close(root), 0);
	return pinned;
}

static void
test_a_pin_names_blobs_that_are_here_and_others(void **state)
{
	struct digest k[] = { key(1), key(2), key(3) };
	struct list l;

	(void)state;
	put_blob(1);
	put_blob(3);
	put_blob(4);
	OK(cache_pin_put(dir, "b", "what it\nis", k, 3, &err));
	OK(cache_pin_put(dir, "a", "", k, 0, &err));
	l = all_pins();
	assert_int_equal(l.n, 2);
	assert_string_equal(l.pin[0].name, "a");
	assert_int_equal(l.pin[0].blobs, 0);
	assert_string_equal(l.pin[1].name, "b");
	assert_string_equal(l.pin[1].note, "what it?is");
	assert_int_equal(l.pin[1].blobs, 3);
	assert_int_equal(l.pin[1].here, 2);
	assert_true(l.pin[1].bytes > 0);
	assert_true(is_pinned(1));
	assert_true(is_pinned(3));
	assert_false(is_pinned(4));
}

static void
test_a_pin_is_replaced_and_removed(void **state)
{
	struct digest k[] = { key(1), key(2) };
	bool found;

	(void)state;
	put_blob(1);
	put_blob(2);
	OK(cache_pin_put(dir, "x", "", k, 1, &err));
	OK(cache_pin_put(dir, "x", "", k + 1, 1, &err));
	assert_false(is_pinned(1));
	assert_true(is_pinned(2));
	OK(cache_pin_remove(dir, "x", &found, &err));
	assert_true(found);
	assert_false(is_pinned(2));
	OK(cache_pin_remove(dir, "x", &found, &err));
	assert_false(found);
}

/* Whatever else is in such a file, and whatever else is in the folder. */
static void
test_only_whole_keys_in_whole_files_keep_blobs(void **state)
{
	struct digest k = key(1);
	char hex[DIGEST_HEX + 1], text[2048];

	(void)state;
	put_blob(1);
	digest_hex(&k, hex);
	put_file(".hidden", "");
	(void)snprintf(text, sizeof(text), "%s\n", hex);
	put_file("new.tmp", text);
	(void)snprintf(text, sizeof(text), "#%s\n%sa\n%.63s\n%0500d%s", hex,
	    hex, hex, 1, hex);
	put_file("odd", text);
	assert_false(is_pinned(1));
	assert_int_equal(all_pins().n, 1);
	assert_int_equal(all_pins().pin[0].blobs, 0);
	(void)snprintf(text, sizeof(text), "remark\n\n%s\n", hex);
	put_file("odd", text);
	assert_true(is_pinned(1));
}

static void
test_names_that_lead_elsewhere_are_refused(void **state)
{
	static const char *const bad[] = { "", ".", "..", ".a", "a/b", "../a",
		"a b", "a\n", "a.tmp", "\xc3\xa4" };
	char name[CACHE_PIN_NAME + 2];
	struct digest k = key(1);
	bool found = true;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(cache_pin_name_valid(bad[i]));
		FAILS(DM_INVALID, "no name for a pin",
		    cache_pin_put(dir, bad[i], "", &k, 1, &err));
		OK(cache_pin_remove(dir, bad[i], &found, &err));
		assert_false(found);
	}
	memset(name, 'n', sizeof(name));
	name[CACHE_PIN_NAME + 1] = '\0';
	assert_false(cache_pin_name_valid(name));
	name[CACHE_PIN_NAME] = '\0';
	OK(cache_pin_put(dir, name, "", &k, 1, &err));
	assert_string_equal(all_pins().pin[0].name, name);
}

static void
test_a_cache_that_is_not_there_has_no_pins(void **state)
{
	struct list l = { 0 };
	struct digest k = key(1);
	bool found = true;
	char none[64];

	(void)state;
	(void)snprintf(none, sizeof(none), "%s/none", dir);
	OK(cache_pins(none, note, &l, &err));
	OK(cache_pin_remove(none, "x", &found, &err));
	assert_int_equal(l.n, 0);
	assert_false(found);
	assert_int_equal(access(none, F_OK), -1);
	OK(cache_pin_put(none, "x", "", &k, 1, &err));
	OK(cache_pin_remove(none, "x", &found, &err));
	assert_true(found);
}

static void
test_a_link_in_the_place_of_pins_is_not_followed(void **state)
{
	struct digest k = key(1);
	char path[64];

	(void)state;
	put_blob(1);
	(void)snprintf(path, sizeof(path), "%s/pins", dir);
	assert_int_equal(symlink("/tmp", path), 0);
	FAILS(DM_NOTFOUND, "pins", cache_pin_put(dir, "x", "", &k, 1, &err));
	assert_false(is_pinned(1));
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_a_pin_names_blobs_that_are_here_and_others),
		T(test_a_pin_is_replaced_and_removed),
		T(test_only_whole_keys_in_whole_files_keep_blobs),
		T(test_names_that_lead_elsewhere_are_refused),
		T(test_a_cache_that_is_not_there_has_no_pins),
		T(test_a_link_in_the_place_of_pins_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
