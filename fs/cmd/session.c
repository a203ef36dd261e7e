/* What a command needs to look at a repository: net, cache, repository. */
#include "cache/base/err.h"
#include "cache/cache.h"
#include "cache/net/origin.h"
#include "fs/cmd/cmd.h"
#include "fs/source/source.h"

/* A command that cannot begin should say so soon, however long the reads of a
 * mount may wait. */
uint64_t
session_brief_ms(uint64_t timeout_ms)
{
	enum { BRIEF_MS = 10000 };

	return timeout_ms == 0 || timeout_ms > BRIEF_MS ? BRIEF_MS : timeout_ms;
}

int
session_open_in(struct session *s, const char *cache_dir, uint64_t timeout_ms,
    const char *repo, struct dm_err *err)
{
	struct cache_options opt = { .dir = cache_dir,
		.timeout_ms = timeout_ms };
	struct net_options net = { 0 };

	*s = (struct session){ 0 };
	if (net_open(&s->net, &net, err) < 0 ||
	    cache_open(&s->cache, &opt, err) < 0 ||
	    repo_open(&s->repo, s->net, s->cache, repo,
		session_brief_ms(timeout_ms), err) < 0) {
		session_close(s);
		return -1;
	}
	return 0;
}

int
session_open(struct session *s, const struct cmd_args *a, const char *repo,
    struct dm_err *err)
{
	uint64_t seconds;

	if (cmd_number(a, "timeout", false, CMD_TIMEOUT_S, &seconds, err) < 0)
		return -1;
	return session_open_in(s, cmd_value(a, "cache"), seconds * 1000, repo,
	    err);
}

void
session_close(struct session *s)
{
	/* Fetches end first: they use the origin, which uses the net. */
	cache_close(s->cache);
	repo_close(s->repo);
	net_close(s->net);
	*s = (struct session){ 0 };
}
