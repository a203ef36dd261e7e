/* Objects that wait to be indexed: found by id, given in order of ids. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "cache/pack/pack_dir.h"
#include "fs/publish/object_batch.h"
#include "tests/unit/scratch.h"

static struct pack_object
object(unsigned n, enum object_kind kind)
{
	struct pack_object o = { .kind = kind };

	digest_of(&o.id, &n, sizeof(n));
	return o;
}

/* Add a pack of count data objects, the first of which is number first. */
static void
add(struct object_batch *b, uint32_t number, unsigned first, uint32_t count)
{
	struct pack_object *o = calloc(count, sizeof(*o));
	struct pack_name name = { .count = count, .dir_len = number };
	struct dm_err err = { 0 };

	assert_non_null(o);
	for (unsigned i = 0; i < count; i++)
		o[i] = object(first + i, OBJECT_DATA);
	assert_int_equal(object_batch_add(b, &name, number, o, count, &err), 0);
	free(o);
}

static void
an_object_is_found_by_the_caller_s_number(void **state)
{
	struct object_batch b = { 0 };
	struct pack_object o = object(5000, OBJECT_DATA);
	struct place at;

	(void)state;
	assert_false(object_batch_find(&b, &o.id, OBJECT_DATA, &at));
	add(&b, 7, 0, 4096);
	assert_false(object_batch_find(&b, &o.id, OBJECT_DATA, &at));
	add(&b, 8, 4096, 1000);
	assert_true(object_batch_find(&b, &o.id, OBJECT_DATA, &at));
	assert_int_equal(at.pack, 8);
	assert_int_equal(at.ordinal, 5000 - 4096);
	assert_false(object_batch_find(&b, &o.id, OBJECT_TREE, &at));
	object_batch_clear(&b);
	assert_false(object_batch_find(&b, &o.id, OBJECT_DATA, &at));
	object_batch_release(&b);
}

static void
of_two_packs_with_an_object_the_first_counts(void **state)
{
	struct object_batch b = { 0 };
	struct pack_object o = object(3, OBJECT_DATA);
	struct place at;

	(void)state;
	add(&b, 1, 0, 10);
	add(&b, 2, 3, 10);
	assert_int_equal(b.n, 13);
	assert_int_equal(b.npacks, 2);
	assert_true(object_batch_find(&b, &o.id, OBJECT_DATA, &at));
	assert_int_equal(at.pack, 1);
	assert_int_equal(at.ordinal, 3);
	object_batch_release(&b);
}

static void
a_where_is_left_out(void **state)
{
	struct object_batch b = { 0 };
	struct pack_object o[2] = { object(1, OBJECT_TREE),
		object(2, OBJECT_WHERE) };
	struct pack_name name = { .count = 2 };
	struct dm_err err = { 0 };

	(void)state;
	assert_int_equal(object_batch_add(&b, &name, 1, o, 2, &err), 0);
	assert_int_equal(b.n, 1);
	object_batch_release(&b);
}

static void
sorting_puts_rows_in_order_with_their_packs(void **state)
{
	struct object_batch b = { 0 };

	(void)state;
	add(&b, 1, 0, 3000);
	add(&b, 2, 3000, 3000);
	object_batch_sort(&b);
	assert_int_equal(b.n, 6000);
	for (uint32_t i = 0; i < b.n; i++) {
		const struct batch_row *r = &b.row[i];
		struct pack_object o =
		    object(r->at.ordinal + 3000 * r->pack, OBJECT_DATA);

		assert_true(digest_equal(&o.id, &r->id));
		assert_int_equal(b.pack[r->pack].name.dir_len, r->at.pack);
		assert_true(i == 0 ||
		    memcmp(r[-1].id.bytes, r->id.bytes, DIGEST_SIZE) < 0);
	}
	object_batch_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_is_found_by_the_caller_s_number),
		cmocka_unit_test(of_two_packs_with_an_object_the_first_counts),
		cmocka_unit_test(a_where_is_left_out),
		cmocka_unit_test(sorting_puts_rows_in_order_with_their_packs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
