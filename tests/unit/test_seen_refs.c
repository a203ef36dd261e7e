/* fs/format/seen_refs, fs/source/rollback. */
#include "fs/format/seen_refs.h"
#include "tests/unit/check.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/log.h"
#include "fs/source/rollback.h"
#include "fs/source/source.h"

#define H "datamount seen refs 1\n"
#define X "11111111111111111111111111111111"
#define Y "22222222222222222222222222222222"

static void
test_a_list_is_what_was_encoded(void **state)
{
	static const char text[] =
	    H "heads/a " X X " 1\nheads/b " Y Y
	      " 9223372036854775807\ntags/v1 " X Y " 3\n";
	struct dm_buf b = DM_BUF(1000);
	struct seen_refs s;

	(void)state;
	OK(seen_refs_decode(&s, text, strlen(text), &err));
	assert_int_equal(s.n, 3);
	assert_int_equal(seen_refs_find(&s, "tags/v1")->sequence, 3);
	assert_null(seen_refs_find(&s, "tags/v2"));
	assert_null(seen_refs_find(&s, "heads/aa"));
	OK(seen_refs_encode(&s, &b, &err));
	assert_int_equal(b.size, strlen(text));
	assert_memory_equal(b.data, text, b.size);
	dm_buf_release(&b);
	seen_refs_release(&s);
}

static void
test_what_is_set_is_found_in_order(void **state)
{
	static const char *const names[] = { "heads/m", "heads/a", "tags/m",
		"heads/z", "heads/a" };
	struct seen_refs s = { 0 };
	struct seen_ref r = { .commit = id_of(1) };

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		(void)snprintf(r.name, sizeof(r.name), "%s", names[i]);
		r.sequence = i + 1;
		OK(seen_refs_set(&s, &r, &err));
	}
	assert_int_equal(s.n, 4);
	for (size_t i = 1; i < s.n; i++)
		assert_true(strcmp(s.ref[i - 1].name, s.ref[i].name) < 0);
	assert_int_equal(seen_refs_find(&s, "heads/a")->sequence, 5);
	seen_refs_release(&s);
}

static void
test_whatever_else_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"datamount seen refs 1",
		"datamount seen refs 2\n",
		H "\n",
		H "heads/a " X X " 1",
		H "heads/a " X X " 1\n\n",
		H "heads/a " X X " 0\n",
		H "heads/a " X X " 01\n",
		H "heads/a " X X " -1\n",
		H "heads/a " X X " 9223372036854775808\n",
		H "heads/a " X X " 1 \n",
		H "heads/a " X " 1\n",
		H "heads/a  " X X " 1\n",
		H "heads/ " X X " 1\n",
		H "main " X X " 1\n",
		H "heads/../x " X X " 1\n",
		H "tags/b " X X " 1\nheads/a " X X " 1\n",
		H "heads/a " X X " 1\nheads/a " X X " 1\n",
	};
	struct seen_refs s;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		FAILS(DM_CORRUPT, "",
		    seen_refs_decode(&s, bad[i], strlen(bad[i]), &err));
		seen_refs_release(&s);
	}
}

static void
test_names_are_as_long_as_those_of_refs(void **state)
{
	char text[600], name[DM_REF_NAME_MAX + 2];
	struct seen_refs s;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	(void)snprintf(text, sizeof(text), H "heads/%s " X X " 1\n", name);
	FAILS(DM_CORRUPT, "line 2",
	    seen_refs_decode(&s, text, strlen(text), &err));
	seen_refs_release(&s);
	name[DM_REF_NAME_MAX] = '\0';
	(void)snprintf(text, sizeof(text), H "heads/%s " X X " 1\n", name);
	OK(seen_refs_decode(&s, text, strlen(text), &err));
	assert_int_equal(strlen(s.ref[0].name), SEEN_REF_NAME_MAX);
	seen_refs_release(&s);
}

static void
test_a_list_has_a_greatest_size(void **state)
{
	char *text = calloc(1, SEEN_REFS_MAX + 1);
	struct seen_refs s;

	(void)state;
	(void)snprintf(text, SEEN_REFS_MAX, H);
	FAILS(DM_CORRUPT, "not a list",
	    seen_refs_decode(&s, text, SEEN_REFS_MAX + 1, &err));
	seen_refs_release(&s);
	free(text);
}

/* ---- rollback ---- */

static char dir[64], file[128];
static const uint8_t repo[REPO_ID_SIZE] = { 0xab };

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/dm-seen-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(file, sizeof(file),
	    "%s/ab000000000000000000000000000000", dir);
	dm_log_setup(DM_LOG_ERROR, 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(file);
	return rmdir(dir);
}

static int
check(const char *name, uint64_t sequence, uint8_t commit, bool allow,
    struct dm_err *err)
{
	struct resolved now = { .commit = id_of(commit), .sequence = sequence };

	(void)snprintf(now.name, sizeof(now.name), "%s", name);
	return rollback_check(dir, repo, "http://h/r", &now, allow, err);
}

static void
test_an_older_state_of_a_ref_is_an_error(void **state)
{
	(void)state;
	OK(check("heads/main", 5, 1, false, &err));
	OK(check("heads/main", 5, 1, false, &err));
	FAILS(DM_STALE,
	    "http://h/r shows an older main than this machine has seen: "
	    "sequence 3 after 5; a stale mirror or a rollback; "
	    "--allow-rollback accepts it",
	    check("heads/main", 3, 2, false, &err));
	OK(check("heads/main", 6, 3, false, &err));
	FAILS(DM_STALE, "sequence 5 after 6",
	    check("heads/main", 5, 1, false, &err));
}

static void
test_each_ref_goes_its_own_way(void **state)
{
	(void)state;
	OK(check("heads/main", 5, 1, false, &err));
	OK(check("heads/dev", 3, 2, false, &err));
	OK(check("tags/main", 1, 2, false, &err));
}

static void
test_one_sequence_is_one_commit(void **state)
{
	(void)state;
	OK(check("heads/main", 5, 1, false, &err));
	FAILS(DM_STALE,
	    "another main than this machine has seen, with the "
	    "same sequence 5",
	    check("heads/main", 5, 2, false, &err));
}

static void
test_an_older_state_that_was_accepted_is_the_new_one(void **state)
{
	(void)state;
	OK(check("heads/main", 5, 1, false, &err));
	OK(check("heads/main", 2, 2, true, &err));
	OK(check("heads/main", 2, 2, false, &err));
	OK(check("heads/main", 3, 3, false, &err));
}

static void
test_a_damaged_list_is_begun_anew(void **state)
{
	FILE *f;

	(void)state;
	OK(check("heads/main", 5, 1, false, &err));
	f = fopen(file, "w");
	assert_true(f != NULL && fputs("nonsense", f) >= 0 && fclose(f) == 0);
	OK(check("heads/main", 3, 1, false, &err));
	FAILS(DM_STALE, "sequence 2 after 3",
	    check("heads/main", 2, 1, false, &err));
}

static void
test_a_list_that_cannot_be_kept_keeps_nobody_from_working(void **state)
{
	(void)state;
	assert_int_equal(mkdir(file, 0700), 0);
	OK(check("heads/main", 5, 1, false, &err));
	assert_int_equal(rmdir(file), 0);
}

static void
test_a_list_is_only_written_when_it_changes(void **state)
{
	struct stat before, after;

	(void)state;
	OK(check("heads/main", 5, 1, false, &err));
	assert_int_equal(stat(file, &before), 0);
	OK(check("heads/main", 5, 1, true, &err));
	assert_int_equal(stat(file, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_mode & 0777, 0600);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_list_is_what_was_encoded),
		cmocka_unit_test(test_what_is_set_is_found_in_order),
		cmocka_unit_test(test_whatever_else_is_refused),
		cmocka_unit_test(test_names_are_as_long_as_those_of_refs),
		cmocka_unit_test(test_a_list_has_a_greatest_size),
		TEST(test_an_older_state_of_a_ref_is_an_error),
		TEST(test_each_ref_goes_its_own_way),
		TEST(test_one_sequence_is_one_commit),
		TEST(test_an_older_state_that_was_accepted_is_the_new_one),
		TEST(test_a_damaged_list_is_begun_anew),
		TEST(test_a_list_that_cannot_be_kept_keeps_nobody_from_working),
		TEST(test_a_list_is_only_written_when_it_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
