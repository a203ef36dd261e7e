/* The server of httpd.h as a program, for tests that are no C. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "tests/lib/httpd.h"

static const char usage[] =
    "usage: httpd [--port N] [--port-file FILE] [--cert FILE --key FILE]\n"
    "             [--log FILE] [--rule RULE]... ROOT\n"
    "Serve the files below ROOT on 127.0.0.1, over TLS too if there is a\n"
    "certificate, and print the port. SIGTERM ends it.\n"
    "\n"
    "RULE is GLOB WHICH FAULT..., for instance: '/packs/* 1-2 status=503'\n"
    "WHICH: * | N | N-M | N-\n"
    "FAULT: barrier=NAME delay=MS drop status=N body=TEXT retry-after=T\n"
    "       header=NAME:VALUE redirect=URL raw=TEXT swap=PATH html norange\n"
    "       shift=N content-range=T short=N flip=N tail=N length=N chunked\n"
    "       endless truncate=N reset=N stall=N drip=BYTES_A_SECOND hangup\n"
    "\n"
    "Control, with curl:\n"
    "  curl -d '/x * status=500' http://127.0.0.1:PORT/.ctl/rule\n"
    "  curl -d ''      .../.ctl/clear     forget all rules and releases\n"
    "  curl -d ''      .../.ctl/forget    forget log and counts\n"
    "  curl -d NAME    .../.ctl/release   open a barrier\n"
    "  curl -d '/x 3'  .../.ctl/wait      until three requests for /x came\n"
    "  curl .../.ctl/count?GLOB           requests (also: bytes?GLOB)\n"
    "  curl .../.ctl/connections          with at least one request\n"
    "  curl .../.ctl/log                  one line a request\n"
    "tests/lib/httpd.h says more.\n";

static int
use_log(struct httpd *h, const char *path, struct dm_err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		return dm_fail_errno(err, "open %s", path);
	httpd_log_to(h, fd); /* for as long as the process lives */
	return 0;
}

static int
tell_port(const struct httpd *h, const char *port_file, struct dm_err *err)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%u\n", httpd_port(h));
	if (port_file != NULL &&
	    dm_file_replace(AT_FDCWD, port_file, text, strlen(text), 0600,
		err) < 0)
		return -1;
	if (dm_write_full(STDOUT_FILENO, text, strlen(text)) < 0)
		return dm_fail_errno(err, "write the port");
	return 0;
}

struct options {
	const char *port_file, *log, *rules[64];
	struct httpd_options server;
	int nrules;
};

static bool
read_options(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "port-file", required_argument, NULL, 'p' },
		{ "port", required_argument, NULL, 'n' },
		{ "cert", required_argument, NULL, 'c' },
		{ "key", required_argument, NULL, 'k' },
		{ "log", required_argument, NULL, 'l' },
		{ "rule", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet */
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'p')
			o->port_file = optarg;
		else if (c == 'l')
			o->log = optarg;
		else if (c == 'n')
			o->server.port =
			    (unsigned)strtoul(optarg, NULL, 10) & 0xffff;
		else if (c == 'c')
			o->server.cert = optarg;
		else if (c == 'k')
			o->server.key = optarg;
		else if (c == 'r' && o->nrules < 64)
			o->rules[o->nrules++] = optarg;
		else
			return false;
	}
	return optind + 1 == argc;
}

static int
run(const struct options *o, const char *root, const sigset_t *ends,
    struct dm_err *err)
{
	struct httpd *h = NULL;
	int rc, signal_number;

	if (httpd_start_with(&h, root, &o->server, err) < 0)
		return -1;
	rc = o->log != NULL ? use_log(h, o->log, err) : 0;
	for (int i = 0; rc == 0 && i < o->nrules; i++)
		rc = httpd_rule(h, o->rules[i], err);
	if (rc == 0)
		rc = tell_port(h, o->port_file, err);
	if (rc == 0)
		(void)sigwait(ends, &signal_number);
	httpd_stop(h);
	return rc;
}

int
main(int argc, char **argv)
{
	struct options o = { 0 };
	struct dm_err err = { 0 };
	sigset_t ends;

	if (!read_options(&o, argc, argv)) {
		(void)fputs(usage, stderr);
		return 2;
	}
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &ends, NULL);
	if (run(&o, argv[optind], &ends, &err) == 0)
		return 0;
	(void)fprintf(stderr, "httpd: %s\n", err.text);
	return 1;
}
