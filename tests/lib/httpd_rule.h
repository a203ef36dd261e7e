/* tests/lib/httpd_rule.h - the rules of httpd.h, read. */
#ifndef DM_TESTS_HTTPD_RULE_H
#define DM_TESTS_HTTPD_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/base/attr.h"

struct dm_err;

enum { RULE_TEXT = 256, RULE_NEVER = -1 };

/* What is to go wrong with one answer; see httpd.h. */
struct httpd_fault {
	char barrier[RULE_TEXT], body[RULE_TEXT], retry_after[RULE_TEXT],
	    header[RULE_TEXT], redirect[RULE_TEXT], raw[RULE_TEXT],
	    swap[RULE_TEXT], content_range[RULE_TEXT]; /* "" for none */
	bool drop, html, norange, chunked, endless, hangup;
	/* RULE_NEVER for none */
	int64_t delay, status, shift, short_, flip, tail, length, truncate,
	    reset, stall, drip;
};

struct httpd_rule {
	struct httpd_rule *next;
	char glob[RULE_TEXT];
	uint64_t from, to; /* which requests, counted from 1 */
	uint64_t seen;     /* requests that matched glob so far */
	struct httpd_fault fault;
};

void httpd_fault_init(struct httpd_fault *f);

/* Apply the faults that from has to f. */
void httpd_fault_add(struct httpd_fault *f, const struct httpd_fault *from);

/* Read a rule.  next and seen are left alone. */
int httpd_rule_parse(struct httpd_rule *out, const char *text,
    struct dm_err *err) DM_MUST_CHECK;

#endif
