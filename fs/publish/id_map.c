#include "fs/publish/id_map.h"

#include <stdlib.h>
#include <string.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"

/* Where id is, or would be. */
static size_t
slot_of(const struct digest *key, size_t room, const struct digest *id)
{
	size_t i;

	memcpy(&i, id->bytes, sizeof(i));
	for (i &= room - 1;
	     !digest_is_zero(&key[i]) && !digest_equal(&key[i], id);
	     i = (i + 1) & (room - 1))
		continue;
	return i;
}

bool
id_map_find(const struct id_map *m, const struct digest *id, uint32_t *value)
{
	size_t i;

	if (m->room == 0)
		return false;
	i = slot_of(m->key, m->room, id);
	if (digest_is_zero(&m->key[i]))
		return false;
	*value = m->value[i];
	return true;
}

static int
grow(struct id_map *m, struct dm_err *err)
{
	size_t room = m->room == 0 ? 256 : 2 * m->room;
	struct digest *key = calloc(room, sizeof(*key));
	uint32_t *value = calloc(room, sizeof(*value));

	if (key == NULL || value == NULL) {
		free(key);
		free(value);
		return dm_fail(err, DM_NOMEM, "list of ids");
	}
	for (size_t i = 0; i < m->room; i++) {
		size_t to;

		if (digest_is_zero(&m->key[i]))
			continue;
		to = slot_of(key, room, &m->key[i]);
		key[to] = m->key[i];
		value[to] = m->value[i];
	}
	id_map_release(m);
	m->key = key;
	m->value = value;
	m->room = room;
	return 0;
}

int
id_map_put(struct id_map *m, const struct digest *id, uint32_t value,
    struct dm_err *err)
{
	size_t i, n = m->n;

	if (digest_is_zero(id))
		return dm_fail(err, DM_CORRUPT, "an id of zeros");
	if (2 * m->n >= m->room && grow(m, err) < 0)
		return -1;
	i = slot_of(m->key, m->room, id);
	m->n = n + (digest_is_zero(&m->key[i]) ? 1 : 0);
	m->key[i] = *id;
	m->value[i] = value;
	return 0;
}

void
id_map_release(struct id_map *m)
{
	free(m->key);
	free(m->value);
	m->key = NULL;
	m->value = NULL;
	m->room = 0;
}
