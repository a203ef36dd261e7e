#include "cache/store/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "cache/base/err.h"
#include "cache/base/io.h"

static int
open_listing(DIR **out, int at, const char *name, bool any, struct dm_err *err)
{
	int fd =
	    openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	*out = NULL;
	if (fd < 0 &&
	    (errno == ENOENT || (any && (errno == ENOTDIR || errno == ELOOP))))
		return 0;
	*out = fd < 0 ? NULL : fdopendir(fd);
	if (*out != NULL)
		return 0;
	(void)dm_fail_errno(err, "cache: list %s", name);
	dm_closep(&fd);
	return -1;
}

int
listing_open(DIR **out, int at, const char *name, struct dm_err *err)
{
	return open_listing(out, at, name, false, err);
}

int
listing_open_any(DIR **out, int at, const char *name, struct dm_err *err)
{
	return open_listing(out, at, name, true, err);
}

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int
listing_next(const char **name, DIR *dir, struct dm_err *err)
{
	struct dirent *e;

	do {
		errno = 0;
		/* Our stream. NOLINTNEXTLINE(concurrency-mt-unsafe) */
		e = readdir(dir);
	} while (e != NULL && is_dots(e->d_name));
	*name = e == NULL ? NULL : e->d_name;
	return e == NULL && errno != 0 ?
	    dm_fail_errno(err, "cache: list a directory") :
	    0;
}

void
listing_closep(DIR **dir)
{
	if (*dir != NULL)
		(void)closedir(*dir);
}
