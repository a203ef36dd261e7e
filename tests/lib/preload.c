/*
 * Calls that fail while a program runs, for LD_PRELOAD.
 *
 * The file that DM_FAULTS names is mapped and says what is to go wrong now;
 * fault_trial.py writes it while the program runs, and reads how often a call
 * was failed.  Calls on files fail for those of one device only, so that the
 * rest of the program's world is well.  All zeros: nothing goes wrong.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* As fault_trial.py packs it. */
struct faults {
	uint32_t calls; /* a bit for each enum below */
	uint32_t error; /* errno; 0: only a part is written */
	uint32_t every; /* so many-th call of these */
	uint32_t delay_us;
	uint64_t device;
	int64_t clock_s; /* the time of day is so far off */
	uint32_t no_names;
	uint32_t malloc_every;
	uint32_t no_threads;
	uint32_t unused;
	_Atomic uint64_t seen, failed;
};

enum { WRITE = 1, CREATE = 2, NAME = 4, SYNC = 8, READ = 16, SIZE = 32 };

#define EXPORT __attribute__((visibility("default")))

/* Constructors of other libraries may call before ours. */
static struct faults none;
static struct faults *faults = &none;

__attribute__((constructor)) static void
begin(void)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet */
	const char *path = getenv("DM_FAULTS");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	(void)close(fd);
	if (map != MAP_FAILED)
		faults = map;
}

/* The function of this name behind this one. */
#define REAL(name)                                                          \
	({                                                                  \
		static __typeof__(name) *real_##name;                       \
		if (real_##name == NULL)                                    \
			real_##name =                                       \
			    (__typeof__(name) *)(uintptr_t)dlsym(RTLD_NEXT, \
				#name);                                     \
		real_##name;                                                \
	})

/* Is it this call's turn?  errno is set then. */
static bool
turn(unsigned every)
{
	if (every == 0 || atomic_fetch_add(&faults->seen, 1) % every != 0)
		return false;
	atomic_fetch_add(&faults->failed, 1);
	errno = (int)faults->error;
	return true;
}

static bool
fails(unsigned call, int fd)
{
	struct stat st;
	int before = errno;

	if ((faults->calls & call) == 0 || fstat(fd, &st) < 0 ||
	    st.st_dev != faults->device) {
		errno = before;
		return false;
	}
	if (faults->delay_us > 0) {
		atomic_fetch_add(&faults->failed, 1);
		(void)usleep(faults->delay_us);
		errno = before;
		return false;
	}
	errno = before;
	return turn(faults->every);
}

/* ---- files ---- */

EXPORT ssize_t
pwrite64(int fd, const void *data, size_t size, off64_t off)
{
	if (!fails(WRITE, fd))
		return REAL(pwrite64)(fd, data, size, off);
	return faults->error != 0 ?
	    -1 :
	    REAL(pwrite64)(fd, data, (size + 1) / 2, off);
}

EXPORT ssize_t
pwritev64v2(int fd, const struct iovec *parts, int n, off64_t off, int flags)
{
	if (!fails(WRITE, fd))
		return REAL(pwritev64v2)(fd, parts, n, off, flags);
	return faults->error != 0 ?
	    -1 :
	    REAL(pwrite64)(fd, parts->iov_base, (parts->iov_len + 1) / 2, off);
}

EXPORT ssize_t
write(int fd, const void *data, size_t size)
{
	if (!fails(WRITE, fd))
		return REAL(write)(fd, data, size);
	return faults->error != 0 ? -1 : REAL(write)(fd, data, (size + 1) / 2);
}

EXPORT ssize_t
pread64(int fd, void *out, size_t size, off64_t off)
{
	if (!fails(READ, fd))
		return REAL(pread64)(fd, out, size, off);
	return faults->error != 0 ? -1 :
				    REAL(pread64)(fd, out, (size + 1) / 2, off);
}

EXPORT ssize_t __pread64_chk(int fd, void *out, size_t size, off64_t off,
    size_t room);
EXPORT ssize_t
__pread64_chk(int fd, void *out, size_t size, off64_t off, size_t room)
{
	if (size > room)
		abort();
	return pread64(fd, out, size, off);
}

EXPORT int
ftruncate64(int fd, off64_t size)
{
	return fails(SIZE, fd) ? -1 : REAL(ftruncate64)(fd, size);
}

EXPORT int
fsync(int fd)
{
	return fails(SYNC, fd) ? -1 : REAL(fsync)(fd);
}

EXPORT int
fdatasync(int fd)
{
	return fails(SYNC, fd) ? -1 : REAL(fdatasync)(fd);
}

EXPORT int
openat64(int at, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if ((flags & O_CREAT) != 0) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
		if (fails(CREATE, at))
			return -1;
	} else if (fails(READ, at)) {
		return -1;
	}
	return REAL(openat64)(at, path, flags, mode);
}

EXPORT int
mkdirat(int at, const char *path, mode_t mode)
{
	return fails(CREATE, at) ? -1 : REAL(mkdirat)(at, path, mode);
}

EXPORT int
renameat(int from_at, const char *from, int at, const char *to)
{
	return fails(NAME, at) ? -1 : REAL(renameat)(from_at, from, at, to);
}

EXPORT int
unlinkat(int at, const char *path, int flags)
{
	return fails(NAME, at) ? -1 : REAL(unlinkat)(at, path, flags);
}

/* ---- the clock ---- */

EXPORT int
clock_gettime(clockid_t clock, struct timespec *out)
{
	int rc = REAL(clock_gettime)(clock, out);

	if (faults->clock_s != 0 &&
	    (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		atomic_fetch_add(&faults->failed, 1);
		out->tv_sec += faults->clock_s;
	}
	return rc;
}

EXPORT time_t
time(time_t *out)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (out != NULL)
		*out = now.tv_sec;
	return now.tv_sec;
}

EXPORT int
gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	int rc = REAL(gettimeofday)(out, zone);

	out->tv_sec += faults->clock_s;
	return rc;
}

/* ---- names: origin.test is this machine ---- */

EXPORT int
getaddrinfo(const char *restrict name, const char *restrict service,
    const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
	if (name != NULL && strcmp(name, "origin.test") == 0) {
		if (faults->no_names != 0) {
			atomic_fetch_add(&faults->failed, 1);
			return EAI_AGAIN;
		}
		name = "127.0.0.1";
	}
	return REAL(getaddrinfo)(name, service, hints, out);
}

/* ---- memory and threads ---- */

/* What is under all other allocators; dlsym would allocate. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static bool
no_memory(void)
{
	if (faults->malloc_every == 0 || !turn(faults->malloc_every))
		return false;
	errno = ENOMEM;
	return true;
}

EXPORT void *
malloc(size_t size)
{
	return no_memory() ? NULL : __libc_malloc(size);
}

EXPORT void *
calloc(size_t n, size_t size)
{
	return no_memory() ? NULL : __libc_calloc(n, size);
}

EXPORT void *
realloc(void *p, size_t size)
{
	return no_memory() ? NULL : __libc_realloc(p, size);
}

EXPORT int
pthread_create(pthread_t *restrict out, const pthread_attr_t *restrict how,
    void *(*run)(void *), void *restrict arg)
{
	if (faults->no_threads != 0) {
		atomic_fetch_add(&faults->failed, 1);
		return EAGAIN;
	}
	return REAL(pthread_create)(out, how, run, arg);
}
