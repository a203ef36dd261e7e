/* Can this user mount here? */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "fs/cmd/doctor.h"
#include "fs/mount/confine.h"
#include "fs/mount/mount.h"

enum {
	/* With 7.29 (Linux 5.1) directories are opened without asking. */
	DOCTOR_FUSE_MAJOR = 7,
	DOCTOR_FUSE_MINOR = 29,
	/* What a mount asks for; see max_background in the worker. */
	DOCTOR_BACKGROUND = 1024,
	DOCTOR_CONGESTION = 768,
	DOCTOR_CONF_MAX = 1 << 20,
};

#define FUSE_CONF "/etc/fuse.conf" /* fusermount3 reads no other */
#define FUSE_PARAMETERS "/sys/module/fuse/parameters/"

static bool
check_device(struct doctor *d)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		(void)close(fd);
		doctor_say(d, DOCTOR_OK, "fuse", "/dev/fuse can be opened");
		return true;
	}
	doctor_say(d, DOCTOR_FAIL, "fuse", "/dev/fuse: %m");
	if (errno == EACCES || errno == EPERM)
		doctor_fix(d,
		    "chmod 666 /dev/fuse; in a container, --device /dev/fuse");
	else
		doctor_fix(d,
		    "modprobe fuse; in a container, --device /dev/fuse; "
		    "datamount export needs no FUSE");
	return false;
}

/* libfuse looks there first, and then in PATH. */
static bool
find_fusermount(char out[PATH_MAX])
{
	const char *path = secure_getenv("PATH");

	(void)snprintf(out, PATH_MAX, "/usr/bin/fusermount3");
	while (access(out, X_OK) < 0) {
		size_t n;

		if (path == NULL || *path == '\0')
			return false;
		n = strcspn(path, ":");
		(void)snprintf(out, PATH_MAX, "%.*s/fusermount3", (int)n, path);
		path += n + (path[n] == ':');
	}
	return true;
}

/* Does it become root when this user runs it? */
static void
check_setuid(struct doctor *d, const char *path)
{
	struct statvfs fs = { 0 };
	struct stat st = { 0 };

	(void)stat(path, &st);
	(void)statvfs(path, &fs);
	if (st.st_uid != 0 || (st.st_mode & S_ISUID) == 0) {
		/* Some distributions give it a capability instead. */
		if (getxattr(path, "security.capability", NULL, 0) > 0) {
			doctor_say(d, DOCTOR_OK, "fusermount3",
			    "%s has capabilities", path);
			return;
		}
		doctor_say(d, DOCTOR_FAIL, "fusermount3",
		    "%s is not setuid root", path);
		doctor_fix(d, "chown root %s && chmod u+s %s", path, path);
	} else if ((fs.f_flag & ST_NOSUID) != 0) {
		doctor_say(d, DOCTOR_FAIL, "fusermount3",
		    "%s is on a file system mounted nosuid", path);
		doctor_fix(d, "remount it with suid");
	} else if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) {
		doctor_say(d, DOCTOR_FAIL, "fusermount3",
		    "this process may gain no privileges (no_new_privs), so "
		    "that it cannot be setuid");
		doctor_fix(d,
		    "NoNewPrivileges=no in the unit, or "
		    "--security-opt no-new-privileges=false");
	} else {
		doctor_say(d, DOCTOR_OK, "fusermount3", "%s is setuid root",
		    path);
	}
}

static void
check_fusermount(struct doctor *d)
{
	char path[PATH_MAX];

	if (geteuid() == 0) {
		doctor_say(d, DOCTOR_OK, "fusermount3",
		    "root mounts without it");
	} else if (find_fusermount(path)) {
		check_setuid(d, path);
	} else {
		doctor_say(d, DOCTOR_FAIL, "fusermount3",
		    "neither in /usr/bin nor in PATH");
		doctor_fix(d, "apt-get install fuse3");
	}
}

static void
try_mount(struct doctor *d)
{
	unsigned major = 0, minor = 0;
	struct utsname system = { 0 };
	struct dm_err err = { 0 };

	if (mount_try(&major, &minor, &err) < 0) {
		doctor_say(d, DOCTOR_FAIL, "mount", "a trial: %s", err.text);
		doctor_fix(d,
		    "in a container, --cap-add SYS_ADMIN; datamount export "
		    "needs no mount");
		return;
	}
	(void)uname(&system);
	if (major > DOCTOR_FUSE_MAJOR ||
	    (major == DOCTOR_FUSE_MAJOR && minor >= DOCTOR_FUSE_MINOR)) {
		doctor_say(d, DOCTOR_OK, "mount",
		    "a trial mount works; Linux %s speaks FUSE %u.%u",
		    system.release, major, minor);
		return;
	}
	doctor_say(d, DOCTOR_WARN, "mount",
	    "a trial mount works, but Linux %s speaks FUSE %u.%u: slow",
	    system.release, major, minor);
	doctor_fix(d, "a kernel from 5.1 on");
}

/* Is there such a line in fuse.conf?  What else it says is not for us. */
static bool
conf_has(const char *line)
{
	DM_AUTO(dm_buf_release) struct dm_buf text = DM_BUF(DOCTOR_CONF_MAX);
	struct dm_err ignored = { 0 };
	size_t n = strlen(line);
	bool found = false;

	if (dm_file_read(AT_FDCWD, FUSE_CONF, &text, &found, &ignored) < 0 ||
	    !found || text.size == 0)
		return false;
	for (const char *at = text.data; at != NULL; at = strchr(at, '\n')) {
		at += strspn(at, " \t\n");
		if (strncmp(at, line, n) == 0 &&
		    at[n + strspn(at + n, " \t")] == '\n')
			return true;
		if (*at == '\0')
			break;
	}
	return false;
}

static void
check_allow_other(struct doctor *d, bool wanted)
{
	if (geteuid() == 0) {
		doctor_say(d, DOCTOR_OK, "allow-other",
		    "others can read the mounts of root");
	} else if (conf_has("user_allow_other")) {
		doctor_say(d, DOCTOR_OK, "allow-other",
		    "user_allow_other is set in " FUSE_CONF);
	} else if (wanted) {
		doctor_say(d, DOCTOR_FAIL, "allow-other",
		    "wanted, but not allowed in " FUSE_CONF);
		doctor_fix(d, "as root: echo user_allow_other >> " FUSE_CONF);
	} else {
		doctor_say(d, DOCTOR_OK, "allow-other",
		    "not allowed in " FUSE_CONF ", and not wanted");
	}
}

static bool
read_number(const char *path, unsigned *out)
{
	FILE *f = fopen(path, "re");
	char text[32] = "";
	char *end = text;

	if (f == NULL)
		return false;
	if (fgets(text, sizeof(text), f) != NULL)
		*out = (unsigned)strtoul(text, &end, 10);
	(void)fclose(f);
	return end != text;
}

/* The kernel grants users no more than this for all their reading ahead, and
 * what waits for the network holds up what does not. */
static void
check_limit(struct doctor *d, const char *path, const char *name,
    unsigned wanted)
{
	unsigned limit = 0;

	if (!read_number(path, &limit)) {
		doctor_say(d, DOCTOR_WARN, name, "%s cannot be read", path);
		doctor_fix(d, "mount sysfs at /sys");
	} else if (limit < wanted) {
		doctor_say(d, DOCTOR_WARN, name,
		    "%u: reads that wait may hold up others", limit);
		doctor_fix(d, "as root: echo %u > %s", wanted, path);
	} else {
		doctor_say(d, DOCTOR_OK, name, "%u", limit);
	}
}

/* What would keep a worker from harm, should an origin get hold of it? */
static void
check_confinement(struct doctor *d)
{
	unsigned parts = confine_supported();
	char words[CONFINE_TEXT];

	confine_words(CONFINE_ALL & ~parts, words, sizeof(words));
	if (parts != CONFINE_ALL) {
		doctor_say(d, DOCTOR_WARN, "confinement",
		    "this kernel lacks %s: mounts do without", words);
		doctor_fix(d,
		    "a kernel from 5.19 on, with landlock and seccomp; see "
		    "datamount-security(7)");
		return;
	}
	confine_words(parts, words, sizeof(words));
	doctor_say(d, DOCTOR_OK, "confinement", "%s", words);
}

void
doctor_fuse(struct doctor *d, bool allow_other)
{
	unsigned failed = d->failed;

	if (check_device(d))
		check_fusermount(d);
	if (d->failed == failed)
		try_mount(d);
	check_allow_other(d, allow_other);
	check_confinement(d);
	if (geteuid() == 0) {
		doctor_say(d, DOCTOR_OK, "max_user_bgreq",
		    "does not bind root");
		return;
	}
	check_limit(d, FUSE_PARAMETERS "max_user_bgreq", "max_user_bgreq",
	    DOCTOR_BACKGROUND);
	check_limit(d, FUSE_PARAMETERS "max_user_congthresh",
	    "max_user_congthresh", DOCTOR_CONGESTION);
}
