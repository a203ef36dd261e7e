/* fs/format/config_file: every line means something, or is refused. */
#include "fs/format/config_file.h"
#include "fs/format/source_file.h"
#include "tests/unit/check.h"

#define URL "url = https://example.org/pets\n"
#define PETS "[repository \"pets\"]\n" URL

static struct config_file f;

static void
is_text(struct text t, const char *want)
{
	assert_int_equal(t.size, strlen(want));
	assert_memory_equal(t.data, want, t.size);
}

static void
decode(const char *text)
{
	OK(config_file_decode(&f, text, strlen(text), &err));
}

static void
test_every_key_is_read_with_its_line(void **state)
{
	static const struct {
		enum config_key key;
		unsigned line;
		uint64_t number;
		const char *value;
	} want[] = {
		{ CONFIG_CACHE_DIR, 3, 0, "/big/my cache" },
		{ CONFIG_CACHE_MEMORY, 4, UINT64_C(512) << 20, "512M" },
		{ CONFIG_NETWORK_TIMEOUT, 7, 0, "0" },
		{ CONFIG_MOUNT_ALLOW_OTHER, 9, 1, "yes" },
		{ CONFIG_MOUNT_SYMLINKS, 10, 1, "all" },
		{ CONFIG_MOUNT_IO, 11, 2, "passthrough" },
		{ CONFIG_REPOSITORY_URL, 13, 0, "https://a.org/p?key=x y" },
		{ CONFIG_REPOSITORY_MIRROR, 14, 0, "/mnt/pets" },
		{ CONFIG_REPOSITORY_MIRROR, 15, 0, "s3://bucket/pets" },
		{ CONFIG_REPOSITORY_CACHE_DIR, 16, 0, "/c" },
		{ CONFIG_REPOSITORY_MEMORY, 17, 77, "77" },
		{ CONFIG_REPOSITORY_TIMEOUT, 18, 60, "60" },
		{ CONFIG_REPOSITORY_URL, 20, 0, "/srv/v" },
	};

	(void)state;
	decode("# comment\twith a tab\n"
	       "[cache]\n"
	       "\tdir = /big/my cache\n"
	       "memory=512M\n"
	       "\n"
	       "[network]\n"
	       " timeout = 0 \n"
	       "[mount]\n"
	       "allow-other = yes\n"
	       "symlinks = all\n"
	       "io = passthrough\n"
	       "[repository \"pets\"]\n"
	       "url = https://a.org/p?key=x y\n"
	       "mirror = /mnt/pets\n"
	       "mirror = s3://bucket/pets\n"
	       "cache-dir = /c\n"
	       "memory = 77\n"
	       "timeout = 60\n"
	       "[repository \"V_1.x-2\"]\n"
	       "url = /srv/v");
	assert_int_equal(f.n, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < f.n; i++) {
		assert_int_equal(f.items[i].key, want[i].key);
		assert_int_equal(f.items[i].line, want[i].line);
		assert_int_equal(f.items[i].number, want[i].number);
		is_text(f.items[i].value, want[i].value);
	}
	is_text(f.items[0].name, "");
	is_text(f.items[7].name, "pets");
	is_text(f.items[12].name, "V_1.x-2");
	config_file_release(&f);
}

static void
test_no_and_inside_are_zero(void **state)
{
	(void)state;
	decode("[mount]\nallow-other = no\nsymlinks = inside\n");
	assert_int_equal(f.items[0].number, 0);
	assert_int_equal(f.items[1].number, 0);
	config_file_release(&f);
}

static void
test_nothing_is_a_file(void **state)
{
	(void)state;
	decode("");
	assert_int_equal(f.n, 0);
	config_file_release(&f);
	decode("\n \t\n# only this\n[cache]\n");
	assert_int_equal(f.n, 0);
	config_file_release(&f);
}

static void
test_a_bad_line_is_named_with_its_fault(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "dir = /x\n", "line 1: a [section] must come first" },
		{ "[cache]\ndirectory = /x\n", "line 2: no key of this" },
		{ "[cache]\nDir = /x\n", "line 2: no key of this" },
		{ "[cache]\ntimeout = 1\n", "line 2: no key of this" },
		{ "[cache]\ndir\n", "line 2: not \"key = value\"" },
		{ "[cache]\ndir =\n", "line 2: no value" },
		{ "[cache]\ndir = \t\n", "line 2: no value" },
		{ "[cache]\ndir = x\n", "line 2: a directory is an absolute" },
		{ "[cache]\ndir = ~/x\n", "line 2: a directory is an abs" },
		{ "[cache]\ndir = /a\tb\n", "line 2: a tab" },
		{ "[cache]\ndir = /a\ndir = /a\n", "line 3: this key is" },
		{ "[cache]\n[cache]\n", "line 2: this section is there" },
		{ "[cache]\ndir = /a\x01\n", "line 2: control bytes" },
		{ "[cache]\ndir = /a\x80\n", "line 2: control bytes, or not" },
		{ "[cache]\r\n", "line 1: it ends in CR LF" },
		{ "# \x1b[2J\n", "line 1: control bytes" },
		{ "[cache\n", "line 1: no ] at the end" },
		{ "[\n", "line 1: no ] at the end" },
		{ "[]\n", "line 1: unknown section" },
		{ "[core]\n", "line 1: unknown section" },
		{ "[ cache ]\n", "line 1: unknown section" },
		{ "[repository]\n", "line 1: unknown section" },
		{ "[repository \"a]\n", "line 1: not [repository" },
		{ "[repository \"]\n", "line 1: not [repository" },
		{ "[repository \"\"]\n", "line 1: a short name" },
		{ "[repository \"a/b\"]\n", "line 1: a short name" },
		{ "[repository \".a\"]\n", "line 1: a short name" },
		{ "[repository \"-a\"]\n", "line 1: a short name" },
		{ "[repository \"a@b\"]\n", "line 1: a short name" },
		{ "[repository \"x.source\"]\n", "line 1: a short name" },
		{ "[repository \"a\"]\n", "line 1: [repository \"a\"] has no" },
		{ "[repository \"a\"]\n[cache]\n", "line 1: [repository \"a" },
		{ PETS PETS, "line 3: this repository is there already" },
		{ PETS URL, "line 3: this key is there already" },
		{ PETS "mirror = pets\n", "line 3: neither a URL nor" },
		{ PETS "mirror = ://pets\n", "line 3: neither a URL nor" },
		{ PETS "mirror = http://\n", "line 3: neither a URL nor" },
		{ PETS "mirror = http://u:p@h/\n", "line 3: no user and no" },
		{ PETS "mirror = /a@v1\n", "line 3: no user and no ref" },
		{ PETS "memory = 5X\n", "line 3: a size is" },
		{ PETS "memory = M\n", "line 3: a size is" },
		{ PETS "memory = -1\n", "line 3: a size is" },
		{ PETS "memory = 9223372036854775808\n", "line 3: a size" },
		{ PETS "memory = 8388608T\n", "line 3: a size" },
		{ PETS "timeout = 1.5\n", "line 3: a timeout is" },
		{ PETS "timeout = 1000000001\n", "line 3: a timeout is" },
		{ "[mount]\nallow-other = true\n", "line 2: say yes or no" },
		{ "[mount]\nsymlinks = keep\n", "line 2: symlinks is all" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		FAILS(DM_INVALID, cases[i].says,
		    config_file_decode(&f, cases[i].text, strlen(cases[i].text),
			&err));
		assert_null(f.items);
	}
}

static void
test_a_nul_is_a_control_byte(void **state)
{
	(void)state;
	FAILS(DM_INVALID, "line 2: control bytes",
	    config_file_decode(&f, "[cache]\ndir = /a\0b\n", 19, &err));
}

static void
test_seven_mirrors_pass_and_eight_do_not(void **state)
{
	struct dm_buf b = DM_BUF(CONFIG_MAX);

	(void)state;
	OK(dm_buf_printf(&b, &err, PETS));
	for (int i = 1; i < SOURCE_MIRRORS_MAX; i++)
		OK(dm_buf_printf(&b, &err, "mirror = /m%d\n", i));
	decode(b.data);
	assert_int_equal(f.n, SOURCE_MIRRORS_MAX);
	config_file_release(&f);
	OK(dm_buf_printf(&b, &err, "mirror = /m\n"));
	FAILS(DM_INVALID, "line 10: too many mirrors",
	    config_file_decode(&f, b.data, b.size, &err));
	dm_buf_release(&b);
}

static void
test_sizes_end_at_their_limits(void **state)
{
	struct dm_buf b = DM_BUF((size_t)2 * CONFIG_MAX);
	char url[SOURCE_URL_MAX + 2];

	(void)state;
	memset(url, 'u', sizeof(url));
	url[0] = '/';
	url[SOURCE_URL_MAX + 1] = '\0';
	OK(dm_buf_printf(&b, &err, "[repository \"%065d\"]\n", 1));
	FAILS(DM_INVALID, "line 1: a short name",
	    config_file_decode(&f, b.data, b.size, &err));
	dm_buf_clear(&b);
	OK(dm_buf_printf(&b, &err, "[repository \"%064d\"]\nurl = %s\n", 1,
	    url));
	FAILS(DM_INVALID, "line 2: the URL is too long",
	    config_file_decode(&f, b.data, b.size, &err));
	b.data[b.size - 2] = '\n';
	decode(b.data);
	config_file_release(&f);
	while (b.size <= CONFIG_MAX)
		OK(dm_buf_printf(&b, &err, "#\n"));
	FAILS(DM_INVALID, "larger than",
	    config_file_decode(&f, b.data, b.size, &err));
	dm_buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_key_is_read_with_its_line),
		cmocka_unit_test(test_no_and_inside_are_zero),
		cmocka_unit_test(test_nothing_is_a_file),
		cmocka_unit_test(test_a_bad_line_is_named_with_its_fault),
		cmocka_unit_test(test_a_nul_is_a_control_byte),
		cmocka_unit_test(test_seven_mirrors_pass_and_eight_do_not),
		cmocka_unit_test(test_sizes_end_at_their_limits),
	};

	return cmocka_run_group_tests_name("config_file", tests, NULL, NULL);
}
