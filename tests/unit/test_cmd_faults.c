/* The whole program when calls fail, each in turn: it says what failed and
 * exits so, or its result is whole. */
#include "tests/unit/faults.h"

#include "tests/unit/scratch.h"

#define main datamount
int datamount(int argc, char **argv);
/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "fs/cmd/main.c"
#undef main

enum { ARGS_MAX = 16, TEXT_MAX = 1 << 16 };

/* What one run printed, and how it ended. */
struct outcome {
	int status;
	char out[TEXT_MAX], said[TEXT_MAX];
};

static struct outcome whole, now, after;
static int out_fd, said_fd;

static int
capture(int at, const char *path)
{
	int saved = dup(at), fd;

	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (saved < 0 || fd < 0 || dup2(fd, at) != at)
		abort();
	(void)close(fd);
	return saved;
}

static void
give_back(int at, int saved, char text[TEXT_MAX])
{
	ssize_t n = pread(at, text, TEXT_MAX - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	if (dup2(saved, at) != at)
		abort();
	(void)close(saved);
}

/* Run a line in this process; from the nth call of that kind on, one fails.
 * Returns whether one did. */
static bool
run_line(struct outcome *o, const char *line, enum fault kind, long n)
{
	char *words = strdup(line), *rest = words, *argv[ARGS_MAX + 1];
	int argc = 0;
	bool failed;

	assert_non_null(words);
	while (argc < ARGS_MAX && (argv[argc] = strsep(&rest, " ")) != NULL)
		argc++;
	argv[argc] = NULL;
	(void)fflush(NULL);
	out_fd = capture(STDOUT_FILENO, "stdout");
	said_fd = capture(STDERR_FILENO, "stderr");
	fault_arm(kind, n);
	o->status = datamount(argc, argv);
	failed = fault_disarm() && n > 0;
	(void)fflush(NULL);
	give_back(STDOUT_FILENO, out_fd, o->out);
	give_back(STDERR_FILENO, said_fd, o->said);
	free(words);
	return failed;
}

static void
must(struct outcome *o, const char *line)
{
	(void)run_line(o, line, FAULT_MEMORY, 0);
	if (o->status != CMD_DONE)
		fail_msg("%s: status %d: %s", line, o->status, o->said);
}

static int
setup(void **state)
{
	char cache[128];

	if (scratch_setup(state) < 0)
		return -1;
	(void)snprintf(cache, sizeof(cache), "%s/c", scratch);
	if (setenv("HOME", scratch, 1) != 0 ||
	    setenv("DATAMOUNT_CACHE", cache, 1) != 0 ||
	    setenv("DATAMOUNT_CONFIG_SYSTEM", "none.conf", 1) != 0 ||
	    unsetenv("XDG_CONFIG_HOME") != 0 ||
	    unsetenv("XDG_STATE_HOME") != 0 || mkdir("d", 0755) < 0 ||
	    mkdir("d/sub", 0755) < 0 || symlink("sub/b", "d/link") < 0)
		return -1;
	put_file("d/a", "text of a\n");
	put_file("d/sub/b", "text of b\n");
	must(&now, "datamount init r");
	must(&now, "datamount commit -q d r -m one");
	must(&now, "datamount tag r v1");
	put_file("d/a", "another text of a\n");
	put_file("d/c", "text of c\n");
	must(&now, "datamount commit -q d r -m two");
	return 0;
}

/* A command that is to succeed; what it makes goes before it runs again, and
 * another line shows whether all of that is there. */
struct trial {
	const char *line, *makes, *shown_by;
	const char *proof; /* of the shell */
};

static void
prepare(const struct trial *t)
{
	char command[128];

	if (t->makes == NULL)
		return;
	(void)snprintf(command, sizeof(command),
	    "! test -e %s || chmod -R u+w %s; rm -rf %s", t->makes, t->makes,
	    t->makes);
	assert_int_equal(system(command), 0);
}

static void
check_outcome(const struct trial *t, enum fault kind, long n, bool failed,
    const char *shown)
{
	const char *what = fault_names[kind];

	if (now.status < CMD_DONE || now.status > CMD_DAMAGE)
		fail_msg("%s: %s %ld: status %d", t->line, what, n, now.status);
	if (now.status != CMD_DONE) {
		if (!failed || strstr(now.said, "datamount: ") == NULL)
			fail_msg("%s: %s %ld: status %d without a reason: %s",
			    t->line, what, n, now.status, now.said);
		if (now.status == CMD_USAGE ||
		    (now.status == CMD_DAMAGE && kind == FAULT_MEMORY))
			fail_msg("%s: %s %ld: status %d: %s", t->line, what, n,
			    now.status, now.said);
		return;
	}
	if (t->makes == NULL && strcmp(now.out, whole.out) != 0)
		fail_msg("%s: %s %ld: done, but said:\n%s%s\ninstead of:\n%s",
		    t->line, what, n, now.out, now.said, whole.out);
	if (t->proof != NULL && system(t->proof) != 0)
		fail_msg("%s: %s %ld: done, but not what is published", t->line,
		    what, n);
	if (t->shown_by == NULL)
		return;
	must(&after, t->shown_by);
	if (strcmp(after.out, shown) != 0)
		fail_msg("%s: %s %ld: done, but made:\n%s\ninstead of:\n%s",
		    t->line, what, n, after.out, shown);
}

static void
fail_each(const struct trial *t)
{
	static char shown[TEXT_MAX];

	prepare(t);
	must(&whole, t->line);
	if (t->shown_by != NULL) {
		must(&after, t->shown_by);
		memcpy(shown, after.out, sizeof(shown));
	}
	for (int kind = 0; kind < FAULTS; kind++) {
		bool failed = true;

		/* of very many calls, far ones are much like those before */
		for (long n = 1; failed; n += 1 + n / 8) {
			prepare(t);
			failed = run_line(&now, t->line, (enum fault)kind, n);
			check_outcome(t, (enum fault)kind, n, failed, shown);
		}
	}
}

#define TRIAL(name, ...)                                                  \
	static void name(void **state)                                    \
	{                                                                 \
		static const struct trial all[] = { __VA_ARGS__ };        \
                                                                          \
		(void)state;                                              \
		for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) \
			fail_each(&all[i]);                               \
	}

TRIAL(test_a_history_is_shown_whole_or_not, { .line = "datamount log r" },
    { .line = "datamount log --json r" }, { .line = "datamount show r@v1" },
    { .line = "datamount tag -l r" }, { .line = "datamount branch -l r" })
TRIAL(test_a_version_is_listed_whole_or_not, { .line = "datamount ls -l -R r" },
    { .line = "datamount ls --json r@v1" },
    { .line = "datamount cat r@main:sub/b" })
TRIAL(test_versions_are_compared_whole_or_not,
    { .line = "datamount diff r@v1 r@main" },
    { .line = "datamount diff --stat --json r@v1 r@main" },
    { .line = "datamount diff -z r@main r@v1" })
TRIAL(test_a_check_is_of_all_or_fails, { .line = "datamount verify r@main" },
    { .line = "datamount fsck" }, { .line = "datamount cache limit" },
    { .line = "datamount config --list" }, { .line = "datamount pin -l" })
TRIAL(test_an_export_is_whole_or_fails,
    { .line = "datamount export -q r@main x",
	.makes = "x",
	.proof = "diff -r --no-dereference d x" })
TRIAL(test_a_clone_is_whole_or_fails,
    { .line = "datamount clone -q r x",
	.makes = "x",
	.shown_by = "datamount ls -l -R x@main" })
TRIAL(test_a_collection_says_all_or_fails,
    { .line = "datamount gc --dry-run r" },
    { .line = "datamount gc --dry-run --repack r" })
TRIAL(test_a_first_commit_is_whole_or_fails,
    { .line = "datamount commit -q d r@other -m three",
	.makes = "r/refs/heads/other",
	.shown_by = "datamount ls -R --allow-rollback r@other" })

#define FAULT_TEST(f) \
	cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FAULT_TEST(test_a_history_is_shown_whole_or_not),
		FAULT_TEST(test_a_version_is_listed_whole_or_not),
		FAULT_TEST(test_versions_are_compared_whole_or_not),
		FAULT_TEST(test_a_check_is_of_all_or_fails),
		FAULT_TEST(test_an_export_is_whole_or_fails),
		FAULT_TEST(test_a_clone_is_whole_or_fails),
		FAULT_TEST(test_a_collection_says_all_or_fails),
		FAULT_TEST(test_a_first_commit_is_whole_or_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
