/* fs/version/replay: what a trace names is brought, and nothing else. */
#include "fs/version/replay.h"
#include "tests/unit/trace_fixture.h"

#include <pthread.h>
#include <time.h>

#include "cache/base/clock.h"

static void
open_replay(struct fixture *f, uint64_t ahead, struct replay **r)
{
	const struct replay_options opt = {
		.version = f->v,
		.cache = f->cache,
		.origin = f->origin,
		.name = "trace",
		.fd = f->fd,
		.readers = f->readers,
		.ahead = ahead,
	};

	OK(replay_open(r, &opt, &err));
}

static struct replay_counts
replay(struct fixture *f)
{
	struct replay_counts counts;
	struct replay *r = NULL;

	open_replay(f, 0, &r);
	replay_run(r);
	replay_counts(r, &counts);
	replay_close(r);
	assert_true(counts.ended);
	return counts;
}

/* Bytes of the file that the cache has. */
static uint64_t
cached(struct fixture *f, const char *path)
{
	uint64_t chunks, bytes = 0;
	struct version_node n;
	bool found = false;

	OK(version_path(f->v, path, &n, &found, NULL, &err));
	assert_true(found);
	OK(version_file_state(f->v, &n, &chunks, &bytes, NULL, &err));
	return bytes;
}

static void
test_what_the_trace_names_comes_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct replay_counts n;

	write_trace(f, TRACE_HEADER "\n0 f500\n0 f001\n0 f500\n");
	n = replay(f);
	assert_int_equal(n.brought, 3);
	assert_int_equal(n.absent, 0);
	assert_int_equal(cached(f, "f500"), SIZE);
	assert_int_equal(cached(f, "f001"), SIZE);
	assert_int_equal(cached(f, "f250"), 0);
	assert_int_equal(cached(f, "f000"), 0);
	assert_int_equal(cached(f, "large"), 0);
}

static void
test_a_part_of_a_large_file_comes(void **state)
{
	struct fixture *f = *state;
	uint64_t bytes;

	write_trace(f, TRACE_HEADER "\n8388608 large\n");
	assert_int_equal(replay(f).brought, 1);
	bytes = cached(f, "large");
	assert_true(bytes >= TRACE_PART && bytes < TRACE_PART + 3 * CHUNK);
}

static void
test_what_is_not_there_is_passed_over(void **state)
{
	struct fixture *f = *state;
	struct replay_counts n;

	write_trace(f,
	    TRACE_HEADER
	    "\n0 gone\n0 f001/below\n83886080 f002\n83886080 large\n"
	    "nonsense\n0 ../f003\n0 f004\n0 f005");
	n = replay(f);
	assert_int_equal(n.brought, 1);
	assert_int_equal(n.absent, 4);
	assert_int_equal(n.bad, 2);
	assert_int_equal(cached(f, "f004"), SIZE);
	assert_int_equal(cached(f, "f003"), 0);
	assert_int_equal(cached(f, "f005"), 0);
}

static void
test_what_is_no_trace_brings_nothing(void **state)
{
	struct fixture *f = *state;

	write_trace(f, "f001\nf002\n");
	assert_int_equal(replay(f).brought, 0);
	assert_int_equal(cached(f, "f001"), 0);
}

static void
test_what_was_read_is_not_brought(void **state)
{
	struct fixture *f = *state;

	f->read_ino = 3; /* the root is 1 */
	write_trace(f, TRACE_HEADER "\n0 f001\n0 f300\n");
	assert_int_equal(replay(f).brought, 2);
	assert_int_equal(cached(f, "f001"), 0);
	assert_int_equal(cached(f, "f300"), SIZE);
}

static void
test_everything_comes_in_few_lots(void **state)
{
	struct fixture *f = *state;
	struct cache_counts counts;
	char text[FILES * 8 + 64];
	size_t n = (size_t)snprintf(text, sizeof(text), TRACE_HEADER "\n");

	/* neither in order, nor any twice */
	for (unsigned i = 0; i < FILES; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "0 f%03u\n",
		    i * 7 % FILES);
	write_trace(f, text);
	assert_int_equal(replay(f).brought, FILES);
	for (unsigned i = 0; i < FILES; i++) {
		(void)snprintf(text, sizeof(text), "f%03u", i);
		assert_int_equal(cached(f, text), SIZE);
	}
	cache_counts(f->cache, &counts);
	assert_int_equal(counts.bad_origin, 0);
	assert_int_equal(counts.waiting, 0);
}

enum { HALF = (FILES + 1 + 1) / 2 /* of the files, the large one, too */ };

/* Bytes of the files beside f300. */
static uint64_t
cached_beside(struct fixture *f)
{
	return cached(f, "f299") + cached(f, "f301");
}

/* Bring so many lines of files that are not there, and so many of f300. */
static void
bring_f300(struct fixture *f, unsigned gone, unsigned lines)
{
	char text[2 * FILES * 8 + 64];
	size_t n = (size_t)snprintf(text, sizeof(text), TRACE_HEADER "\n");
	struct replay_counts counts;

	for (unsigned i = 0; i < gone + lines; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "0 %s\n",
		    i < gone ? "gone" : "f300");
	write_trace(f, text);
	counts = replay(f);
	assert_int_equal(counts.brought, lines);
	assert_int_equal(counts.absent, gone);
	assert_int_equal(cached(f, "f300"), SIZE);
	assert_int_equal(cached(f, "f000"), 0);
}

static void
test_a_trace_of_half_brings_what_lies_between(void **state)
{
	uint64_t end = dm_deadline_ms(10000);

	bring_f300(*state, 0, HALF);
	/* Nobody has waited for these. */
	while (cached_beside(*state) < 2 * (uint64_t)SIZE)
		assert_true(dm_now_ms() < end);
}

static void
test_a_trace_of_less_brings_nothing_else(void **state)
{
	bring_f300(*state, 0, HALF - 1);
	assert_int_equal(cached_beside(*state), 0);
}

static void
test_a_trace_of_other_files_brings_nothing_else(void **state)
{
	bring_f300(*state, HALF + 1, HALF);
	assert_int_equal(cached_beside(*state), 0);
}

static void *
run(void *arg)
{
	replay_run(arg);
	return NULL;
}

static void
test_it_stays_near_its_readers(void **state)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	struct fixture *f = *state;
	struct replay_counts n;
	struct replay *r = NULL;
	pthread_t thread;

	write_trace(f,
	    TRACE_HEADER "\n0 f000\n0 f050\n0 f100\n0 f150\n0 f200\n0 f250\n"
			 "0 f300\n0 f350\n0 f400\n0 f450\n0 f500\n0 f550\n");
	open_replay(f, 4 * SIZE, &r);
	assert_int_equal(pthread_create(&thread, NULL, run, r), 0);
	do {
		(void)nanosleep(&pause, NULL);
		replay_counts(r, &n);
	} while (n.brought < 3);
	assert_false(n.ended);
	assert_int_equal(cached(f, "f550"), 0);
	/* readers get on */
	atomic_store(&f->bytes_read, 6 * SIZE);
	do {
		(void)nanosleep(&pause, NULL);
		replay_counts(r, &n);
	} while (n.brought < 8);
	assert_false(n.ended);
	replay_stop(r);
	assert_int_equal(pthread_join(thread, NULL), 0);
	replay_counts(r, &n);
	assert_true(n.ended && n.brought < 12);
	replay_close(r);
}

static void
test_without_its_origin_it_can_be_stopped(void **state)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct fixture *f = *state;
	char moved[96];
	struct replay *r = NULL;
	pthread_t thread;

	write_trace(f, TRACE_HEADER "\n0 f001\n0 f300\n");
	(void)snprintf(moved, sizeof(moved), "%s.away", f->repo);
	assert_int_equal(rename(f->repo, moved), 0);
	open_replay(f, 0, &r);
	assert_int_equal(pthread_create(&thread, NULL, run, r), 0);
	(void)nanosleep(&pause, NULL);
	replay_stop(r);
	assert_int_equal(pthread_join(thread, NULL), 0);
	replay_close(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_what_the_trace_names_comes_and_nothing_else),
		TEST(test_a_part_of_a_large_file_comes),
		TEST(test_what_is_not_there_is_passed_over),
		TEST(test_what_is_no_trace_brings_nothing),
		TEST(test_what_was_read_is_not_brought),
		TEST(test_everything_comes_in_few_lots),
		TEST(test_a_trace_of_half_brings_what_lies_between),
		TEST(test_a_trace_of_less_brings_nothing_else),
		TEST(test_a_trace_of_other_files_brings_nothing_else),
		TEST(test_it_stays_near_its_readers),
		TEST(test_without_its_origin_it_can_be_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
