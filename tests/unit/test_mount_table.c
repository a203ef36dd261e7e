/* fs/mount/mount_table: the kernel's table of mounts. */
#include "fs/mount/mount_table.h"
#include "tests/unit/scratch.h"

#define LINE(dir, type) \
	"36 25 0:61 / " dir " ro,nosuid shared:1 master:2 - " type " src ro\n"

static bool
first(struct mount_entry *e, const char *text)
{
	size_t size = strlen(text);

	return mount_table_next(e, &text, &size);
}

static void
test_a_line_gives_device_directory_and_type(void **state)
{
	struct mount_entry e;

	(void)state;
	assert_true(first(&e, LINE("/a/b", "fuse.datamount")));
	assert_int_equal(e.major, 0);
	assert_int_equal(e.minor, 61);
	assert_string_equal(e.dir, "/a/b");
	assert_string_equal(e.type, "fuse.datamount");
}

static void
test_a_line_may_have_no_tags(void **state)
{
	struct mount_entry e;

	(void)state;
	assert_true(first(&e, "1 2 8:1 / /x rw - ext4 /dev/vda rw"));
	assert_int_equal(e.major, 8);
	assert_string_equal(e.type, "ext4");
}

static void
test_octal_escapes_are_undone(void **state)
{
	struct mount_entry e;

	(void)state;
	assert_true(first(&e, LINE("/a\\040b\\011\\012\\134\\377", "t")));
	assert_string_equal(e.dir, "/a b\t\n\\\xff");
	assert_true(first(&e, LINE("/a\\04\\9\\400\\", "t")));
	assert_string_equal(e.dir, "/a\\04\\9\\400\\");
}

static void
test_lines_that_make_no_sense_are_skipped(void **state)
{
	const char *text = "\n \nnonsense\n1 2 3 4 5 6 7 - 8\n"
			   "1 2 x:1 / /bad rw - t s o\n"
			   "1 2 99999999999:1 / /bad rw - t s o\n"
			   "1 2 0:1x / /bad rw - t s o\n"
			   "1 2 0:1 / /bad rw t s o\n" LINE("/good", "t");
	size_t size = strlen(text);
	struct mount_entry e;

	(void)state;
	assert_true(mount_table_next(&e, &text, &size));
	assert_string_equal(e.dir, "/good");
	assert_false(mount_table_next(&e, &text, &size));
	assert_int_equal(size, 0);
}

static void
test_a_name_that_is_too_long_is_skipped(void **state)
{
	char line[PATH_MAX + 100];
	struct mount_entry e;

	(void)state;
	(void)snprintf(line, sizeof(line), "1 2 0:1 / /%04096d rw - t s o\n",
	    0);
	assert_false(first(&e, line));
}

static void
test_below_means_whole_components(void **state)
{
	(void)state;
	assert_true(mount_table_below("/a/b", "/a"));
	assert_true(mount_table_below("/a", "/a"));
	assert_true(mount_table_below("/a", "/"));
	assert_false(mount_table_below("/ab", "/a"));
	assert_false(mount_table_below("/", "/a"));
}

static void
test_the_root_is_in_this_machines_table(void **state)
{
	struct mount_entry e;
	bool found;

	(void)state;
	OK(mount_table_at("/proc", &e, &found, &err));
	assert_true(found);
	assert_string_equal(e.type, "proc");
	OK(mount_table_above(scratch, &e, &found, &err));
	assert_false(found);
}

static void
test_names_resolve_also_where_nothing_is_yet(void **state)
{
	char real[PATH_MAX], want[PATH_MAX];

	(void)state;
	assert_int_equal(mkdir("d", 0755), 0);
	assert_int_equal(symlink("d", "link"), 0);
	OK(mount_table_resolve("link", real, &err));
	(void)snprintf(want, sizeof(want), "%s/d", scratch);
	assert_string_equal(real, want);
	OK(mount_table_resolve("link/new//", real, &err));
	(void)snprintf(want, sizeof(want), "%s/d/new", scratch);
	assert_string_equal(real, want);
	OK(mount_table_resolve("new", real, &err));
	(void)snprintf(want, sizeof(want), "%s/new", scratch);
	assert_string_equal(real, want);
	OK(mount_table_resolve("/new-of-root", real, &err));
	assert_string_equal(real, "/new-of-root");
	FAILS(DM_INVALID, "empty", mount_table_resolve("", real, &err));
	FAILS(DM_NOTFOUND, "none", mount_table_resolve("none/new", real, &err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_line_gives_device_directory_and_type),
		cmocka_unit_test(test_a_line_may_have_no_tags),
		cmocka_unit_test(test_octal_escapes_are_undone),
		cmocka_unit_test(test_lines_that_make_no_sense_are_skipped),
		cmocka_unit_test(test_a_name_that_is_too_long_is_skipped),
		cmocka_unit_test(test_below_means_whole_components),
		cmocka_unit_test_setup_teardown(
		    test_the_root_is_in_this_machines_table, scratch_setup,
		    scratch_teardown),
		cmocka_unit_test_setup_teardown(
		    test_names_resolve_also_where_nothing_is_yet, scratch_setup,
		    scratch_teardown),
	};

	return cmocka_run_group_tests_name("mount_table", tests, NULL, NULL);
}
