/* The steps of model.h: each is done on both, and compared. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/model.h"

enum {
	PAGE = 4096,
	HEALED_MS = 30000,  /* for what began before the faults went off, or
			     * while the machine was busy with other things */
	FAULTY_MS = 700,    /* then they go off: the steps shall go on */
	KILL_GAP_MS = 1000, /* a request that three died of is given up */
	SLACK_MS = 5000,  /* for workers that start, and disks that are busy */
	OTHER_MS = 60000, /* for what is no call to the mount */
	NAMES_MAX = 8192,
	JUMPS = 6,
};

/* What the origin may do, and what must not come of it: wrong bytes. */
static const char *const faults[] = {
	"/packs/* * status=503",
	"* * drop",
	"/packs/* * reset=100",
	"/packs/* * truncate=1000",
	"/packs/* * flip=5000",
	"/packs/* * html",
	"/packs/* * norange",
	"/packs/* * shift=7",
	"/packs/* * tail=10",
	"/packs/* * short=900",
	"* * delay=30",
	"* * hangup",
	"/packs/* * stall=2000",
	"/packs/* * status=404",
};

void
model_die(const char *what)
{
	(void)fprintf(stderr, "model: %s: %m\n", what);
	exit(2); /* NOLINT(concurrency-mt-unsafe): no thread runs */
}

uint64_t
model_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

__attribute__((format(printf, 2, 3))) static int
wrong(struct model_client *c, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(c->why, sizeof(c->why), format, ap);
	va_end(ap);
	return MODEL_WRONG;
}

/* ---- bytes ---- */

static const struct model_entry *
file_of(const struct model_client *c, const struct model_step *s)
{
	return &c->m->files.of[s->entry];
}

static size_t
plain_read(struct model_client *c, const char *path, uint64_t offset,
    size_t length)
{
	int fd = openat(c->m->plain, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		model_die(path);
	n = pread(fd, c->want, length, (off_t)offset);
	if (n < 0)
		model_die(path);
	close(fd);
	return (size_t)n;
}

/* c->got has n bytes from offset on; length were asked for. */
static int
same_bytes(struct model_client *c, const struct model_step *s, uint64_t offset,
    ssize_t n, size_t length)
{
	const char *path = file_of(c, s)->path;
	size_t want = plain_read(c, path, offset, length), at = 0;

	if ((size_t)n != want)
		return wrong(c, "%s at %" PRIu64 ": %zd bytes, not %zu", path,
		    offset, n, want);
	if (memcmp(c->got, c->want, want) == 0)
		return 0;
	while (c->got[at] == c->want[at])
		at++;
	return wrong(c, "%s at %" PRIu64 ": a wrong byte, 0x%02x, not 0x%02x",
	    path, offset + at, (unsigned char)c->got[at],
	    (unsigned char)c->want[at]);
}

/* A read that got n of length bytes ended early, and not at the end: 0, or the
 * errno of what it met. */
static int
early(int fd, uint64_t offset, ssize_t n, size_t length)
{
	char byte;
	ssize_t more;

	if ((size_t)n >= length)
		return 0;
	more = pread(fd, &byte, 1, (off_t)offset + n);
	if (more < 0)
		return errno;
	return more == 0 ? 0 : EIO; /* which has passed */
}

/* The slot's descriptor of the step's file in *fd; else an errno. */
static int
slot_fd(struct model_client *c, const struct model_step *s, int *fd)
{
	int now = c->slots[s->slot].fd;

	if (now < 0 || c->slots[s->slot].file != s->entry) {
		if (now >= 0)
			close(now);
		now = openat(c->m->mount, file_of(c, s)->path,
		    O_RDONLY | O_CLOEXEC);
		c->slots[s->slot].fd = now;
		c->slots[s->slot].file = s->entry;
		if (now < 0)
			return errno;
	}
	*fd = now;
	return 0;
}

static int
do_read(struct model_client *c, const struct model_step *s, int fd)
{
	off_t at = lseek(fd, 0, SEEK_CUR);
	ssize_t n = read(fd, c->got, s->length);
	int rc;

	if (n < 0)
		return errno;
	if (lseek(fd, 0, SEEK_CUR) != at + n)
		return wrong(c, "%s: the offset did not move by %zd",
		    file_of(c, s)->path, n);
	rc = early(fd, (uint64_t)at, n, s->length);
	return rc != 0 ? rc : same_bytes(c, s, (uint64_t)at, n, s->length);
}

static int
do_lseek(struct model_client *c, const struct model_step *s, int fd)
{
	off_t want = (off_t)s->offset, got;

	if (s->length % 2 == 0) {
		got = lseek(fd, -(off_t)(s->offset % PAGE), SEEK_END);
		want = (off_t)file_of(c, s)->size - (off_t)(s->offset % PAGE);
		if (want < 0)
			return got < 0 && errno == EINVAL ?
			    0 :
			    wrong(c, "a seek to before the file");
	} else {
		got = lseek(fd, want, SEEK_SET);
	}
	if (got < 0)
		return errno;
	return got == want ? 0 :
			     wrong(c, "a seek to %jd ends at %jd",
				 (intmax_t)want, (intmax_t)got);
}

static int
do_pread(struct model_client *c, const struct model_step *s, int fd)
{
	ssize_t n = pread(fd, c->got, s->length, (off_t)s->offset);
	int rc = n < 0 ? errno : early(fd, s->offset, n, s->length);

	return rc != 0 ? rc : same_bytes(c, s, s->offset, n, s->length);
}

static int
do_preadv(struct model_client *c, const struct model_step *s, int fd)
{
	size_t first = s->length / 3, length = s->length + 1;
	struct iovec v[3] = {
		{ c->got, first },
		{ c->got + first, 1 },
		{ c->got + first + 1, s->length - first },
	};
	ssize_t n = preadv(fd, v, 3, (off_t)s->offset);
	int rc = n < 0 ? errno : early(fd, s->offset, n, length);

	return rc != 0 ? rc : same_bytes(c, s, s->offset, n, length);
}

/* Blocks alone are what every file system takes. */
static int
do_direct(struct model_client *c, const struct model_step *s)
{
	uint64_t offset = s->offset & ~(uint64_t)(PAGE - 1);
	size_t length = (s->length + PAGE - 1) & ~(size_t)(PAGE - 1);
	int fd = openat(c->m->mount, file_of(c, s)->path,
	    O_RDONLY | O_DIRECT | O_CLOEXEC);
	ssize_t n;
	int rc;

	if (fd < 0)
		return errno;
	n = pread(fd, c->got, length, (off_t)offset);
	rc = n < 0 ? errno : early(fd, offset, n, length);
	close(fd);
	return rc != 0 ? rc : same_bytes(c, s, offset, n, length);
}

static sigjmp_buf on_bus;

static void
bus(int signal_number)
{
	(void)signal_number;
	siglongjmp(on_bus, 1);
}

/* Copied by itself: nothing that setjmp might lose lives here. */
static int
copy_mapped(char *to, const char *from, size_t length)
{
	struct sigaction now = { .sa_handler = bus }, before;
	int rc = 0;

	(void)sigaction(SIGBUS, &now, &before);
	if (sigsetjmp(on_bus, 1) == 0)
		memcpy(to, from, length);
	else
		rc = EIO;
	(void)sigaction(SIGBUS, &before, NULL);
	return rc;
}

static int
do_mmap(struct model_client *c, const struct model_step *s, int fd)
{
	uint64_t size = file_of(c, s)->size, begin, length, pages;
	uint64_t offset = size == 0 ? 0 : s->offset % size;
	char *map;
	int rc;

	if (size == 0)
		return 0;
	begin = offset & ~(uint64_t)(PAGE - 1);
	length = size - begin < s->length ? size - begin : s->length;
	pages = (length + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	if (pages > MODEL_LENGTH)
		pages = length = MODEL_LENGTH;
	map = mmap(NULL, pages, PROT_READ,
	    s->slot == 0 ? MAP_SHARED : MAP_PRIVATE, fd, (off_t)begin);
	if (map == MAP_FAILED)
		return errno;
	rc = copy_mapped(c->got, map, pages);
	(void)munmap(map, pages);
	if (rc != 0)
		return rc;
	/* What the last page has behind the end is zero. */
	for (uint64_t i = size - begin; i < pages; i++)
		if (c->got[i] != 0)
			return wrong(c, "%s: a byte behind its end",
			    file_of(c, s)->path);
	return same_bytes(c, s, begin, (ssize_t)length, length);
}

/* A file of nobody else's, in the temporary directory. */
static int
scratch(void)
{
	const char *dir = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe) */
	int fd = open(dir != NULL ? dir : "/tmp",
	    O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		fd = memfd_create("scratch", MFD_CLOEXEC);
	if (fd < 0)
		model_die("scratch file");
	return fd;
}

/* How many bytes in one go, or -1. */
typedef ssize_t mover(int to, int from, off_t *offset, size_t length);

static ssize_t
by_sendfile(int to, int from, off_t *offset, size_t length)
{
	return sendfile(to, from, offset, length);
}

static ssize_t
by_copy_file_range(int to, int from, off_t *offset, size_t length)
{
	ssize_t n = copy_file_range(from, offset, to, NULL, length, 0);

	/* Two file systems of different kinds: the kernel may not copy. */
	if (n < 0 && (errno == EXDEV || errno == EOPNOTSUPP))
		return sendfile(to, from, offset, length);
	return n;
}

static ssize_t
by_splice(int to, int from, off_t *offset, size_t length)
{
	int pipes[2];
	ssize_t n, done = 0, part = 0;
	int failed;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		model_die("pipe");
	n = splice(from, offset, pipes[1], NULL, length, 0);
	failed = errno;
	while (n > done &&
	    (part = splice(pipes[0], NULL, to, NULL, (size_t)(n - done), 0)) >
		0)
		done += part;
	if (n > 0 && done != n)
		model_die("splice");
	close(pipes[0]);
	close(pipes[1]);
	errno = failed;
	return n;
}

static int
do_move(struct model_client *c, const struct model_step *s, int fd, mover *move)
{
	off_t offset = (off_t)s->offset;
	size_t done = 0;
	ssize_t n = 0;
	int rc = 0, to = scratch();

	while (done < s->length &&
	    (n = move(to, fd, &offset, s->length - done)) > 0)
		done += (size_t)n;
	if (n < 0)
		rc = errno;
	else if ((rc = early(fd, s->offset, (ssize_t)done, s->length)) == 0 &&
	    pread(to, c->got, done, 0) != (ssize_t)done)
		model_die("read the copy");
	close(to);
	return rc != 0 ? rc :
			 same_bytes(c, s, s->offset, (ssize_t)done, s->length);
}

/* No file of ours has holes, but for the one that each has at its end. */
static int
do_hole(struct model_client *c, const struct model_step *s, int fd)
{
	off_t size = (off_t)file_of(c, s)->size, at = lseek(fd, 0, SEEK_CUR);
	off_t offset = (off_t)s->offset, data, hole;
	int data_errno, hole_errno;

	data = lseek(fd, offset, SEEK_DATA);
	data_errno = errno;
	hole = lseek(fd, offset, SEEK_HOLE);
	hole_errno = errno;
	if (lseek(fd, at, SEEK_SET) != at)
		return wrong(c, "no way back to %jd", (intmax_t)at);
	if (offset >= size)
		return data < 0 && data_errno == ENXIO && hole < 0 &&
			hole_errno == ENXIO ?
		    0 :
		    wrong(c, "data or a hole behind the end");
	if (data < 0 || hole < 0)
		return data < 0 ? data_errno : hole_errno;
	return data == offset && hole == size ?
	    0 :
	    wrong(c, "data at %jd, hole at %jd", (intmax_t)data,
		(intmax_t)hole);
}

/* ---- names ---- */

struct name {
	long where;
	unsigned char type;
	char text[256];
};

/* The entries of a directory, in its order; else an errno. */
static int
list(DIR *dir, struct name *names, size_t *count)
{
	struct dirent *e;

	for (*count = 0;; (*count)++) {
		if (*count == NAMES_MAX)
			return EOVERFLOW;
		names[*count].where = telldir(dir);
		errno = 0;
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs */
		if ((e = readdir(dir)) == NULL)
			return errno;
		names[*count].type = e->d_type;
		(void)snprintf(names[*count].text, sizeof(names[0].text), "%s",
		    e->d_name);
	}
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text,
	    ((const struct name *)b)->text);
}

/* A listing that is to be freed, and its directory, if it is to stay open. */
static int
list_path(int top, const char *path, struct name **names, size_t *count,
    DIR **stays)
{
	int rc, fd = openat(top, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir;

	*names = NULL;
	*count = 0;
	if (fd < 0)
		return errno;
	dir = fdopendir(fd);
	*names = calloc(NAMES_MAX, sizeof(**names));
	if (dir == NULL || *names == NULL)
		model_die(path);
	rc = list(dir, *names, count);
	if (stays != NULL && rc == 0)
		*stays = dir;
	else
		closedir(dir);
	return rc;
}

static int
same_names(struct model_client *c, const char *path, struct name *got,
    size_t ngot)
{
	struct name *want;
	size_t n, i = 0;
	int rc = 0;

	if (list_path(c->m->plain, path, &want, &n, NULL) != 0)
		model_die(path);
	qsort(got, ngot, sizeof(*got), by_text);
	qsort(want, n, sizeof(*want), by_text);
	while (i < n && i < ngot && strcmp(got[i].text, want[i].text) == 0 &&
	    got[i].type == want[i].type)
		i++;
	if (i < n || i < ngot)
		rc = wrong(c, "%s: %s (%d) where there is %s (%d)", path,
		    i < ngot ? got[i].text : "nothing", got[i].type,
		    i < n ? want[i].text : "nothing", want[i].type);
	free(want);
	return rc;
}

static int
do_ls(struct model_client *c, const struct model_step *s)
{
	const char *path = c->m->dirs.of[s->entry].path;
	struct name *got;
	size_t n;
	int rc = list_path(c->m->mount, path, &got, &n, NULL);

	if (rc == 0)
		rc = same_names(c, path, got, n);
	free(got);
	return rc;
}

/* From places that telldir named, the same entries follow. */
static int
jump(struct model_client *c, const struct model_step *s, DIR *dir,
    const struct name *names, size_t n)
{
	uint64_t at = s->offset;
	struct dirent *e;

	for (int i = 0; i < JUMPS; i++, at = at * 31 + s->length) {
		seekdir(dir, names[at % n].where);
		for (size_t k = at % n; k < n && k < at % n + 3; k++) {
			errno = 0;
			/* NOLINTNEXTLINE(concurrency-mt-unsafe) */
			e = readdir(dir);
			if (e == NULL && errno != 0)
				return errno;
			if (e == NULL || strcmp(e->d_name, names[k].text) != 0)
				return wrong(c, "%s: entry %zu is %s, then %s",
				    c->m->dirs.of[s->entry].path, k,
				    names[k].text, e ? e->d_name : "none");
		}
	}
	return 0;
}

static int
do_seekdir(struct model_client *c, const struct model_step *s)
{
	const char *path = c->m->dirs.of[s->entry].path;
	struct name *names;
	DIR *dir = NULL;
	size_t n;
	int rc = list_path(c->m->mount, path, &names, &n, &dir);

	if (rc == 0 && n == 0)
		rc = wrong(c, "%s: without even itself", path);
	if (rc == 0)
		rc = jump(c, s, dir, names, n);
	if (rc == 0) {
		rewinddir(dir);
		rc = list(dir, names, &n);
	}
	if (rc == 0)
		rc = same_names(c, path, names, n);
	if (dir != NULL)
		closedir(dir);
	free(names);
	return rc;
}

static int
do_stat(struct model_client *c, const struct model_step *s)
{
	const char *path = file_of(c, s)->path;
	struct stat got, want;

	if (fstatat(c->m->plain, path, &want, AT_SYMLINK_NOFOLLOW) < 0)
		model_die(path);
	if (fstatat(c->m->mount, path, &got, AT_SYMLINK_NOFOLLOW) < 0)
		return errno;
	if ((got.st_mode & S_IFMT) != (want.st_mode & S_IFMT) ||
	    (got.st_mode & 0111) != ((want.st_mode & 0100) ? 0111 : 0) ||
	    (got.st_mode & 0666) != 0444 || got.st_size != want.st_size ||
	    got.st_nlink != 1)
		return wrong(c, "%s: mode %o, %jd bytes, %ju links", path,
		    got.st_mode, (intmax_t)got.st_size,
		    (uintmax_t)got.st_nlink);
	return 0;
}

static int
do_absent(struct model_client *c, const struct model_step *s)
{
	char path[PAGE];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/none%" PRIu64,
	    c->m->dirs.of[s->entry].path, s->offset % 50);
	if (fstatat(c->m->mount, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return wrong(c, "%s: is there", path);
	return errno == ENOENT ? 0 : errno;
}

static int
do_readlink(struct model_client *c, const struct model_step *s)
{
	const char *path = c->m->links.of[s->entry].path;
	ssize_t want = readlinkat(c->m->plain, path, c->want, PAGE);
	ssize_t n = readlinkat(c->m->mount, path, c->got, PAGE);

	if (n < 0)
		return errno;
	if (want < 0)
		model_die(path);
	if (n != want || memcmp(c->got, c->want, (size_t)n) != 0)
		return wrong(c, "%s: leads to %.*s", path, (int)n, c->got);
	return 0;
}

static int
do_xattr(struct model_client *c, const struct model_step *s, int fd)
{
	ssize_t n = fgetxattr(fd, "user.datamount.digest", c->got, PAGE);

	if (n < 0)
		return errno;
	if (n != DIGEST_HEX ||
	    memcmp(c->got, file_of(c, s)->digest, DIGEST_HEX) != 0)
		return wrong(c, "%s: the digest is not %s", file_of(c, s)->path,
		    file_of(c, s)->digest);
	return 0;
}

/* ---- what happens to the mount ---- */

static void
drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return; /* only root may */
	(void)!write(fd, "2", 1);
	close(fd);
}

static void
evict(void)
{
	static char name[] = "datamount", cache[] = "cache", clear[] = "clear";
	char *argv[] = { name, cache, clear, NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status;

	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null",
	    O_WRONLY, 0);
	if ((errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv,
		 environ)) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		model_die("datamount cache clear");
	(void)posix_spawn_file_actions_destroy(&actions);
}

/* The worker is the supervisor's one child. */
static void
kill_worker(const struct model_client *c)
{
	struct model_shared *shared = c->m->shared;
	char path[64], text[32] = "";
	struct stat st;
	int fd, pid;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children",
	    (int)c->m->supervisor, (int)c->m->supervisor);
	while (sem_wait(&shared->changing) < 0)
		continue;
	if (model_now_ms() - shared->killed_at >= KILL_GAP_MS &&
	    (fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
		(void)!read(fd, text, sizeof(text) - 1);
		close(fd);
		pid = (int)strtol(text, NULL, 10);
		if (pid > 0 && kill(pid, SIGKILL) == 0)
			shared->kills++;
		/* The next answers before it may die. */
		(void)!fgetxattr(c->m->mount, "user.datamount.commit", NULL, 0);
		(void)fstatat(c->m->mount, "a-name-that-is-not", &st, 0);
		shared->killed_at = model_now_ms();
	}
	(void)sem_post(&shared->changing);
}

static void
control(const struct model *m, const char *command, const char *body)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)m->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	char text[512];
	int n, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	n = snprintf(text, sizeof(text),
	    "POST /.ctl/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	    "Content-Length: %zu\r\n\r\n%s",
	    command, strlen(body), body);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    write(fd, text, (size_t)n) != n ||
	    read(fd, text, sizeof(text)) < 12 || memcmp(text + 9, "2", 1) != 0)
		model_die("control of the server");
	close(fd);
}

void
model_heal(const struct model *m)
{
	struct model_shared *shared = m->shared;

	if (m->port == 0)
		return;
	while (sem_wait(&shared->changing) < 0)
		continue;
	control(m, "clear", "");
	if (shared->faults) {
		shared->off_at = model_now_ms();
		shared->changes++;
	}
	shared->faults = false;
	(void)sem_post(&shared->changing);
}

static void
begin_fault(const struct model *m, uint64_t which)
{
	struct model_shared *shared = m->shared;

	if (m->port == 0)
		return;
	while (sem_wait(&shared->changing) < 0)
		continue;
	shared->faults = true;
	shared->on_at = model_now_ms();
	shared->changes++;
	control(m, "rule", faults[which % (sizeof(faults) / sizeof(*faults))]);
	(void)sem_post(&shared->changing);
}

static void
drop_file(const struct model_client *c, const struct model_step *s)
{
	int fd = openat(c->m->mount, file_of(c, s)->path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		close(fd);
	}
}

/* ---- a step ---- */

/* Steps on an open file. */
static int
on_slot(struct model_client *c, const struct model_step *s)
{
	int fd = -1, rc = slot_fd(c, s, &fd);

	if (rc != 0)
		return rc;
	switch ((int)s->op) {
	case MODEL_READ:
		return do_read(c, s, fd);
	case MODEL_LSEEK:
		return do_lseek(c, s, fd);
	case MODEL_PREAD:
		return do_pread(c, s, fd);
	case MODEL_PREADV:
		return do_preadv(c, s, fd);
	case MODEL_MMAP:
		return do_mmap(c, s, fd);
	case MODEL_SENDFILE:
		return do_move(c, s, fd, by_sendfile);
	case MODEL_SPLICE:
		return do_move(c, s, fd, by_splice);
	case MODEL_COPY:
		return do_move(c, s, fd, by_copy_file_range);
	case MODEL_HOLE:
		return do_hole(c, s, fd);
	default:
		return do_xattr(c, s, fd);
	}
}

static int
once(struct model_client *c, const struct model_step *s)
{
	switch ((int)s->op) {
	case MODEL_DIRECT:
		return do_direct(c, s);
	case MODEL_LS:
		return do_ls(c, s);
	case MODEL_SEEKDIR:
		return do_seekdir(c, s);
	case MODEL_STAT:
		return do_stat(c, s);
	case MODEL_ABSENT:
		return do_absent(c, s);
	case MODEL_READLINK:
		return do_readlink(c, s);
	case MODEL_FORGET:
		drop_file(c, s);
		return 0;
	case MODEL_DROP:
		drop_caches();
		return 0;
	case MODEL_EVICT:
		evict();
		return 0;
	case MODEL_KILL:
		kill_worker(c);
		return 0;
	case MODEL_FAULT:
		begin_fault(c->m, s->offset);
		return 0;
	case MODEL_HEAL:
		model_heal(c->m);
		return 0;
	default:
		return on_slot(c, s);
	}
}

/* How long a step may take: each request that the kernel makes for it may wait
 * for the timeout and a tenth, one after the other. */
static uint64_t
may_take_ms(const struct model *m, const struct model_step *s)
{
	uint64_t waits;

	switch ((int)s->op) {
	case MODEL_DROP:
	case MODEL_EVICT:
	case MODEL_KILL:
	case MODEL_FAULT:
	case MODEL_HEAL:
		return OTHER_MS;
	case MODEL_LS:
	case MODEL_SEEKDIR:
		waits = 8;
		break;
	default:
		waits = 3 + s->length / 65536;
	}
	return waits * (m->timeout_ms + m->timeout_ms / 10) + SLACK_MS;
}

static int
once_in_time(struct model_client *c, const struct model_step *s)
{
	struct model_shared *shared = c->m->shared;
	uint64_t ticks = may_take_ms(c->m, s) / MODEL_TICK_MS, took, longest;
	int rc;

	c->watch->ticks = ticks;
	c->watch->began = shared->ticks;
	rc = once(c, s);
	took = shared->ticks - c->watch->began;
	c->watch->began = 0;
	longest = shared->longest;
	while (took * 1000 / ticks > longest &&
	    !atomic_compare_exchange_weak(&shared->longest, &longest,
		took * 1000 / ticks))
		;
	if (rc == MODEL_WRONG || c->m->timeout_ms == 0 || took <= ticks)
		return rc;
	return wrong(c, "took %" PRIu64 " ms, and may take %" PRIu64,
	    took * MODEL_TICK_MS, ticks * MODEL_TICK_MS);
}

int
model_step_run(struct model_client *c, const struct model_step *s)
{
	static const struct timespec pause = { .tv_nsec = 20000000 };
	struct model_shared *shared = c->m->shared;
	uint64_t begin = model_now_ms();

	if (shared->faults && model_now_ms() - shared->on_at > FAULTY_MS)
		model_heal(c->m);
	for (;;) {
		uint64_t changes = shared->changes;
		bool faulty = shared->faults;
		int rc = once_in_time(c, s);

		if (rc == 0 || rc == MODEL_WRONG)
			return rc;
		/* A read into a mapping that has none: SIGBUS, here EIO. */
		if (rc != EIO && rc != ETIMEDOUT)
			return wrong(c, "errno %d", rc);
		if (faulty || shared->faults || shared->changes != changes) {
			shared->faulted++;
			return 0;
		}
		/* It may have waited for what was asked for before, or for a
		 * machine that did not get to it for a second. */
		if (shared->off_at > begin)
			begin = shared->off_at;
		if (model_now_ms() - begin > HEALED_MS)
			return wrong(c, "errno %d, without a fault", rc);
		(void)nanosleep(&pause, NULL);
	}
}

void
model_client_init(struct model_client *c, const struct model *m,
    struct model_watch *watch)
{
	*c = (struct model_client){ .m = m, .watch = watch };
	for (int i = 0; i < MODEL_SLOTS; i++)
		c->slots[i].fd = -1;
	c->got = aligned_alloc(PAGE, MODEL_LENGTH + PAGE);
	c->want = aligned_alloc(PAGE, MODEL_LENGTH + PAGE);
	if (c->got == NULL || c->want == NULL)
		model_die("memory");
}

void
model_client_end(struct model_client *c)
{
	for (int i = 0; i < MODEL_SLOTS; i++)
		if (c->slots[i].fd >= 0)
			close(c->slots[i].fd);
	free(c->got);
	free(c->want);
}

/* What a step is called, and which numbers it has. */
static const struct {
	const char *name;
	bool offset, length;
} looks[MODEL_OPS] = {
	[MODEL_READ] = { "read", false, true },
	[MODEL_LSEEK] = { "lseek", true, true },
	[MODEL_PREAD] = { "pread", true, true },
	[MODEL_PREADV] = { "preadv", true, true },
	[MODEL_DIRECT] = { "pread-direct", true, true },
	[MODEL_MMAP] = { "mmap", true, true },
	[MODEL_SENDFILE] = { "sendfile", true, true },
	[MODEL_SPLICE] = { "splice", true, true },
	[MODEL_COPY] = { "copy_file_range", true, true },
	[MODEL_HOLE] = { "lseek-hole", true, false },
	[MODEL_LS] = { "ls", false, false },
	[MODEL_SEEKDIR] = { "seekdir", true, true },
	[MODEL_STAT] = { "stat", false, false },
	[MODEL_ABSENT] = { "absent", true, false },
	[MODEL_READLINK] = { "readlink", false, false },
	[MODEL_XATTR] = { "getxattr", false, false },
	[MODEL_FORGET] = { "fadvise-dontneed", false, false },
	[MODEL_DROP] = { "drop-caches", false, false },
	[MODEL_EVICT] = { "datamount-cache-clear", false, false },
	[MODEL_KILL] = { "kill-worker", false, false },
	[MODEL_FAULT] = { "fault", false, false },
	[MODEL_HEAL] = { "no-fault", false, false },
};

static const char *
path_of(const struct model *m, const struct model_step *s)
{
	switch ((int)s->op) {
	case MODEL_LS:
	case MODEL_SEEKDIR:
	case MODEL_ABSENT:
		return m->dirs.of[s->entry].path;
	case MODEL_READLINK:
		return m->links.of[s->entry].path;
	case MODEL_FAULT:
		return faults[s->offset % (sizeof(faults) / sizeof(*faults))];
	case MODEL_DROP:
	case MODEL_EVICT:
	case MODEL_KILL:
	case MODEL_HEAL:
		return "";
	default:
		return m->files.of[s->entry].path;
	}
}

void
model_step_print(FILE *out, const struct model *m, const struct model_step *s)
{
	(void)fprintf(out, "\t%s", looks[s->op].name);
	if (*path_of(m, s) != '\0')
		(void)fprintf(out, " '%s'", path_of(m, s));
	if (looks[s->op].offset)
		(void)fprintf(out, " %" PRIu64, s->offset);
	if (looks[s->op].length)
		(void)fprintf(out, " %" PRIu64, s->length);
	if (s->op <= MODEL_HOLE && s->op != MODEL_DIRECT)
		(void)fprintf(out, " fd=%u", s->slot);
	(void)fputc('\n', out);
}
