/* cache: objects whose pack gc has removed, and moved. */
#include "tests/unit/cache_fixture.h"

#include "cache/moved_table.h"
#include "cache/pack/moved.h"

/* A file of the repository: FOLDER/AA/ID. */
static void
repo_path(char out[256], const struct fixture *f, const char *folder,
    const struct packed *p)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&p->name.id, hex);
	(void)snprintf(out, 256, "%s/%s/%.2s/%s", f->repo, folder, hex, hex);
}

static void
remove_pack(const struct fixture *f, const struct packed *p)
{
	char path[256];

	repo_path(path, f, "packs", p);
	assert_int_equal(unlink(path), 0);
}

/* Say that object i of from is object i + 1 of to. */
static void
put_moved(const struct fixture *f, const struct packed *from,
    const struct packed *to)
{
	struct dm_buf out = DM_BUF(MOVED_MAX);
	struct moved_row *row = calloc(from->n, sizeof(*row));
	char path[256], *slash;
	FILE *file;

	for (uint32_t i = 0; i < from->n; i++)
		row[i] = (struct moved_row){
			.old = i,
			.to = { .pack = to->name.id,
			    .dir_off = to->name.dir_off,
			    .dir_len = to->name.dir_len,
			    .ordinal = i + 1 },
		};
	OK(moved_encode(row, from->n, &out, &err));
	repo_path(path, f, "moved", from);
	slash = strrchr(path, '/');
	*slash = '\0';
	OK(dm_mkdirs(path, 0700, &err));
	*slash = '/';
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(out.data, 1, out.size, file), out.size);
	assert_int_equal(fclose(file), 0);
	dm_buf_release(&out);
	free(row);
}

/* A pack that has the objects of p behind one more. */
static struct packed
next_pack(const struct fixture *f, const struct packed *p)
{
	struct packed next = {
		.n = p->n + 1, .size = p->size, .seed = p->seed - 1
	};

	make_pack(f, &next);
	return next;
}

static void
test_what_moved_is_asked_for_once_for_all_who_wait(void **state)
{
	enum { READERS = 12 };
	struct fixture *f = *state;
	struct packed a = { .n = 50, .size = 200001, .seed = 1001 }, b;
	struct waiter w[READERS] = { 0 };

	make_pack(f, &a);
	assert_int_equal(read_whole(f, f->cache, &a, 0), DM_OK);
	b = next_pack(f, &a);
	put_moved(f, &a, &b);
	remove_pack(f, &a);
	OK(httpd_rule(f->httpd, "/moved/* * barrier=m", &err));
	for (uint32_t i = 0; i < READERS; i++) {
		cache_wait_init(&w[i].wait, note_wake, dm_deadline_ms(10000));
		assert_int_equal(read_part(f, f->cache, &a, 20 + 2 * i, 5, 10,
				     &w[i].wait),
		    DM_AGAIN);
	}
	httpd_release(f->httpd, "m");
	for (uint32_t i = 0; i < READERS; i++) {
		enum dm_code code = DM_AGAIN;

		for (int rounds = 1; code == DM_AGAIN; rounds++) {
			await(&w[i], rounds);
			code = read_part(f, f->cache, &a, 20 + 2 * i, 5, 10,
			    &w[i].wait);
		}
		assert_int_equal(code, DM_OK);
		cache_wait_release(&w[i].wait);
	}
	assert_int_equal(httpd_count(f->httpd, "/moved/*"), 1);
}

static void
test_a_reader_who_blocks_finds_what_moved_again(void **state)
{
	struct fixture *f = *state;
	struct packed a = { .n = 9, .size = 200001, .seed = 1101 }, b, c;

	make_pack(f, &a);
	b = next_pack(f, &a);
	put_moved(f, &a, &b);
	remove_pack(f, &a);
	assert_int_equal(read_whole(f, f->cache, &a, 0), DM_OK);
	reopen(f); /* what the disk says may be outdated at once */
	c = (struct packed){ .n = 11, .size = a.size, .seed = a.seed - 1 };
	make_pack(f, &c);
	put_moved(f, &a, &c);
	remove_pack(f, &b);
	assert_int_equal(read_whole(f, f->cache, &a, 8), DM_OK);
}

static void
test_what_moved_is_asked_for_past_all_caches(void **state)
{
	struct fixture *f = *state;
	struct packed a = { .n = 3, .size = 2001, .seed = 1201 }, b;
	struct dm_buf log = DM_BUF(1 << 20);

	make_pack(f, &a);
	b = next_pack(f, &a);
	put_moved(f, &a, &b);
	remove_pack(f, &a);
	OK(httpd_rule(f->httpd, "/moved/* 1 flip=0", &err));
	assert_int_equal(read_whole(f, f->cache, &a, 1), DM_OK);
	assert_int_equal(httpd_count(f->httpd, "/moved/*"), 2);
	OK(httpd_log(f->httpd, &log, &err));
	OK(dm_buf_append(&log, "", 1, &err));
	assert_non_null(strstr((char *)log.data, "/moved/"));
	assert_non_null(strchr(strstr((char *)log.data, "GET /moved/") + 80,
	    '?'));
	dm_buf_release(&log);
}

/* For sanitizers. */
static void
test_an_answer_may_come_when_the_cache_is_closed(void **state)
{
	struct fixture *f = *state;
	struct packed a = { .n = 3, .size = 2001, .seed = 1301 };
	struct packed other = { .n = 3, .size = 2001, .seed = 1401 };
	struct waiter w = { 0 };

	make_pack(f, &a);
	make_pack(f, &other);
	remove_pack(f, &a);
	OK(httpd_rule(f->httpd, "/moved/* * barrier=m", &err));
	cache_wait_init(&w.wait, note_wake, dm_deadline_ms(10000));
	assert_int_equal(read_part(f, f->cache, &a, 1, 5, 10, &w.wait),
	    DM_AGAIN);
	OK(httpd_wait(f->httpd, "/moved/*", 1, &err));
	cache_close(f->cache);
	f->cache = NULL;
	await(&w, 1);
	cache_wait_release(&w.wait);
	httpd_release(f->httpd, "m");
	open_cache_at(f, &f->cache, 10000);
	read_all(f, &other);
}

/* The first n objects of pack number i have moved, each as far. */
static void
tell(struct moved_table *t, uint32_t i, const struct moved_row *row, uint32_t n)
{
	struct dm_buf text = DM_BUF(MOVED_MAX);
	struct digest pack = id_of((uint8_t)i);

	OK(moved_encode(row, n, &text, &err));
	OK(moved_table_put(t, &pack, &text, &err));
	dm_buf_release(&text);
}

static uint32_t
count_known(struct moved_table *t, uint32_t n)
{
	uint32_t known = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct digest pack = id_of((uint8_t)i);

		known += moved_table_knows(t, &pack);
	}
	return known;
}

static void
test_what_moved_first_is_forgotten_first(void **state)
{
	enum { ROWS = 500000, SMALL = 200, LARGE = 11 };
	struct moved_table *t = moved_table_new();
	static struct moved_row row[ROWS];
	const struct digest last = id_of(SMALL + LARGE - 1);
	struct moved_place to;
	bool known;

	(void)state;
	assert_non_null(t);
	for (uint32_t i = 0; i < ROWS; i++)
		row[i] = (struct moved_row){ .old = i,
			.to = { .pack = id_of(9),
			    .dir_len = PACK_DIR_HEADER + PACK_RECORD,
			    .ordinal = i } };
	for (uint32_t i = 0; i < SMALL; i++)
		tell(t, i, row, 1);
	assert_int_equal(count_known(t, SMALL), SMALL);
	for (uint32_t i = 0; i < LARGE; i++)
		tell(t, SMALL + i, row, ROWS);
	assert_int_equal(count_known(t, SMALL), SMALL);
	tell(t, 0, row, 1); /* is the newest now */
	tell(t, SMALL + LARGE, row, ROWS);
	assert_int_equal(count_known(t, SMALL), 1);
	assert_int_equal(count_known(t, SMALL + LARGE + 1), 1 + LARGE);
	assert_true(moved_table_find(t, &last, ROWS - 1, &to, &known));
	assert_int_equal(to.ordinal, ROWS - 1);
	moved_table_free(t);
}

int
main(void)
{
#define T(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_what_moved_is_asked_for_once_for_all_who_wait),
		T(test_a_reader_who_blocks_finds_what_moved_again),
		T(test_what_moved_is_asked_for_past_all_caches),
		T(test_an_answer_may_come_when_the_cache_is_closed),
		cmocka_unit_test(test_what_moved_first_is_forgotten_first),
	};

	return cmocka_run_group_tests_name("cache_moved", tests, NULL, NULL);
}
