/*
 * datamount log: the commits behind a ref, newest first.
 *
 * refs/log is a hint; this walks the commits themselves, each checked against
 * the id that its child names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/config.h"
#include "fs/cmd/look.h"

/* A commit that was seen; its text is fetched once. */
struct seen {
	struct digest id;
	struct dm_buf text;
	struct commit commit;
	bool printed;
};

struct history {
	struct repo *repo;
	struct seen **seen; /* in the order in which they were found */
	size_t n, room;
};

static void
history_release(struct history *h)
{
	size_t i;

	for (i = 0; i < h->n; i++) {
		dm_buf_release(&h->seen[i]->text);
		free(h->seen[i]);
	}
	free(h->seen);
}

static bool
is_seen(const struct history *h, const struct digest *id)
{
	size_t i;

	/* Histories are short, and mostly lines: the newest are asked for. */
	for (i = h->n; i > 0; i--) {
		if (digest_equal(&h->seen[i - 1]->id, id))
			return true;
	}
	return false;
}

static int
grow(struct history *h, struct dm_err *err)
{
	size_t room = h->room < 16 ? 16 : 2 * h->room;
	struct seen **p;

	if (h->n < h->room)
		return 0;
	p = realloc(h->seen, room * sizeof(struct seen *));
	if (p == NULL) {
		(void)dm_fail(err, DM_NOMEM, "history of a commit");
		return -1;
	}
	h->seen = p;
	h->room = room;
	return 0;
}

static int
add(struct history *h, const struct digest *id, struct dm_err *err)
{
	struct seen *s;

	if (is_seen(h, id))
		return 0;
	if (grow(h, err) < 0)
		return -1;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return dm_fail(err, DM_NOMEM, "history of a commit");
	s->id = *id;
	s->text.max = DM_COMMIT_MAX;
	h->seen[h->n++] = s;
	return repo_commit(h->repo, id, &s->text, &s->commit, err);
}

/* The newest that was not printed; of equal ones, the one found first. */
static struct seen *
newest(const struct history *h)
{
	struct seen *best = NULL;
	size_t i;

	for (i = 0; i < h->n; i++) {
		struct seen *s = h->seen[i];

		if (!s->printed &&
		    (best == NULL || s->commit.time > best->commit.time))
			best = s;
	}
	return best;
}

static void
print_line(const struct seen *s)
{
	const struct commit *c = &s->commit;
	char hex[DIGEST_HEX + 1], time[LOOK_TIME_TEXT];

	digest_hex(&s->id, hex);
	printf("%s %s %s%s%.*s\n", hex, look_time(time, c->time), c->author,
	    c->author[0] != '\0' ? ": " : "", (int)look_subject(c),
	    c->message != NULL ? c->message : "");
}

static json_t *
commit_json(const struct seen *s)
{
	const struct commit *c = &s->commit;
	json_t *o = json_object(), *parents = json_array();
	char hex[DIGEST_HEX + 1];
	unsigned i;

	digest_hex(&s->id, hex);
	json_object_set_new(o, "commit", json_string(hex));
	for (i = 0; i < c->nparents; i++) {
		digest_hex(&c->parents[i], hex);
		json_array_append_new(parents, json_string(hex));
	}
	json_object_set_new(o, "parents", parents);
	json_object_set_new(o, "time", json_integer((json_int_t)c->time));
	json_object_set_new(o, "author", json_string(c->author));
	json_object_set_new(o, "subject",
	    json_stringn(c->message, look_subject(c)));
	json_object_set_new(o, "files", json_integer((json_int_t)c->files));
	json_object_set_new(o, "bytes", json_integer((json_int_t)c->bytes));
	return o;
}

static int
print_history(struct history *h, uint64_t limit, bool json, struct dm_err *err)
{
	struct look_json array = { 0 };
	struct seen *s;
	unsigned i;

	while (limit-- > 0 && (s = newest(h)) != NULL) {
		s->printed = true;
		if (json)
			look_json_add(&array, commit_json(s));
		else
			print_line(s);
		for (i = 0; limit > 0 && i < s->commit.nparents; i++) {
			if (add(h, &s->commit.parents[i], err) < 0)
				return -1;
		}
		/* Only its id is needed from here on. */
		dm_buf_release(&s->text);
	}
	if (json)
		look_json_end(&array);
	return 0;
}

static int
log_of(struct repo *repo, const struct cmd_args *a, const char *ref,
    struct dm_err *err)
{
	struct history h = { .repo = repo };
	struct resolved r;
	uint64_t limit;
	int rc;

	if (cmd_number(a, "number", false, UINT32_MAX, &limit, err) < 0 ||
	    repo_resolve(repo, ref, &r, err) < 0)
		return -1;
	rc = add(&h, &r.commit, err);
	if (rc == 0)
		rc = print_history(&h, limit, cmd_flag(a, "json"), err);
	history_release(&h);
	return rc;
}

static int
run_log(int argc, char **argv, struct dm_err *err)
{
	struct source_name name;
	struct session s;
	struct cmd_args a;
	int rc;

	if (cmd_parse(&a, &cmd_log, argc, argv, 1, 1, err) < 0 ||
	    config_name_parse(&name, a.operands[0], err) < 0 ||
	    session_open(&s, &a, name.repo, err) < 0)
		return -1;
	rc = session_configured_mirrors(&s, name.repo, err);
	if (rc == 0)
		rc = log_of(s.repo, &a, name.ref, err);
	session_close(&s);
	return rc;
}

static const struct cmd_option options[] = {
	{ "number", 'n', "N", "print at most N commits" },
	{ "json", 0, NULL, "as JSON" },
	CMD_SESSION_OPTIONS,
	{ 0 },
};

const struct cmd cmd_log = {
	.name = "log",
	.args = "REPO[@REF]",
	.help = "list the commits behind a ref: id, time, author, subject",
	.options = options,
	.run = run_log,
};
