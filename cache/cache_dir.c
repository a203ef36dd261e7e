/*
 * Which directory the cache is in.
 *
 * A cache on a network file system would be slower than what it spares, and
 * one on FUSE or an overlay does not tell reliably when a file has changed.
 */
#include "cache/cache.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cache/base/err.h"

static const struct unfit {
	unsigned long type; /* f_type of statfs(2) */
	const char *name;
	const char *why;
} unfit[] = {
	{ 0x6969, "NFS", "the usual place is on NFS" },
	{ 0x517b, "SMB", "the usual place is on SMB" },
	{ 0xff534d42, "SMB", "the usual place is on SMB" },
	{ 0xfe534d42, "SMB", "the usual place is on SMB" },
	{ 0x0bd00bd0, "Lustre", "the usual place is on Lustre" },
	{ 0x47504653, "GPFS", "the usual place is on GPFS" },
	{ 0x00c36400, "Ceph", "the usual place is on Ceph" },
	{ 0x65735546, "FUSE", "the usual place is on FUSE" },
	{ 0x794c7630, "an overlay", "the usual place is on an overlay" },
};

/* The file system of dir, or of what exists above it, if it is unfit; NULL: it
 * is fit, or cannot be asked. */
static const struct unfit *
find_unfit(const char *dir)
{
	char part[PATH_MAX];
	struct statfs fs;

	(void)snprintf(part, sizeof(part), "%s", dir);
	while (statfs(part, &fs) < 0) {
		char *slash = strrchr(part, '/');

		if (slash == NULL || part[1] == '\0')
			return NULL;
		slash[slash == part] = '\0';
	}
	for (size_t i = 0; i < sizeof(unfit) / sizeof(unfit[0]); i++)
		if ((unsigned long)fs.f_type == unfit[i].type)
			return &unfit[i];
	return NULL;
}

const char *
cache_dir_unfit(const char *dir)
{
	const struct unfit *u = find_unfit(dir);

	return u != NULL ? u->name : NULL;
}

/* The environment is read before any thread starts to write it: none does. */
static const char *
absolute(const char *name)
{
	const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe) */

	return value != NULL && value[0] == '/' ? value : NULL;
}

static int
usual_place(char *out, size_t size)
{
	const char *value;

	if (geteuid() == 0)
		return snprintf(out, size, "/var/cache/datamount");
	if ((value = absolute("XDG_CACHE_HOME")) != NULL)
		return snprintf(out, size, "%s/datamount", value);
	if ((value = absolute("HOME")) != NULL)
		return snprintf(out, size, "%s/.cache/datamount", value);
	return snprintf(out, size, "/var/tmp/datamount-%u",
	    (unsigned)geteuid());
}

int
cache_dir_default(char *out, size_t size, const char **why, struct dm_err *err)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): as in absolute() */
	const char *chosen = getenv("DATAMOUNT_CACHE");
	const struct unfit *u = NULL;
	int n;

	*why = NULL;
	if (chosen != NULL && chosen[0] != '\0') {
		if (chosen[0] != '/')
			return dm_fail(err, DM_INVALID,
			    "DATAMOUNT_CACHE=%.100s: give an absolute path",
			    chosen);
		n = snprintf(out, size, "%s", chosen);
	} else {
		n = usual_place(out, size);
		if (n >= 0 && (size_t)n < size)
			u = find_unfit(out);
		if (u != NULL) {
			*why = u->why;
			n = snprintf(out, size, "/var/tmp/datamount-%u",
			    (unsigned)geteuid());
		}
	}
	if (n < 0 || (size_t)n >= size)
		return dm_fail(err, DM_INVALID,
		    "the path of the cache directory is too long");
	return 0;
}
