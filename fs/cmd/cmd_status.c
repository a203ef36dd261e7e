/* datamount status: what is mounted, from where, and how it fares. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/base/buf.h"
#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/net/url.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/pin.h"
#include "fs/mount/mount.h"
#include "fs/mount/status.h"

enum { STATUS_TEXT_MAX = 1 << 20, STATUS_HEX = 12 };

/* One run of the command. */
struct report {
	bool json, check;
	json_t *all;    /* of each mount; for --json */
	unsigned n;     /* mounts seen */
	unsigned wrong; /* of these, not what their pin says, or not well */
};

static const char *
string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static uint64_t
number(const json_t *o, const char *part, const char *key)
{
	const json_t *in = part != NULL ? json_object_get(o, part) : o;
	json_int_t n = json_integer_value(json_object_get(in, key));

	return n > 0 ? (uint64_t)n : 0;
}

/* What the .source file pins now: the commit in hex, "" if there is none, or
 * the reason why it cannot be read. */
struct pinned {
	char commit[DIGEST_HEX + 1];
	struct dm_err err;
	bool differs;
};

static void
look_up_pin(const json_t *o, struct pinned *out)
{
	char path[PATH_MAX], subtree[DM_PATH_MAX + 1];
	struct source_file pin;
	bool found = false;

	memset(out, 0, sizeof(*out));
	(void)status_path(o, "path", subtree, sizeof(subtree));
	(void)status_path(o, "source", path, sizeof(path));
	if (path[0] == '\0')
		return;
	if (pin_read(path, &pin, &found, &out->err) < 0) {
		out->differs = true;
		return;
	}
	if (!found) {
		out->differs = true;
		(void)dm_fail(&out->err, DM_NOTFOUND, "%s is gone", path);
		return;
	}
	digest_hex(&pin.commit, out->commit);
	out->differs = strcmp(out->commit, string(o, "commit")) != 0 ||
	    strcmp(pin.path, subtree) != 0;
}

static void
print_pin(const json_t *o, const struct pinned *p)
{
	const char *source = string(o, "source");

	if (source[0] == '\0')
		printf("  pinned   by no file\n");
	else if (p->err.code != DM_OK)
		printf("  pinned   ? %s\n", p->err.text);
	else if (p->differs)
		printf("  pinned   %.*s, mounted %.*s: run `datamount sync "
		       "%s`\n",
		    STATUS_HEX, p->commit, STATUS_HEX, string(o, "commit"),
		    string(o, "dir"));
	else
		printf("  pinned   by %s\n", source);
}

static void
print_state(const json_t *o)
{
	time_t since = (time_t)number(o, NULL, "since");
	uint64_t restarts = number(o, NULL, "restarts");
	const char *why = string(o, "why");
	struct tm tm = { 0 };
	char when[32] = "?";

	if (gmtime_r(&since, &tm) != NULL)
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	printf("  state    %s since %s, process %llu", string(o, "state"), when,
	    (unsigned long long)number(o, NULL, "pid"));
	if (restarts > 0)
		printf(", %llu restarts", (unsigned long long)restarts);
	printf("\n");
	if (why[0] != '\0')
		printf("  %s  %s\n",
		    strcmp(string(o, "state"), "ok") == 0 ? "before " :
							    "trouble",
		    why);
}

static void
print_numbers(const json_t *o)
{
	char read[CMD_BYTES_TEXT], fetched[CMD_BYTES_TEXT];
	const json_t *error = json_object_get(o, "last_error");
	uint64_t errors = number(o, "fuse", "errors");

	printf("  read     %s in %llu reads; %s fetched in %llu requests\n",
	    cmd_bytes(read, number(o, "fuse", "bytes_read")),
	    (unsigned long long)number(o, "fuse", "read"),
	    cmd_bytes(fetched, number(o, "origin", "bytes")),
	    (unsigned long long)number(o, "origin", "requests"));
	if (json_is_true(json_object_get(json_object_get(o, "cache"),
		"disk_broken")))
		printf(
		    "  cache    its disk cannot be used: reads go through\n");
	if (errors > 0)
		printf("  errors   %llu, the last: %s\n",
		    (unsigned long long)errors, string(error, "text"));
}

static void
print_io(const json_t *o)
{
	const json_t *io = json_object_get(o, "io");
	uint64_t passed = number(o, "fuse", "passed");

	printf("  io       %s: %s", string(io, "mode"), string(io, "why"));
	if (passed > 0)
		printf("; %llu of %llu opened files were passed through",
		    (unsigned long long)passed,
		    (unsigned long long)number(o, "fuse", "open"));
	printf("\n");
}

static void
print_waiting(const json_t *o)
{
	const json_t *list = json_object_get(o, "waiting");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *w = json_array_get(list, i);

		printf("  waiting  %s of inode %llu by process %llu, for %llu "
		       "s\n",
		    string(w, "what"),
		    (unsigned long long)number(w, NULL, "inode"),
		    (unsigned long long)number(w, NULL, "pid"),
		    (unsigned long long)number(w, NULL, "age_ms") / 1000);
	}
}

/* Where bytes come from; how each place fares only matters if there is a
 * choice. */
static void
print_repositories(const json_t *o)
{
	const json_t *list = json_object_get(o, "repositories");
	size_t n = json_array_size(list);
	char bytes[CMD_BYTES_TEXT];

	if (n < 2)
		printf("  from     %s\n", string(o, "repository"));
	for (size_t i = 0; n > 1 && i < n; i++) {
		const json_t *r = json_array_get(list, i);
		time_t since = (time_t)number(r, NULL, "down_since");
		char when[48] = "";
		struct tm tm;

		if (since != 0 && gmtime_r(&since, &tm) != NULL)
			(void)strftime(when, sizeof(when),
			    ", down since %Y-%m-%dT%H:%M:%SZ", &tm);
		printf("  %s   %s: %s in %llu requests, %llu failed, %llu "
		       "bad%s\n",
		    i == 0 ? "from  " : "mirror", string(r, "url"),
		    cmd_bytes(bytes, number(r, NULL, "bytes")),
		    (unsigned long long)number(r, NULL, "requests"),
		    (unsigned long long)number(r, NULL, "failures"),
		    (unsigned long long)number(r, NULL, "bad"), when);
	}
}

static void
print_mount(const json_t *o, const struct pinned *p)
{
	const char *ref = string(o, "ref"), *path = string(o, "path"),
		   *log = string(o, "log");

	printf("%s\n", string(o, "dir"));
	printf("  version  %s%s%s%s%s\n", string(o, "commit"),
	    ref[0] != '\0' ? " " : "", ref, path[0] != '\0' ? " :" : "", path);
	print_repositories(o);
	print_pin(o, p);
	print_state(o);
	print_io(o);
	print_numbers(o);
	print_waiting(o);
	printf("  log      %s\n", log[0] != '\0' ? log : "standard error");
}

static void
add_json(struct report *r, json_t *o, const struct pinned *p)
{
	(void)json_object_set_new(o, "pinned",
	    p->commit[0] != '\0' ? json_string(p->commit) : json_null());
	(void)json_object_set_new(o, "as_pinned", json_boolean(!p->differs));
	(void)json_array_append(r->all, o);
}

/* The daemon says whole URLs, which its next run needs; a query may be a
 * secret, and what is printed is passed on. */
static void
hide_query(json_t *o, const char *key)
{
	const char *url = string(o, key);

	if (url_has_scheme(url))
		(void)json_object_set_new(o, key,
		    json_stringn(url, url_shown(url)));
}

static void
hide_queries(json_t *o)
{
	json_t *list = json_object_get(o, "repositories");

	hide_query(o, "repository");
	for (size_t i = 0; i < json_array_size(list); i++)
		hide_query(json_array_get(list, i), "url");
}

static int
show(void *arg, const char *dir, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(STATUS_TEXT_MAX);
	struct report *r = arg;
	struct pinned p;
	bool found = false;
	json_t *o;

	if (mount_status(dir, &text, &found, err) < 0)
		return -1;
	if (!found)
		return 0; /* it went while we looked */
	o = json_loadb(text.data, text.size, 0, NULL);
	if (o == NULL)
		return dm_fail(err, DM_IO, "%s: its daemon's answer is no JSON",
		    dir);
	hide_queries(o);
	look_up_pin(o, &p);
	r->n++;
	if (p.differs || strcmp(string(o, "state"), "ok") != 0)
		r->wrong++;
	if (r->json)
		add_json(r, o, &p);
	else
		print_mount(o, &p);
	json_decref(o);
	return 0;
}

static int
show_dead(void *arg, const char *dir, struct dm_err *err)
{
	struct report *r = arg;

	(void)err;
	r->wrong++;
	if (r->json)
		(void)json_array_append_new(r->all,
		    json_pack("{s:o,s:s,s:b}", "dir", json_string(dir), "state",
			"dead", "as_pinned", 0));
	else
		printf("%s\n  state    dead: `datamount umount %s` cleans up\n",
		    dir, dir);
	return 0;
}

static int
show_all(struct report *r, struct dm_err *err)
{
	if (mount_each(show, r, err) < 0)
		return -1;
	return mount_each_dead(show_dead, r, err);
}

/* The user named a directory: nothing there is a failure. */
static int
show_one(struct report *r, const char *dir, struct dm_err *err)
{
	char at[PATH_MAX];
	bool found = false;

	if (show(r, dir, err) < 0)
		return -1;
	if (r->n > 0)
		return 0;
	if (mount_of(dir, at, &found, err) < 0)
		return -1;
	if (found)
		return dm_fail(err, DM_NOTFOUND,
		    "the daemon of the mount at %s is dead, or another "
		    "user's: `datamount umount %s` cleans up",
		    at, at);
	return dm_fail(err, DM_NOTFOUND,
	    "nothing of datamount is mounted at %s", dir);
}

static void
print_all(const struct report *r)
{
	char *dump;

	if (!r->json)
		return;
	dump = json_dumps(r->all, JSON_INDENT(2));
	if (dump != NULL)
		printf("%s\n", dump);
	free(dump);
}

static int
run_status(int argc, char **argv, struct dm_err *err)
{
	struct report r = { .all = json_array() };
	struct cmd_args a;
	int rc;

	if (cmd_parse(&a, &cmd_status, argc, argv, 0, 1, err) < 0) {
		json_decref(r.all);
		return -1;
	}
	r.json = cmd_flag(&a, "json");
	r.check = cmd_flag(&a, "check");
	rc = a.n > 0 ? show_one(&r, a.operands[0], err) : show_all(&r, err);
	if (rc == 0)
		print_all(&r);
	json_decref(r.all);
	if (rc < 0)
		return -1;
	return r.check && r.wrong > 0 ? CMD_FAILED : CMD_DONE;
}

static const struct cmd_option options[] = {
	{ "json", 0, NULL, "as a JSON array, one object a mount" },
	{ "check", 0, NULL, "fail if a mount is not what its pin says" },
	{ 0 },
};

const struct cmd cmd_status = {
	.name = "status",
	.args = "[DIR]",
	.help = "what is mounted, from where, and how it fares",
	.options = options,
	.run = run_status,
};
