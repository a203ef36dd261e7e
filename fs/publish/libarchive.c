#include "fs/publish/libarchive.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "cache/base/err.h"

#define SONAME "libarchive.so.13"

/* Written once. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct libarchive library;
static struct dm_err failure;

#define PLACE(name) { #name, &library.name },

static const struct {
	const char *name;
	void *at;
} places[] = { LIBARCHIVE(PLACE) };

static void
load(void)
{
	void *handle = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL), *found;
	const char *why;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		found = handle != NULL ? dlsym(handle, places[i].name) : NULL;
		if (found == NULL) {
			/* Each thread has a text of its own.
			 * NOLINTNEXTLINE(concurrency-mt-unsafe) */
			why = dlerror();
			(void)dm_fail(&failure, DM_NOTFOUND,
			    "archives cannot be read: %s: install libarchive",
			    why != NULL ? why : places[i].name);
			return;
		}
		memcpy(places[i].at, &found, sizeof(found));
	}
}

const struct libarchive *
libarchive_load(struct dm_err *err)
{
	(void)pthread_once(&once, load);
	if (failure.code == DM_OK)
		return &library;
	*err = failure;
	return NULL;
}
