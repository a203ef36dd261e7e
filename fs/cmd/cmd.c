/* What all commands share: options, operands, help, errors, sizes. */
#include "fs/cmd/cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "cache/base/log.h"

/* Options that every command has. */
static const struct cmd_option global_options[] = {
	{ "quiet", 'q', NULL, "print results and errors only" },
	{ "debug", 0, NULL, "say on stderr what is being done" },
	{ "help", 'h', NULL, "print this" },
	{ 0 },
};

/* A run is one command: what it is, once parsed, and whether cmd_usage was
 * called, which makes the exit status CMD_USAGE. */
static const struct cmd *current;
static bool is_usage;

int
cmd_usage(struct dm_err *err, const char *fmt, ...)
{
	va_list ap;

	is_usage = true;
	err->code = DM_INVALID;
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return -1;
}

/* Newlines and other control bytes, say of a file's name, as '?'.  In one
 * write: other processes may have something to say, too. */
static void
print_line(const char *text, const char *end)
{
	char line[DM_ERR_TEXT];

	(void)snprintf(line, sizeof(line), "%s", text);
	for (char *p = line; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	(void)fprintf(stderr, "datamount: %s%s\n", line, end);
}

int
cmd_report(const struct dm_err *err)
{
	char see[64];

	if (err->code == DM_OK)
		return CMD_DONE; /* help was asked for, and printed */
	if (!is_usage) {
		print_line(err->text, "");
		return CMD_FAILED;
	}
	(void)snprintf(see, sizeof(see), "; see `datamount %s%s`",
	    current != NULL ? current->name : "help",
	    current != NULL ? " --help" : "");
	print_line(err->text, see);
	return CMD_USAGE;
}

/* One line of help for each option. */
static void
print_options(const struct cmd_option *o)
{
	char left[64];

	for (; o->name != NULL; o++) {
		int n = snprintf(left, sizeof(left), "--%s%s%s", o->name,
		    o->value != NULL ? " " : "",
		    o->value != NULL ? o->value : "");

		if (o->letter != 0)
			printf("  -%c, ", o->letter);
		else
			printf("      ");
		printf("%s%*s %s\n", left, n < 22 ? 22 - n : 0, "", o->help);
	}
}

void
cmd_print_help(const struct cmd *cmd)
{
	printf("usage: datamount %s [OPTION]...%s%s\n\n%s\n\n", cmd->name,
	    cmd->args[0] != '\0' ? " " : "", cmd->args, cmd->help);
	print_options(cmd->options);
	print_options(global_options);
}

static const struct cmd_option *
find_name(const struct cmd_option *o, const char *name, size_t size)
{
	for (; o->name != NULL; o++)
		if (strlen(o->name) == size && memcmp(o->name, name, size) == 0)
			return o;
	return NULL;
}

static const struct cmd_option *
find_letter(const struct cmd_option *o, char letter)
{
	for (; o->name != NULL; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

/* The option that arg names ("--name", "--name=value", "-x", "-xvalue"), and
 * the value that stands in it, or NULL. */
static const struct cmd_option *
find_option(const struct cmd *cmd, const char *arg, const char **value)
{
	const struct cmd_option *o;
	const char *end;
	size_t size;

	*value = NULL;
	if (arg[1] != '-') {
		*value = arg[2] != '\0' ? arg + 2 : NULL;
		o = find_letter(cmd->options, arg[1]);
		return o != NULL ? o : find_letter(global_options, arg[1]);
	}
	arg += 2;
	end = strchr(arg, '=');
	size = end != NULL ? (size_t)(end - arg) : strlen(arg);
	*value = end != NULL ? end + 1 : NULL;
	o = find_name(cmd->options, arg, size);
	return o != NULL ? o : find_name(global_options, arg, size);
}

/* Note the option at argv[*i]; *i moves behind its value. */
static int
take_option(struct cmd_args *out, char **argv, int argc, int *i,
    struct dm_err *err)
{
	const char *arg = argv[*i], *value;
	const struct cmd_option *o = find_option(out->cmd, arg, &value);
	int max = (int)(sizeof(out->given) / sizeof(out->given[0]));

	if (o == NULL)
		return cmd_usage(err, "%s: unknown option %s", out->cmd->name,
		    arg);
	if (o->value == NULL && value != NULL)
		return cmd_usage(err, "%s: --%s takes no value: %s",
		    out->cmd->name, o->name, arg);
	if (o->value != NULL && value == NULL) {
		if (*i + 1 >= argc)
			return cmd_usage(err, "%s: --%s needs a value: %s",
			    out->cmd->name, o->name, o->value);
		value = argv[++*i];
	}
	if (out->ngiven == max)
		return cmd_usage(err, "%s: more than %d options",
		    out->cmd->name, max);
	out->given[out->ngiven].option = o;
	out->given[out->ngiven++].value = value;
	return 0;
}

static int
check_count(const struct cmd_args *a, int min, int max, struct dm_err *err)
{
	if (a->n < min)
		return cmd_usage(err, "%s: too few operands: datamount %s %s",
		    a->cmd->name, a->cmd->name, a->cmd->args);
	if (max >= 0 && a->n > max)
		return cmd_usage(err, "%s: one operand too many: %s",
		    a->cmd->name, a->operands[max]);
	return 0;
}

int
cmd_parse(struct cmd_args *out, const struct cmd *cmd, int argc, char **argv,
    int min, int max, struct dm_err *err)
{
	bool ended = false;

	memset(out, 0, sizeof(*out));
	out->cmd = current = cmd;
	out->operands = argv + 1;
	for (int i = 1; i < argc; i++) {
		if (ended || argv[i][0] != '-' || argv[i][1] == '\0')
			argv[1 + out->n++] = argv[i];
		else if (strcmp(argv[i], "--") == 0)
			ended = true;
		else if (take_option(out, argv, argc, &i, err) < 0)
			return -1;
	}
	if (cmd_flag(out, "help")) {
		cmd_print_help(cmd);
		err->code = DM_OK;
		return -1;
	}
	if (cmd_flag(out, "debug"))
		dm_log_setup(DM_LOG_DEBUG, 0);
	return check_count(out, min, max, err);
}

const char *
cmd_value_at(const struct cmd_args *a, const char *name, int i)
{
	for (int g = 0; g < a->ngiven; g++)
		if (strcmp(a->given[g].option->name, name) == 0 && i-- == 0)
			return a->given[g].value;
	return NULL;
}

const char *
cmd_value(const struct cmd_args *a, const char *name)
{
	const char *last = NULL;

	for (int g = 0; g < a->ngiven; g++)
		if (strcmp(a->given[g].option->name, name) == 0)
			last = a->given[g].value;
	return last;
}

bool
cmd_flag(const struct cmd_args *a, const char *name)
{
	for (int g = 0; g < a->ngiven; g++)
		if (strcmp(a->given[g].option->name, name) == 0)
			return true;
	return false;
}

/* The factor of a unit, or 0. */
static uint64_t
unit(const char *text)
{
	static const char names[] = "KMGT";
	const char *at;

	if (*text == '\0')
		return 1;
	at = strchr(names, *text & ~0x20);
	if (at == NULL || *at == '\0' ||
	    (text[1] != '\0' && strcmp(text + 1, "iB") != 0))
		return 0;
	return (uint64_t)1 << (10 * (at - names + 1));
}

int
cmd_number(const struct cmd_args *a, const char *name, bool units,
    uint64_t fallback, uint64_t *out, struct dm_err *err)
{
	const char *text = cmd_value(a, name);
	unsigned long long n;
	uint64_t factor;
	char *end;

	*out = fallback;
	if (text == NULL)
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	factor = units || *end == '\0' ? unit(end) : 0;
	if (*text < '0' || *text > '9' || errno != 0 || factor == 0 ||
	    n > INT64_MAX / 1000 / factor)
		return cmd_usage(err, "%s: --%s: %s is no number%s",
		    a->cmd->name, name, text,
		    units ? ", such as 500M or 2G" : "");
	*out = n * factor;
	return 0;
}

bool
cmd_parse_bytes(const char *text, uint64_t *out)
{
	unsigned long long n;
	uint64_t factor;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	factor = unit(end);
	*out = n * factor;
	return *text >= '0' && *text <= '9' && errno == 0 && factor != 0 &&
	    n <= INT64_MAX / 1000 / factor;
}

const char *
cmd_bytes(char out[CMD_BYTES_TEXT], uint64_t bytes)
{
	static const char *const names[] = { "B", "kB", "MB", "GB", "TB", "PB",
		"EB" };
	double n = (double)bytes;
	size_t i = 0;

	/* 999.95 would be printed as 1000.0 */
	while (n >= 999.95 && i + 1 < sizeof(names) / sizeof(names[0])) {
		n /= 1000;
		i++;
	}
	(void)snprintf(out, CMD_BYTES_TEXT, i == 0 ? "%.0f %s" : "%.1f %s", n,
	    names[i]);
	return out;
}
