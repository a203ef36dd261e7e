/* cache/pack/pack_writer: a pack appears whole, or not at all. */
#include "cache/pack/pack_writer.h"
#include "tests/unit/check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/io.h"

static char dir[] = "/tmp/dm-pack-XXXXXX";

static int
setup(void **state)
{
	(void)state;
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	char command[64];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static uint32_t
add(struct pack_writer *w, const char *text)
{
	struct pack_object o = { .plain_size = (uint32_t)strlen(text),
		.stored_size = (uint32_t)strlen(text),
		.kind = OBJECT_DATA };
	uint32_t ordinal = 99;

	digest_of(&o.id, text, strlen(text));
	OK(pack_writer_add(w, &o, text, &ordinal, &err));
	return ordinal;
}

static void
write_pack(struct pack_name *name)
{
	struct pack_writer *w = NULL;

	OK(pack_writer_open(&w, dir, &err));
	assert_int_equal(add(w, "hello"), 0);
	assert_int_equal(add(w, "world!"), 1);
	assert_int_equal(pack_writer_count(w), 2);
	assert_int_equal(pack_writer_plain_size(w), 11);
	OK(pack_writer_finish(w, name, &err));
	pack_writer_close(w);
}

static void
path_of(char *out, size_t size, const struct pack_name *name)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&name->id, hex);
	(void)snprintf(out, size, "%s/%.2s/%s", dir, hex, hex);
}

/* Files below the directory whose names fit pattern. */
static unsigned
count_files(const char *pattern)
{
	char command[96], line[16] = "";
	FILE *f;

	(void)snprintf(command, sizeof(command),
	    "find %s -type f -name '%s' | wc -l", dir, pattern);
	f = popen(command, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	assert_int_equal(pclose(f), 0);
	return (unsigned)strtoul(line, NULL, 10);
}

static void
test_a_pack_holds_objects_directory_and_trailer(void **state)
{
	struct dm_buf b = DM_BUF(4096);
	struct pack_name name;
	struct pack_dir d;
	struct digest id;
	uint32_t len = 0;
	char path[128];
	bool found;

	(void)state;
	write_pack(&name);
	path_of(path, sizeof(path), &name);
	OK(dm_file_read(AT_FDCWD, path, &b, &found, &err));
	assert_true(found);
	assert_memory_equal(b.data, "helloworld!", 11);
	assert_int_equal(name.dir_off, 11);
	assert_int_equal(name.count, 2);
	OK(pack_trailer_decode(&len,
	    (const uint8_t *)b.data + b.size - PACK_TRAILER, &err));
	assert_int_equal(len, name.dir_len);
	assert_int_equal(b.size, 11 + len + PACK_TRAILER);
	digest_of(&id, b.data + 11, len);
	assert_true(digest_equal(&id, &name.id));
	OK(pack_dir_decode(&d, b.data + 11, len, &err));
	dm_buf_release(&b);
}

/* Byte i of a stream that repeats itself in no power of two. */
static uint8_t
byte_at(uint64_t i)
{
	return (uint8_t)(i * 37 + i / 251);
}

static void
test_bytes_come_in_pieces_of_any_size(void **state)
{
	static const uint32_t size[] = { 1, 4094, 1, 4096, 4097, 3, 100000,
		(12 << 20) + 5, 7, 65536, 4091 };
	struct dm_buf b = DM_BUF(32 << 20);
	struct pack_writer *w = NULL;
	struct pack_name name;
	uint64_t total = 0;
	uint8_t *data = malloc(16 << 20);
	char path[128];
	bool found;

	(void)state;
	assert_non_null(data);
	OK(pack_writer_open(&w, dir, &err));
	for (size_t i = 0; i < sizeof(size) / sizeof(*size); i++) {
		struct pack_object o = { .plain_size = size[i],
			.stored_size = size[i],
			.kind = OBJECT_DATA };
		uint32_t ordinal;

		for (uint32_t k = 0; k < size[i]; k++)
			data[k] = byte_at(total + k);
		o.id.bytes[0] = (uint8_t)i;
		OK(pack_writer_add(w, &o, data, &ordinal, &err));
		total += size[i];
	}
	OK(pack_writer_finish(w, &name, &err));
	pack_writer_close(w);
	assert_int_equal(name.dir_off, total);
	path_of(path, sizeof(path), &name);
	OK(dm_file_read(AT_FDCWD, path, &b, &found, &err));
	assert_true(found);
	assert_int_equal(b.size, total + name.dir_len + PACK_TRAILER);
	for (uint64_t i = 0; i < total; i++)
		assert_int_equal((uint8_t)b.data[i], byte_at(i));
	dm_buf_release(&b);
	free(data);
}

static void
test_a_writer_that_gives_up_leaves_nothing(void **state)
{
	struct pack_writer *w = NULL;

	(void)state;
	OK(pack_writer_open(&w, dir, &err));
	(void)add(w, "hello");
	assert_int_equal(count_files("[!.]*"), 0);
	pack_writer_close(w);
	assert_int_equal(count_files("*"), 0);
}

static void
test_the_same_pack_twice_is_one_file(void **state)
{
	struct pack_name one, two;
	struct stat before, after;
	char path[128];

	(void)state;
	write_pack(&one);
	path_of(path, sizeof(path), &one);
	assert_int_equal(stat(path, &before), 0);
	write_pack(&two);
	assert_true(digest_equal(&one.id, &two.id));
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(count_files("*"), 1);
}

static void
test_a_damaged_pack_is_replaced_by_the_same(void **state)
{
	struct stat before, after;
	struct pack_name name;
	char path[128];

	(void)state;
	write_pack(&name);
	path_of(path, sizeof(path), &name);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(truncate(path, 12), 0);
	write_pack(&name);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(count_files("*"), 1);
}

static void
test_an_empty_pack_is_refused(void **state)
{
	struct pack_writer *w = NULL;
	struct pack_name name;

	(void)state;
	OK(pack_writer_open(&w, dir, &err));
	FAILS(DM_INVALID, "needs an object",
	    pack_writer_finish(w, &name, &err));
	pack_writer_close(w);
}

static void
test_a_missing_directory_is_named(void **state)
{
	struct pack_writer *w = NULL;

	(void)state;
	FAILS(DM_NOTFOUND, "/nonexistent/packs",
	    pack_writer_open(&w, "/nonexistent/packs", &err));
	assert_null(w);
	pack_writer_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_pack_holds_objects_directory_and_trailer),
		TEST(test_bytes_come_in_pieces_of_any_size),
		TEST(test_a_writer_that_gives_up_leaves_nothing),
		TEST(test_the_same_pack_twice_is_one_file),
		TEST(test_a_damaged_pack_is_replaced_by_the_same),
		TEST(test_an_empty_pack_is_refused),
		TEST(test_a_missing_directory_is_named),
	};

	return cmocka_run_group_tests_name("pack_writer", tests, NULL, NULL);
}
