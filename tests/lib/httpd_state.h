/* tests/lib/httpd_state.h - what a server of httpd.h knows. */
#ifndef DM_TESTS_HTTPD_STATE_H
#define DM_TESTS_HTTPD_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/lock.h"
#include "tests/lib/httpd_rule.h"

struct httpd_conn;
struct ssl_ctx_st;

struct httpd_entry {
	char *path; /* for globs */
	char *request, *fields;
	int status;
	uint64_t bytes, connection;
};

struct httpd_barrier {
	struct httpd_barrier *next;
	char name[RULE_TEXT];
};

struct httpd {
	/* immutable after start */
	int listen_fd, root_fd;
	unsigned port;
	char url[40];
	struct ssl_ctx_st *tls; /* or NULL: plain only */
	pthread_t acceptor;

	struct dm_mutex mu;
	pthread_cond_t changed;
	/* guarded by mu */
	bool stopping;
	int log_fd;
	struct httpd_conn *conns;
	struct httpd_rule *rules; /* oldest first */
	struct httpd_barrier *released;
	struct httpd_entry *entries;
	size_t nentries, room;
	uint64_t generation; /* of entries */
};

#endif
