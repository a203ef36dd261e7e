/* tests/unit/two_servers.h - a server to ask, and one that it may send us to.
 */
#ifndef DM_TEST_TWO_SERVERS_H
#define DM_TEST_TWO_SERVERS_H

#include "tests/unit/check.h"

#include "tests/lib/served.h"

struct fixture {
	struct served s, other;
	struct got got;
};

static inline int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct dm_err err = { 0 };

	if (f == NULL || served_open(&f->s, &err) < 0 ||
	    served_open(&f->other, &err) < 0)
		return -1;
	got_init(&f->got);
	*state = f;
	return 0;
}

static inline int
teardown(void **state)
{
	struct fixture *f = *state;

	served_close(&f->s);
	served_close(&f->other);
	got_release(&f->got);
	free(f);
	return 0;
}

#endif
