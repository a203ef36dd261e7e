/* datamount show: what a commit says of itself. */
#include <stdio.h>
#include <string.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/look.h"

/* Lines of free text, indented.  It is UTF-8 without control bytes but
 * newlines and tabs: the decoder saw to it. */
static void
print_message(const char *text, size_t size)
{
	while (size > 0) {
		const char *end = memchr(text, '\n', size);
		size_t n = end != NULL ? (size_t)(end - text) : size;

		printf("%s%.*s\n", n > 0 ? "    " : "", (int)n, text);
		n += end != NULL;
		text += n;
		size -= n;
	}
}

static void
print_text(const struct look *l)
{
	const struct commit *c = &l->commit;
	char hex[DIGEST_HEX + 1], time[LOOK_TIME_TEXT], bytes[CMD_BYTES_TEXT];
	unsigned i;

	digest_hex(&l->ref.commit, hex);
	printf("commit   %s\n", hex);
	if (l->ref.name[0] != '\0')
		printf("ref      %s\n", l->ref.name);
	for (i = 0; i < c->nparents; i++) {
		digest_hex(&c->parents[i], hex);
		printf("parent   %s\n", hex);
	}
	digest_hex(&c->tree, hex);
	printf("tree     %s\n", hex);
	printf("time     %s\n", look_time(time, c->time));
	if (c->author[0] != '\0')
		printf("author   %s\n", c->author);
	printf("entries  %llu\n", (unsigned long long)c->entries);
	printf("files    %llu\n", (unsigned long long)c->files);
	printf("bytes    %llu (%s)\n", (unsigned long long)c->bytes,
	    cmd_bytes(bytes, c->bytes));
	if (c->keys_size > 0)
		printf("%.*s", (int)c->keys_size, c->keys);
	if (c->message_size > 0)
		(void)putchar('\n');
	print_message(c->message, c->message_size);
}

static void
set_digest(json_t *o, const char *key, const struct digest *id)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(id, hex);
	json_object_set_new(o, key, json_string(hex));
}

/* "x-NAME TEXT" lines as an object. */
static json_t *
keys_json(const struct commit *c)
{
	const char *line = c->keys;
	size_t left = c->keys_size;
	json_t *o = json_object();

	while (left > 0) {
		const char *end = memchr(line, '\n', left);
		size_t n = end != NULL ? (size_t)(end - line) : left;
		const char *space = memchr(line, ' ', n);
		size_t key = space != NULL ? (size_t)(space - line) : n;
		char name[256];

		(void)snprintf(name, sizeof(name), "%.*s", (int)key, line);
		if (space != NULL)
			json_object_set_new(o, name,
			    json_stringn(space + 1, n - key - 1));
		n += end != NULL;
		line += n;
		left -= n;
	}
	return o;
}

static void
print_json(const struct look *l)
{
	const struct commit *c = &l->commit;
	json_t *o = json_object(), *parents = json_array();
	char hex[DIGEST_HEX + 1];
	unsigned i;

	set_digest(o, "commit", &l->ref.commit);
	if (l->ref.name[0] != '\0')
		json_object_set_new(o, "ref", json_string(l->ref.name));
	for (i = 0; i < c->nparents; i++) {
		digest_hex(&c->parents[i], hex);
		json_array_append_new(parents, json_string(hex));
	}
	json_object_set_new(o, "parents", parents);
	set_digest(o, "tree", &c->tree);
	json_object_set_new(o, "time", json_integer((json_int_t)c->time));
	json_object_set_new(o, "author", json_string(c->author));
	json_object_set_new(o, "entries", json_integer((json_int_t)c->entries));
	json_object_set_new(o, "files", json_integer((json_int_t)c->files));
	json_object_set_new(o, "bytes", json_integer((json_int_t)c->bytes));
	json_object_set_new(o, "keys", keys_json(c));
	json_object_set_new(o, "message",
	    json_stringn(c->message, c->message_size));
	(void)json_dumpf(o, stdout, JSON_INDENT(2)); /* main looks at stdout */
	(void)putchar('\n');
	json_decref(o);
}

static int
run_show(int argc, char **argv, struct dm_err *err)
{
	struct cmd_args a;
	struct look_name l;

	if (cmd_parse(&a, &cmd_show, argc, argv, 1, 1, err) < 0 ||
	    look_name_open(&l, &a, a.operands[0], err) < 0)
		return -1;
	if (cmd_flag(&a, "json"))
		print_json(&l.look);
	else
		print_text(&l.look);
	look_name_close(&l);
	return CMD_DONE;
}

static const struct cmd_option options[] = {
	{ "json", 0, NULL, "as JSON" },
	CMD_SESSION_OPTIONS,
	{ 0 },
};

const struct cmd cmd_show = {
	.name = "show",
	.args = "REPO[@REF]",
	.help = "print a commit: id, parents, time, author, totals, message",
	.options = options,
	.run = run_show,
};
