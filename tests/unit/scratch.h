/* tests/unit/scratch.h - a directory of its own for each test. */
#ifndef DM_TEST_SCRATCH_H
#define DM_TEST_SCRATCH_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/check.h"

static char scratch[64];

static inline int
scratch_setup(void **state)
{
	(void)state;
	(void)snprintf(scratch, sizeof(scratch), "/tmp/dm-unit-XXXXXX");
	return mkdtemp(scratch) == NULL ? -1 : chdir(scratch);
}

static inline int
scratch_teardown(void **state)
{
	char command[96];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", scratch);
	return chdir("/") == 0 ? system(command) : -1;
}

/* A file of that text. */
static inline void
put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

#define SCRATCH_TEST(f) \
	cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

#endif
