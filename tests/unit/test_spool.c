/* fs/publish/spool: packs are written by a thread, in order. */
#include "fs/publish/spool.h"

#include "cache/pack/pack_writer.h"
#include "tests/unit/scratch.h"

/* A pack of one object, that has ended; its bytes are on their way. */
static struct pack_writer *
give_pack(struct spool *s, const char *text, struct pack_name *name)
{
	struct pack_object o = { .kind = OBJECT_DATA };
	struct pack_writer *w = NULL;
	void *data = strdup(text);
	uint32_t n = 1;

	assert_non_null(data);
	o.plain_size = o.stored_size = (uint32_t)strlen(text);
	digest_of(&o.id, text, strlen(text));
	OK(pack_writer_open(&w, "packs", &err));
	OK(pack_writer_place(w, &o, &n, &err));
	assert_int_equal(n, 0);
	OK(spool_write(s, w, &data, strlen(text), &err));
	assert_null(data);
	OK(pack_writer_end(w, name, &err));
	return w;
}

static bool
is_there(const struct pack_name *name)
{
	char path[128], hex[DIGEST_HEX + 1];

	digest_hex(&name->id, hex);
	(void)snprintf(path, sizeof(path), "packs/%.2s/%s", hex, hex);
	return access(path, R_OK) == 0;
}

static void
test_a_pack_is_there_once_it_counts_as_sealed(void **state)
{
	struct pack_writer *one, *two;
	struct pack_name a, b;
	struct spool *s = NULL;
	uint64_t sealed = 9;

	(void)state;
	assert_int_equal(mkdir("packs", 0755), 0);
	OK(spool_open(&s, &err));
	OK(spool_sealed(s, 0, &sealed, &err));
	assert_int_equal(sealed, 0);
	one = give_pack(s, "one", &a);
	two = give_pack(s, "two", &b);
	assert_false(is_there(&a));
	OK(spool_seal(s, one, &err));
	OK(spool_sealed(s, 1, &sealed, &err));
	assert_int_equal(sealed, 1);
	assert_true(is_there(&a));
	assert_false(is_there(&b));
	OK(spool_seal(s, two, &err));
	OK(spool_sealed(s, 2, &sealed, &err));
	assert_true(is_there(&b));
	spool_close(s);
	pack_writer_close(one);
	pack_writer_close(two);
}

static void
test_after_a_failure_nothing_is_sealed_and_every_call_says_why(void **state)
{
	struct pack_writer *one, *two;
	struct pack_name a, b;
	struct spool *s = NULL;
	uint64_t sealed = 0;

	(void)state;
	assert_int_equal(mkdir("packs", 0755), 0);
	OK(spool_open(&s, &err));
	one = give_pack(s, "one", &a);
	two = give_pack(s, "two", &b);
	assert_int_equal(rmdir("packs"), 0);
	OK(spool_seal(s, one, &err));
	FAILS(DM_NOTFOUND, "packs/", spool_sealed(s, 1, &sealed, &err));
	FAILS(DM_NOTFOUND, "packs/", spool_seal(s, two, &err));
	FAILS(DM_NOTFOUND, "packs/", spool_sealed(s, 0, &sealed, &err));
	assert_int_equal(sealed, 0);
	spool_close(s);
	pack_writer_close(one);
	pack_writer_close(two);
}

static void
test_what_was_not_sealed_leaves_nothing(void **state)
{
	struct pack_writer *w;
	struct pack_name name;
	struct spool *s = NULL;

	(void)state;
	assert_int_equal(mkdir("packs", 0755), 0);
	OK(spool_open(&s, &err));
	w = give_pack(s, "one", &name);
	spool_close(s);
	pack_writer_close(w);
	assert_int_equal(rmdir("packs"), 0);
	spool_close(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(test_a_pack_is_there_once_it_counts_as_sealed),
		SCRATCH_TEST(
		    test_after_a_failure_nothing_is_sealed_and_every_call_says_why),
		SCRATCH_TEST(test_what_was_not_sealed_leaves_nothing),
	};

	return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
