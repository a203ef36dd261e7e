#include "fs/cmd/mirrors.h"

#include <stdio.h>
#include <string.h>

#include "cache/base/err.h"
#include "fs/cmd/cmd.h"
#include "fs/cmd/config.h"
#include "fs/format/source_file.h"
#include "fs/source/source.h"

static int
add(struct source_file *pin, const char *repo, bool *added, struct dm_err *err)
{
	for (unsigned i = 0; i < pin->nrepositories; i++)
		if (strcmp(pin->repository[i], repo) == 0)
			return 0;
	if (pin->nrepositories == SOURCE_MIRRORS_MAX)
		return dm_fail(err, DM_INVALID,
		    "mirror %s: a pin has room for %d places", repo,
		    SOURCE_MIRRORS_MAX);
	(void)snprintf(pin->repository[pin->nrepositories++],
	    sizeof(pin->repository[0]), "%s", repo);
	*added = true;
	return 0;
}

int
mirrors_given(struct source_file *pin, const struct cmd_args *a, bool *added,
    struct dm_err *err)
{
	struct source_name name;
	const char *text;

	*added = false;
	for (int i = 0; (text = cmd_value_at(a, "mirror", i)) != NULL; i++) {
		if (config_name_parse(&name, text, err) < 0)
			return dm_wrap(err, "--mirror");
		if (name.ref_given || name.path[0] != '\0')
			return cmd_usage(err,
			    "--mirror %s: a mirror has no @REF and no :PATH",
			    text);
		if (add(pin, name.repo, added, err) < 0)
			return -1;
	}
	return 0;
}

int
mirrors_copy(struct source_file *pin, const struct source_file *other,
    struct dm_err *err)
{
	bool added = false;

	for (unsigned i = 0; i < other->nrepositories; i++)
		if (add(pin, other->repository[i], &added, err) < 0)
			return -1;
	return 0;
}
