#include "fs/mount/status.h"

#include <jansson.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/hex.h"
#include "fs/mount/confine.h"
#include "fs/mount/fault.h"
#include "fs/mount/mount.h"
#include "fs/mount/shared.h"
#include "fs/mount/supervisor.h"

enum {
	STATUS_WAITS_MS = 10000, /* requests older than this are named */
	STATUS_WAITS_MAX = 32,   /* so many of them */
};

const char *
status_opcode(unsigned opcode)
{
	switch (opcode) {
	case FUSE_LOOKUP:
		return "lookup";
	case FUSE_GETATTR:
		return "getattr";
	case FUSE_READLINK:
		return "readlink";
	case FUSE_OPEN:
		return "open";
	case FUSE_READ:
		return "read";
	case FUSE_READDIR:
		return "readdir";
	case FUSE_READDIRPLUS:
		return "readdirplus";
	case FUSE_GETXATTR:
		return "getxattr";
	case FUSE_STATFS:
		return "statfs";
	default:
		return "request";
	}
}

static json_t *
number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* Text that may not be UTF-8, a path say: other bytes become question marks. */
static json_t *
text(const char *s)
{
	json_t *j = json_string(s);
	char copy[PATH_MAX + 1];
	size_t n = 0;

	if (j != NULL)
		return j;
	for (; s[n] != '\0' && n < sizeof(copy) - 1; n++)
		copy[n] = (char)((s[n] & 0x80) != 0 ? '?' : s[n]);
	copy[n] = '\0';
	return json_string(copy);
}

/* A path, to be found again by its bytes: in hex too if it is no UTF-8. */
static void
set_path(json_t *o, const char *key, const char *s)
{
	json_t *plain = json_string(s);
	char hex_key[32], *hex;
	size_t n = strlen(s);

	(void)json_object_set_new(o, key, plain != NULL ? plain : text(s));
	if (plain != NULL)
		return;
	hex = malloc(2 * n + 1);
	if (hex == NULL)
		return;
	dm_hex_encode(hex, (const uint8_t *)s, n);
	(void)snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
	(void)json_object_set_new(o, hex_key, json_string(hex));
	free(hex);
}

bool
status_path(const json_t *status, const char *key, char *out, size_t size)
{
	const char *s = json_string_value(json_object_get(status, key)), *hex;
	char hex_key[32];
	size_t n;

	(void)snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
	hex = json_string_value(json_object_get(status, hex_key));
	if (hex == NULL) {
		(void)snprintf(out, size, "%s", s != NULL ? s : "");
		return s != NULL && strlen(s) < size;
	}
	n = strlen(hex) / 2;
	out[0] = '\0';
	if (n >= size || !dm_hex_decode((uint8_t *)out, n, hex))
		return false;
	out[n] = '\0';
	return true;
}

static json_t *
waiting(const struct shared *s)
{
	json_t *list = json_array();
	uint64_t now = dm_now_ms();
	unsigned used = atomic_load(&s->nslots);

	for (unsigned i = 0; i < used && i < SHARED_SLOTS; i++) {
		const struct fuse_in_header *h = (const void *)s->slots[i];
		uint64_t started = s->notes[i].started_ms;

		if (started == 0 || now < started + STATUS_WAITS_MS ||
		    h->unique == 0 || json_array_size(list) == STATUS_WAITS_MAX)
			continue;
		(void)json_array_append_new(list,
		    json_pack("{s:s,s:o,s:o,s:o}", "what",
			status_opcode(h->opcode), "inode", number(h->nodeid),
			"pid", number(s->notes[i].pid), "age_ms",
			number(now - started)));
	}
	return list;
}

static json_t *
counters(const struct shared *s)
{
	json_t *o = json_object();

	for (int i = 0; i < SHARED_STATS; i++)
		(void)json_object_set_new(o, shared_stat_names[i],
		    number(shared_stat(s, (enum shared_stat)i)));
	return o;
}

static json_t *
cache_part(const struct shared_counts *c)
{
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:b}", "hits",
	    number(c->hits), "misses", number(c->misses), "fetched",
	    number(c->fetched), "wasted", number(c->wasted), "bad_disk",
	    number(c->bad_disk), "bad_origin", number(c->bad_origin), "waiting",
	    number(c->waiting), "disk_broken", c->disk_broken != 0);
}

static json_t *
origin_part(const struct shared_counts *c)
{
	return json_pack("{s:o,s:o,s:o,s:o}", "requests", number(c->requests),
	    "bytes", number(c->bytes), "retries", number(c->retries),
	    "failures", number(c->failures));
}

static json_t *
repositories(const struct supervisor *s)
{
	const struct source_file *pin = &s->spec->pin;
	json_t *list = json_array();

	for (unsigned i = 0; i < pin->nrepositories; i++) {
		struct shared_place sum = s->shared->places[i];
		const struct shared_place *p = &sum;
		json_t *o;

		shared_add_place(&sum, &s->places[i]);
		o = json_pack("{s:o,s:o,s:o,s:o,s:o}", "requests",
		    number(p->requests), "bytes", number(p->bytes), "failures",
		    number(p->failures), "bad", number(p->bad), "down_since",
		    p->down_since != 0 ? json_integer(p->down_since) :
					 json_null());

		if (o == NULL)
			continue;
		set_path(o, "url", pin->repository[i]);
		(void)json_array_append_new(list, o);
	}
	return list;
}

/* How files are read, and why so. */
static json_t *
io_part(const struct supervisor *s)
{
	const struct shared *shared = s->shared;
	uint32_t io = atomic_load(&shared->io),
		 broken = atomic_load(&shared->io_broken);
	char why[SHARED_IO_TEXT + 64] = "";

	if (io != SHARED_IO_UNDECIDED)
		(void)snprintf(why, sizeof(why), "%.*s", SHARED_IO_TEXT - 1,
		    shared->io_why);
	if (broken != 0)
		(void)snprintf(why, sizeof(why),
		    "the kernel takes no file of the cache (%s)",
		    strerrorname_np((int)broken));
	return json_pack("{s:s,s:s,s:o}", "asked", mount_io_name(s->spec->io),
	    "mode",
	    io == SHARED_IO_UNDECIDED ?
		"undecided" :
		mount_io_name(io == SHARED_IO_PASSTHROUGH && broken == 0 ?
			MOUNT_IO_PASSTHROUGH :
			MOUNT_IO_DAEMON),
	    "why", text(why));
}

static json_t *
last_error(const struct shared *s)
{
	char why[SHARED_FAULT_TEXT];
	int64_t time = 0;

	if (!fault_last(s, why, sizeof(why), &time))
		return json_null();
	return json_pack("{s:o,s:o}", "time", json_integer(time), "text",
	    text(why));
}

static const char *
state(const struct supervisor *s)
{
	if (!s->usable)
		return "starting";
	if (s->sick)
		return "failing";
	return s->ready ? "ok" : "restarting";
}

static void
set(json_t *o, const char *key, json_t *value)
{
	(void)json_object_set_new(o, key, value);
}

static json_t *
whole(const struct supervisor *s)
{
	const struct mount_spec *spec = s->spec;
	struct shared_counts counts = s->shared->counts;
	char confined[CONFINE_TEXT];
	char commit[DIGEST_HEX + 1];
	json_t *o = json_object();

	shared_add_counts(&counts, &s->counts);
	confine_words(s->shared->confined, confined, sizeof(confined));
	digest_hex(&spec->pin.commit, commit);
	set_path(o, "dir", spec->dir);
	set(o, "state", text(state(s)));
	set(o, "why", s->why[0] != '\0' ? text(s->why) : json_null());
	set_path(o, "repository", spec->pin.repository[0]);
	set(o, "commit", text(commit));
	set(o, "ref", text(spec->pin.ref));
	set_path(o, "path", spec->pin.path);
	set_path(o, "source", spec->source_path);
	set_path(o, "cache_dir", spec->cache_dir);
	set_path(o, "record_trace", spec->record_trace);
	set_path(o, "replay_trace", spec->replay_trace);
	set(o, "timeout_ms", number(spec->timeout_ms));
	set(o, "memory", number(spec->memory));
	set(o, "cache_size", number(spec->cache_size));
	set(o, "io", io_part(s));
	set(o, "all_symlinks", json_boolean(spec->all_symlinks));
	set(o, "allow_other", json_boolean(spec->allow_other));
	set(o, "log", text(s->log));
	set(o, "pid", json_integer(getpid()));
	set(o, "worker", json_integer(s->worker));
	set(o, "warden", json_integer(s->warden.apart.pid));
	set(o, "scout", json_integer(s->scout.apart.pid));
	set(o, "confined", text(confined));
	set(o, "unconfined", json_boolean(spec->unconfined));
	set(o, "foreground", json_boolean(spec->foreground));
	set(o, "since", json_integer(s->since));
	set(o, "worker_since", json_integer(s->worker_since));
	set(o, "restarts", number(s->restarts));
	set(o, "restart_ms", number(s->restart_ms));
	set(o, "slowest_restart_ms", number(s->slowest_ms));
	set(o, "fuse", counters(s->shared));
	set(o, "cache", cache_part(&counts));
	set(o, "origin", origin_part(&counts));
	set(o, "repositories", repositories(s));
	set(o, "waiting", waiting(s->shared));
	set(o, "last_error", last_error(s->shared));
	return o;
}

int
status_json(const struct supervisor *s, struct dm_buf *out, struct dm_err *err)
{
	json_t *o = whole(s);
	char *dump = json_dumps(o, JSON_INDENT(2));
	int rc;

	json_decref(o);
	if (dump == NULL)
		return dm_fail(err, DM_NOMEM, "status");
	rc = dm_buf_printf(out, err, "%s\n", dump);
	free(dump);
	return rc;
}
