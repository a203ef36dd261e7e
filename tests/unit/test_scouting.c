/* scouting: what readers of many files will ask for next. */
#include "tests/unit/check.h"

#include "fs/mount/scouting.h"
#include "fs/version/version.h"

enum { SIZE = 10 << 10, DIR = 5 };

/* A file of the directory dir, whose first one has the number dir + 1. */
static struct version_node
file_at(uint64_t dir, uint64_t number, uint64_t size)
{
	return (struct version_node){ .kind = TREE_FILE,
		.ino = dir + 1 + number,
		.parent = dir,
		.number = number,
		.size = size };
}

/* Read n files, first + step * i; how many plans there are, and the last. */
static unsigned
plans(struct scouting *s, uint64_t first, uint64_t n, uint64_t step,
    struct scouting_plan *last)
{
	unsigned due = 0;

	for (uint64_t i = 0; i < n; i++) {
		struct version_node f = file_at(DIR, first + i * step, SIZE);
		struct scouting_plan p[SCOUTING_PLANS];
		unsigned now = scouting_read(s, &f, p);

		assert_true(now <= SCOUTING_PLANS);
		due += now;
		if (now > 0)
			*last = p[now - 1];
	}
	return due;
}

static void
test_who_reads_in_a_row_gets_what_comes_next(void **state)
{
	struct scouting_plan p;
	static struct scouting s;

	(void)state;
	scouting_init(&s);
	assert_int_equal(plans(&s, 100, 7, 1, &p), 0);
	assert_int_equal(plans(&s, 107, 1, 1, &p), 2);
	assert_int_equal(p.dir, DIR);
	assert_int_equal(p.first, 140); /* and the 32 before that */
	assert_int_equal(p.count, 32);
	assert_int_equal(p.files, 31);
	/* Then he is followed by what was left to him. */
	assert_int_equal(plans(&s, 139, 1, 1, &p), 1);
	assert_int_equal(p.first, 172);
	assert_int_equal(plans(&s, 171, 1, 1, &p), 1);
	assert_int_equal(p.first, 204);
	scouting_release(&s);
}

static void
test_nothing_is_ordered_twice(void **state)
{
	struct scouting_plan p = { 0 };
	static struct scouting s;
	uint64_t next = 0;

	(void)state;
	scouting_init(&s);
	for (uint64_t i = 0; i < 1000; i++) {
		unsigned n = plans(&s, i, 1, 1, &p);

		if (n == 0)
			continue;
		assert_true(next == 0 || p.first == next + (n - 1) * p.count);
		next = p.first + p.count;
	}
	assert_true(next >= 1000);
	scouting_release(&s);
}

static void
test_who_reads_here_and_there_gets_nothing(void **state)
{
	struct scouting_plan p;
	static struct scouting s;

	(void)state;
	scouting_init(&s);
	assert_int_equal(plans(&s, 0, 500, 9, &p), 0);
	assert_int_equal(plans(&s, 3000, 500, 2, &p), 0);
	assert_int_equal(plans(&s, 5000, 500, 1000, &p), 0);
	assert_int_equal(plans(&s, 900000, 500, 0, &p), 0);
	scouting_release(&s);
}

static void
test_who_goes_on_elsewhere_is_followed_no_more(void **state)
{
	struct scouting_plan p;
	static struct scouting s;

	(void)state;
	scouting_init(&s);
	assert_true(plans(&s, 0, 9, 1, &p) > 0);
	/* Not the one that was left to him. */
	assert_int_equal(plans(&s, 45, 1, 1, &p), 0);
	assert_int_equal(plans(&s, 46, 6, 1, &p), 0);
	assert_int_equal(plans(&s, 52, 1, 1, &p), 2);
	scouting_release(&s);
}

static void
test_where_he_was_before_does_not_matter(void **state)
{
	struct scouting_plan p;
	static struct scouting s;

	(void)state;
	scouting_init(&s);
	assert_int_equal(plans(&s, 50, 1, 1, &p), 0);
	for (uint64_t i = 9; i-- > 0;)
		assert_int_equal(plans(&s, i, 1, 1, &p), 0);
	assert_true(plans(&s, 1, 9, 1, &p) > 0);
	scouting_release(&s);
}

static void
test_many_who_read_a_row_together_get_what_comes_next(void **state)
{
	static const uint64_t order[] = { 3, 1, 0, 2, 7, 5, 4, 6, 9, 8, 11, 10,
		13, 12 };
	struct scouting_plan p;
	static struct scouting s;
	unsigned due = 0;

	(void)state;
	scouting_init(&s);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		due += plans(&s, 100 + order[i], 1, 1, &p);
	assert_int_equal(due, 2);
	scouting_release(&s);
}

static void
test_a_row_goes_on_in_the_next_directory(void **state)
{
	struct scouting_plan p, next[SCOUTING_PLANS];
	struct version_node f;
	static struct scouting s;

	(void)state;
	scouting_init(&s);
	assert_true(plans(&s, 90, 10, 1, &p) > 0);
	f = file_at(DIR + 1 + 100, 0, SIZE); /* DIR had 100 entries */
	assert_int_equal(scouting_read(&s, &f, next), 2);
	assert_int_equal(next[0].dir, DIR + 1 + 100);
	assert_int_equal(next[0].first, 1);
	scouting_release(&s);
}

static void
test_a_batch_has_few_bytes(void **state)
{
	struct scouting_plan p[SCOUTING_PLANS] = { 0 };
	static struct scouting s;
	unsigned due = 0;

	(void)state;
	scouting_init(&s);
	for (uint64_t i = 0; i < 8; i++) {
		struct version_node f = file_at(DIR, i, 500 << 10);

		due += scouting_read(&s, &f, p);
	}
	assert_int_equal(due, 2);
	assert_int_equal(p[0].count, 8);
	for (uint64_t i = 0; i < 100; i++) {
		struct version_node f = file_at(DIR, i, 2 << 20);

		assert_int_equal(scouting_read(&s, &f, p), 0);
	}
	scouting_release(&s);
}

static void
test_readers_do_not_disturb_each_other(void **state)
{
	struct scouting_plan p = { 0 };
	static struct scouting s;
	unsigned due[2] = { 0, 0 };

	(void)state;
	scouting_init(&s);
	for (uint64_t i = 0; i < 1000; i++) {
		/* What was ordered the kernel has, but for the last of 32. */
		if (i < 8 || i % 32 == 7) {
			due[0] += plans(&s, i, 1, 1, &p);
			due[1] += plans(&s, 100000 + i, 1, 1, &p);
		}
		(void)plans(&s, 200000 + i * 100, 1, 1, &p);
	}
	assert_int_equal(due[0], 2 + 1000 / 32);
	assert_int_equal(due[0], due[1]);
	scouting_release(&s);
}

/* Names looked up until something is ordered; 0: nothing in most. */
static unsigned
lookups(struct scouting *s, uint64_t ino, uint64_t entries, unsigned most,
    struct scouting_plan *p)
{
	struct version_node dir = { .ino = ino, .entries = entries };

	for (unsigned i = 1; i <= most; i++)
		if (scouting_lookup(s, &dir, p))
			return i;
	return 0;
}

static void
test_a_directory_is_listed_once_a_part_was_looked_up(void **state)
{
	struct scouting_plan p;
	static struct scouting s;

	(void)state;
	scouting_init(&s);
	assert_int_equal(lookups(&s, DIR, 500, 1000, &p), 66);
	assert_int_equal(p.dir, DIR);
	assert_int_equal(p.first, 0);
	assert_int_equal(p.count, 256);
	assert_int_equal(p.files, 0);
	/* As long as it could not be ordered; then the rest. */
	assert_int_equal(lookups(&s, DIR, 500, 1, &p), 1);
	assert_int_equal(p.first, 0);
	scouting_listed(&s, &p);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lookups(&s, DIR, 500, 1, &p), 1);
		assert_int_equal(p.first, 256);
		if (i == 1)
			scouting_listed(&s, &p);
	}
	/* The kernel knows them now; if it forgets: */
	assert_int_equal(lookups(&s, DIR, 500, 1000, &p), 500);
	assert_int_equal(lookups(&s, 77, 1 << 20, 100000, &p), 0);
	scouting_release(&s);
}

static void
test_what_could_not_be_ordered_is_planned_again(void **state)
{
	struct scouting_plan p;
	static struct scouting s;

	(void)state;
	scouting_init(&s);
	assert_int_equal(lookups(&s, DIR, 80, 100, &p), 14);
	assert_int_equal(lookups(&s, DIR, 80, 100, &p), 1);
	assert_int_equal(p.first, 0);
	scouting_listed(&s, &p);
	assert_int_equal(lookups(&s, DIR, 80, 100, &p), 80);
	/* Ordered by two at once: */
	scouting_listed(&s, &p);
	scouting_listed(&s, &p);
	assert_int_equal(lookups(&s, DIR, 80, 100, &p), 80);
	assert_int_equal(p.first, 0);
	scouting_release(&s);
}

/* Of a thousand classes of a thousand files each. */
static void
test_directories_are_listed_that_are_read_in_turn(void **state)
{
	static struct scouting s;
	struct scouting_plan p;
	unsigned listed = 0;

	(void)state;
	scouting_init(&s);
	for (unsigned i = 0; i < 128; i++)
		for (uint64_t dir = 0; dir < 1000; dir++)
			assert_int_equal(lookups(&s, 2 + dir * 1001, 1000, 1,
					     &p),
			    0);
	for (uint64_t dir = 0; dir < 1000; dir++)
		listed += lookups(&s, 2 + dir * 1001, 1000, 1, &p);
	assert_in_range(listed, 950, 1000);
	scouting_release(&s);
}

static void
test_lookups_in_many_directories_cost_no_listing(void **state)
{
	static struct scouting s;
	struct scouting_plan p;
	unsigned listed = 0;

	(void)state;
	scouting_init(&s);
	/* Of 10,000 that are come to in turn few are remembered. */
	for (unsigned i = 0; i < 110; i++)
		for (uint64_t ino = 10; ino <= 100000; ino += 10)
			listed += lookups(&s, ino, 800, 1, &p);
	assert_true(listed < 3000);
	scouting_release(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_reads_in_a_row_gets_what_comes_next),
		cmocka_unit_test(test_nothing_is_ordered_twice),
		cmocka_unit_test(test_who_reads_here_and_there_gets_nothing),
		cmocka_unit_test(
		    test_who_goes_on_elsewhere_is_followed_no_more),
		cmocka_unit_test(test_where_he_was_before_does_not_matter),
		cmocka_unit_test(
		    test_many_who_read_a_row_together_get_what_comes_next),
		cmocka_unit_test(test_a_row_goes_on_in_the_next_directory),
		cmocka_unit_test(test_a_batch_has_few_bytes),
		cmocka_unit_test(test_readers_do_not_disturb_each_other),
		cmocka_unit_test(
		    test_a_directory_is_listed_once_a_part_was_looked_up),
		cmocka_unit_test(
		    test_what_could_not_be_ordered_is_planned_again),
		cmocka_unit_test(
		    test_directories_are_listed_that_are_read_in_turn),
		cmocka_unit_test(
		    test_lookups_in_many_directories_cost_no_listing),
	};

	return cmocka_run_group_tests_name("scouting", tests, NULL, NULL);
}
