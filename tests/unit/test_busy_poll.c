/* busy_poll: when a thread looks for the next request before it sleeps. */
#include "fs/mount/busy_poll.h"

#include <fcntl.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "tests/unit/check.h"

enum { CLIENT = 100, OTHER = 101, ENOUGH = 100, SOON_NS = 1000 };

static void
note(struct busy_poll *b, int times, uint32_t client, uint64_t ns)
{
	for (int i = 0; i < times; i++)
		busy_poll_note(b, client, ns, false);
}

static void
test_a_thread_that_has_not_waited_yet_sleeps(void **state)
{
	struct busy_poll b = { 0 };

	(void)state;
	assert_false(busy_poll_is_due(&b));
}

static void
test_it_looks_after_short_waits_for_one_client(void **state)
{
	struct busy_poll b = { 0 };

	(void)state;
	note(&b, 1, CLIENT, SOON_NS);
	assert_false(busy_poll_is_due(&b));
	note(&b, ENOUGH, CLIENT, SOON_NS);
	assert_true(busy_poll_is_due(&b));
}

static void
test_it_sleeps_while_two_clients_take_turns(void **state)
{
	struct busy_poll b = { 0 };

	(void)state;
	for (int i = 0; i < ENOUGH; i++) {
		note(&b, 1, CLIENT, SOON_NS);
		note(&b, 1, OTHER, SOON_NS);
		assert_false(busy_poll_is_due(&b));
	}
}

static void
test_it_sleeps_where_waits_are_long(void **state)
{
	struct busy_poll b = { 0 };

	(void)state;
	note(&b, ENOUGH, CLIENT, SOON_NS);
	note(&b, ENOUGH, CLIENT, (uint64_t)1000 * 1000 * 1000);
	assert_false(busy_poll_is_due(&b));
}

static void
test_one_long_wait_among_many_short_ones_does_not_matter(void **state)
{
	struct busy_poll b = { 0 };

	(void)state;
	note(&b, ENOUGH, CLIENT, SOON_NS);
	note(&b, 1, CLIENT, (uint64_t)1000 * 1000 * 1000);
	assert_true(busy_poll_is_due(&b));
}

static void
test_it_rests_when_others_want_the_processor(void **state)
{
	struct busy_poll b = { 0 };

	(void)state;
	note(&b, ENOUGH, CLIENT, SOON_NS);
	busy_poll_note(&b, CLIENT, SOON_NS, true);
	note(&b, 20, CLIENT, SOON_NS);
	assert_false(busy_poll_is_due(&b));
	note(&b, ENOUGH, CLIENT, SOON_NS);
	assert_true(busy_poll_is_due(&b));
}

static void
test_it_gives_up_looking_where_nothing_comes(void **state)
{
	struct busy_poll b = { 0 };
	uint64_t begun;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	note(&b, ENOUGH, CLIENT, SOON_NS);
	begun = dm_now_ns();
	busy_poll_begin(&b, fds[0]);
	assert_true(dm_now_ns() - begun >= BUSY_POLL_NS);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_thread_that_has_not_waited_yet_sleeps),
		cmocka_unit_test(
		    test_it_looks_after_short_waits_for_one_client),
		cmocka_unit_test(test_it_sleeps_while_two_clients_take_turns),
		cmocka_unit_test(test_it_sleeps_where_waits_are_long),
		cmocka_unit_test(
		    test_one_long_wait_among_many_short_ones_does_not_matter),
		cmocka_unit_test(test_it_rests_when_others_want_the_processor),
		cmocka_unit_test(test_it_gives_up_looking_where_nothing_comes),
	};

	return cmocka_run_group_tests_name("busy_poll", tests, NULL, NULL);
}
