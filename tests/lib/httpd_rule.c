#include "tests/lib/httpd_rule.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"

enum kind { FLAG, NUMBER, TEXT };

/* Where in struct httpd_fault each fault is kept. */
static const struct field {
	const char *name;
	enum kind kind;
	size_t at;
} fields[] = {
	{ "barrier", TEXT, offsetof(struct httpd_fault, barrier) },
	{ "delay", NUMBER, offsetof(struct httpd_fault, delay) },
	{ "drop", FLAG, offsetof(struct httpd_fault, drop) },
	{ "status", NUMBER, offsetof(struct httpd_fault, status) },
	{ "body", TEXT, offsetof(struct httpd_fault, body) },
	{ "retry-after", TEXT, offsetof(struct httpd_fault, retry_after) },
	{ "header", TEXT, offsetof(struct httpd_fault, header) },
	{ "redirect", TEXT, offsetof(struct httpd_fault, redirect) },
	{ "raw", TEXT, offsetof(struct httpd_fault, raw) },
	{ "swap", TEXT, offsetof(struct httpd_fault, swap) },
	{ "content-range", TEXT, offsetof(struct httpd_fault, content_range) },
	{ "html", FLAG, offsetof(struct httpd_fault, html) },
	{ "norange", FLAG, offsetof(struct httpd_fault, norange) },
	{ "shift", NUMBER, offsetof(struct httpd_fault, shift) },
	{ "short", NUMBER, offsetof(struct httpd_fault, short_) },
	{ "flip", NUMBER, offsetof(struct httpd_fault, flip) },
	{ "tail", NUMBER, offsetof(struct httpd_fault, tail) },
	{ "length", NUMBER, offsetof(struct httpd_fault, length) },
	{ "chunked", FLAG, offsetof(struct httpd_fault, chunked) },
	{ "endless", FLAG, offsetof(struct httpd_fault, endless) },
	{ "truncate", NUMBER, offsetof(struct httpd_fault, truncate) },
	{ "reset", NUMBER, offsetof(struct httpd_fault, reset) },
	{ "stall", NUMBER, offsetof(struct httpd_fault, stall) },
	{ "drip", NUMBER, offsetof(struct httpd_fault, drip) },
	{ "hangup", FLAG, offsetof(struct httpd_fault, hangup) },
};
enum { NFIELDS = sizeof(fields) / sizeof(fields[0]) };

void
httpd_fault_init(struct httpd_fault *f)
{
	static const int64_t never = RULE_NEVER;

	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < NFIELDS; i++)
		if (fields[i].kind == NUMBER)
			memcpy((char *)f + fields[i].at, &never, sizeof(never));
}

static void
add_field(const struct field *d, char *to, const char *from)
{
	int64_t number;
	bool is_set;

	switch (d->kind) {
	case FLAG:
		memcpy(&is_set, from + d->at, sizeof(is_set));
		if (is_set)
			memcpy(to + d->at, &is_set, sizeof(is_set));
		break;
	case NUMBER:
		memcpy(&number, from + d->at, sizeof(number));
		if (number != RULE_NEVER)
			memcpy(to + d->at, &number, sizeof(number));
		break;
	case TEXT:
		if (from[d->at] != '\0')
			memcpy(to + d->at, from + d->at, RULE_TEXT);
		break;
	}
}

void
httpd_fault_add(struct httpd_fault *f, const struct httpd_fault *from)
{
	for (size_t i = 0; i < NFIELDS; i++)
		add_field(&fields[i], (char *)f, (const char *)from);
}

/* Digits up to a NUL. */
static bool
read_number(const char *text, uint64_t *out)
{
	char *end = NULL;

	if (*text < '0' || *text > '9')
		return false;
	*out = strtoull(text, &end, 10);
	return *end == '\0' && *out <= INT64_MAX;
}

static int
read_fault(struct httpd_fault *f, const char *word, struct dm_err *err)
{
	size_t n = strcspn(word, "=");
	const char *value = word[n] == '=' ? word + n + 1 : NULL;
	const bool yes = true;

	for (size_t i = 0; i < NFIELDS; i++) {
		char *at = (char *)f + fields[i].at;
		uint64_t number;

		if (strlen(fields[i].name) != n ||
		    memcmp(fields[i].name, word, n) != 0 ||
		    (fields[i].kind == FLAG) != (value == NULL))
			continue;
		if (fields[i].kind == FLAG) {
			memcpy(at, &yes, sizeof(yes));
			return 0;
		}
		if (fields[i].kind == TEXT) {
			(void)snprintf(at, RULE_TEXT, "%s", value);
			return 0;
		}
		if (!read_number(value, &number))
			break;
		memcpy(at, &number, sizeof(number));
		return 0;
	}
	return dm_fail(err, DM_INVALID, "\"%s\" is no fault", word);
}

/* "*", "3", "2-4" or "2-". */
static int
read_which(struct httpd_rule *rule, char *word, struct dm_err *err)
{
	char *dash = strchr(word, '-');

	rule->from = 1;
	rule->to = UINT64_MAX;
	if (strcmp(word, "*") == 0)
		return 0;
	if (dash != NULL)
		*dash++ = '\0';
	if (!read_number(word, &rule->from) ||
	    (dash != NULL && *dash != '\0' && !read_number(dash, &rule->to)))
		return dm_fail(err, DM_INVALID,
		    "\"%s\" does not say which requests", word);
	if (dash == NULL)
		rule->to = rule->from;
	return 0;
}

int
httpd_rule_parse(struct httpd_rule *out, const char *text, struct dm_err *err)
{
	char line[2048], *save = NULL, *word;
	int nwords = 0;

	httpd_fault_init(&out->fault);
	if (snprintf(line, sizeof(line), "%s", text) >= (int)sizeof(line))
		return dm_fail(err, DM_INVALID, "rule too long");
	word = strtok_r(line, " \t", &save);
	for (; word != NULL; word = strtok_r(NULL, " \t", &save)) {
		int rc = 0;

		if (strlen(word) >= RULE_TEXT)
			return dm_fail(err, DM_INVALID, "word too long");
		if (nwords == 0)
			(void)snprintf(out->glob, RULE_TEXT, "%s", word);
		else if (nwords == 1)
			rc = read_which(out, word, err);
		else
			rc = read_fault(&out->fault, word, err);
		if (rc < 0)
			return dm_wrap(err, "rule \"%s\"", text);
		nwords++;
	}
	if (nwords < 3)
		return dm_fail(err, DM_INVALID,
		    "rule \"%s\": want GLOB WHICH FAULT...", text);
	return 0;
}
