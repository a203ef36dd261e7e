#include "cache/moved_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/base/lock.h"
#include "cache/store/shelf.h"

enum {
	TABLE_BYTES = 64 << 20,
	FRESH_MS = 10000, /* not worth to be asked for again */
	BUCKETS = 4096,
};

struct entry {
	struct entry *chain;         /* of its bucket */
	struct entry *newer, *older; /* of all */
	struct digest pack;
	uint64_t at_ms; /* 0: it came from the disk */
	bool kept;      /* on disk */
	bool outdated;  /* has nothing to say, and nor has the disk */
	struct dm_buf text;
	struct moved moved;
};

struct moved_table {
	struct dm_mutex mu; /* guards all below */
	struct entry *bucket[BUCKETS];
	struct entry *newest, *oldest;
	size_t bytes;
};

struct moved_table *
moved_table_new(void)
{
	struct moved_table *t = calloc(1, sizeof(*t));

	if (t != NULL)
		dm_mutex_init(&t->mu, DM_RANK_INDEX);
	return t;
}

static struct entry **
find_locked(struct moved_table *t, const struct digest *pack)
{
	struct entry **p;
	uint32_t h;

	memcpy(&h, pack->bytes, sizeof(h));
	p = &t->bucket[h % BUCKETS];
	while (*p != NULL && !digest_equal(&(*p)->pack, pack))
		p = &(*p)->chain;
	return p;
}

static void
entry_free(struct entry *e)
{
	dm_buf_release(&e->text);
	free(e);
}

void
moved_table_free(struct moved_table *t)
{
	if (t == NULL)
		return;
	for (struct entry *next; t->newest != NULL; t->newest = next) {
		next = t->newest->older;
		entry_free(t->newest);
	}
	dm_mutex_destroy(&t->mu);
	free(t);
}

/* Unlink and free *p. */
static void
drop_locked(struct moved_table *t, struct entry **p)
{
	struct entry *e = *p;

	*p = e->chain;
	*(e->newer != NULL ? &e->newer->older : &t->newest) = e->older;
	*(e->older != NULL ? &e->older->newer : &t->oldest) = e->newer;
	t->bytes -= e->text.size + sizeof(*e);
	entry_free(e);
}

/* What it said is not true any more. */
static void
outdate_locked(struct moved_table *t, struct entry *e)
{
	t->bytes -= e->text.size;
	dm_buf_release(&e->text);
	e->moved = (struct moved){ 0 };
	e->outdated = true;
}

/* The oldest go first; the newest stays. */
static void
shrink_locked(struct moved_table *t)
{
	while (t->bytes > TABLE_BYTES && t->oldest != t->newest)
		drop_locked(t, find_locked(t, &t->oldest->pack));
}

/* An entry of what was decoded; takes the bytes of text. */
static int
make_entry(struct entry **out, const struct digest *pack, struct dm_buf *text,
    struct dm_err *err)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return dm_fail(err, DM_NOMEM, "moved objects");
	if (moved_decode(&e->moved, text->data == NULL ? "" : text->data,
		text->size, err) < 0) {
		free(e);
		return -1;
	}
	e->pack = *pack;
	e->text = *text;
	*text = (struct dm_buf)DM_BUF(text->max);
	*out = e;
	return 0;
}

static void
add_locked(struct moved_table *t, struct entry *e)
{
	*find_locked(t, &e->pack) = e;
	e->older = t->newest;
	*(t->newest != NULL ? &t->newest->newer : &t->oldest) = e;
	t->newest = e;
	t->bytes += e->text.size + sizeof(*e);
	shrink_locked(t);
}

int
moved_table_put(struct moved_table *t, const struct digest *pack,
    struct dm_buf *text, struct dm_err *err)
{
	struct entry *e, **old;

	if (make_entry(&e, pack, text, err) < 0)
		return -1;
	e->at_ms = dm_now_ms();
	dm_lock(&t->mu);
	old = find_locked(t, pack);
	if (*old != NULL)
		drop_locked(t, old);
	add_locked(t, e);
	dm_unlock(&t->mu);
	return 0;
}

/* Is there an entry, of whatever kind? */
static bool
has_entry(struct moved_table *t, const struct digest *pack)
{
	bool has;

	dm_lock(&t->mu);
	has = *find_locked(t, pack) != NULL;
	dm_unlock(&t->mu);
	return has;
}

static bool
read_file(struct dm_buf *text, struct shelf *s, const struct digest *pack)
{
	DM_AUTO(dm_closep) int fd = shelf_get(s, pack, SHELF_MOVED, false);
	struct dm_err err;
	struct stat st;
	void *data;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < 0 ||
	    (uint64_t)st.st_size > MOVED_MAX)
		return false;
	data = dm_buf_extend(text, (size_t)st.st_size, &err);
	return data != NULL &&
	    dm_pread_full(fd, data, (size_t)st.st_size, 0) == st.st_size;
}

bool
moved_table_load(struct moved_table *t, struct shelf *s,
    const struct digest *pack)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(MOVED_MAX);
	struct dm_err err;
	struct entry *e;

	if (!shelf_has(s, pack, SHELF_MOVED) || has_entry(t, pack))
		return false;
	if (!read_file(&text, s, pack) ||
	    make_entry(&e, pack, &text, &err) < 0) {
		shelf_count_bad(s);
		shelf_remove(s, pack, SHELF_MOVED);
		return false;
	}
	e->kept = true;
	dm_lock(&t->mu);
	if (*find_locked(t, pack) == NULL)
		add_locked(t, dm_steal(&e));
	dm_unlock(&t->mu);
	if (e != NULL)
		entry_free(e);
	return true;
}

/* A copy of what is to be written; false: nothing is. */
static bool
take_new(struct moved_table *t, const struct digest *pack, struct dm_buf *copy)
{
	struct dm_err err;
	struct entry *e;
	bool taken;

	dm_lock(&t->mu);
	e = *find_locked(t, pack);
	taken = e != NULL && !e->kept && !e->outdated &&
	    dm_buf_append(copy, e->text.data, e->text.size, &err) == 0;
	if (taken)
		e->kept = true;
	dm_unlock(&t->mu);
	return taken;
}

void
moved_table_keep(struct moved_table *t, struct shelf *s,
    const struct digest *pack)
{
	DM_AUTO(dm_buf_release) struct dm_buf copy = DM_BUF(MOVED_MAX);

	if (!take_new(t, pack, &copy) || !shelf_writable(s))
		return;
	if (shelf_replace(s, pack, SHELF_MOVED, copy.data, copy.size) == 0)
		shelf_worked(s);
	else if (errno != 0)
		shelf_failed(s, errno, "cannot keep where objects moved");
}

bool
moved_table_find(struct moved_table *t, const struct digest *pack,
    uint32_t ordinal, struct moved_place *out, bool *known)
{
	struct entry **p;
	bool found = false;

	dm_lock(&t->mu);
	p = find_locked(t, pack);
	*known = *p != NULL && !(*p)->outdated;
	if (*known) {
		found = moved_find(&(*p)->moved, ordinal, out);
		if (!found && dm_now_ms() - (*p)->at_ms > FRESH_MS) {
			outdate_locked(t, *p);
			*known = false;
		}
	}
	dm_unlock(&t->mu);
	return found;
}

bool
moved_table_knows(struct moved_table *t, const struct digest *pack)
{
	struct entry *e;
	bool knows;

	dm_lock(&t->mu);
	e = *find_locked(t, pack);
	knows = e != NULL && !e->outdated;
	dm_unlock(&t->mu);
	return knows;
}

static bool
points_to(const struct moved *m, const struct digest *pack)
{
	for (uint32_t i = 0; i < m->npacks; i++) {
		struct moved_place at;

		moved_pack_at(m, i, &at);
		if (digest_equal(&at.pack, pack))
			return true;
	}
	return false;
}

bool
moved_table_gone(struct moved_table *t, const struct digest *pack)
{
	uint64_t now = dm_now_ms();
	bool any = false;

	dm_lock(&t->mu);
	for (struct entry *e = t->newest; e != NULL; e = e->older) {
		if (e->outdated || now - e->at_ms <= FRESH_MS ||
		    !points_to(&e->moved, pack))
			continue;
		outdate_locked(t, e);
		any = true;
	}
	dm_unlock(&t->mu);
	return any;
}
