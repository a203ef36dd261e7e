#include "cache/flight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/clock.h"
#include "cache/base/digest.h"
#include "cache/base/io.h"
#include "cache/cache.h"
#include "cache/fetch.h"
#include "cache/held.h"
#include "cache/pack/codec.h"
#include "cache/store/blob.h"
#include "cache/store/directory.h"

static size_t
bucket_of(const struct blob *b, uint32_t piece)
{
	uint64_t h;

	memcpy(&h, blob_key(b)->bytes, sizeof(h));
	h = (h ^ piece) * 0x9e3779b97f4a7c15U;
	return (size_t)(h >> 32) % FLIGHT_BUCKETS;
}

struct flight *
flight_find(struct flights *t, const struct blob *b, uint32_t piece,
    uint64_t off, uint32_t size)
{
	struct flight *fl = t->bucket[bucket_of(b, piece)];

	while (fl != NULL &&
	    (fl->blob != b || fl->piece != piece ||
		(piece == FETCH_DIR &&
		    (fl->off + fl->tail != off ||
			fl->size - fl->tail != size))))
		fl = fl->chain;
	return fl;
}

void
flight_add(struct flights *t, struct flight *fl)
{
	struct flight **head = &t->bucket[bucket_of(fl->blob, fl->piece)];

	fl->chain = *head;
	*head = fl;
}

void
flight_remove(struct flights *t, struct flight *fl)
{
	struct flight **p = &t->bucket[bucket_of(fl->blob, fl->piece)];

	while (*p != NULL && *p != fl)
		p = &(*p)->chain;
	if (*p == fl)
		*p = fl->chain;
}

void
flight_free(struct flight *fl)
{
	turn_end(&fl->turn);
	watch_end(&fl->watch);
	held_bytes_put(fl->stored);
	free(fl->dir);
	free(fl->gone);
	dm_buf_release(&fl->moved);
	free(fl);
}

void
flight_wake(struct cache_wait *list)
{
	for (struct cache_wait *next; list != NULL; list = next) {
		next = list->next;
		list->next = NULL;
		list->wake(list);
	}
}

static void
wait_fail(struct cache_wait *w, enum dm_code code, const char *text)
{
	w->failed = (int)code;
	free(w->text);
	w->text = strdup(text); /* NULL is read as "no memory" */
}

static void
wait_leave(struct flights *t, struct cache_wait *w)
{
	w->fetch = NULL;
	t->waiting--;
}

struct cache_wait *
flight_take(struct flights *t, struct flight *fl, struct held_bytes *bytes,
    struct directory *dir, const struct dm_err *err)
{
	struct cache_wait *list = fl->waits;

	for (struct cache_wait *w = list; w != NULL; w = w->next) {
		struct cache_held *h = NULL;

		wait_leave(t, w);
		if (err == NULL && bytes == NULL && dir == NULL) {
			w->looks++;
			continue;
		}
		if (err == NULL)
			h = held_add(w->held, fl->blob, fl->piece, bytes, dir);
		if (h != NULL)
			w->held = h;
		else if (err != NULL)
			wait_fail(w, err->code, err->text);
		else
			wait_fail(w, DM_NOMEM, "no memory");
	}
	fl->waits = NULL;
	return list;
}

void
flight_join(struct flights *t, struct flight *fl, struct cache_wait *w)
{
	if (fl->waits == NULL)
		fl->since_ms = dm_now_ms();
	w->fetch = fl;
	w->next = fl->waits;
	fl->waits = w;
	t->waited++;
	t->waiting++;
}

void
flight_pass_on(struct flight *to, struct flight *from)
{
	struct cache_wait **end = &to->waits;

	while (*end != NULL)
		end = &(*end)->next;
	if (to->waits == NULL)
		to->since_ms = from->since_ms;
	*end = from->waits;
	from->waits = NULL;
	for (struct cache_wait *w = *end; w != NULL; w = w->next)
		w->fetch = to;
}

void
flight_expire(struct flights *t, struct flight *fl, uint64_t *next,
    struct cache_wait **list)
{
	uint64_t now = dm_now_ms();
	char hex[DIGEST_HEX + 1], text[DM_ERR_TEXT];

	for (struct cache_wait **p = &fl->waits, *w; (w = *p) != NULL;) {
		uint64_t end = w->deadline_ms + FLIGHT_GRACE_MS;

		if (end > now) {
			if (end < *next)
				*next = end;
			p = &w->next;
			continue;
		}
		*p = w->next;
		digest_hex(&fl->pack, hex);
		(void)snprintf(text, sizeof(text),
		    "%.300s: pack %.12s did not come in the time allowed",
		    origin_name(fl->origin), hex);
		wait_leave(t, w);
		wait_fail(w, DM_OFFLINE, text);
		w->next = *list;
		*list = w;
	}
}

void
flight_collect(struct cache_wait **list, struct cache_wait *more)
{
	for (struct cache_wait *next; more != NULL; more = next) {
		next = more->next;
		more->next = *list;
		*list = more;
	}
}

bool
flight_next_place(struct flight *fl)
{
	uint32_t all = (1U << origin_places(fl->origin)) - 1;

	fl->avoid |= fl->from;
	fl->from = 0;
	return (fl->avoid & all) != 0 && (fl->avoid & all) != all;
}

bool
flight_cancel(struct flights *t, struct cache_wait *w)
{
	struct flight *fl = w->fetch;
	struct cache_wait **p;

	if (fl == NULL)
		return false;
	for (p = &fl->waits; *p != w;)
		p = &(*p)->next;
	*p = w->next;
	w->next = NULL;
	wait_leave(t, w);
	wait_fail(w, DM_CANCELLED, "the reader gave up");
	return true;
}

static int
unpack(struct flight *fl, struct codec *codec, struct held_bytes **plain,
    struct dm_err *err)
{
	const struct pack_object *o = &fl->object;
	struct digest is;

	if (o->codec == PACK_PLAIN) {
		*plain = held_bytes_get(fl->stored);
	} else {
		*plain = held_bytes_new(o->plain_size);
		if (*plain == NULL)
			return dm_fail(err, DM_NOMEM, "a piece of %u bytes",
			    o->plain_size);
		if (codec_decode(codec, o->codec, fl->stored->data, fl->size,
			(*plain)->data, o->plain_size, err) < 0)
			return -1;
	}
	digest_of(&is, (*plain)->data, o->plain_size);
	if (!digest_equal(&is, &o->id))
		return dm_fail(err, DM_CORRUPT,
		    "the bytes do not match their digest");
	return 0;
}

static int
verify(struct flight *fl, struct codec *codec, struct held_bytes **plain,
    struct directory **dir, struct dm_err *err)
{
	uint32_t size = fl->size - fl->tail;
	uint8_t *data;

	if (fl->piece != FETCH_DIR)
		return unpack(fl, codec, plain, err);
	data = malloc(size);
	if (data == NULL)
		return dm_fail(err, DM_NOMEM, "directory of a pack");
	memcpy(data, fl->dir + fl->tail, size);
	return blob_directory_make(fl->blob, data, size, dir, err);
}

/* Is piece n, whose stored bytes these are, as it should be?  Then keep it. */
static void
keep(struct blob *b, struct codec *codec, const struct pack_object *o,
    uint32_t n, const uint8_t *stored)
{
	DM_AUTO(dm_freep) uint8_t *unpacked = NULL;
	struct blob_piece p = {
		.id = o->id, .off = o->plain_off, .size = o->plain_size, .n = n
	};
	const uint8_t *plain = stored;
	struct digest is;
	struct dm_err err;

	if (o->codec != PACK_PLAIN) {
		plain = unpacked = malloc(o->plain_size);
		if (unpacked == NULL ||
		    codec_decode(codec, o->codec, stored, o->stored_size,
			unpacked, o->plain_size, &err) < 0)
			return;
	}
	digest_of(&is, plain, o->plain_size);
	if (digest_equal(&is, &o->id))
		blob_write(b, &p, plain);
}

void
flight_keep_tail(struct flight *fl, struct codec *codec, struct directory *dir)
{
	struct pack_object o;

	if (fl->tail == 0)
		return;
	for (uint32_t n = directory_count(dir); n-- > 0;) {
		if (!directory_objects(dir, n, 1, &o) ||
		    o.stored_off < fl->off ||
		    o.stored_off - fl->off > fl->tail ||
		    fl->tail - (o.stored_off - fl->off) < o.stored_size)
			break;
		keep(fl->blob, codec, &o, n,
		    fl->dir + (o.stored_off - fl->off));
	}
}

static void
say_bad(const struct flight *fl, struct dm_err *err)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&fl->pack, hex);
	if (fl->piece == FETCH_DIR)
		(void)dm_wrap(err, "%s: pack %.12s", origin_name(fl->origin),
		    hex);
	else
		(void)dm_wrap(err, "%s: pack %.12s: object %u",
		    origin_name(fl->origin), hex, fl->piece);
}

int
flight_verify(struct flight *fl, struct codec *codec, struct held_bytes **plain,
    struct directory **dir, struct dm_err *err)
{
	if (verify(fl, codec, plain, dir, err) == 0)
		return 0;
	say_bad(fl, err);
	return -1;
}
