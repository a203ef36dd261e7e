/* cache/fetch: what is missed while files change, and what others hold. */
#include "cache/fetch.h"
#include "tests/unit/cache_fixture.h"

#include "cache/pack/pack_dir.h"
#include "cache/plan.h"
#include "cache/store/blob.h"
#include "cache/store/directory.h"
#include "cache/store/files.h"
#include "cache/store/shelf.h"
#include "cache/store/store.h"
#include "cache/turn.h"

/* A cache's insides, without an origin. */
struct inside {
	char top[64];
	struct store *store;
	struct fetch *fetch;
	struct blob *blob;
	struct directory *dir;
};

static int
setup(void **state)
{
	struct inside *in = calloc(1, sizeof(*in));

	(void)snprintf(in->top, sizeof(in->top), "/tmp/dm-fetch-XXXXXX");
	if (mkdtemp(in->top) == NULL)
		return -1;
	dm_log_setup(DM_LOG_ERROR, 0);
	OK(store_open(&in->store, in->top, 0, &err));
	OK(fetch_open(&in->fetch, 1 << 20, &err));
	*state = in;
	return 0;
}

static int
teardown(void **state)
{
	struct inside *in = *state;
	char command[96];

	directory_put(in->dir);
	fetch_close(in->fetch);
	store_close(in->store);
	(void)snprintf(command, sizeof(command), "rm -rf %s", in->top);
	free(in);
	return system(command);
}

/* A pack of n objects of size bytes each, of which nothing but the directory
 * is here. */
static void
make(struct inside *in, uint32_t n, uint32_t size)
{
	struct dm_buf out = DM_BUF(PACK_DIR_MAX);
	struct pack_dir_encoder e = { 0 };
	struct pack_object o = {
		.kind = OBJECT_DATA, .plain_size = size, .stored_size = size
	};
	struct digest key;

	OK(pack_dir_encode_begin(&e, &out, &err));
	for (uint32_t i = 0; i < n; i++) {
		o.id = id_of((uint8_t)i);
		OK(pack_dir_encode_object(&e, &o, &err));
	}
	pack_dir_encode_end(&e);
	digest_of(&key, out.data, out.size);
	in->blob = store_blob(in->store, &key);
	assert_non_null(in->blob);
	OK(blob_directory_make(in->blob, out.data, out.size, &in->dir, &err));
}

static void
path_of(char out[256], const struct inside *in, enum shelf_file which)
{
	char name[SHELF_NAME];

	shelf_name(name, blob_key(in->blob), which);
	(void)snprintf(out, 256, "%s/%s", in->top, name);
}

static void
no_wake(struct cache_wait *w)
{
	(void)w;
}

static void
test_a_directory_that_was_removed_is_looked_for_again(void **state)
{
	struct inside *in = *state;
	struct cache_wait wait;
	struct fetch_want want;
	const uint32_t ordinal = 3;
	struct cache_lot lot = { .ordinal = &ordinal, .n = 1 };
	char path[256];

	make(in, 20000, 5); /* too many to be kept in memory */
	want = (struct fetch_want){
		.blob = in->blob, .dir = in->dir, .piece = ordinal
	};
	path_of(path, in, SHELF_DIR);
	assert_int_equal(unlink(path), 0);
	cache_wait_init(&wait, no_wake, dm_deadline_ms(10000));
	OK(fetch_start(in->fetch, &want, &wait, &err));
	assert_null(blob_directory(in->blob));
	FAILS(DM_STALE, "changed",
	    fetch_bring(in->fetch, &want, &lot, &wait, &err));
	cache_wait_release(&wait);
}

static void
test_a_lock_to_the_end_of_a_file_is_one_on_all_of_it(void **state)
{
	struct inside *in = *state;
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct files_range part = { .off = 1000, .size = 5 }, by;
	struct files *files;
	char path[256];
	int fd;

	make(in, 3, 1000);
	files = blob_files(in->blob);
	assert_false(files_locked(files, 0, part, &by));
	path_of(path, in, SHELF_BLOB);
	fd = open(path, O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
	for (unsigned level = 0; level < FILES_LEVELS; level++) {
		assert_true(files_locked(files, level, part, &by));
		assert_int_equal(by.off, 0);
		assert_true(by.size > part.off + part.size);
	}
	assert_int_equal(close(fd), 0);
	files_put(files);
}

static void
test_what_another_holds_is_passed_over_at_once(void **state)
{
	struct inside *in = *state;
	struct flock three = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 3000
	};
	struct turn_range r;
	struct plan plan;
	char path[256];
	int fd;

	make(in, 5, 1000);
	OK(plan_init(&plan, in->dir, in->blob, 0, 5, &err));
	r = (struct turn_range){
		.blob = in->blob, .files = blob_files(in->blob), .plan = &plan
	};
	path_of(path, in, SHELF_BLOB);
	fd = open(path, O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &three), 0);
	assert_int_equal(turn_others_end(&r, 0), 3);
	assert_int_equal(turn_others_end(&r, 2), 3);
	assert_int_equal(turn_others_end(&r, 3), 4);
	assert_int_equal(close(fd), 0);
	files_put(r.files);
	plan_release(&plan);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_a_directory_that_was_removed_is_looked_for_again,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_a_lock_to_the_end_of_a_file_is_one_on_all_of_it, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    test_what_another_holds_is_passed_over_at_once, setup,
		    teardown),
	};

	return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
