/* Packs on file systems that lack what the usual ones have. */
#include "tests/unit/faults.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cache/pack/pack_writer.h"
#include "tests/unit/scratch.h"

/* Write a pack three times: its equal is no error, nor is what is left of one.
 * Is it there? */
static int
write_thrice(void)
{
	struct pack_object o = {
		.plain_size = 5, .stored_size = 5, .kind = OBJECT_DATA
	};
	char hex[DIGEST_HEX + 1], path[96];
	struct pack_name name;
	struct stat st;

	digest_of(&o.id, "hello", 5);
	for (int i = 0; i < 3; i++) {
		struct pack_writer *w = NULL;
		uint32_t ordinal;

		OK(pack_writer_open(&w, ".", &err));
		OK(pack_writer_add(w, &o, "hello", &ordinal, &err));
		OK(pack_writer_finish(w, &name, &err));
		pack_writer_close(w);
		digest_hex(&name.id, hex);
		(void)snprintf(path, sizeof(path), "%.2s/%s", hex, hex);
		if (i == 1)
			assert_int_equal(truncate(path, 3), 0);
	}
	return stat(path, &st) == 0 && (uint64_t)st.st_size > name.dir_off;
}

/* Nothing is left but the pack's folder. */
static void
check_rest(void)
{
	DIR *d = opendir(".");
	const struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		assert_null(strstr(e->d_name, ".tmp"));
	(void)closedir(d);
}

static int
setup(void **state)
{
	atomic_store(&fault_lacks, 0);
	return scratch_setup(state);
}

static void
test_a_pack_needs_no_nameless_file(void **state)
{
	(void)state;
	atomic_store(&fault_lacks, LACKS_NAMELESS);
	assert_true(write_thrice());
	check_rest();
}

static void
test_a_pack_needs_no_hard_link(void **state)
{
	(void)state;
	atomic_store(&fault_lacks, LACKS_NAMELESS | LACKS_LINKS);
	assert_true(write_thrice());
	check_rest();
}

static void
test_a_pack_needs_no_rename_that_spares(void **state)
{
	(void)state;
	atomic_store(&fault_lacks,
	    LACKS_NAMELESS | LACKS_LINKS | LACKS_NOREPLACE);
	assert_true(write_thrice());
	check_rest();
}

#define PACK_TEST(f) cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PACK_TEST(test_a_pack_needs_no_nameless_file),
		PACK_TEST(test_a_pack_needs_no_hard_link),
		PACK_TEST(test_a_pack_needs_no_rename_that_spares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
