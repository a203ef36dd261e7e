#include "fs/cmd/ref_names.h"

#include <stdio.h>
#include <string.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/config.h"
#include "fs/publish/publish.h"
#include "fs/source/source.h"

static void
print_ref(void *arg, const struct ref_line *line)
{
	char hex[DIGEST_HEX + 1];

	(void)arg;
	digest_hex(&line->ref.commit, hex);
	(void)printf("%s %s\n", line->name, hex);
}

static int
print_if(void *arg, const struct ref_line *line, struct dm_err *err)
{
	const bool *tag = arg;

	(void)err;
	if (line->tag == *tag)
		print_ref(NULL, line);
	return 0;
}

/* By its list of refs: a server cannot be asked which files it has. */
static int
list_remote(const struct cmd_args *a, const char *repo, bool tag,
    struct dm_err *err)
{
	struct session s;
	int rc;

	if (session_open(&s, a, repo, err) < 0)
		return -1;
	rc = repo_identify(s.repo, err);
	if (rc == 0)
		rc = repo_refs(s.repo, print_if, &tag, err);
	session_close(&s);
	return rc;
}

static int
make(const struct publish_target *t, bool tag, const char *name, bool force,
    struct dm_err *err)
{
	char hex[DIGEST_HEX + 1];
	struct digest id;

	if (publish_ref(t->repo, tag, name, t->ref, force, &id, err) < 0)
		return -1;
	digest_hex(&id, hex);
	(void)puts(hex); /* main reports what stdout refuses */
	return CMD_DONE;
}

static int
act(const struct cmd_args *a, const struct publish_target *t, bool tag,
    struct dm_err *err)
{
	const char *lost = cmd_value(a, "delete");
	bool list = cmd_flag(a, "list") || (!tag && a->n == 1 && lost == NULL);

	if (a->n != (list || lost != NULL ? 1 : 2))
		return cmd_usage(err,
		    "%s: give REPO[@REF] NAME, -l REPO or"
		    " --delete NAME REPO",
		    a->cmd->name);
	if (lost != NULL)
		return publish_ref_delete(t->repo, tag, lost, err);
	if (list && strstr(t->repo, "://") != NULL)
		return list_remote(a, t->repo, tag, err);
	if (list)
		return publish_refs(t->repo, tag, print_ref, NULL, err);
	return make(t, tag, a->operands[1], cmd_flag(a, "force"), err);
}

int
ref_names_run(const struct cmd *cmd, bool tag, int argc, char **argv,
    struct dm_err *err)
{
	DM_AUTO(dm_freep) char *repo = NULL;
	struct publish_target t;
	struct cmd_args a;
	int rc;

	if (cmd_parse(&a, cmd, argc, argv, 1, 2, err) < 0 ||
	    config_expand(&repo, a.operands[0], err) < 0 ||
	    publish_target_parse(&t, repo, err) < 0)
		return -1;
	rc = act(&a, &t, tag, err);
	publish_target_release(&t);
	return rc;
}
