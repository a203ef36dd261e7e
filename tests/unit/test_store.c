/* cache/store: what is open stays bounded, and what is large is proven. */
#include "cache/store/store.h"
#include "tests/unit/cache_fixture.h"

#include "cache/pack/pack_dir.h"
#include "cache/store/blob.h"
#include "cache/store/directory.h"
#include "cache/store/shelf.h"

static struct store *store;
static char dir[] = "/tmp/dm-store-XXXXXX";

static int
setup(void **state)
{
	(void)state;
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	if (mkdtemp(dir) == NULL)
		return -1;
	dm_log_setup(DM_LOG_ERROR, 0);
	OK(store_open(&store, dir, 0, &err));
	return 0;
}

static int
teardown(void **state)
{
	char command[64];

	(void)state;
	store_close(store);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static unsigned
open_files(void)
{
	DIR *fds = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(fds);
	while (readdir(fds) != NULL)
		n++;
	closedir(fds);
	return n;
}

/* The directory of n objects of size bytes each; its digest is *key. */
static void *
make_directory(uint32_t n, uint32_t size, const struct digest *id,
    struct digest *key, size_t *bytes)
{
	struct dm_buf out = DM_BUF(PACK_DIR_MAX);
	struct pack_dir_encoder e = { 0 };
	struct pack_object o = {
		.kind = OBJECT_DATA, .plain_size = size, .stored_size = size
	};

	OK(pack_dir_encode_begin(&e, &out, &err));
	for (uint32_t i = 0; i < n; i++) {
		o.id = id != NULL ? *id : id_of((uint8_t)i);
		OK(pack_dir_encode_object(&e, &o, &err));
	}
	pack_dir_encode_end(&e);
	digest_of(key, out.data, out.size);
	*bytes = out.size;
	return out.data;
}

static struct blob *
make_blob(uint32_t n, uint32_t size, const struct digest *id)
{
	struct directory *d = NULL;
	struct digest key;
	size_t bytes;
	void *data = make_directory(n, size, id, &key, &bytes);
	struct blob *b = store_blob(store, &key);

	assert_non_null(b);
	OK(blob_directory_make(b, data, bytes, &d, &err));
	directory_put(d);
	return b;
}

static void
test_descriptors_stay_bounded_and_blobs_readable(void **state)
{
	enum { BLOBS = 600 };
	static struct blob *blob[BLOBS];
	static uint8_t data[70000], got[70000];
	struct blob_piece p = { .size = sizeof(data) };
	unsigned before = open_files();

	(void)state;
	fill(data, sizeof(data), 3);
	digest_of(&p.id, data, sizeof(data));
	for (uint32_t i = 0; i < BLOBS; i++) {
		blob[i] = make_blob(1 + i, sizeof(data), &p.id);
		blob_write(blob[i], &p, data);
	}
	assert_true(open_files() - before <= 2 * 256 + 2);
	for (uint32_t i = 0; i < BLOBS; i++) {
		memset(got, 0, sizeof(got));
		assert_true(blob_read(blob[i], &p, 0, got, sizeof(got)));
		assert_memory_equal(got, data, sizeof(got));
		assert_ptr_equal(store_blob(store, blob_key(blob[i])), blob[i]);
	}
	assert_true(open_files() - before <= 2 * 256 + 4);
	assert_int_equal(shelf_bad(store_shelf(store)), 0);
}

static void
test_a_large_directory_is_read_from_its_file(void **state)
{
	struct blob *b = make_blob(20000, 5, NULL);
	struct directory *d = blob_directory(b);
	static struct pack_object o[300];

	(void)state;
	assert_non_null(d);
	assert_in_range(directory_memory(d), DIRECTORY_WHOLE,
	    DIRECTORY_WHOLE + 1000); /* not the 1.1 MB that it has */
	assert_int_equal(directory_count(d), 20000);
	assert_int_equal(directory_plain_size(d), 100000);
	assert_true(directory_objects(d, 0, 300, o));
	assert_int_equal(o[0].plain_off, 0);
	assert_int_equal(o[299].plain_off, 299 * 5);
	assert_true(directory_objects(d, 19999, 1, o));
	assert_int_equal(o[0].id.bytes[0], (uint8_t)19999);
	assert_int_equal(o[0].plain_off, 99995);
	directory_put(d);
}

static void
test_a_large_directory_that_changes_is_not_believed(void **state)
{
	struct blob *b = make_blob(20000, 5, NULL);
	struct directory *d = blob_directory(b);
	char path[256], name[SHELF_NAME];
	struct pack_object o;
	int fd;

	(void)state;
	shelf_name(name, blob_key(b), SHELF_DIR);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "x", 1, 50000), 1);
	close(fd);
	assert_false(directory_objects(d, 3, 1, &o));
	directory_put(d);
	blob_cool(b, false, true);
	assert_null(blob_directory(b));
	assert_int_equal(shelf_bad(store_shelf(store)), 1);
	assert_int_equal(access(path, F_OK), -1);
}

static void
test_a_directory_of_another_pack_is_refused(void **state)
{
	struct directory *d = NULL;
	struct digest key, other = id_of(9);
	size_t bytes;
	void *data = make_directory(3, 5, NULL, &key, &bytes);
	struct blob *b = store_blob(store, &other);

	(void)state;
	FAILS(DM_CORRUPT, "does not match its id",
	    blob_directory_make(b, data, bytes, &d, &err));
	assert_null(blob_directory(b));
}

static void
test_claims_are_those_of_the_map(void **state)
{
	static uint8_t data[100], claim[40];
	struct blob_piece p = { .size = sizeof(data) };
	struct blob *b;

	(void)state;
	digest_of(&p.id, data, sizeof(data));
	b = make_blob(40, sizeof(data), &p.id);
	for (p.n = 0; p.n < 40; p.n += 3) {
		p.off = (uint64_t)p.n * sizeof(data);
		blob_write(b, &p, data);
	}
	for (uint32_t first = 0; first < 40; first++) {
		memset(claim, 9, sizeof(claim));
		blob_claims(b, first, 40 - first, claim);
		for (uint32_t i = 0; i < 40 - first; i++)
			assert_int_equal(claim[i], (first + i) % 3 == 0);
	}
}

enum { LARGE = 1 << 20, LARGE_N = 3 };

struct reader {
	struct blob *blob;
	const struct blob_piece *piece;
	const uint8_t *data;
	pthread_t thread;
	unsigned first;
	bool good;
};

/* All pieces, in parts that do not fit them. */
static void *
read_parts(void *arg)
{
	enum { PART = 100000 };
	struct reader *r = arg;
	uint8_t part[PART];

	r->good = true;
	for (uint32_t i = 0; i < LARGE_N; i++) {
		const struct blob_piece *p =
		    &r->piece[(r->first + i) % LARGE_N];
		uint32_t n;

		for (uint32_t off = 0; off < p->size; off += n) {
			n = p->size - off < PART ? p->size - off : PART;
			if (!blob_read(r->blob, p, off, part, n) ||
			    memcmp(part, r->data + p->off + off, n) != 0)
				r->good = false;
		}
	}
	return NULL;
}

static void
test_all_who_read_a_piece_at_once_get_it(void **state)
{
	static uint8_t data[LARGE_N * LARGE];
	struct blob_piece piece[LARGE_N];
	struct reader reader[6];
	struct digest id;
	struct blob *b;

	(void)state;
	fill(data, LARGE, 5);
	digest_of(&id, data, LARGE);
	b = make_blob(LARGE_N, LARGE, &id);
	for (uint32_t i = 0; i < LARGE_N; i++) {
		memcpy(data + (size_t)i * LARGE, data, LARGE);
		piece[i] = (struct blob_piece){ .id = id,
			.off = (uint64_t)i * LARGE,
			.size = LARGE,
			.n = i };
		blob_write(b, &piece[i], data);
	}
	/* A new run has verified nothing. */
	store_close(store);
	OK(store_open(&store, dir, 0, &err));
	b = make_blob(LARGE_N, LARGE, &id);
	for (unsigned i = 0; i < 6; i++) {
		reader[i] = (struct reader){
			.blob = b, .piece = piece, .data = data, .first = i / 3
		};
		assert_int_equal(pthread_create(&reader[i].thread, NULL,
				     read_parts, &reader[i]),
		    0);
	}
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(pthread_join(reader[i].thread, NULL), 0);
		assert_true(reader[i].good);
	}
	assert_int_equal(shelf_bad(store_shelf(store)), 0);
}

static void
test_no_part_of_a_damaged_piece_is_given_out(void **state)
{
	static uint8_t data[LARGE], got[100];
	struct blob_piece p = { .size = LARGE };
	char path[256], name[SHELF_NAME];
	struct blob *b;
	int fd;

	(void)state;
	fill(data, LARGE, 6);
	digest_of(&p.id, data, LARGE);
	b = make_blob(1, LARGE, &p.id);
	blob_write(b, &p, data);
	shelf_name(name, blob_key(b), SHELF_BLOB);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "wrong", 5, LARGE - 5), 5);
	assert_int_equal(close(fd), 0);
	assert_false(blob_read(b, &p, 0, got, sizeof(got)));
	assert_int_equal(shelf_bad(store_shelf(store)), 1);
	blob_write(b, &p, data);
	assert_true(blob_read(b, &p, LARGE - 100, got, sizeof(got)));
	assert_memory_equal(got, data + LARGE - 100, sizeof(got));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_descriptors_stay_bounded_and_blobs_readable),
		T(test_a_large_directory_is_read_from_its_file),
		T(test_a_large_directory_that_changes_is_not_believed),
		T(test_a_directory_of_another_pack_is_refused),
		T(test_claims_are_those_of_the_map),
		T(test_all_who_read_a_piece_at_once_get_it),
		T(test_no_part_of_a_damaged_piece_is_given_out),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
