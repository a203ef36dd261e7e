/* fs/source: repositories by known paths. */
#include "fs/source/source.h"
#include "tests/unit/check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/io.h"
#include "cache/cache.h"
#include "cache/net/origin.h"
#include "tests/lib/httpd.h"
#include "tests/lib/maker.h"

static const struct net_options wire;

/* A repository with one commit, behind a web server. */
struct fixture {
	char dir[64], root[80], cache_dir[80];
	struct httpd *httpd;
	struct net *net;
	struct cache *cache;
	struct repo *repo;
	struct digest id;
	char hex[DIGEST_HEX + 1];
};

static void
open_repo(struct fixture *f, const char *url)
{
	repo_close(f->repo);
	f->repo = NULL;
	OK(repo_open(&f->repo, f->net, f->cache, url, 3000, &err));
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct cache_options opt = { 0 };
	struct maker_entry kid = {
		.name = "a", .kind = TREE_FILE, .data = "x", .size = 1
	};
	struct maker_entry root = {
		.kind = TREE_DIR, .kids = &kid, .nkids = 1
	};
	struct commit c;

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/dm-repo-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->root, sizeof(f->root), "%s/repo", f->dir);
	(void)snprintf(f->cache_dir, sizeof(f->cache_dir), "%s/cache", f->dir);
	assert_int_equal(mkdir(f->root, 0755), 0);
	OK(maker_write(f->root, &root, 0, 0, &f->id, &c, &err));
	digest_hex(&f->id, f->hex);
	OK(httpd_start(&f->httpd, f->root, &err));
	OK(net_open(&f->net, &wire, &err));
	opt.dir = f->cache_dir;
	OK(cache_open(&f->cache, &opt, &err));
	open_repo(f, httpd_url(f->httpd));
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	cache_close(f->cache);
	net_close(f->net);
	repo_close(f->repo);
	if (f->httpd != NULL)
		httpd_stop(f->httpd);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void
put(struct fixture *f, const char *path, const char *text)
{
	char full[200], *end;

	(void)snprintf(full, sizeof(full), "%s/%s", f->root, path);
	end = strrchr(full, '/');
	*end = '\0';
	OK(dm_mkdirs(full, 0755, &err));
	*end = '/';
	OK(dm_file_replace(AT_FDCWD, full, text, strlen(text), 0644, &err));
}

static void
remove_file(struct fixture *f, const char *path)
{
	char full[200];

	(void)snprintf(full, sizeof(full), "%s/%s", f->root, path);
	assert_int_equal(unlink(full), 0);
}

static void
rule(struct fixture *f, const char *text)
{
	OK(httpd_rule(f->httpd, text, &err));
}

static void
test_a_branch_costs_three_requests(void **state)
{
	struct fixture *f = *state;
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	struct resolved r;
	struct commit c;

	OK(repo_resolve(f->repo, "main", &r, &err));
	assert_memory_equal(&r.commit, &f->id, sizeof(f->id));
	assert_string_equal(r.name, "heads/main");
	assert_int_equal(r.sequence, 1);
	OK(repo_commit(f->repo, &r.commit, &text, &c, &err));
	assert_int_equal(c.entries, 1);
	assert_true(f->repo->id_known);
	assert_int_equal(f->repo->id[0], 1);
	assert_int_equal(httpd_count(f->httpd, "*"), 3);
}

static void
test_no_ref_means_main(void **state)
{
	struct fixture *f = *state;
	struct resolved r;

	OK(repo_resolve(f->repo, "", &r, &err));
	assert_string_equal(r.name, "heads/main");
}

static void
test_a_full_id_needs_no_request_and_a_cached_commit_no_origin(void **state)
{
	struct fixture *f = *state;
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	struct resolved r;
	struct commit c;

	OK(repo_resolve(f->repo, f->hex, &r, &err));
	assert_string_equal(r.name, "");
	assert_int_equal(httpd_count(f->httpd, "*"), 0);
	OK(repo_commit(f->repo, &r.commit, &text, &c, &err));
	httpd_stop(dm_steal(&f->httpd));
	dm_buf_clear(&text);
	OK(repo_resolve(f->repo, f->hex, &r, &err));
	OK(repo_commit(f->repo, &r.commit, &text, &c, &err));
	assert_int_equal(c.entries, 1);
}

static void
test_a_short_id_is_found_in_the_log(void **state)
{
	struct fixture *f = *state;
	struct resolved r;
	char shorter[9];

	(void)snprintf(shorter, sizeof(shorter), "%.8s", f->hex);
	OK(repo_resolve(f->repo, shorter, &r, &err));
	assert_memory_equal(&r.commit, &f->id, sizeof(f->id));
	/* In a folder it is found without a log, too. */
	remove_file(f, "refs/log");
	FAILS(DM_NOTFOUND, "no commit begins with",
	    repo_resolve(f->repo, shorter, &r, &err));
	open_repo(f, f->root);
	OK(repo_resolve(f->repo, shorter, &r, &err));
	assert_memory_equal(&r.commit, &f->id, sizeof(f->id));
}

static void
test_an_ambiguous_id_names_the_candidates(void **state)
{
	struct fixture *f = *state;
	struct resolved r;
	char shorter[9], line[400], other[DIGEST_HEX + 1];

	(void)snprintf(shorter, sizeof(shorter), "%.8s", f->hex);
	(void)snprintf(other, sizeof(other), "%s%.56s", shorter,
	    "00000000000000000000000000000000000000000000000000000000");
	(void)snprintf(line, sizeof(line), "%s - 5 main one\n%s - 6 main two\n",
	    f->hex, other);
	put(f, "refs/log", line);
	FAILS(DM_INVALID, "2 commits begin with",
	    repo_resolve(f->repo, shorter, &r, &err));
	other[16] = '\0';
	FAILS(DM_INVALID, other, repo_resolve(f->repo, shorter, &r, &err));
}

static void
test_branches_win_over_tags_and_full_names_over_both(void **state)
{
	struct fixture *f = *state;
	struct resolved r;
	char text[200];

	(void)snprintf(text, sizeof(text), "commit %s\nsequence 7\ntime 5\n",
	    f->hex);
	put(f, "refs/tags/v1", text);
	OK(repo_resolve(f->repo, "v1", &r, &err));
	assert_string_equal(r.name, "tags/v1");
	assert_int_equal(r.sequence, 7);
	put(f, "refs/heads/v1", text);
	OK(repo_resolve(f->repo, "v1", &r, &err));
	assert_string_equal(r.name, "heads/v1");
	OK(repo_resolve(f->repo, "tags/v1", &r, &err));
	assert_string_equal(r.name, "tags/v1");
}

static void
test_an_unknown_ref_lists_what_there_is(void **state)
{
	struct fixture *f = *state;
	struct resolved r;

	FAILS(DM_NOTFOUND, "no branch or tag 'nope'; there is branch main",
	    repo_resolve(f->repo, "nope", &r, &err));
	rule(f, "/refs/all * status=403");
	FAILS(DM_NOTFOUND, "no branch or tag 'nope'",
	    repo_resolve(f->repo, "nope", &r, &err));
	httpd_clear(f->httpd);
	remove_file(f, "refs/all");
	FAILS(DM_NOTFOUND, "nothing was published there yet",
	    repo_resolve(f->repo, "nope", &r, &err));
	FAILS(DM_INVALID, "neither a branch",
	    repo_resolve(f->repo, "no pe", &r, &err));
}

static void
test_only_a_few_of_many_refs_are_named(void **state)
{
	struct fixture *f = *state;
	DM_AUTO(dm_buf_release) struct dm_buf all = DM_BUF(1 << 20);
	struct ref_line line = { .ref = { .sequence = 1, .time = 1 } };
	struct resolved r;
	unsigned i;

	line.ref.commit = f->id;
	for (i = 0; i < 60; i++) {
		(void)snprintf(line.name, sizeof(line.name), "b%02u", i);
		OK(ref_line_encode(&line, &all, &err));
	}
	put(f, "refs/all", all.data);
	FAILS(DM_NOTFOUND,
	    "branch b00, branch b01, branch b02, branch b03, "
	    "branch b04, branch b05 and 54 more",
	    repo_resolve(f->repo, "nope", &r, &err));
}

static void
test_a_damaged_ref_names_its_file(void **state)
{
	struct fixture *f = *state;
	struct resolved r;

	put(f, "refs/heads/main", "commit nonsense\n");
	FAILS(DM_CORRUPT, "refs/heads/main",
	    repo_resolve(f->repo, "main", &r, &err));
	rule(f, "/refs/* * status=401");
	FAILS(DM_DENIED, "refs/heads/other",
	    repo_resolve(f->repo, "other", &r, &err));
	FAILS(DM_DENIED, "", repo_resolve(f->repo, "01234567", &r, &err));
}

static void
test_a_web_page_is_no_repository(void **state)
{
	struct fixture *f = *state;
	struct resolved r;

	rule(f, "/datamount * html");
	FAILS(DM_CORRUPT,
	    "not a datamount repository (the server answered something else)",
	    repo_resolve(f->repo, "main", &r, &err));
	rule(f, "/datamount * endless");
	FAILS(DM_CORRUPT, "not a datamount repository",
	    repo_identify(f->repo, &err));
}

static void
test_an_empty_place_is_no_repository(void **state)
{
	struct fixture *f = *state;
	struct resolved r;

	remove_file(f, "datamount");
	FAILS(DM_NOTFOUND, "no datamount repository there",
	    repo_resolve(f->repo, "main", &r, &err));
	open_repo(f, "/nonexistent");
	FAILS(DM_NOTFOUND, "no datamount repository there",
	    repo_resolve(f->repo, "main", &r, &err));
}

static void
test_a_later_version_says_so(void **state)
{
	struct fixture *f = *state;

	put(f, "datamount",
	    "datamount repository 2\nid 01020300000000000000000000000000\n");
	FAILS(DM_INVALID, "", repo_identify(f->repo, &err));
}

static void
test_a_commit_that_is_not_there_names_its_repository(void **state)
{
	struct fixture *f = *state;
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	struct digest id = id_of(7);
	struct commit c;

	FAILS(DM_NOTFOUND, "no commit 0707",
	    repo_commit(f->repo, &id, &text, &c, &err));
	rule(f, "* * html");
	open_repo(f, httpd_url(f->httpd));
	FAILS(DM_CORRUPT, "not a datamount repository",
	    repo_commit(f->repo, &id, &text, &c, &err));
}

static void
test_a_damaged_commit_is_corrupt(void **state)
{
	struct fixture *f = *state;
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	struct commit c;

	rule(f, "/commits/* * flip=12");
	FAILS(DM_CORRUPT, "", repo_commit(f->repo, &f->id, &text, &c, &err));
}

static void
test_refusals_and_silence_are_told_apart(void **state)
{
	struct fixture *f = *state;
	struct resolved r;

	rule(f, "/datamount * status=403");
	FAILS(DM_DENIED, "", repo_resolve(f->repo, "main", &r, &err));
	httpd_stop(dm_steal(&f->httpd));
	FAILS(DM_OFFLINE, "", repo_resolve(f->repo, "main", &r, &err));
}

static int
count_ref(void *arg, const struct ref_line *line, struct dm_err *err)
{
	(void)err;
	assert_false(line->tag);
	assert_string_equal(line->name, "main");
	++*(unsigned *)arg;
	return 0;
}

static int
count_commit(void *arg, const struct log_line *line, struct dm_err *err)
{
	(void)err;
	assert_string_equal(line->subject, "made for a test");
	++*(unsigned *)arg;
	return 0;
}

static void
test_refs_and_commits_are_listed(void **state)
{
	struct fixture *f = *state;
	unsigned refs = 0, commits = 0;

	OK(repo_refs(f->repo, count_ref, &refs, &err));
	OK(repo_log(f->repo, count_commit, &commits, &err));
	assert_int_equal(refs, 1);
	assert_int_equal(commits, 1);
	put(f, "refs/all", "heads/main nonsense\n");
	FAILS(DM_CORRUPT, "refs/all",
	    repo_refs(f->repo, count_ref, &refs, &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_branch_costs_three_requests),
		TEST(no_ref_means_main),
		TEST(a_full_id_needs_no_request_and_a_cached_commit_no_origin),
		TEST(a_short_id_is_found_in_the_log),
		TEST(an_ambiguous_id_names_the_candidates),
		TEST(branches_win_over_tags_and_full_names_over_both),
		TEST(an_unknown_ref_lists_what_there_is),
		TEST(only_a_few_of_many_refs_are_named),
		TEST(a_damaged_ref_names_its_file),
		TEST(a_web_page_is_no_repository),
		TEST(an_empty_place_is_no_repository),
		TEST(a_later_version_says_so),
		TEST(a_commit_that_is_not_there_names_its_repository),
		TEST(a_damaged_commit_is_corrupt),
		TEST(refusals_and_silence_are_told_apart),
		TEST(refs_and_commits_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
