/*
 * Run a fuzz target over its corpus, without a fuzzer: fuzz_NAME reads every
 * file of tests/fuzz/corpus/NAME and fails by aborting.  Speaks TAP.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

#include "cache/base/io.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 20 };

static void
run(const char *path)
{
	struct dm_buf b = DM_BUF(INPUT_MAX);
	struct dm_err err;
	bool found;
	void *exact; /* of the exact size, so that a sanitizer sees its end */

	if (dm_file_read(AT_FDCWD, path, &b, &found, &err) < 0 || !found)
		abort();
	exact = malloc(b.size > 0 ? b.size : 1);
	if (exact == NULL)
		abort();
	if (b.size > 0)
		memcpy(exact, b.data, b.size);
	(void)LLVMFuzzerTestOneInput(exact, b.size);
	free(exact);
	dm_buf_release(&b);
}

int
main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash == NULL ? "" : slash + 1 + strlen("fuzz_");
	char dir[256], path[512];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	(void)snprintf(dir, sizeof(dir), "tests/fuzz/corpus/%s", name);
	d = opendir(dir);
	if (d == NULL) {
		printf("1..1\nnot ok 1 - no corpus %s\n", dir);
		return 1;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		run(path);
		n++;
	}
	(void)closedir(d);
	printf("1..1\n%s 1 - %u files of %s\n", n > 0 ? "ok" : "not ok", n,
	    dir);
	return n > 0 ? 0 : 1;
}
