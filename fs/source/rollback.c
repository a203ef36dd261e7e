/*
 * Two commands at once may each add to the file what the other does not know,
 * and the last one wins: what is lost is remembered the next time.
 */
#include "fs/source/rollback.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/hex.h"
#include "cache/base/io.h"
#include "cache/base/log.h"
#include "fs/format/seen_refs.h"
#include "fs/source/source.h"

/* The name as people know it. */
static const char *
short_name(const char *name)
{
	const char *slash = strchr(name, '/');

	return slash != NULL ? slash + 1 : name;
}

int
rollback_compare(const char *origin, const struct resolved *now,
    const struct rollback_before *before, struct dm_err *err)
{
	const char *name = short_name(now->name);
	bool same = digest_equal(&now->commit, before->commit);

	if (now->sequence < before->sequence)
		return dm_fail(err, DM_STALE,
		    "%s shows an older %s than %s: sequence %" PRIu64
		    " after %" PRIu64 "; a stale mirror or a rollback; "
		    "--allow-rollback accepts it",
		    origin, name, before->seen, now->sequence,
		    before->sequence);
	if (now->sequence == before->sequence && !same)
		return dm_fail(err, DM_STALE,
		    "%s shows another %s than %s, with the same sequence "
		    "%" PRIu64 "; a restored copy or a forgery; "
		    "--allow-rollback accepts it",
		    origin, name, before->seen, now->sequence);
	return 0;
}

static int
load(const char *path, struct seen_refs *out, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(SEEN_REFS_MAX);
	bool found = false;

	*out = (struct seen_refs){ 0 };
	if (dm_file_read(AT_FDCWD, path, &text, &found, err) < 0)
		return -1;
	return found ? seen_refs_decode(out, text.data, text.size, err) : 0;
}

static int
save(const char *dir, const char *path, struct seen_refs *seen,
    const struct resolved *now, struct dm_err *err)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(SEEN_REFS_MAX);
	struct seen_ref ref = { .commit = now->commit,
		.sequence = now->sequence };

	(void)snprintf(ref.name, sizeof(ref.name), "%s", now->name);
	if (seen_refs_set(seen, &ref, err) < 0 ||
	    seen_refs_encode(seen, &text, err) < 0 ||
	    dm_mkdirs(dir, 0700, err) < 0)
		return -1;
	return dm_file_replace(AT_FDCWD, path, text.data, text.size, 0600, err);
}

static int
check_seen(const struct seen_refs *seen, const char *origin,
    const struct resolved *now, bool allow, bool *remember, struct dm_err *err)
{
	const struct seen_ref *old = seen_refs_find(seen, now->name);
	struct rollback_before before = { .seen = "this machine has seen" };

	*remember = true;
	if (old == NULL)
		return 0;
	*remember = now->sequence != old->sequence ||
	    !digest_equal(&now->commit, &old->commit);
	before.commit = &old->commit;
	before.sequence = old->sequence;
	return allow ? 0 : rollback_compare(origin, now, &before, err);
}

int
rollback_check(const char *dir, const uint8_t id[REPO_ID_SIZE],
    const char *origin, const struct resolved *now, bool allow,
    struct dm_err *err)
{
	char hex[REPO_ID_HEX + 1], path[PATH_MAX];
	struct seen_refs seen = { 0 };
	struct dm_err why = { 0 };
	bool remember = false;
	int rc;

	dm_hex_encode(hex, id, REPO_ID_SIZE);
	if (snprintf(path, sizeof(path), "%s/%s", dir, hex) >=
	    (int)sizeof(path))
		return dm_fail(err, DM_INVALID, "%s: path too long", dir);
	if (load(path, &seen, &why) < 0) {
		dm_log(DM_LOG_WARN, "refs",
		    "%s: %s: what was seen of its refs is begun anew", path,
		    why.text);
		seen_refs_release(&seen);
	}
	rc = check_seen(&seen, origin, now, allow, &remember, err);
	if (rc == 0 && remember && save(dir, path, &seen, now, &why) < 0)
		dm_log(DM_LOG_WARN, "refs",
		    "what was seen of a ref is not remembered: %s", why.text);
	seen_refs_release(&seen);
	return rc;
}
