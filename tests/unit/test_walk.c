/* fs/publish/walk: what comes out of a directory, and in which order. */
#include "fs/publish/walk.h"
#include "tests/unit/scratch.h"

#include "fs/format/limits.h"
#include "fs/publish/ignore.h"
#include "fs/publish/work.h"

struct seen {
	struct dm_buf text; /* one line an item */
	struct dm_buf warnings;
	const char *known; /* a path that need not be read */
	int change;        /* a file to write to when a chunk comes, or 0 */
};

static const char *const kind_names[] = {
	[WORK_DIR] = "dir",
	[WORK_DIR_END] = "end",
	[WORK_LINK] = "link",
	[WORK_EMPTY] = "empty",
	[WORK_KNOWN] = "known",
	[WORK_SMALL] = "small",
	[WORK_CHUNK] = "chunk",
	[WORK_LARGE_END] = "large",
};

static int
put(void *arg, struct work *w, struct dm_err *err)
{
	struct seen *seen = arg;
	int rc;

	if (w->kind == WORK_CHUNK && seen->change > 0)
		assert_int_equal(pwrite(seen->change, "y", 1, 0), 1);
	if (w->kind == WORK_DIR)
		rc = dm_buf_printf(&seen->text, err, "dir %s %d\n", w->path,
		    (int)w->count);
	else
		rc = dm_buf_printf(&seen->text, err, "%s %s%s\n",
		    kind_names[w->kind], w->path,
		    w->entry == TREE_EXEC ? " x" : "");
	work_free(w);
	return rc;
}

static int
known(void *arg, const char *path, const struct stat *st, struct digest *id,
    struct place *at, bool *found, struct dm_err *err)
{
	const struct seen *seen = arg;

	(void)st;
	(void)err;
	*found = seen->known != NULL && strcmp(path, seen->known) == 0;
	*id = id_of(1);
	at->pack = at->ordinal = 1;
	return 0;
}

static void
warn(void *arg, const char *text)
{
	struct seen *seen = arg;

	OK(dm_buf_printf(&seen->warnings, &err, "%s\n", text));
}

static int
walk_here(struct seen *seen, const char *pattern, struct dm_err *err)
{
	struct ignore *ig = ignore_new();
	struct walk_options opt = {
		.fd = open(".", O_RDONLY | O_DIRECTORY),
		.ignore = ig,
		.tmp_dir = "/tmp",
		.put = put,
		.known = known,
		.warn = warn,
		.arg = seen,
	};
	int rc;

	seen->text = (struct dm_buf)DM_BUF(1 << 20);
	seen->warnings = (struct dm_buf)DM_BUF(1 << 20);
	rc = ignore_add(ig, pattern, err);
	if (rc == 0)
		rc = walk(&opt, err);
	ignore_free(ig);
	(void)close(opt.fd);
	return rc;
}

static void
release(struct seen *seen)
{
	dm_buf_release(&seen->text);
	dm_buf_release(&seen->warnings);
}

static void
test_entries_come_in_order_of_bytes_directories_inside(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	assert_int_equal(mkdir("a", 0755), 0);
	put_file("a/z", "x");
	put_file("a.b", "x");
	put_file("B", "");
	put_file("run", "x");
	assert_int_equal(chmod("run", 0755), 0);
	assert_int_equal(symlink("a/z", "link"), 0);
	OK(walk_here(&seen, "", &err));
	assert_string_equal(seen.text.data,
	    "dir  5\nempty B\ndir a 1\nsmall a/z\nend a\nsmall a.b\n"
	    "link link\nsmall run x\nend \n");
	release(&seen);
}

static void
test_what_is_left_out_is_not_counted(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	put_file("a", "x");
	put_file("b.tmp", "x");
	assert_int_equal(mkdir("c.tmp", 0755), 0);
	put_file("c.tmp/d", "x");
	assert_int_equal(mkfifo("pipe", 0600), 0);
	OK(walk_here(&seen, "*.tmp", &err));
	assert_string_equal(seen.text.data, "dir  1\nsmall a\nend \n");
	assert_non_null(strstr(seen.warnings.data, "pipe is a socket, pipe"));
	release(&seen);
}

static void
test_a_large_file_comes_in_chunks(void **state)
{
	struct seen seen = { 0 };
	FILE *f = fopen("large", "w");

	(void)state;
	for (int i = 0; i <= DM_SMALL_FILE_MAX; i++)
		assert_true(putc(0, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(truncate("large", 3 * CHUNK_MAX - 1), 0);
	OK(walk_here(&seen, "", &err));
	assert_string_equal(seen.text.data,
	    "dir  1\nchunk \nchunk \nchunk \nlarge large\n"
	    "end \n");
	release(&seen);
}

static void
test_a_known_file_is_not_opened(void **state)
{
	struct seen seen = { .known = "file" };

	(void)state;
	put_file("file", "x");
	put_file("other", "x");
	OK(walk_here(&seen, "", &err));
	assert_string_equal(seen.text.data,
	    "dir  2\nknown file\nsmall other\nend \n");
	release(&seen);
}

static void
test_a_name_on_one_line_of_an_error_stays_on_it(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	assert_int_equal(symlink("/x", "a\nb\x1b"), 0);
	FAILS(DM_INVALID, "a\\nb\\x1b is a symlink that leaves",
	    walk_here(&seen, "", &err));
	release(&seen);
}

static void
test_git_aliases_are_refused_unless_left_out(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	assert_int_equal(mkdir(".Git", 0755), 0);
	FAILS(DM_INVALID, ".Git is Git's own", walk_here(&seen, "", &err));
	release(&seen);
	OK(walk_here(&seen, ".Git", &err));
	assert_string_equal(seen.text.data, "dir  0\nend \n");
	release(&seen);
}

/* In place, so that only its times tell; and soon after a write. */
static void
test_a_file_that_is_written_to_while_it_is_read_is_refused(void **state)
{
	struct seen seen = { 0 };
	int fd = open("large", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	(void)state;
	assert_int_equal(ftruncate(fd, 3 << 20), 0);
	for (int i = 0; i < 10; i++) {
		seen.change = fd;
		assert_int_equal(pwrite(fd, "x", 1, 0), 1);
		FAILS(DM_STALE, "large changed while it was read",
		    walk_here(&seen, "", &err));
		release(&seen);
		seen.change = 0;
		OK(walk_here(&seen, "", &err));
		release(&seen);
	}
	(void)close(fd);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRATCH_TEST(
		    test_a_file_that_is_written_to_while_it_is_read_is_refused),
		SCRATCH_TEST(
		    test_entries_come_in_order_of_bytes_directories_inside),
		SCRATCH_TEST(test_what_is_left_out_is_not_counted),
		SCRATCH_TEST(test_a_large_file_comes_in_chunks),
		SCRATCH_TEST(test_a_known_file_is_not_opened),
		SCRATCH_TEST(test_a_name_on_one_line_of_an_error_stays_on_it),
		SCRATCH_TEST(test_git_aliases_are_refused_unless_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
