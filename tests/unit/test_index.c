/* The index of last uses: a hint, made again whenever it is lost. */
#include "cache/store/index.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/digest.h"
#include "cache/base/log.h"
#include "cache/store/census.h"
#include "tests/unit/check.h"

struct fixture {
	char dir[64];
	int root;
	struct index *ix;
	struct digest key[2];
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	static const char names[] = "mkdir -p %s/blobs/6c && cd %s/blobs/6c &&"
				    " for n in 0 1; do touch -d 2020-01-01"
				    " 6c$(printf %%062d $n); done";
	char command[256];

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/dm-index-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(command, sizeof(command), names, f->dir, f->dir);
	assert_int_equal(system(command), 0);
	f->root = open(f->dir, O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < 2; i++) {
		f->key[i].bytes[0] = 0x6c;
		f->key[i].bytes[31] = (uint8_t)i;
	}
	OK(index_new(&f->ix, f->dir, &err));
	dm_log_setup(DM_LOG_ERROR, 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[96];

	index_free(f->ix);
	(void)close(f->root);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	free(f);
	return system(command);
}

/* As often as it takes to be written and read back. */
static void
tick(struct fixture *f)
{
	for (int i = 0; i < 12; i++)
		(void)index_tick(f->ix, f->root, NULL, 0);
}

static int64_t
last_use(struct fixture *f, int i)
{
	struct census c;
	struct census_blob *b;
	int64_t used_s;

	OK(census_take(&c, f->root, &err));
	index_uses(f->ix, &c);
	b = census_find(&c, &f->key[i]);
	assert_non_null(b);
	used_s = b->used_s;
	census_release(&c);
	return used_s;
}

static void
test_a_use_makes_a_blob_hotter_than_its_file(void **state)
{
	struct fixture *f = *state;

	assert_true(index_tick(f->ix, f->root, &f->key[1], 1));
	tick(f);
	assert_true(last_use(f, 1) > last_use(f, 0));
}

static void
test_who_has_just_begun_knows_the_last_uses_too(void **state)
{
	struct fixture *f = *state;

	assert_true(index_tick(f->ix, f->root, &f->key[1], 1));
	index_free(f->ix);
	OK(index_new(&f->ix, f->dir, &err));
	assert_true(last_use(f, 1) > last_use(f, 0));
}

static void
test_uses_outlive_the_process(void **state)
{
	struct fixture *f = *state;

	assert_true(index_tick(f->ix, f->root, &f->key[1], 1));
	index_free(f->ix);
	OK(index_new(&f->ix, f->dir, &err));
	tick(f);
	assert_true(last_use(f, 1) > last_use(f, 0));
}

static void
test_a_damaged_index_is_put_aside_and_made_again(void **state)
{
	struct fixture *f = *state;
	char path[96], bad[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, INDEX_FILE);
	(void)snprintf(bad, sizeof(bad), "%s.bad", path);
	file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs("this is no database, and long enough to say so", file);
	(void)fclose(file);
	assert_false(index_tick(f->ix, f->root, &f->key[1], 1));
	assert_int_equal(access(bad, F_OK), 0);
	assert_true(index_tick(f->ix, f->root, &f->key[1], 1));
	tick(f);
	assert_true(last_use(f, 1) > last_use(f, 0));
}

static void
test_an_index_that_was_removed_is_made_again(void **state)
{
	struct fixture *f = *state;
	char path[96];

	tick(f);
	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, INDEX_FILE);
	assert_int_equal(unlink(path), 0);
	assert_true(index_tick(f->ix, f->root, &f->key[0], 1));
	tick(f);
	assert_true(last_use(f, 0) > last_use(f, 1));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_use_makes_a_blob_hotter_than_its_file),
		T(test_who_has_just_begun_knows_the_last_uses_too),
		T(test_uses_outlive_the_process),
		T(test_a_damaged_index_is_put_aside_and_made_again),
		T(test_an_index_that_was_removed_is_made_again),
	};

	return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
