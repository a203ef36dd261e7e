#include "cache/moved_table.h"

#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/lock.h"

enum {
	TABLE_BYTES = 64 << 20,
	FRESH_MS = 10000, /* not worth to be asked for again */
};

struct entry {
	struct entry *next; /* newest first */
	struct digest pack;
	uint64_t at_ms;
	struct dm_buf text;
	struct moved moved;
};

struct moved_table {
	struct dm_mutex mu; /* guards all below */
	struct entry *first;
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
	for (struct entry *next; t->first != NULL; t->first = next) {
		next = t->first->next;
		entry_free(t->first);
	}
	dm_mutex_destroy(&t->mu);
	free(t);
}

/* Unlink and free *p. */
static void
drop_locked(struct moved_table *t, struct entry **p)
{
	struct entry *e = *p;

	*p = e->next;
	t->bytes -= e->text.size;
	entry_free(e);
}

static struct entry **
find_locked(struct moved_table *t, const struct digest *pack)
{
	struct entry **p = &t->first;

	while (*p != NULL && !digest_equal(&(*p)->pack, pack))
		p = &(*p)->next;
	return p;
}

/* The oldest go first; the newest stays. */
static void
shrink_locked(struct moved_table *t)
{
	while (t->bytes > TABLE_BYTES && t->first->next != NULL) {
		struct entry **p = &t->first;

		while ((*p)->next != NULL)
			p = &(*p)->next;
		drop_locked(t, p);
	}
}

int
moved_table_put(struct moved_table *t, const struct digest *pack,
    struct dm_buf *text, struct dm_err *err)
{
	struct entry *e = calloc(1, sizeof(*e)), **old;

	if (e == NULL)
		return dm_fail(err, DM_NOMEM, "moved objects");
	if (moved_decode(&e->moved, text->data == NULL ? "" : text->data,
		text->size, err) < 0) {
		free(e);
		return -1;
	}
	e->pack = *pack;
	e->at_ms = dm_now_ms();
	e->text = *text;
	*text = (struct dm_buf)DM_BUF(text->max);
	dm_lock(&t->mu);
	old = find_locked(t, pack);
	if (*old != NULL)
		drop_locked(t, old);
	e->next = t->first;
	t->first = e;
	t->bytes += e->text.size;
	shrink_locked(t);
	dm_unlock(&t->mu);
	return 0;
}

bool
moved_table_find(struct moved_table *t, const struct digest *pack,
    uint32_t ordinal, struct moved_place *out, bool *known)
{
	struct entry **p;
	bool found = false;

	dm_lock(&t->mu);
	p = find_locked(t, pack);
	*known = *p != NULL;
	if (*known) {
		found = moved_find(&(*p)->moved, ordinal, out);
		if (!found && dm_now_ms() - (*p)->at_ms > FRESH_MS) {
			drop_locked(t, p);
			*known = false;
		}
	}
	dm_unlock(&t->mu);
	return found;
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
	for (struct entry **p = &t->first; *p != NULL;) {
		if (now - (*p)->at_ms > FRESH_MS &&
		    points_to(&(*p)->moved, pack)) {
			drop_locked(t, p);
			any = true;
		} else {
			p = &(*p)->next;
		}
	}
	dm_unlock(&t->mu);
	return any;
}
