/* lookout: one thread waits for requests, the others stand by. */
#include "fs/mount/lookout.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/check.h"

struct fixture {
	struct lookout l;
	int request[2]; /* a pipe: what is in it are requests */
	pthread_t second;
	_Atomic bool entered, returned;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(pipe2(f->request, O_CLOEXEC), 0);
	lookout_init(&f->l);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	lookout_release(&f->l);
	(void)close(f->request[0]);
	(void)close(f->request[1]);
	free(f);
	return 0;
}

static void
send_request(struct fixture *f)
{
	assert_int_equal(write(f->request[1], "x", 1), 1);
}

static void *
enter(void *arg)
{
	struct fixture *f = arg;

	f->entered = lookout_enter(&f->l, f->request[0]);
	f->returned = true;
	return NULL;
}

/* This thread waits for requests, another one stands by. */
static void
begin(struct fixture *f)
{
	assert_true(lookout_enter(&f->l, f->request[0]));
	assert_int_equal(pthread_create(&f->second, NULL, enter, f), 0);
	while (atomic_load(&f->l.standing_by) == 0)
		(void)sched_yield();
	assert_false(f->returned);
}

static void
test_who_stands_by_is_called_when_there_is_another_request(void **state)
{
	struct fixture *f = *state;

	begin(f);
	send_request(f);
	lookout_taken(&f->l, f->request[0], false);
	assert_int_equal(pthread_join(f->second, NULL), 0);
	assert_true(f->entered);
	assert_int_equal(f->l.waiting, 1);
}

static void
test_who_stands_by_is_called_when_a_request_takes_long(void **state)
{
	struct fixture *f = *state;

	begin(f);
	lookout_taken(&f->l, f->request[0], true);
	assert_int_equal(pthread_join(f->second, NULL), 0);
	assert_true(f->entered);
}

static void
test_who_stands_by_comes_when_nobody_waits(void **state)
{
	struct fixture *f = *state;

	begin(f);
	lookout_taken(&f->l, f->request[0], false);
	assert_int_equal(pthread_join(f->second, NULL), 0);
	assert_true(f->entered);
}

static void
test_who_stands_by_wakes_up_from_a_long_silence(void **state)
{
	struct fixture *f = *state;

	begin(f);
	while (atomic_load(&f->l.asleep) == 0)
		(void)usleep(1000);
	lookout_taken(&f->l, f->request[0], false);
	assert_int_equal(pthread_join(f->second, NULL), 0);
	assert_true(f->entered);
	assert_int_equal(f->l.asleep, 0);
}

static void
test_who_finds_a_request_does_not_stand_by(void **state)
{
	struct fixture *f = *state;

	assert_true(lookout_enter(&f->l, f->request[0]));
	send_request(f);
	assert_true(lookout_enter(&f->l, f->request[0]));
	assert_int_equal(f->l.waiting, 2);
}

static void
test_at_the_end_nobody_stands_by(void **state)
{
	struct fixture *f = *state;

	begin(f);
	lookout_end(&f->l);
	assert_int_equal(pthread_join(f->second, NULL), 0);
	assert_false(f->entered);
	assert_false(lookout_enter(&f->l, f->request[0]));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_who_stands_by_is_called_when_there_is_another_request),
		T(test_who_stands_by_is_called_when_a_request_takes_long),
		T(test_who_stands_by_comes_when_nobody_waits),
		T(test_who_stands_by_wakes_up_from_a_long_silence),
		T(test_who_finds_a_request_does_not_stand_by),
		T(test_at_the_end_nobody_stands_by),
	};

	return cmocka_run_group_tests_name("lookout", tests, NULL, NULL);
}
