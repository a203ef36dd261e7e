#include "fs/version/known.h"

#include <string.h>

void
known_init(struct known *k)
{
	k->uses = 0;
	memset(k->first, 0, sizeof(k->first));
	memset(k->used, 0, sizeof(k->used));
	dm_mutex_init(&k->mu, DM_RANK_VERSION);
}

void
known_release(struct known *k)
{
	dm_mutex_destroy(&k->mu);
}

static bool
take_locked(struct known *k, int i, struct version_node *out)
{
	if (i < 0)
		return false;
	k->used[i] = ++k->uses;
	*out = k->dir[i];
	return true;
}

static int
find_locked(const struct known *k, uint64_t ino)
{
	for (int i = 0; i < KNOWN; i++)
		if (k->first[i] == ino)
			return i;
	return -1;
}

bool
known_get(struct known *k, uint64_t ino, struct version_node *out)
{
	bool found;

	if (ino == 0)
		return false;
	dm_lock(&k->mu);
	found = take_locked(k, find_locked(k, ino), out);
	dm_unlock(&k->mu);
	return found;
}

/* Of those that hold it, the one with the highest number is the nearest. */
bool
known_above(struct known *k, uint64_t ino, struct version_node *out)
{
	int nearest = -1;
	bool found;

	dm_lock(&k->mu);
	for (int i = 0; i < KNOWN; i++)
		if (k->first[i] != 0 && k->first[i] < ino &&
		    ino <= k->last[i] &&
		    (nearest < 0 || k->first[i] > k->first[nearest]))
			nearest = i;
	found = take_locked(k, nearest, out);
	dm_unlock(&k->mu);
	return found;
}

void
known_add(struct known *k, const struct version_node *node)
{
	int at;

	if (node->kind != TREE_DIR || node->entries == 0)
		return;
	dm_lock(&k->mu);
	at = find_locked(k, node->ino);
	if (at < 0) {
		at = 0;
		for (int i = 1; i < KNOWN; i++)
			if (k->used[i] < k->used[at])
				at = i;
		k->dir[at] = *node;
		k->first[at] = node->ino;
		k->last[at] = node->ino + node->entries;
	}
	k->used[at] = ++k->uses;
	dm_unlock(&k->mu);
}
