/* What a command needs to look at a repository: net, cache, repository. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/cache.h"
#include "cache/net/origin.h"
#include "fs/cmd/cmd.h"
#include "fs/cmd/config.h"
#include "fs/cmd/pin.h"
#include "fs/mount/mount.h"
#include "fs/mount/place.h"
#include "fs/source/source.h"

/* A command that cannot begin should say so soon, however long the reads of a
 * mount may wait. */
uint64_t
session_brief_ms(uint64_t timeout_ms)
{
	enum { BRIEF_MS = 10000 };

	return timeout_ms == 0 || timeout_ms > BRIEF_MS ? BRIEF_MS : timeout_ms;
}

/* Where there is no place for state, there is no state to compare with. */
static int
remember_refs(struct repo *repo, struct dm_err *err)
{
	struct dm_err none = { 0 };
	char state[PATH_MAX];

	if (place_state(state, &none) < 0)
		return 0;
	if (asprintf(&repo->seen_dir, "%s/seen-refs", state) < 0) {
		repo->seen_dir = NULL;
		return dm_fail(err, DM_NOMEM, "session");
	}
	return 0;
}

static int
open_all(struct session *s, const struct cache_options *opt, const char *repo,
    struct dm_err *err)
{
	struct net_options net = { 0 };

	*s = (struct session){ 0 };
	if (net_open(&s->net, &net, err) < 0 ||
	    cache_open(&s->cache, opt, err) < 0 ||
	    repo_open(&s->repo, s->net, s->cache, repo,
		session_brief_ms(opt->timeout_ms), err) < 0 ||
	    remember_refs(s->repo, err) < 0) {
		session_close(s);
		return -1;
	}
	return 0;
}

int
session_open_in(struct session *s, const struct mount_spec *spec,
    uint64_t timeout_ms, struct dm_err *err)
{
	struct cache_options opt = { .dir = spec->cache_dir,
		.memory = spec->memory,
		.limit = spec->cache_size,
		.timeout_ms = timeout_ms };

	return open_all(s, &opt, spec->pin.repository[0], err);
}

int
session_open(struct session *s, const struct cmd_args *a, const char *repo,
    struct dm_err *err)
{
	struct config_options o;
	struct cache_options opt;

	if (config_options(&o, a, repo, err) < 0)
		return -1;
	opt = (struct cache_options){ .dir = o.cache_dir,
		.memory = o.memory,
		.limit = o.cache_size,
		.timeout_ms = o.timeout_ms };
	if (open_all(s, &opt, repo, err) < 0)
		return -1;
	s->repo->allow_rollback = cmd_flag(a, "allow-rollback");
	return 0;
}

int
session_mirrors(struct session *s, const struct source_file *pin,
    struct dm_err *err)
{
	struct origin_place place;

	for (unsigned i = 1; i < pin->nrepositories; i++) {
		if (origin_add_mirror(s->repo->origin, pin->repository[i],
			err) < 0)
			return dm_wrap(err, "mirror %u", i);
		origin_place(s->repo->origin,
		    origin_places(s->repo->origin) - 1, &place);
		if (place.folder != NULL &&
		    pin_check_owner(place.folder, err) < 0)
			return -1;
	}
	return 0;
}

int
session_configured_mirrors(struct session *s, const char *repo,
    struct dm_err *err)
{
	DM_AUTO(dm_freep) struct source_file *pin = calloc(1, sizeof(*pin));

	if (pin == NULL)
		return dm_fail(err, DM_NOMEM, "mirrors");
	(void)snprintf(pin->repository[0], sizeof(pin->repository[0]), "%s",
	    repo);
	pin->nrepositories = 1;
	if (config_mirrors(pin, err) < 0)
		return -1;
	return session_mirrors(s, pin, err);
}

void
session_close(struct session *s)
{
	/* What the cache fetches may go on until the net ends it, and needs its
	 * origin till then. */
	cache_close(s->cache);
	net_close(s->net);
	repo_close(s->repo);
	*s = (struct session){ 0 };
}
