/* Versions that are about to be mounted. */
#include "fs/cmd/mounting.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/cache.h"
#include "cache/net/origin.h"
#include "fs/cmd/config.h"
#include "fs/cmd/pin.h"
#include "fs/format/limits.h"
#include "fs/mount/status.h"
#include "fs/source/source.h"
#include "fs/version/version.h"

enum {
	/* How long a mount that needs nothing of its origin waits for it, to
	 * see whether it still is the same repository. */
	IDENTIFY_MS = 2000,
	STATUS_MAX = 1 << 20,
};

void
mounting_init(struct mounting *m)
{
	memset(m, 0, sizeof(*m));
	m->text.max = DM_COMMIT_MAX;
	m->spec.notify_fd = -1;
}

void
mounting_release(struct mounting *m)
{
	dm_buf_release(&m->text);
}

/* Where the file of an option is, or will be. */
static int
trace_path(char out[PATH_MAX], const struct cmd_args *a, const char *option,
    struct dm_err *err)
{
	const char *given = cmd_value(a, option), *slash;
	char folder[PATH_MAX], real[PATH_MAX];

	if (given == NULL)
		return 0;
	slash = strrchr(given, '/');
	if (slash != NULL && slash[1] == '\0')
		return cmd_usage(err, "--%s: %s is a folder", option, given);
	if (snprintf(folder, sizeof(folder), "%.*s.",
		slash == NULL ? 0 : (int)(slash + 1 - given),
		given) >= (int)sizeof(folder) ||
	    realpath(folder, real) == NULL ||
	    snprintf(out, PATH_MAX, "%s/%s", real,
		slash == NULL ? given : slash + 1) >= PATH_MAX)
		return dm_fail_errno(err, "--%s %s", option, given);
	return 0;
}

/* Reads that pass the daemon by, it cannot record. */
static int
trace_options(struct mount_spec *spec, const struct cmd_args *a,
    struct dm_err *err)
{
	if (trace_path(spec->record_trace, a, "record-trace", err) < 0 ||
	    trace_path(spec->replay_trace, a, "replay-trace", err) < 0)
		return -1;
	if (spec->record_trace[0] == '\0')
		return 0;
	if (spec->io == MOUNT_IO_PASSTHROUGH)
		return cmd_usage(err,
		    "--record-trace does not see what passes it by: use "
		    "--io=daemon");
	spec->io = MOUNT_IO_DAEMON;
	return 0;
}

int
mounting_options(struct mounting *m, const struct cmd_args *a, const char *repo,
    struct dm_err *err)
{
	struct mount_spec *spec = &m->spec;
	struct config_options o;

	if (config_options(&o, a, repo, err) < 0)
		return -1;
	m->quiet = cmd_flag(a, "quiet");
	memcpy(spec->cache_dir, o.cache_dir, sizeof(spec->cache_dir));
	spec->timeout_ms = o.timeout_ms;
	spec->memory = o.memory;
	spec->cache_size = o.cache_size;
	spec->io = o.io;
	if (trace_options(spec, a, err) < 0)
		return -1;
	spec->all_symlinks = o.all_symlinks;
	spec->allow_other = o.allow_other || geteuid() == 0;
	spec->foreground = cmd_flag(a, "foreground");
	spec->debug = cmd_flag(a, "debug");
	spec->unconfined = secure_getenv("DATAMOUNT_UNCONFINED") != NULL;
	if (o.cache_why != NULL && !m->quiet)
		(void)fprintf(stderr, "datamount: the cache is in %s: %s\n",
		    spec->cache_dir, o.cache_why);
	return 0;
}

static void
closep(struct version **v)
{
	version_close(*v);
}

/* Read what the first ls needs. */
static int
load_root(struct mounting *m, struct session *s, struct dm_err *err)
{
	struct version_options opt = { .all_symlinks = m->spec.all_symlinks };
	DM_AUTO(closep) struct version *v = NULL;
	struct version_node root;
	struct version *whole;
	uint64_t n;

	if (version_open(&v, s->cache, s->repo->origin, &m->commit, &opt, err) <
	    0)
		return -1;
	if (m->spec.pin.path[0] != '\0') {
		whole = dm_steal(&v);
		if (version_open_subtree(&v, whole, m->spec.pin.path, err) < 0)
			return -1;
	}
	version_root(v, &root);
	m->spec.files = root.files;
	m->spec.bytes = root.size;
	m->spec.entries = root.entries;
	return version_children(v, &root, &n, NULL, err);
}

/* Is the repository that answers the one that the pin names? */
static int
check_identity(const struct mounting *m, struct session *s, bool cached,
    struct dm_err *err)
{
	uint64_t timeout_ms = s->repo->timeout_ms;
	bool mirrored = origin_places(s->repo->origin) > 1;
	struct dm_err why = { 0 };
	int rc;

	if ((cached || mirrored) &&
	    (timeout_ms == 0 || timeout_ms > IDENTIFY_MS))
		s->repo->timeout_ms = IDENTIFY_MS;
	rc = repo_identify(s->repo, &why);
	s->repo->timeout_ms = timeout_ms;
	if (rc < 0 && !cached && !(mirrored && why.code == DM_OFFLINE)) {
		*err = why;
		return -1;
	}
	if (rc < 0) {
		if (!m->quiet)
			(void)fprintf(stderr,
			    "datamount: from %s, for the repository "
			    "cannot be asked: %s\n",
			    cached ? "the cache" : "a mirror", why.text);
		return 0;
	}
	if (memcmp(s->repo->id, m->spec.pin.repo_id, REPO_ID_SIZE) != 0)
		return dm_fail(err, DM_INVALID,
		    "%s is another repository than the one that was pinned "
		    "(repository-id): was it replaced? correct the URL in the "
		    ".source file",
		    origin_name(s->repo->origin));
	return 0;
}

int
mounting_load(struct mounting *m, struct session *s, bool compare,
    struct dm_err *err)
{
	struct origin_counts before, after;

	origin_counts(s->repo->origin, &before);
	dm_buf_clear(&m->text);
	if (repo_commit(s->repo, &m->spec.pin.commit, &m->text, &m->commit,
		err) < 0)
		return -1;
	m->spec.commit = m->text.data;
	m->spec.commit_size = m->text.size;
	if (load_root(m, s, err) < 0)
		return dm_wrap(err, "%s", origin_name(s->repo->origin));
	origin_counts(s->repo->origin, &after);
	if (!compare)
		return 0;
	return check_identity(m, s, before.requests == after.requests, err);
}

int
mounting_check_folder(const struct session *s, struct dm_err *err)
{
	const char *folder = origin_folder(s->repo->origin);

	return folder != NULL ? pin_check_owner(folder, err) : 0;
}

int
mounting_fetch(struct mounting *m, bool compare, struct dm_err *err)
{
	struct session s;
	int rc;

	if (session_open_in(&s, &m->spec, session_brief_ms(m->spec.timeout_ms),
		err) < 0)
		return -1;
	rc = mounting_check_folder(&s, err);
	if (rc == 0)
		rc = session_mirrors(&s, &m->spec.pin, err);
	if (rc == 0)
		rc = mounting_load(m, &s, compare, err);
	session_close(&s);
	return rc;
}

/* A string of the status, or "". */
static void
take_text(const json_t *status, const char *key, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(status, key));

	(void)snprintf(out, size, "%s", text != NULL ? text : "");
}

static uint64_t
take_number(const json_t *status, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(status, key));

	return n > 0 ? (uint64_t)n : 0;
}

static bool
take_repositories(const json_t *status, struct source_file *pin)
{
	const json_t *list = json_object_get(status, "repositories");
	size_t n = json_array_size(list), room = sizeof(pin->repository[0]);
	bool whole =
	    status_path(status, "repository", pin->repository[0], room);

	pin->nrepositories = 1;
	for (size_t i = 1; whole && i < n && i < SOURCE_MIRRORS_MAX; i++)
		whole = status_path(json_array_get(list, i), "url",
		    pin->repository[pin->nrepositories++], room);
	return whole;
}

static int
decode_status(const json_t *status, struct mount_spec *spec, struct dm_err *err)
{
	char commit[DIGEST_HEX + 2], io[32];
	bool whole = status_path(status, "dir", spec->dir, sizeof(spec->dir)) &&
	    status_path(status, "source", spec->source_path,
		sizeof(spec->source_path)) &&
	    status_path(status, "cache_dir", spec->cache_dir,
		sizeof(spec->cache_dir)) &&
	    take_repositories(status, &spec->pin) &&
	    status_path(status, "path", spec->pin.path, sizeof(spec->pin.path));

	take_text(status, "commit", commit, sizeof(commit));
	take_text(json_object_get(status, "io"), "asked", io, sizeof(io));
	spec->timeout_ms = take_number(status, "timeout_ms");
	spec->memory = take_number(status, "memory");
	spec->cache_size = take_number(status, "cache_size");
	(void)mount_io_parse(&spec->io, io); /* an older daemon has none */
	spec->all_symlinks =
	    json_is_true(json_object_get(status, "all_symlinks"));
	spec->allow_other =
	    json_is_true(json_object_get(status, "allow_other"));
	spec->unconfined = json_is_true(json_object_get(status, "unconfined"));
	spec->foreground = json_is_true(json_object_get(status, "foreground"));
	/* An older daemon has none. */
	(void)status_path(status, "record_trace", spec->record_trace,
	    sizeof(spec->record_trace));
	(void)status_path(status, "replay_trace", spec->replay_trace,
	    sizeof(spec->replay_trace));
	spec->record_on = true;
	if (!whole ||
	    !digest_parse(&spec->pin.commit, commit, strlen(commit)) ||
	    spec->dir[0] == '\0')
		return dm_fail(err, DM_IO,
		    "its daemon's answer is not complete");
	return 0;
}

int
mounting_current(const char *dir, struct mount_spec *spec, bool *found,
    struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(STATUS_MAX);
	json_t *status;
	int rc;

	memset(spec, 0, sizeof(*spec));
	spec->notify_fd = -1;
	if (mount_status(dir, &text, found, err) < 0)
		return -1;
	if (!*found)
		return 0;
	status = json_loadb(text.data, text.size, 0, NULL);
	if (status == NULL)
		return dm_fail(err, DM_IO, "%s: its daemon's answer is no JSON",
		    dir);
	rc = decode_status(status, spec, err);
	json_decref(status);
	return rc < 0 ? dm_wrap(err, "%s", dir) : 0;
}

int
mounting_switch(const struct mounting *next, const struct mounting *old,
    bool lazy, struct dm_err *err)
{
	struct dm_err why = { 0 };

	/* It would come back, but without whoever started it. */
	if (old->spec.foreground)
		return dm_fail(err, DM_STALE,
		    "%s is mounted with --foreground: end that process, do "
		    "this again, and start it again",
		    old->spec.dir);
	if (mount_unmount(old->spec.dir, lazy, err) < 0)
		return -1;
	if (mount_run(&next->spec, err) == 0)
		return 0;
	if (mount_run(&old->spec, &why) < 0)
		return dm_wrap(err,
		    "nothing is mounted any more (%s); the new version",
		    why.text);
	return dm_wrap(err, "the old version stays; the new one");
}
