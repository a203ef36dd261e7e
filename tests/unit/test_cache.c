/* cache: right bytes, fetched once, whatever happens to the disk. */
#include "tests/unit/cache_fixture.h"

#include <stdatomic.h>

static void
test_a_second_read_asks_the_origin_nothing(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 20, .size = 10000, .seed = 1 };

	make_pack(f, &p);
	read_all(f, &p);
	assert_true(httpd_count(f->httpd, "/packs/*") <= 2);
	httpd_forget(f->httpd);
	read_all(f, &p);
	reopen(f);
	read_all(f, &p);
	assert_int_equal(httpd_count(f->httpd, "*"), 0);
}

static void
test_parts_of_large_objects_are_read(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 3, .size = 700000, .seed = 5 };

	make_pack(f, &p);
	for (int run = 0; run < 2; run++) {
		for (uint32_t off = 0; off < p.size; off += 131072) {
			uint32_t left = p.size - off;

			assert_int_equal(read_part(f, f->cache, &p, 1, off,
					     left < 131072 ? left : 131072,
					     NULL),
			    DM_OK);
		}
		reopen(f);
	}
	assert_int_equal(httpd_count(f->httpd, "/packs/*"), 2);
}

struct reader {
	struct fixture *f;
	struct packed *p;
	pthread_t thread;
	enum dm_code code;
};

static void *
reader_main(void *arg)
{
	struct reader *r = arg;

	r->code = read_whole(r->f, r->f->cache, r->p, 0);
	return NULL;
}

static void
test_eight_readers_of_one_cold_piece_cause_one_request(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 1, .size = 300000, .seed = 3 };
	struct reader r[8];

	make_pack(f, &p);
	OK(httpd_rule(f->httpd, "/packs/* 2 barrier=all", &err));
	for (int i = 0; i < 8; i++) {
		r[i] = (struct reader){ .f = f, .p = &p };
		assert_int_equal(pthread_create(&r[i].thread, NULL, reader_main,
				     &r[i]),
		    0);
	}
	OK(httpd_wait(f->httpd, "/packs/*", 2, &err));
	for (struct cache_counts n = { 0 }; n.waiting < 8;)
		cache_counts(f->cache, &n);
	httpd_release(f->httpd, "all");
	for (int i = 0; i < 8; i++) {
		pthread_join(r[i].thread, NULL);
		assert_int_equal(r[i].code, DM_OK);
	}
	/* the directory, the piece */
	assert_int_equal(httpd_count(f->httpd, "/packs/*"), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(test_a_second_read_asks_the_origin_nothing),
		T(test_parts_of_large_objects_are_read),
		T(test_eight_readers_of_one_cold_piece_cause_one_request),
	};

	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
