/* stream: which misses belong together. */
#include "tests/unit/check.h"

#include <stdlib.h>

#include "cache/stream.h"

/* Blobs are known by their addresses alone. */
static struct blob *
blob(unsigned i)
{
	static char place[16];

	return (struct blob *)(void *)&place[i];
}

static int
setup(void **state)
{
	*state = calloc(1, sizeof(struct streams));
	return *state == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	free(*state);
	return 0;
}

static void
test_a_miss_where_the_last_fetch_ended_goes_on_with_twice_the_window(void *
	*state)
{
	struct streams *t = *state;
	struct stream *s = stream_of(t, blob(1), 10, 800);

	assert_int_equal(s->window, 0);
	s->window = 100;
	s->next = 20;
	assert_ptr_equal(stream_of(t, blob(1), 20, 800), s);
	assert_int_equal(s->window, 200);
	assert_ptr_equal(stream_of(t, blob(1), 25, 800), s);
	assert_ptr_equal(stream_of(t, blob(1), 25, 800), s);
	assert_int_equal(s->window, 800);
	assert_ptr_not_equal(stream_of(t, blob(1), 19, 800), s);
	assert_ptr_not_equal(stream_of(t, blob(2), 20, 800), s);
}

static void
test_a_mark_is_due_for_its_piece_and_those_just_behind(void **state)
{
	struct streams *t = *state;
	struct stream *s = stream_of(t, blob(1), 10, 800);

	assert_false(stream_is_due(t, blob(1), 10));
	stream_set_mark(t, s, 12);
	assert_false(stream_is_due(t, blob(1), 11));
	assert_true(stream_is_due(t, blob(1), 12));
	assert_true(stream_is_due(t, blob(1), 20));
	assert_false(stream_is_due(t, blob(1), 200));
	assert_false(stream_is_due(t, blob(2), 12));
	assert_ptr_equal(stream_marked(t, blob(1), 13), s);
	assert_null(stream_marked(t, blob(1), 11));
	stream_set_mark(t, s, STREAM_NO_MARK);
	assert_false(stream_is_due(t, blob(1), 12));
	assert_null(stream_marked(t, blob(1), 12));
}

static void
test_misses_here_and_there_are_counted_by_blob(void **state)
{
	struct streams *t = *state;

	assert_int_equal(stream_misses(t, blob(1)), 0);
	assert_int_equal(stream_misses(t, blob(1)), 1);
	assert_int_equal(stream_misses(t, blob(1)), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_a_miss_where_the_last_fetch_ended_goes_on_with_twice_the_window),
		T(test_a_mark_is_due_for_its_piece_and_those_just_behind),
		T(test_misses_here_and_there_are_counted_by_blob),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
