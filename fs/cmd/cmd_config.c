/* datamount config: every value in force, and where it comes from. */
#include <jansson.h>
#include <stdio.h>

#include "cache/base/err.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/config.h"

/* "VALUE<tab>WHERE" would hide the end of a value: where comes first, as
 * git config --show-origin has it. */
static int
print_setting(void *arg, const struct config_setting *s, struct dm_err *err)
{
	(void)arg;
	(void)err;
	if (s->file != NULL)
		printf("%s:%u", s->file, s->line);
	else if (s->variable != NULL)
		printf("$%s", s->variable);
	else
		printf("default");
	printf("\t%s = %s\n", s->key, s->value);
	return 0;
}

static int
add_setting(void *arg, const struct config_setting *s, struct dm_err *err)
{
	const char *origin = s->file != NULL ? "file" :
	    s->variable != NULL              ? "environment" :
					       "default";
	json_t *o = json_pack("{s:s, s:s, s:s}", "key", s->key, "value",
	    s->value, "origin", origin);

	if (o == NULL)
		return dm_fail(err, DM_INVALID,
		    "the value of %s is not UTF-8: no JSON can hold it",
		    s->key);
	if (s->file != NULL) {
		(void)json_object_set_new(o, "file", json_string(s->file));
		(void)json_object_set_new(o, "line",
		    json_integer((json_int_t)s->line));
	}
	if (s->variable != NULL)
		(void)json_object_set_new(o, "variable",
		    json_string(s->variable));
	(void)json_array_append_new(arg, o);
	return 0;
}

static int
list_json(struct dm_err *err)
{
	json_t *all = json_array();
	int rc = config_each(add_setting, all, err);

	if (rc == 0 && json_dumpf(all, stdout, JSON_INDENT(2)) < 0)
		rc = dm_fail(err, DM_IO, "cannot write the output");
	if (rc == 0)
		printf("\n");
	json_decref(all);
	return rc;
}

static int
run_config(int argc, char **argv, struct dm_err *err)
{
	struct cmd_args a;

	if (cmd_parse(&a, &cmd_config, argc, argv, 0, 0, err) < 0)
		return -1;
	if (!cmd_flag(&a, "list"))
		return cmd_usage(err, "config: give --list");
	if (cmd_flag(&a, "json"))
		return list_json(err);
	return config_each(print_setting, NULL, err);
}

static const struct cmd_option options[] = {
	{ "list", 'l', NULL, "print every value, and where it comes from" },
	{ "json", 0, NULL, "as JSON" },
	{ 0 },
};

const struct cmd cmd_config = {
	.name = "config",
	.args = "--list",
	.help = "what is configured, and where",
	.options = options,
	.run = run_config,
};
