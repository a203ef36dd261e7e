/* fs/mount/trail: the scout is told what a trace says comes next. */
#include "fs/mount/trail.h"
#include "tests/unit/trace_fixture.h"

#include <pthread.h>
#include <time.h>

#include "fs/mount/scout.h"

enum { BATCH = 32, AHEAD = 4 };

/* What was ordered so far. */
struct orders {
	_Atomic unsigned n, paths;
	char last[SCOUT_PATH_MAX]; /* path */
	unsigned named[FILES];     /* so often was each file */
};

struct walk {
	struct fixture *f;
	struct orders got;
	struct trail *trail;
	pthread_t thread;
};

static bool
order(void *arg, const struct scout_order *o)
{
	struct orders *got = arg;
	const char *path = o->path;

	assert_int_equal(o->count, 0);
	for (uint64_t i = 0; i < o->paths; i++) {
		unsigned number;

		assert_int_equal(sscanf(path, "f%u", &number), 1);
		got->named[number]++;
		(void)snprintf(got->last, sizeof(got->last), "%s", path);
		path += strlen(path) + 1;
	}
	atomic_fetch_add(&got->paths, (unsigned)o->paths);
	atomic_fetch_add(&got->n, 1);
	return true;
}

static void *
run(void *arg)
{
	trail_run(arg);
	return NULL;
}

static void
begin(struct fixture *f, struct walk *w)
{
	const struct trail_options opt = {
		.version = f->v,
		.cache = f->cache,
		.fd = f->fd,
		.readers = f->readers,
		.order = order,
		.arg = &w->got,
	};

	memset(w, 0, sizeof(*w));
	w->f = f;
	OK(trail_open(&w->trail, &opt, &err));
	assert_int_equal(pthread_create(&w->thread, NULL, run, w->trail), 0);
}

static void
end(struct walk *w)
{
	trail_stop(w->trail);
	assert_int_equal(pthread_join(w->thread, NULL), 0);
	trail_close(w->trail);
}

static struct version_node
node_of(struct fixture *f, const char *path)
{
	struct version_node n;
	bool found = false;

	OK(version_path(f->v, path, &n, &found, NULL, &err));
	assert_true(found);
	return n;
}

/* A reader asks for the file number i: was it foretold? */
static bool
ask(struct walk *w, unsigned i)
{
	char name[16];
	bool ordered;

	(void)snprintf(name, sizeof(name), "f%03u", i);
	return trail_note(w->trail, node_of(w->f, name).ino, 0, &ordered);
}

static void
await_orders(struct walk *w, unsigned n)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	while (atomic_load(&w->got.n) < n)
		(void)nanosleep(&pause, NULL);
}

/* Until it waits for a reader who comes to that file. */
static void
await_line(struct walk *w, unsigned i)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	while (!ask(w, i))
		(void)nanosleep(&pause, NULL);
}

/* Line n of the trace. */
static unsigned
at(unsigned n)
{
	return n * 7 % FILES;
}

static void
write_all(struct fixture *f)
{
	char text[FILES * 8 + 64];
	size_t n = (size_t)snprintf(text, sizeof(text), TRACE_HEADER "\n");

	for (unsigned i = 0; i < FILES; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "0 f%03u\n",
		    at(i));
	write_trace(f, text);
}

/* Have the files in the cache. */
static void
bring(struct fixture *f)
{
	static char buf[SIZE];

	for (unsigned i = 0; i < FILES; i++) {
		char name[16];
		struct version_node n;
		size_t got;

		(void)snprintf(name, sizeof(name), "f%03u", i);
		n = node_of(f, name);
		OK(version_read(f->v, &n, buf, SIZE, 0, &got, NULL, &err));
	}
}

static void
test_a_reader_is_followed_through_the_trace(void **state)
{
	struct fixture *f = *state;
	unsigned marks = 0;
	struct walk w;

	write_all(f);
	bring(f);
	begin(f, &w);
	for (unsigned n = BATCH; n <= FILES; n += BATCH) {
		unsigned due = n / BATCH + AHEAD - 1;

		await_orders(&w, due < 19 ? due : 19);
		/* What was read ahead nobody asks for. */
		assert_true(ask(&w, at(n - 1)));
		marks++;
	}
	assert_int_equal(marks, 18);
	assert_int_equal(pthread_join(w.thread, NULL), 0); /* it has ended */
	assert_int_equal(atomic_load(&w.got.n), 19);
	for (unsigned n = 0; n < FILES; n++)
		assert_int_equal(w.got.named[at(n)],
		    n % BATCH != BATCH - 1 && n != FILES - 1);
	trail_close(w.trail);
}

static void
test_it_is_a_few_batches_ahead_and_no_more(void **state)
{
	struct fixture *f = *state;
	struct walk w;

	write_all(f);
	bring(f);
	begin(f, &w);
	await_orders(&w, AHEAD);
	/* Neither what was not foretold, nor what came before the last of the
	 * first batch, lets it go on. */
	assert_false(ask(&w, at(BATCH * AHEAD)));
	assert_true(ask(&w, at(BATCH - 2)));
	assert_int_equal(atomic_load(&w.got.n), AHEAD);
	/* Who was not seen for a while is somewhere behind. */
	assert_true(ask(&w, at(3 * BATCH - 1)));
	await_orders(&w, AHEAD + 3);
	assert_int_equal(atomic_load(&w.got.n), AHEAD + 3);
	assert_int_equal(atomic_load(&w.got.paths), (AHEAD + 3) * (BATCH - 1));
	end(&w);
}

static void
test_what_has_not_come_is_not_asked_for(void **state)
{
	struct fixture *f = *state;
	struct walk w;

	write_all(f);
	begin(f, &w);
	await_line(&w, at(BATCH * AHEAD - 1));
	assert_int_equal(atomic_load(&w.got.n), 0);
	/* Its reader is followed all the same. */
	await_line(&w, at(2 * BATCH * AHEAD - 1));
	bring(f);
	await_line(&w, at(3 * BATCH * AHEAD - 1));
	await_line(&w, at(4 * BATCH * AHEAD - 1));
	assert_true(atomic_load(&w.got.n) > 0);
	end(&w);
}

static void
test_what_was_read_is_passed_over(void **state)
{
	struct fixture *f = *state;
	struct walk w;
	bool ordered;

	bring(f);
	write_trace(f,
	    TRACE_HEADER "\n0 gone\n0 f001\nx\n0 f300\n83886080 f002\n"
			 "0 f301\n");
	f->read_ino = node_of(f, "f001").ino;
	begin(f, &w);
	await_orders(&w, 1);
	assert_false(ask(&w, 1));
	assert_string_equal(w.got.last, "f300");
	/* What the reader was left is not told to the scout. */
	assert_true(trail_note(w.trail, node_of(f, "f300").ino, 0, &ordered));
	assert_true(ordered);
	assert_true(trail_note(w.trail, node_of(f, "f301").ino, 0, &ordered));
	assert_false(ordered);
	assert_int_equal(atomic_load(&w.got.paths), 1);
	end(&w);
}

static void
test_parts_of_large_files_have_their_place(void **state)
{
	struct fixture *f = *state;
	struct walk w;
	uint64_t large;
	bool ordered;

	bring(f);
	large = node_of(f, "large").ino;
	write_trace(f,
	    TRACE_HEADER "\n0 large\n8388608 large\n16777216 large\n"
			 "0 f001\n0 f002\n");
	begin(f, &w);
	/* A part is more than a batch has: the fourth batch is of f001. */
	await_orders(&w, 1);
	assert_string_equal(w.got.last, "f001");
	assert_true(trail_note(w.trail, large, TRACE_PART + 4096, &ordered));
	assert_false(ordered);
	assert_false(trail_note(w.trail, large, 3 * (uint64_t)TRACE_PART,
	    &ordered));
	end(&w);
}

static void
test_a_file_named_again_and_again_stops_nothing(void **state)
{
	struct fixture *f = *state;
	char text[2048];
	size_t n = (size_t)snprintf(text, sizeof(text), TRACE_HEADER "\n");
	struct walk w;

	bring(f);
	for (unsigned i = 0; i < 2 * BATCH * AHEAD; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "0 f001\n");
	(void)snprintf(text + n, sizeof(text) - n, "0 f002\n");
	write_trace(f, text);
	begin(f, &w);
	await_orders(&w, AHEAD);
	assert_true(ask(&w, 1));
	await_orders(&w, 2 * AHEAD);
	assert_true(ask(&w, 1));
	await_line(&w, 2);
	end(&w);
}

static void
test_what_is_no_trace_orders_nothing(void **state)
{
	struct fixture *f = *state;
	struct walk w;

	bring(f);
	write_trace(f, "f001\nf002\n");
	begin(f, &w);
	assert_int_equal(pthread_join(w.thread, NULL), 0);
	assert_false(ask(&w, 1));
	assert_int_equal(atomic_load(&w.got.n), 0);
	trail_close(w.trail);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_a_reader_is_followed_through_the_trace),
		TEST(test_it_is_a_few_batches_ahead_and_no_more),
		TEST(test_what_has_not_come_is_not_asked_for),
		TEST(test_what_was_read_is_passed_over),
		TEST(test_parts_of_large_files_have_their_place),
		TEST(test_a_file_named_again_and_again_stops_nothing),
		TEST(test_what_is_no_trace_orders_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
