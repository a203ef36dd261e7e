/* What a command needs to look at a repository: net, cache, repository. */
#include "cache/base/err.h"
#include "cache/cache.h"
#include "cache/net/origin.h"
#include "fs/cmd/cmd.h"
#include "fs/source/source.h"

int
session_open(struct session *s, const struct cmd_args *a, const char *repo,
    struct dm_err *err)
{
	struct cache_options opt = { .dir = cmd_value(a, "cache") };
	uint64_t seconds;

	*s = (struct session){ 0 };
	if (cmd_number(a, "timeout", false, CMD_TIMEOUT_S, &seconds, err) < 0)
		return -1;
	opt.timeout_ms = seconds * 1000;
	if (net_open(&s->net, NULL, err) < 0 ||
	    cache_open(&s->cache, &opt, err) < 0 ||
	    repo_open(&s->repo, s->net, s->cache, repo, opt.timeout_ms, err) <
		0) {
		session_close(s);
		return -1;
	}
	return 0;
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
