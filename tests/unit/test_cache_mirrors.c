/* cache: pieces and files from mirrors, when some give wrong bytes. */
#include "tests/unit/cache_fixture.h"

static struct httpd *mirror;

static int
setup(void **state)
{
	struct fixture *f;

	if (fixture_setup(state) < 0)
		return -1;
	f = *state;
	OK(httpd_start(&mirror, f->repo, &err));
	OK(origin_add_mirror(f->origin, httpd_url(mirror), &err));
	return 0;
}

static int
teardown(void **state)
{
	httpd_stop(mirror);
	return fixture_teardown(state);
}

static uint64_t
bad(const struct fixture *f, unsigned i)
{
	struct origin_place p;

	origin_place(f->origin, i, &p);
	return p.bad;
}

static void
test_a_mirror_heals_what_the_origin_gives_wrong(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 20, .size = 40000, .seed = 3 };

	make_pack(f, &p);
	OK(httpd_rule(f->httpd, "/packs/?* * flip=100000", &err));
	read_all(f, &p);
	/* once when read ahead, once when asked for */
	assert_in_range(bad(f, 0), 1, 2);
	assert_int_equal(bad(f, 1), 0);
}

static void
test_a_directory_is_healed_too(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 20, .size = 40000, .seed = 3 };
	char rule[64];

	make_pack(f, &p);
	(void)snprintf(rule, sizeof(rule), "/packs/?* * flip=%llu",
	    (unsigned long long)p.name.dir_off + 30);
	OK(httpd_rule(f->httpd, rule, &err));
	read_all(f, &p);
	assert_int_equal(bad(f, 0), 1);
}

static void
test_bytes_that_are_wrong_everywhere_are_an_error(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 1, .size = 40000, .seed = 3 };

	make_pack(f, &p);
	OK(httpd_rule(f->httpd, "/packs/?* * flip=100", &err));
	OK(httpd_rule(mirror, "/packs/?* * flip=100", &err));
	assert_int_equal(read_whole(f, f->cache, &p, 0), DM_CORRUPT);
	assert_int_equal(bad(f, 0), 3); /* as they come, and past caches */
	assert_int_equal(bad(f, 1), 3);
}

static void
test_each_piece_comes_from_whom_it_can(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 20, .size = 40000, .seed = 3 };

	make_pack(f, &p);
	OK(httpd_rule(f->httpd, "/packs/?* * flip=100", &err));
	OK(httpd_rule(mirror, "/packs/?* * flip=500000", &err));
	read_all(f, &p);
}

static void
test_a_file_of_wrong_bytes_is_asked_of_a_mirror(void **state)
{
	struct fixture *f = *state;
	struct dm_buf out = DM_BUF(100);
	struct digest id;
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/c", f->repo);
	file = fopen(path, "w");
	assert_true(file != NULL && fputs("a commit", file) >= 0 &&
	    fclose(file) == 0);
	digest_of(&id, "a commit", 8);
	OK(httpd_rule(f->httpd, "/c * flip=2", &err));
	OK(cache_file(f->cache, f->origin, "c", &id, 5000, &out, &err));
	assert_int_equal(out.size, 8);
	assert_int_equal(bad(f, 0), 1);
	assert_int_equal(httpd_count(mirror, "/c"), 1);
	dm_buf_release(&out);
}

static void
test_readers_see_nothing_of_two_places_that_fail_in_turn(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 40, .size = 100000, .seed = 3 };

	make_pack(f, &p);
	OK(httpd_rule(f->httpd, "/packs/?* * truncate=30000", &err));
	OK(httpd_rule(mirror, "/packs/?* * reset=20000", &err));
	read_all(f, &p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_a_mirror_heals_what_the_origin_gives_wrong),
		TEST(test_a_directory_is_healed_too),
		TEST(test_bytes_that_are_wrong_everywhere_are_an_error),
		TEST(test_each_piece_comes_from_whom_it_can),
		TEST(test_a_file_of_wrong_bytes_is_asked_of_a_mirror),
		TEST(test_readers_see_nothing_of_two_places_that_fail_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
