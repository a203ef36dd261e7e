#include "fs/cmd/shown.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/net/origin.h"
#include "fs/cmd/config.h"
#include "fs/cmd/mounting.h"
#include "fs/cmd/pin.h"

/* REPO@REF[:PATH], without what a URL may hold in secret. */
static void
say(struct shown *s, const char *ref)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&s->commit, hex);
	if (ref[0] != '\0')
		hex[0] = '\0';
	(void)snprintf(s->text, sizeof(s->text), "%s@%s%.12s%s%.400s",
	    origin_name(s->session.repo->origin), ref, hex,
	    s->path[0] != '\0' ? ":" : "", s->path);
}

/* What is given on the command line is meant rather than what a mount has. */
static int
open_mounted(struct shown *s, struct mount_spec *spec, const struct cmd_args *a,
    struct dm_err *err)
{
	uint64_t seconds;

	if (cmd_value(a, "cache") != NULL)
		return session_open(&s->session, a, spec->pin.repository[0],
		    err);
	if (cmd_number(a, "timeout", false, spec->timeout_ms / 1000, &seconds,
		err) < 0 ||
	    cmd_number(a, "cache-size", true, spec->cache_size,
		&spec->cache_size, err) < 0)
		return -1;
	return session_open_in(&s->session, spec, seconds * 1000, err);
}

/* What is in the file path, which must exist. */
static int
open_pinned(struct shown *s, struct source_file *pin, const char *path,
    const struct cmd_args *a, struct dm_err *err)
{
	bool found = false;

	if (pin_read(path, pin, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND, "there is no %s", path);
	if (pin_absolute(path, pin, err) < 0 ||
	    (pin->repository[0][0] == '/' &&
		pin_check_owner(pin->repository[0], err) < 0))
		return -1;
	return session_open(&s->session, a, pin->repository[0], err);
}

/* The session is open: what of it does pin mean? */
static int
take_pin(struct shown *s, const struct source_file *pin, struct dm_err *err)
{
	if (session_mirrors(&s->session, pin, err) < 0) {
		session_close(&s->session);
		return -1;
	}
	s->commit = pin->commit;
	(void)snprintf(s->path, sizeof(s->path), "%s", pin->path);
	say(s, pin->ref);
	return 0;
}

/* DIR; *found is false if there is neither a mount nor a file. */
static int
find_dir(struct shown *s, const struct cmd_args *a, const char *dir,
    bool *found, struct dm_err *err)
{
	DM_AUTO(dm_freep) struct mount_spec *spec = calloc(1, sizeof(*spec));
	DM_AUTO(dm_freep) struct pin_place *place = calloc(1, sizeof(*place));

	if (spec == NULL || place == NULL)
		return dm_fail(err, DM_NOMEM, "%s", dir);
	if (pin_place(place, dir, NULL, err) < 0 ||
	    mounting_current(place->dir, spec, found, err) < 0)
		return -1;
	memcpy(s->dir, place->dir, sizeof(s->dir));
	if (*found) {
		if (open_mounted(s, spec, a, err) < 0)
			return -1;
		return take_pin(s, &spec->pin, err);
	}
	if (pin_read(place->source, &spec->pin, found, err) < 0)
		return -1;
	if (!*found)
		return dm_fail(err, DM_NOTFOUND,
		    "%s is no mount, and there is no %s", dir, place->source);
	if (open_pinned(s, &spec->pin, place->source, a, err) < 0)
		return -1;
	return take_pin(s, &spec->pin, err);
}

static int
find_file(struct shown *s, const struct cmd_args *a, const char *file,
    struct dm_err *err)
{
	DM_AUTO(dm_freep) struct source_file *pin = calloc(1, sizeof(*pin));
	DM_AUTO(dm_freep) struct pin_place *place = calloc(1, sizeof(*place));

	if (pin == NULL || place == NULL)
		return dm_fail(err, DM_NOMEM, "%s", file);
	/* Its absolute name is what relative repositories count from. */
	if (pin_place(place, ".", file, err) < 0 ||
	    open_pinned(s, pin, place->source, a, err) < 0)
		return -1;
	return take_pin(s, pin, err);
}

static int
resolve_name(struct shown *s, const struct source_name *name,
    struct dm_err *err)
{
	struct resolved now;

	if (session_configured_mirrors(&s->session, name->repo, err) < 0 ||
	    repo_resolve(s->session.repo, name->ref, &now, err) < 0) {
		session_close(&s->session);
		return -1;
	}
	s->commit = now.commit;
	(void)snprintf(s->path, sizeof(s->path), "%s", name->path);
	say(s, now.name[0] != '\0' ? strchr(now.name, '/') + 1 : "");
	return 0;
}

static int
find_name(struct shown *s, const struct cmd_args *a, const char *text,
    struct dm_err *err)
{
	DM_AUTO(dm_freep) struct source_name *name = calloc(1, sizeof(*name));

	if (name == NULL)
		return dm_fail(err, DM_NOMEM, "%s", text);
	if (config_name_parse(name, text, err) < 0 ||
	    session_open(&s->session, a, name->repo, err) < 0)
		return -1;
	return resolve_name(s, name, err);
}

int
shown_find(struct shown *out, const struct cmd_args *a, const char *operand,
    bool names, struct dm_err *err)
{
	struct dm_err why = { 0 };
	bool found = false, name = false;

	memset(out, 0, sizeof(*out));
	if (names && strstr(operand, "://") != NULL)
		return find_name(out, a, operand, err);
	if (names && pin_is_file(operand))
		return find_file(out, a, operand, err);
	if (find_dir(out, a, operand, &found, &why) == 0)
		return 0;
	if (names && !found && why.code == DM_NOTFOUND) {
		if (config_is_short_name(operand, &name, err) < 0)
			return -1;
		out->dir[0] = '\0';
		if (name || strchr(operand, '@') != NULL)
			return find_name(out, a, operand, err);
	}
	*err = why;
	return -1;
}

int
shown_load(struct shown *s, struct dm_err *err)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&s->commit, hex);
	if (look_open(&s->look, s->session.repo, hex, true, err) < 0)
		return -1;
	/* It takes the version over, also if it fails. */
	if (s->path[0] != '\0' &&
	    version_open_subtree(&s->look.version, dm_steal(&s->look.version),
		s->path, err) < 0)
		return -1;
	return 0;
}

void
shown_close(struct shown *s)
{
	look_close(&s->look);
	session_close(&s->session);
}
