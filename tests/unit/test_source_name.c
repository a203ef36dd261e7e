/* fs/source: REPO[@REF][:PATH]. */
#include "fs/source/source.h"
#include "tests/unit/check.h"

#include <unistd.h>

struct good {
	const char *text, *repo, *ref, *path;
	bool ref_given;
};

static const struct good urls[] = {
	{ "https://h/pets", "https://h/pets", "", "", false },
	{ "https://h/pets@main", "https://h/pets", "main", "", true },
	{ "https://h/pets@main:a/b", "https://h/pets", "main", "a/b", true },
	{ "https://h/pets@:a", "https://h/pets", "", "a", true },
	{ "https://h/pets@", "https://h/pets", "", "", true },
	{ "http://h:8080/x@v1.0:", "http://h:8080/x", "v1.0", "", true },
	{ "http://[::1]:80/x@v1", "http://[::1]:80/x", "v1", "", true },
	{ "http://h/@v1", "http://h/", "v1", "", true },
	{ "https://h/a:b@v1:c:d", "https://h/a:b", "v1", "c:d", true },
	{ "https://h/x?k=1@v1", "https://h/x?k=1", "v1", "", true },
	{ "https://h/a%40b@v1", "https://h/a%40b", "v1", "", true },
	{ "https://h/x@v1:a@b", "https://h/x", "v1", "a@b", true },
	{ "s3://bucket/p@v1", "s3://bucket/p", "v1", "", true },
	{ "file:///r@v1", "file:///r", "v1", "", true },
	{ "https://h/x@feature/one", "https://h/x", "feature/one", "", true },
	{ "https://h/x@12345678", "https://h/x", "12345678", "", true },
	{ "https://h/x@v1:/a//b/./c/", "https://h/x", "v1", "a/b/c", true },
};

static const struct good folders[] = {
	{ "/srv/pets", "/srv/pets", "", "", false },
	{ "/srv/pets/@v1", "/srv/pets", "v1", "", true },
	{ "/srv//./pets@v1", "/srv/pets", "v1", "", true },
	{ "/srv/a:b", "/srv/a:b", "", "", false },
	{ "/srv/a%40b%3Ac%3ad%25e@v1", "/srv/a@b:c:d%e", "v1", "", true },
	{ "/srv/%41@v1", "/srv/%41", "v1", "", true },
	{ "/srv/100%", "/srv/100%", "", "", false },
	{ "/a/../b@v1", "/a/../b", "v1", "", true },
	{ "/../b", "/b", "", "", false },
	{ "/", "/", "", "", false },
	{ "/.", "/", "", "", false },
};

static const struct {
	const char *text, *says;
} bad[] = {
	{ "", "no repository" },
	{ "@main", "no repository" },
	{ "https://u@h/x@v1", "cannot have a user" },
	{ "https://h@v1", "cannot have a user" },
	{ "/r@v1:a/../b", "'..'" },
	{ "/r@v 1", "neither a branch" },
	{ "/r@-v", "neither a branch" },
	{ "/r@a..b", "neither a branch" },
	{ "/r\n@v1", "control" },
	{ "/r@v1:a\tb", "control" },
};

static void
check(const struct good *g)
{
	struct source_name n;

	OK(source_name_parse(&n, g->text, &err));
	assert_string_equal(n.repo, g->repo);
	assert_string_equal(n.ref, g->ref);
	assert_string_equal(n.path, g->path);
	assert_int_equal(n.ref_given, g->ref_given);
}

static void
test_urls_are_taken_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++)
		check(&urls[i]);
}

static void
test_folders_are_decoded_and_tidied(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		check(&folders[i]);
}

static void
test_nonsense_says_what_is_wrong(void **state)
{
	struct source_name n;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		FAILS(DM_INVALID, bad[i].says,
		    source_name_parse(&n, bad[i].text, &err));
}

static void
test_relative_folders_start_from_here(void **state)
{
	struct source_name n;

	(void)state;
	assert_int_equal(chdir("/usr/lib"), 0);
	OK(source_name_parse(&n, "./pets@v1", &err));
	assert_string_equal(n.repo, "/usr/lib/pets");
	OK(source_name_parse(&n, "../share/x", &err));
	assert_string_equal(n.repo, "/usr/share/x");
	OK(source_name_parse(&n, "../../../..", &err));
	assert_string_equal(n.repo, "/");
	OK(source_name_parse(&n, "a/../b", &err));
	assert_string_equal(n.repo, "/usr/lib/a/../b");
}

/* prefix, then a run of c, then suffix. */
static char *
long_text(const char *prefix, char c, size_t n, const char *suffix)
{
	size_t size = strlen(prefix) + n + strlen(suffix) + 1;
	char *text = malloc(size);

	assert_non_null(text);
	(void)snprintf(text, size, "%s", prefix);
	memset(text + strlen(prefix), c, n);
	(void)snprintf(text + strlen(prefix) + n, strlen(suffix) + 1, "%s",
	    suffix);
	return text;
}

static void
test_limits_hold_on_both_sides(void **state)
{
	static const struct {
		const char *prefix, *suffix;
		size_t fits;
	} cases[] = {
		{ "http://h/", "@v1", SOURCE_URL_MAX - 9 },
		{ "/", "@v1", SOURCE_URL_MAX - 1 },
		{ "/r@", ":p", DM_REF_NAME_MAX },
		{ "/r@v1:", "/b", DM_NAME_MAX },
	};
	struct source_name n;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *text = long_text(cases[i].prefix, 'x', cases[i].fits,
		    cases[i].suffix);

		OK(source_name_parse(&n, text, &err));
		free(text);
		text = long_text(cases[i].prefix, 'x', cases[i].fits + 1,
		    cases[i].suffix);
		FAILS(DM_INVALID, "longer than",
		    source_name_parse(&n, text, &err));
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls_are_taken_apart),
		cmocka_unit_test(test_folders_are_decoded_and_tidied),
		cmocka_unit_test(test_nonsense_says_what_is_wrong),
		cmocka_unit_test(test_relative_folders_start_from_here),
		cmocka_unit_test(test_limits_hold_on_both_sides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
