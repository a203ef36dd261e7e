/* A name either parses into parts that keep their bounds, or is refused; what
 * came out, written again, means the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "fs/source/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct source_name *a)
{
	static char text[SOURCE_URL_MAX + DM_REF_NAME_MAX + DM_PATH_MAX + 8];
	struct source_name b;
	struct dm_err err = { 0 };

	if (a->repo[0] == '\0' || strstr(a->path, "//") != NULL ||
	    a->path[0] == '/' || strlen(a->ref) > DM_REF_NAME_MAX)
		abort();
	/* Folders may hold what must be escaped; URLs are kept as they are. */
	if (!a->ref_given || strpbrk(a->repo, "@%") != NULL)
		return;
	(void)snprintf(text, sizeof(text), "%s@%s:%s", a->repo, a->ref,
	    a->path);
	if (source_name_parse(&b, text, &err) < 0 ||
	    strcmp(a->repo, b.repo) != 0 || strcmp(a->ref, b.ref) != 0 ||
	    strcmp(a->path, b.path) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source_name name;
	struct dm_err err = { 0 };
	char *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (source_name_parse(&name, text, &err) == 0)
		check(&name);
	free(text);
	return 0;
}
