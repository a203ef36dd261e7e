/* fs/source/git: what is put under Git's eyes, and what is kept from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/source/git.h"

struct fixture {
	char root[64]; /* a temporary directory: a work tree */
	char dir[96];  /* root/data */
	char source[96];
	struct dm_err err;
};

static void
ok(struct fixture *f, int rc)
{
	if (rc < 0)
		fail_msg("%s", f->err.text);
}

/* Run a shell command in the work tree; tests only. */
static void
sh(struct fixture *f, const char *command)
{
	char line[1024];

	(void)snprintf(line, sizeof(line),
	    "cd %s && HOME=%s GIT_CONFIG_NOSYSTEM=1 && export HOME && "
	    "{ %s; } >out 2>&1 || { cat out >&2; exit 1; }",
	    f->root, f->root, command);
	assert_int_equal(system(line), 0);
}

static void
write_file(struct fixture *f, const char *name, const char *text)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", f->root, name);
	ok(f,
	    dm_file_replace(AT_FDCWD, path, text, strlen(text), 0644, &f->err));
}

static void
assert_file(struct fixture *f, const char *name, const char *text)
{
	struct dm_buf b = DM_BUF(65536);
	char path[256];
	bool found = false;

	(void)snprintf(path, sizeof(path), "%s/%s", f->root, name);
	ok(f, dm_file_read(AT_FDCWD, path, &b, &found, &f->err));
	assert_true(found);
	assert_string_equal(b.data, text);
	dm_buf_release(&b);
}

static int
setup_folder(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	(void)snprintf(f.root, sizeof(f.root), "/tmp/test_git.XXXXXX");
	if (mkdtemp(f.root) == NULL)
		return -1;
	(void)snprintf(f.dir, sizeof(f.dir), "%s/data", f.root);
	(void)snprintf(f.source, sizeof(f.source), "%s/data.source", f.root);
	if (mkdir(f.dir, 0755) < 0)
		return -1;
	(void)setenv("HOME", f.root, 1);
	(void)setenv("GIT_CEILING_DIRECTORIES", "/tmp", 1);
	write_file(&f, "data.source", "version = 1\n");
	*state = &f;
	return 0;
}

static int
setup_work_tree(void **state)
{
	if (setup_folder(state) < 0)
		return -1;
	sh(*state,
	    "git init -q . && git config user.name t && "
	    "git config user.email t@example.org");
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char line[128];

	(void)snprintf(line, sizeof(line), "rm -rf %s", f->root);
	return system(line);
}

static void
test_outside_a_work_tree_nothing_is_done(void **state)
{
	struct fixture *f = *state;
	struct git_tracking t;
	char path[256];

	ok(f, git_track(f->dir, f->source, &t, &f->err));
	assert_false(t.added || t.ignored || t.staged_ignore);
	(void)snprintf(path, sizeof(path), "%s/.gitignore", f->root);
	assert_int_equal(access(path, F_OK), -1);
}

static void
test_without_git_nothing_is_done(void **state)
{
	struct fixture *f = *state;
	struct git_tracking t;
	char *old = strdup(getenv("PATH"));

	(void)setenv("PATH", f->root, 1);
	ok(f, git_track(f->dir, f->source, &t, &f->err));
	(void)setenv("PATH", old, 1);
	free(old);
	assert_false(t.added || t.ignored || t.staged_ignore);
}

static void
test_a_first_mount_stages_the_pin_and_the_ignore_line(void **state)
{
	struct fixture *f = *state;
	struct git_tracking t;

	ok(f, git_track(f->dir, f->source, &t, &f->err));
	assert_true(t.added && t.ignored && t.staged_ignore);
	assert_file(f, ".gitignore", "/data/\n");
	sh(f,
	    "test \"$(git diff --cached --name-only | tr '\\n' ' ')\" = "
	    "'.gitignore data.source '");
}

static void
test_a_second_time_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct git_tracking t;

	ok(f, git_track(f->dir, f->source, &t, &f->err));
	sh(f, "git commit -qm one");
	write_file(f, "data.source", "version = 1\n# moved\n");
	ok(f, git_track(f->dir, f->source, &t, &f->err));
	assert_false(t.added || t.ignored || t.staged_ignore);
	sh(f, "git diff --cached --quiet && ! git diff --quiet");
	assert_file(f, ".gitignore", "/data/\n");
}

static void
test_other_changes_of_gitignore_stay_unstaged(void **state)
{
	struct fixture *f = *state;
	struct git_tracking t;

	write_file(f, ".gitignore", "*.o\n");
	sh(f, "git add .gitignore && git commit -qm one");
	write_file(f, ".gitignore", "*.o\n*.a");
	ok(f, git_track(f->dir, f->source, &t, &f->err));
	assert_true(t.added && t.ignored);
	assert_false(t.staged_ignore);
	assert_file(f, ".gitignore", "*.o\n*.a\n/data/\n");
	sh(f, "git diff --cached --quiet -- .gitignore");
}

static void
test_an_unchanged_gitignore_is_staged_with_its_line(void **state)
{
	struct fixture *f = *state;
	struct git_tracking t;

	write_file(f, ".gitignore", "*.o\n");
	sh(f,
	    "git add .gitignore && git commit -qm one && "
	    "touch -d 2001-01-01 .gitignore");
	ok(f, git_track(f->dir, f->source, &t, &f->err));
	assert_true(t.staged_ignore);
	sh(f, "git diff --quiet -- .gitignore");
}

static void
test_a_pattern_that_leaves_the_directory_to_be_read_is_not_enough(void **state)
{
	struct fixture *f = *state;
	struct git_tracking t;

	write_file(f, ".gitignore", "data/*\n");
	ok(f, git_track(f->dir, f->source, &t, &f->err));
	assert_true(t.ignored);
	assert_file(f, ".gitignore", "data/*\n/data/\n");
}

static void
test_a_name_with_wildcards_is_ignored_as_itself_only(void **state)
{
	struct fixture *f = *state;
	struct git_tracking t;
	char dir[256];

	(void)snprintf(dir, sizeof(dir), "%s/d*[1] #!", f->root);
	assert_int_equal(mkdir(dir, 0755), 0);
	ok(f, git_track(dir, "", &t, &f->err));
	assert_true(t.ignored);
	sh(f,
	    "git check-ignore -q 'd*[1] #!' && mkdir 'dx1 #!' && "
	    "! git check-ignore -q 'dx1 #!'");
}

static void
test_an_ignored_pin_is_said_with_the_way_out(void **state)
{
	struct fixture *f = *state;
	struct git_tracking t;

	write_file(f, ".gitignore", "*.source\n/data/\n");
	assert_int_equal(git_track(f->dir, f->source, &t, &f->err), -1);
	assert_non_null(strstr(f->err.text, "git add -f data.source"));
}

static void
test_a_hook_s_environment_does_not_redirect_it(void **state)
{
	struct fixture *f = *state;
	struct git_tracking t;

	(void)setenv("GIT_DIR", "/nonexistent", 1);
	(void)setenv("GIT_INDEX_FILE", "/nonexistent", 1);
	ok(f, git_track(f->dir, f->source, &t, &f->err));
	(void)unsetenv("GIT_DIR");
	(void)unsetenv("GIT_INDEX_FILE");
	assert_true(t.added);
}

static void
test_hooks_are_where_core_hooks_path_says(void **state)
{
	struct fixture *f = *state;
	char dir[PATH_MAX], want[PATH_MAX];

	ok(f, git_hooks_dir(f->root, dir, &f->err));
	(void)snprintf(want, sizeof(want), "%s/.git/hooks", f->root);
	assert_string_equal(dir, want);
	sh(f, "git config core.hooksPath my/hooks");
	ok(f, git_hooks_dir(f->root, dir, &f->err));
	(void)snprintf(want, sizeof(want), "%s/my/hooks", f->root);
	assert_string_equal(dir, want);
}

int
main(void)
{
#define IN(setup, test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		IN(setup_folder, test_outside_a_work_tree_nothing_is_done),
		IN(setup_work_tree, test_without_git_nothing_is_done),
		IN(setup_work_tree,
		    test_a_first_mount_stages_the_pin_and_the_ignore_line),
		IN(setup_work_tree, test_a_second_time_changes_nothing),
		IN(setup_work_tree,
		    test_other_changes_of_gitignore_stay_unstaged),
		IN(setup_work_tree,
		    test_an_unchanged_gitignore_is_staged_with_its_line),
		IN(setup_work_tree,
		    test_a_pattern_that_leaves_the_directory_to_be_read_is_not_enough),
		IN(setup_work_tree,
		    test_a_name_with_wildcards_is_ignored_as_itself_only),
		IN(setup_work_tree,
		    test_an_ignored_pin_is_said_with_the_way_out),
		IN(setup_work_tree,
		    test_a_hook_s_environment_does_not_redirect_it),
		IN(setup_work_tree, test_hooks_are_where_core_hooks_path_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
