/*
 * What system calls say of a directory.  For a read-only mount that is what
 * they say of any read-only file system with the same content: a test compares
 * the lines.  See the usage below.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char usage[] =
    "usage: posix changes|answers DIR SCRATCH\n"
    "Print, a line each, what system calls answer that would change\n"
    "something in DIR, or that would not.  DIR has the files \"file\" of 10000\n"
    "bytes and the script \"exec\", the directories \"empty\" and \"sub\", which\n"
    "has the file \"inner\", and the symlinks \"link\" to \"file\", \"dangling\",\n"
    "and \"loop\" to itself.  SCRATCH is a writable directory elsewhere.\n";

enum { PAGE = 4096, SIZE = 10000 };

static int scratch = -1;

/* rc is what a system call returned: print that, or its errno. */
static void
say(const char *name, long rc)
{
	printf("%s: %s\n", name, rc < 0 ? strerrorname_np(errno) : "OK");
}

static void
say_number(const char *name, long long n)
{
	printf("%s: %lld\n", name, n);
}

static void
die(const char *what)
{
	perror(what);
	exit(2);
}

static int
must_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		die(path);
	return fd;
}

/* ---- what would change something ---- */

static void
change_by_open(void)
{
	say("open O_WRONLY", open("file", O_WRONLY));
	say("open O_RDWR", open("file", O_RDWR));
	say("open O_APPEND", open("file", O_WRONLY | O_APPEND));
	say("open O_TRUNC", open("file", O_WRONLY | O_TRUNC));
	say("open O_RDONLY|O_TRUNC", open("file", O_RDONLY | O_TRUNC));
	say("open O_CREAT", open("new", O_RDONLY | O_CREAT, 0600));
	say("open O_CREAT|O_WRONLY", open("new", O_WRONLY | O_CREAT, 0600));
	say("open O_CREAT|O_EXCL",
	    open("new", O_RDWR | O_CREAT | O_EXCL, 0600));
	say("open O_CREAT|O_EXCL of a file",
	    open("file", O_RDWR | O_CREAT | O_EXCL, 0600));
	say("open O_CREAT below", open("sub/new", O_RDWR | O_CREAT, 0600));
	say("open O_CREAT by dangling",
	    open("dangling", O_RDWR | O_CREAT, 0600));
	say("open O_TMPFILE", open(".", O_RDWR | O_TMPFILE, 0600));
	say("open O_WRONLY of a directory", open("sub", O_WRONLY));
	say("open O_WRONLY of a link", open("link", O_WRONLY));
	say("creat", creat("new", 0600));
	say("creat of a file", creat("file", 0600));
	say("truncate", truncate("file", 1));
	say("truncate longer", truncate("file", 2L * SIZE));
	say("truncate of a directory", truncate("sub", 0));
	say("access W_OK", access("file", W_OK));
	say("access W_OK of a directory", access("sub", W_OK));
	say("faccessat W_OK", faccessat(AT_FDCWD, "file", W_OK, AT_EACCESS));
	say("swapon", swapon("file", 0));
}

static void
change_by_descriptor(void)
{
	int fd = must_open("file", O_RDONLY), path = must_open("file", O_PATH);
	int from = openat(scratch, "spare", O_RDWR | O_CREAT, 0600), pipes[2];
	off_t at = 0;

	if (from < 0 || write(from, "abc", 3) != 3 || pipe(pipes) < 0 ||
	    write(pipes[1], "abc", 3) != 3)
		die("scratch");
	say("write", write(fd, "x", 1));
	say("pwrite", pwrite(fd, "x", 1, 0));
	say("ftruncate", ftruncate(fd, 0));
	say("fallocate", fallocate(fd, 0, 0, 2L * SIZE));
	say("fallocate punch",
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	say("copy_file_range into", copy_file_range(from, &at, fd, NULL, 3, 0));
	say("sendfile into", sendfile(fd, from, &at, 3));
	say("splice into", splice(pipes[0], NULL, fd, NULL, 3, 0));
	say("ioctl FICLONE", ioctl(fd, FICLONE, from));
	say("fchmod", fchmod(fd, 0600));
	say("fchmod of O_PATH", fchmod(path, 0600));
	say("fchown", fchown(fd, 1, 1));
	say("fchownat AT_EMPTY_PATH", fchownat(fd, "", 1, 1, AT_EMPTY_PATH));
	say("futimens", futimens(fd, NULL));
	say("fsetxattr", fsetxattr(fd, "user.x", "y", 1, 0));
	say("fremovexattr", fremovexattr(fd, "user.datamount.digest"));
	say("linkat AT_EMPTY_PATH",
	    linkat(fd, "", AT_FDCWD, "new", AT_EMPTY_PATH));
	say("mmap PROT_WRITE, shared",
	    (long)mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0));
	say("mprotect PROT_WRITE of a shared mapping",
	    mprotect(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), PAGE,
		PROT_WRITE));
}

static void
change_flags(void)
{
	struct fsxattr extended = { 0 };
	int fd = must_open("file", O_RDONLY), flags = FS_APPEND_FL;

	say("ioctl FS_IOC_SETFLAGS", ioctl(fd, FS_IOC_SETFLAGS, &flags));
	say("ioctl FS_IOC_FSSETXATTR", ioctl(fd, FS_IOC_FSSETXATTR, &extended));
}

static void
change_names(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX,
		.sun_path = "new" };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	say("mkdir", mkdir("new", 0700));
	say("mkdir of what is there", mkdir("sub", 0700));
	say("mkdirat", mkdirat(AT_FDCWD, "sub/new", 0700));
	say("mkdir in what is not there", mkdir("none/new", 0700));
	say("mkdir in a file", mkdir("file/new", 0700));
	say("mknod fifo", mknod("new", S_IFIFO | 0600, 0));
	say("mknod file", mknod("new", S_IFREG | 0600, 0));
	say("mknod device", mknod("new", S_IFCHR | 0600, 0x103));
	say("mknod of what is there", mknod("file", S_IFIFO | 0600, 0));
	say("bind", bind(s, (struct sockaddr *)&address, sizeof(address)));
	say("symlink", symlink("file", "new"));
	say("symlink of what is there", symlink("file", "link"));
	say("link", link("file", "new"));
	say("link from elsewhere",
	    linkat(scratch, "spare", AT_FDCWD, "new", 0));
	say("link to elsewhere", linkat(AT_FDCWD, "file", scratch, "new", 0));
	say("rmdir", rmdir("empty"));
	say("rmdir of one that is not empty", rmdir("sub"));
	say("rmdir of a file", rmdir("file"));
	say("rmdir of what is not there", rmdir("none"));
	say("unlink", unlink("file"));
	say("unlink of a link", unlink("link"));
	say("unlink of a directory", unlink("sub"));
	say("unlink of what is not there", unlink("none"));
	say("unlinkat AT_REMOVEDIR", unlinkat(AT_FDCWD, "empty", AT_REMOVEDIR));
	say("rename", rename("file", "new"));
	say("rename of a directory", rename("empty", "new"));
	say("rename over", rename("file", "exec"));
	say("rename of what is not there", rename("none", "new"));
	say("renameat to elsewhere",
	    renameat(AT_FDCWD, "file", scratch, "new"));
	say("renameat from elsewhere",
	    renameat(scratch, "spare", AT_FDCWD, "new"));
	say("renameat2 RENAME_NOREPLACE",
	    renameat2(AT_FDCWD, "file", AT_FDCWD, "new", RENAME_NOREPLACE));
	say("renameat2 RENAME_NOREPLACE over",
	    renameat2(AT_FDCWD, "file", AT_FDCWD, "exec", RENAME_NOREPLACE));
	say("renameat2 RENAME_EXCHANGE",
	    renameat2(AT_FDCWD, "file", AT_FDCWD, "exec", RENAME_EXCHANGE));
	say("renameat2 RENAME_WHITEOUT",
	    renameat2(AT_FDCWD, "file", AT_FDCWD, "new", RENAME_WHITEOUT));
}

static void
change_attributes(void)
{
	static const struct timespec times[2] = { { 1, 0 }, { 2, 0 } };
	static const char acl[] = "\2\0\0\0";

	say("chmod", chmod("file", 0600));
	say("chmod of a directory", chmod("sub", 0700));
	say("chmod of what is not there", chmod("none", 0700));
	say("fchmodat", fchmodat(AT_FDCWD, "sub/inner", 0600, 0));
	say("chown", chown("file", 1, 1));
	say("chown to the same", chown("file", (uid_t)-1, (gid_t)-1));
	say("lchown", lchown("link", 1, 1));
	say("utimensat", utimensat(AT_FDCWD, "file", times, 0));
	say("utimensat now", utimensat(AT_FDCWD, "file", NULL, 0));
	say("utimensat of a link",
	    utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW));
	say("utimensat of a directory", utimensat(AT_FDCWD, "sub", times, 0));
	say("setxattr", setxattr("file", "user.x", "y", 1, 0));
	say("setxattr of a directory", setxattr("sub", "user.x", "y", 1, 0));
	say("setxattr security", setxattr("file", "security.x", "y", 1, 0));
	say("setxattr acl",
	    setxattr("file", "system.posix_acl_access", acl, 4, 0));
	say("lsetxattr of a link", lsetxattr("link", "trusted.x", "y", 1, 0));
	say("removexattr", removexattr("file", "user.datamount.digest"));
	say("removexattr of what is not there", removexattr("file", "user.x"));
}

/* ---- what would not ---- */

static void
answer_names(void)
{
	static char long_name[PAGE + 100];
	struct stat st;

	memset(long_name, 'x', 256);
	say("stat of what is not there", stat("none", &st));
	say("stat of nothing", stat("", &st));
	say("stat in what is not there", stat("none/none", &st));
	say("stat in a file", stat("file/none", &st));
	say("stat of a file, slash", stat("file/", &st));
	say("stat of a file, dot", stat("file/.", &st));
	say("stat of a file, dots", stat("file/../file", &st));
	say("stat of a link, slash", stat("link/", &st));
	say("stat of a directory, slash", stat("sub/", &st));
	say("stat by dots", stat("sub/../file", &st));
	say("stat of a loop", stat("loop", &st));
	say("lstat of a loop", lstat("loop", &st));
	say("stat below a loop", stat("loop/x", &st));
	say("stat of dangling", stat("dangling", &st));
	say("stat of 256 bytes", stat(long_name, &st));
	say("open of 256 bytes", open(long_name, O_RDONLY));
	long_name[255] = '\0';
	say("stat of 255 bytes", stat(long_name, &st));
	memset(long_name, 'x', PAGE + 1);
	say("stat of 4097 bytes", stat(long_name, &st));
	say("open of a link, O_NOFOLLOW", open("link", O_RDONLY | O_NOFOLLOW));
	say("open of a file, O_DIRECTORY",
	    open("file", O_RDONLY | O_DIRECTORY));
	say("open O_CREAT of a file", open("file", O_RDONLY | O_CREAT, 0600));
	say("open O_CREAT of a directory",
	    open("sub", O_RDONLY | O_CREAT, 0600));
	say("open O_NOATIME", open("file", O_RDONLY | O_NOATIME));
	say("chdir to a file", chdir("file"));
	say("readlink of a file", readlink("file", long_name, 10));
	say_number("readlink, short", readlink("link", long_name, 2));
	say("access R_OK", access("file", R_OK));
	say("access X_OK of a file", access("file", X_OK));
	say("access X_OK of a program", access("exec", X_OK));
	say("access X_OK of a directory", access("sub", X_OK));
	say("access F_OK of what is not there", access("none", F_OK));
}

static void
answer_modes(void)
{
	static const char *const names[] = { ".", "file", "exec", "sub", "link",
		"sub/inner", "loop" };
	struct statx x;
	struct stat st;
	dev_t dev;

	if (stat(".", &st) < 0)
		die(".");
	dev = st.st_dev;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (statx(AT_FDCWD, names[i], AT_SYMLINK_NOFOLLOW,
			STATX_BASIC_STATS, &x) < 0 ||
		    lstat(names[i], &st) < 0)
			die(names[i]);
		printf("statx of %s: mode %o, basic %d, same device %d, "
		       "mount's root %d, same number %d, size %lld\n",
		    names[i], x.stx_mode,
		    (x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS,
		    st.st_dev == dev,
		    (x.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0,
		    st.st_ino == x.stx_ino,
		    S_ISDIR(st.st_mode) ? 0 : (long long)x.stx_size);
	}
	say("statx of bad flags",
	    statx(AT_FDCWD, "file", 0x40000000, STATX_SIZE, &x));
	say("statx of a bad mask", statx(AT_FDCWD, "file", 0, 0x80000000u, &x));
}

static void
answer_reads(void)
{
	static char buf[4 * PAGE] __attribute__((aligned(4096)));
	int fd = must_open("file", O_RDONLY), dir = must_open("sub", O_RDONLY);
	int path = must_open("file", O_PATH);
	int direct = open("file", O_RDONLY | O_DIRECT | O_CLOEXEC);
	char *nowhere =
	    mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct stat st;

	say_number("read", read(fd, buf, sizeof(buf)));
	say_number("read at the end", read(fd, buf, sizeof(buf)));
	say_number("pread behind the end", pread(fd, buf, 1, 1L << 40));
	say("pread before the begin", pread(fd, buf, 1, -1));
	say("pread to nowhere", pread(fd, nowhere, 1, 0));
	say_number("pread of nothing", pread(fd, buf, 0, 0));
	say("read of a directory", read(dir, buf, 1));
	say("read of O_PATH", read(path, buf, 1));
	say("fstat of O_PATH", fstat(path, &st));
	say("O_DIRECT", direct);
	say_number("O_DIRECT all", pread(direct, buf, sizeof(buf), 0));
	say_number("O_DIRECT further on", pread(direct, buf, PAGE, 2L * PAGE));
	say_number("O_DIRECT at the end", pread(direct, buf, PAGE, 3L * PAGE));
	say("lseek before the begin", lseek(fd, -1, SEEK_SET));
	say_number("lseek behind the end", lseek(fd, 2L * SIZE, SEEK_SET));
	say_number("read there", read(fd, buf, 1));
	say_number("SEEK_DATA", lseek(fd, 7, SEEK_DATA));
	say_number("SEEK_HOLE", lseek(fd, 7, SEEK_HOLE));
	say_number("SEEK_DATA of the last byte",
	    lseek(fd, SIZE - 1, SEEK_DATA));
	say_number("SEEK_HOLE of the last byte",
	    lseek(fd, SIZE - 1, SEEK_HOLE));
	say("SEEK_DATA at the end", lseek(fd, SIZE, SEEK_DATA));
	say("SEEK_HOLE at the end", lseek(fd, SIZE, SEEK_HOLE));
	say("SEEK_DATA before the begin", lseek(fd, -1, SEEK_DATA));
	say("lseek of a bad kind", lseek(fd, 0, 77));
	say("posix_fadvise", -posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
	say("readahead", readahead(fd, 0, SIZE));
	say("fsync", fsync(fd));
	say("fdatasync", fdatasync(fd));
	say("fsync of a directory", fsync(dir));
	say("syncfs", syncfs(fd));
}

static sigjmp_buf on_bus;

static void
bus(int signal_number)
{
	(void)signal_number;
	siglongjmp(on_bus, 1);
}

static void
touch(const char *name, const volatile char *at)
{
	if (sigsetjmp(on_bus, 1) == 0)
		say_number(name, *at);
	else
		printf("%s: SIGBUS\n", name);
}

static void
answer_mappings(void)
{
	int fd = must_open("file", O_RDONLY);
	char *map = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	char *own =
	    mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char byte = 0;

	(void)signal(SIGBUS, bus);
	if (map == MAP_FAILED || own == MAP_FAILED)
		die("mmap");
	touch("mapping, last byte", map + SIZE - 1);
	touch("mapping, behind it", map + SIZE);
	touch("mapping, end of that page", map + 3 * PAGE - 1);
	touch("mapping, next page", map + 3 * PAGE);
	*own = 'x';
	(void)!pread(fd, &byte, 1, 0);
	say_number("private mapping is private", *own != byte);
	say("msync", msync(map, 3 * PAGE, MS_SYNC));
	say("mmap PROT_EXEC",
	    (long)mmap(NULL, PAGE, PROT_EXEC, MAP_PRIVATE, fd, 0));
	say("mprotect PROT_EXEC", mprotect(map, PAGE, PROT_READ | PROT_EXEC));
	say("mmap of a directory",
	    (long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE,
		must_open("sub", O_RDONLY), 0));
}

static void
answer_programs(void)
{
	char *argv[] = { NULL };

	/* On a noexec mount they return. */
	say("execve", execve("./exec", argv, argv));
	say("execve of a file", execve("./file", argv, argv));
	say("execve of a directory", execve("./sub", argv, argv));
	say("fexecve", fexecve(must_open("exec", O_RDONLY), argv, argv));
}

/* As another process sees it. */
static void
say_of_child(const char *name, int fd, int command, struct flock *lock)
{
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		say(name, fcntl(fd, command, lock));
		(void)fflush(stdout);
		_exit(0);
	}
	if (waitpid(pid, NULL, 0) != pid)
		die("fork");
}

static void
answer_locks(void)
{
	struct flock shared = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	struct flock exclusive = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = must_open("file", O_RDONLY),
	    again = must_open("file", O_RDONLY);
	int dir = must_open("sub", O_RDONLY);

	say("flock LOCK_SH", flock(fd, LOCK_SH | LOCK_NB));
	say("flock LOCK_SH again", flock(again, LOCK_SH | LOCK_NB));
	say("flock LOCK_EX of a shared one", flock(again, LOCK_EX | LOCK_NB));
	say("flock LOCK_UN", flock(fd, LOCK_UN));
	say("flock LOCK_EX", flock(again, LOCK_EX | LOCK_NB));
	say("flock LOCK_SH of an exclusive one", flock(fd, LOCK_SH | LOCK_NB));
	say("flock LOCK_UN", flock(again, LOCK_UN));
	say("flock of a directory", flock(dir, LOCK_EX | LOCK_NB));
	say("F_SETLK F_RDLCK", fcntl(fd, F_SETLK, &shared));
	say("F_SETLK F_WRLCK", fcntl(fd, F_SETLK, &exclusive));
	say_of_child("F_SETLK F_RDLCK of another", again, F_SETLK, &shared);
	say("F_OFD_SETLK F_RDLCK", fcntl(fd, F_OFD_SETLK, &shared));
	say("F_OFD_SETLK F_RDLCK again", fcntl(again, F_OFD_SETLK, &shared));
	say("F_OFD_SETLK F_WRLCK", fcntl(fd, F_OFD_SETLK, &exclusive));
	say("F_GETLK", fcntl(fd, F_GETLK, &exclusive));
	say_number("F_GETLK finds a reader", exclusive.l_type == F_RDLCK);
}

static long
open_how(const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags, .resolve = resolve };
	int dir = must_open(".", O_PATH);

	return syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static void
answer_openat2(void)
{
	say("RESOLVE_BENEATH", open_how("sub/../file", 0, RESOLVE_BENEATH));
	say("RESOLVE_BENEATH by a link", open_how("link", 0, RESOLVE_BENEATH));
	say("RESOLVE_BENEATH up", open_how("..", 0, RESOLVE_BENEATH));
	say("RESOLVE_BENEATH absolute", open_how("/", 0, RESOLVE_BENEATH));
	say("RESOLVE_IN_ROOT", open_how("/../file", 0, RESOLVE_IN_ROOT));
	say("RESOLVE_NO_SYMLINKS", open_how("link", 0, RESOLVE_NO_SYMLINKS));
	say("RESOLVE_NO_XDEV", open_how("file", 0, RESOLVE_NO_XDEV));
	say("RESOLVE_NO_XDEV up", open_how("..", 0, RESOLVE_NO_XDEV));
	say("RESOLVE_BENEATH to write",
	    open_how("file", O_WRONLY, RESOLVE_BENEATH));
}

/* Watchers see what readers do. */
static void
answer_watches(void)
{
	static char events[PAGE] __attribute__((aligned(8)));
	int fd, watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), fan;
	char byte;

	say("inotify_add_watch",
	    inotify_add_watch(watch, "file", IN_ALL_EVENTS));
	say("inotify_add_watch of a directory",
	    inotify_add_watch(watch, "sub", IN_ALL_EVENTS));
	fd = must_open("file", O_RDONLY);
	(void)!read(fd, &byte, 1);
	close(fd);
	/* Opened, read, closed. */
	say_number("inotify events",
	    read(watch, events, sizeof(events)) /
		(long long)sizeof(struct inotify_event));
	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
	if (fan < 0)
		return; /* only root may */
	say("fanotify_mark",
	    fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN | FAN_CLOSE, AT_FDCWD,
		"file"));
	close(must_open("file", O_RDONLY));
	say_number("fanotify events",
	    read(fan, events, sizeof(events)) /
		(long long)sizeof(struct fanotify_event_metadata));
}

/* Places that no entry has. */
static void
answer_directories(void)
{
	static char buf[PAGE];
	static const off_t places[] = { 0, 3, 4, 77, INT32_MAX, INT64_MAX };
	int dir = must_open("sub", O_RDONLY | O_DIRECTORY);
	int file = must_open("file", O_RDONLY);
	char name[64];

	say("getdents of a file",
	    syscall(SYS_getdents64, file, buf, sizeof(buf)));
	say("getdents into nothing", syscall(SYS_getdents64, dir, buf, 1));
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		(void)snprintf(name, sizeof(name), "getdents at %jd",
		    (intmax_t)places[i]);
		if (lseek(dir, places[i], SEEK_SET) < 0)
			say(name, -1);
		else
			say(name,
			    syscall(SYS_getdents64, dir, buf, sizeof(buf)));
	}
	say("lseek of a directory to before it", lseek(dir, -1, SEEK_SET));
}

static void
changes(void)
{
	change_by_open();
	change_by_descriptor();
	change_flags();
	change_names();
	change_attributes();
}

static void
answers(void)
{
	answer_names();
	answer_modes();
	answer_reads();
	answer_mappings();
	answer_programs();
	answer_locks();
	answer_openat2();
	answer_watches();
	answer_directories();
}

int
main(int argc, char **argv)
{
	if (argc != 4) {
		(void)fputs(usage, stderr);
		return 2;
	}
	scratch = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (scratch < 0 || chdir(argv[2]) < 0)
		die(argv[2]);
	if (strcmp(argv[1], "changes") == 0)
		changes();
	else
		answers();
	return 0;
}
