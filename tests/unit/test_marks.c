/* fs/publish/marks: what gc is going to delete. */
#include "fs/publish/marks.h"
#include "tests/unit/check.h"

#define A "1111111111111111111111111111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222222222222222222222222222"

static void
test_marks_come_back(void **state)
{
	static const char text[] = "pack " A " 5\npack " B " 0\ncommit " A
				   " 7\nmoved " B " 253402300799\n";
	struct dm_buf b = DM_BUF(1 << 20);
	struct digest a = id_of(0x11), c = id_of(0x33);
	struct marks m = { 0 };

	(void)state;
	OK(marks_decode(&m, text, sizeof(text) - 1, &err));
	assert_int_equal(m.n, 4);
	assert_int_equal(marks_find(&m, MARK_COMMIT, &a)->time, 7);
	assert_null(marks_find(&m, MARK_PACK, &c));
	OK(marks_encode(&m, &b, &err));
	assert_int_equal(b.size, sizeof(text) - 1);
	assert_memory_equal(b.data, text, b.size);
	assert_true(marks_remove(&m, MARK_PACK, &a));
	assert_false(marks_remove(&m, MARK_PACK, &a));
	assert_int_equal(m.n, 3);
	assert_int_equal(marks_find(&m, MARK_COMMIT, &a)->time, 7);
	marks_release(&m);
	dm_buf_release(&b);
}

static void
test_bad_lines_are_refused(void **state)
{
	static const char *const texts[] = {
		"pack " A " 5",
		"pack " A " 05\n",
		"pack " A " \n",
		"pack " A "\n",
		"pack  " A " 5\n",
		"pack " A " 5 \n",
		"pack " A " -5\n",
		"pack " A " 253402300800\n",
		"pack " A " 9999999999999\n",
		"Pack " A " 5\n",
		"tree " A " 5\n",
		"pack " A " 5\npack " A " 6\n",
		"pack " B " 5\npack " A " 6\n",
		"commit " A " 5\npack " A " 6\n",
		"\n",
	};
	struct marks m = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		FAILS(DM_CORRUPT, "bad line",
		    marks_decode(&m, texts[i], strlen(texts[i]), &err));
		marks_release(&m);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marks_come_back),
		cmocka_unit_test(test_bad_lines_are_refused),
	};

	return cmocka_run_group_tests_name("marks", tests, NULL, NULL);
}
