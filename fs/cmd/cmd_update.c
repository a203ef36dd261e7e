/* datamount update: move a pin to what a ref is now, and the mount with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/mounting.h"
#include "fs/cmd/pin.h"
#include "fs/source/source.h"

/* One run of the command. */
struct move {
	struct cmd_args args;
	struct pin_place place;
	const char *name;       /* of the .source file, without directories */
	struct source_file pin; /* as it stands in the file */
	bool mounted;
	struct mounting old;  /* what is mounted, or what the pin says */
	struct mounting next; /* what will be */
	bool knows_old;       /* old is loaded */
};

/* Find the pin, and what is mounted. */
static int
look(struct move *m, struct dm_err *err)
{
	const char *dir = m->args.operands[0];
	struct mount_spec *now = &m->old.spec;
	bool found = false;

	if (pin_place(&m->place, dir, cmd_value(&m->args, "source"), err) < 0 ||
	    mounting_current(m->place.dir, now, &m->mounted, err) < 0)
		return -1;
	if (m->mounted && now->source_path[0] != '\0' &&
	    cmd_value(&m->args, "source") == NULL)
		memcpy(m->place.source, now->source_path,
		    sizeof(m->place.source));
	m->name = strrchr(m->place.source, '/') + 1;
	if (pin_read(m->place.source, &m->pin, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND,
		    "there is no %s, so there is no pin to move",
		    m->place.source);
	return 0;
}

/* Start next from what is mounted, or from the options; pin it as now. */
static int
begin_next(struct move *m, struct dm_err *err)
{
	struct mount_spec *spec = &m->next.spec;

	struct source_file pin = m->pin;

	if (pin_absolute(m->place.source, &pin, err) < 0)
		return -1;
	if (m->mounted)
		*spec = m->old.spec;
	else if (mounting_options(&m->next, &m->args, pin.repository[0], err) <
	    0)
		return -1;
	spec->pin = pin;
	if (!m->mounted) {
		m->old.spec = *spec;
		return 0;
	}
	if (cmd_value(&m->args, "cache") != NULL)
		return cmd_usage(err,
		    "update: --cache: the mount keeps the cache that it has");
	return 0;
}

/* An origin that shows an older state of the ref than was pinned from it. */
static int
check_rollback(const struct move *m, const char *ref,
    const struct resolved *now, struct dm_err *err)
{
	if (cmd_flag(&m->args, "allow-rollback"))
		return 0;
	return pin_check_rollback(&m->pin, m->name, ref, now, err);
}

/* Resolve the ref, and load what it means. */
static int
resolve(struct move *m, const char *ref, struct session *s, struct dm_err *err)
{
	struct resolved now;

	if (mounting_check_folder(s, err) < 0 ||
	    repo_resolve(s->repo, ref, &now, err) < 0 ||
	    check_rollback(m, ref, &now, err) < 0)
		return -1;
	m->next.spec.pin.commit = m->pin.commit = now.commit;
	m->pin.ref[0] = '\0';
	m->pin.sequence = now.sequence;
	if (now.name[0] != '\0')
		(void)snprintf(m->pin.ref, sizeof(m->pin.ref), "%s", ref);
	memcpy(m->next.spec.pin.ref, m->pin.ref, sizeof(m->pin.ref));
	m->next.spec.pin.sequence = now.sequence;
	return mounting_load(&m->next, s, true, err);
}

static int
load(struct move *m, const char *ref, struct dm_err *err)
{
	struct dm_err ignored = { 0 };
	struct session s;
	int rc;

	if (session_open_in(&s, &m->next.spec,
		session_brief_ms(m->next.spec.timeout_ms), err) < 0)
		return -1;
	s.repo->allow_rollback = cmd_flag(&m->args, "allow-rollback");
	rc = session_mirrors(&s, &m->next.spec.pin, err);
	if (rc == 0)
		rc = resolve(m, ref, &s, err);
	session_close(&s);
	if (rc < 0)
		return -1;
	if (m->mounted && mounting_fetch(&m->old, false, err) < 0)
		return dm_wrap(err,
		    "what is mounted now could not be mounted again");
	/* Not mounted: it only serves to say what changed. */
	m->knows_old =
	    m->mounted || mounting_fetch(&m->old, false, &ignored) == 0;
	return 0;
}

/* Remount, then write the pin; if that fails, go back. */
static int
apply(struct move *m, struct dm_err *err)
{
	bool lazy = cmd_flag(&m->args, "lazy");
	bool remount = m->mounted &&
	    !digest_equal(&m->old.spec.pin.commit, &m->pin.commit);
	struct dm_err why = { 0 };

	if (remount && mounting_switch(&m->next, &m->old, lazy, err) < 0)
		return -1;
	if (pin_write(m->place.source, &m->pin, err) == 0)
		return 0;
	if (remount && mounting_switch(&m->old, &m->next, true, &why) < 0)
		return dm_wrap(err, "%s; the pin could not be written",
		    why.text);
	return -1;
}

/* "+3 files", "-1.2 MB". */
static void
say_difference(const struct commit *old, const struct commit *now)
{
	bool more_files = now->files >= old->files;
	bool more_bytes = now->bytes >= old->bytes;
	char bytes[CMD_BYTES_TEXT];

	(void)fprintf(stderr, ": %c%llu files, %c%s", more_files ? '+' : '-',
	    (unsigned long long)(more_files ? now->files - old->files :
					      old->files - now->files),
	    more_bytes ? '+' : '-',
	    cmd_bytes(bytes,
		more_bytes ? now->bytes - old->bytes :
			     old->bytes - now->bytes));
}

static void
say_moved(const struct move *m, const struct digest *was)
{
	char old[DIGEST_HEX + 1], new[DIGEST_HEX + 1];

	if (cmd_flag(&m->args, "quiet"))
		return;
	digest_hex(was, old);
	digest_hex(&m->pin.commit, new);
	if (digest_equal(was, &m->pin.commit)) {
		(void)fprintf(stderr,
		    "datamount: %s pins %.12s, which is what %s is now\n",
		    m->name, new,
		    m->pin.ref[0] != '\0' ? m->pin.ref : "was asked for");
		return;
	}
	(void)fprintf(stderr, "datamount: %s: %.12s -> %.12s", m->name, old,
	    new);
	if (m->knows_old)
		say_difference(&m->old.commit, &m->next.commit);
	(void)fputc('\n', stderr);
}

static int
move_pin(struct move *m, int argc, char **argv, struct dm_err *err)
{
	char ref[DM_REF_NAME_MAX + 1];
	struct digest was;

	if (cmd_parse(&m->args, &cmd_update, argc, argv, 1, 2, err) < 0 ||
	    look(m, err) < 0)
		return -1;
	was = m->pin.commit;
	if (snprintf(ref, sizeof(ref), "%s",
		m->args.n == 2 ? m->args.operands[1] : m->pin.ref) >=
	    (int)sizeof(ref))
		return dm_fail(err, DM_INVALID, "ref name longer than %d bytes",
		    DM_REF_NAME_MAX);
	if (ref[0] == '\0')
		return cmd_usage(err,
		    "update: %s was pinned by its id: name the ref to move to",
		    m->name);
	if (begin_next(m, err) < 0 || load(m, ref, err) < 0 ||
	    apply(m, err) < 0)
		return -1;
	say_moved(m, &was);
	return CMD_DONE;
}

static int
run_update(int argc, char **argv, struct dm_err *err)
{
	struct move *m = calloc(1, sizeof(*m));
	int rc;

	if (m == NULL)
		return dm_fail(err, DM_NOMEM, "update");
	mounting_init(&m->old);
	mounting_init(&m->next);
	rc = move_pin(m, argc, argv, err);
	mounting_release(&m->old);
	mounting_release(&m->next);
	free(m);
	return rc;
}

static const struct cmd_option options[] = {
	{ "source", 0, "FILE", "the pin is FILE, not DIR.source" },
	{ "lazy", 0, NULL, "leave the old version to those who use it" },
	CMD_SESSION_OPTIONS,
	{ 0 },
};

const struct cmd cmd_update = {
	.name = "update",
	.args = "DIR [REF]",
	.help = "move a pin to what its ref, or REF, is now, and remount",
	.options = options,
	.run = run_update,
};
