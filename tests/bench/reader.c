/*
 * Readers for the benchmark; prints what it measured as one line of JSON.
 *
 *	reader files THREADS <LIST	open, read, close each path of LIST
 *	reader stream FILE		read FILE from begin to end
 *	reader random FILE THREADS N SEED  N preads of 4 KiB in each thread
 *	reader drop FILE		drop what the kernel keeps of FILE
 *
 * No part of it allocates or prints while the clock runs, so that what is
 * measured is the file system.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1024 * 1024, PAGE = 4096, THREADS_MAX = 64 };

/* What all threads share. */
struct job {
	/* immutable while threads run */
	char **paths;
	size_t npaths;
	int fd;
	uint64_t pages, count; /* of the file; preads a thread */
	uint64_t begun;

	_Atomic size_t next; /* of paths */
	_Atomic uint64_t bytes;
	_Atomic uint64_t first; /* when the first file had been read, or 0 */
};

struct reader {
	struct job *job;
	uint64_t seed;
	uint64_t *took; /* nanoseconds of each pread */
	pthread_t thread;
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double
seconds_since(uint64_t begun)
{
	return (double)(now_ns() - begun) / 1e9;
}

static _Noreturn void
die(const char *what)
{
	(void)fprintf(stderr, "reader: %s: %m\n", what);
	_exit(1); /* the other threads read on until then */
}

static void *
allocate(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (p == NULL)
		die("memory");
	return p;
}

static uint64_t
read_all(int fd, const char *path, char *block)
{
	uint64_t total = 0;
	ssize_t n;

	while ((n = read(fd, block, BLOCK)) > 0)
		total += (uint64_t)n;
	if (n < 0)
		die(path);
	return total;
}

static uint64_t
read_file(const char *path, char *block)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t size;

	if (fd < 0)
		die(path);
	size = read_all(fd, path, block);
	(void)close(fd);
	return size;
}

/* ---- files ---- */

static void *
files_main(void *arg)
{
	struct reader *r = arg;
	struct job *j = r->job;
	char *block = allocate(1, BLOCK);
	uint64_t bytes = 0;
	size_t i;

	while ((i = atomic_fetch_add(&j->next, 1)) < j->npaths) {
		bytes += read_file(j->paths[i], block);
		if (i == 0)
			atomic_store(&j->first, now_ns() - j->begun);
	}
	atomic_fetch_add(&j->bytes, bytes);
	free(block);
	return NULL;
}

/* One path a line from standard input. */
static void
load_paths(struct job *j)
{
	size_t room = 0, line_room = 0;
	char *line = NULL;
	ssize_t n;

	while ((n = getline(&line, &line_room, stdin)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		if (j->npaths == room) {
			room = room * 2 + 1024;
			j->paths = reallocarray(j->paths, room, sizeof(char *));
			if (j->paths == NULL)
				die("memory");
		}
		j->paths[j->npaths] = strdup(line);
		if (j->paths[j->npaths++] == NULL)
			die("memory");
	}
	free(line);
}

static void
run_threads(struct job *j, struct reader *readers, size_t n,
    void *(*body)(void *))
{
	j->begun = now_ns();
	for (size_t i = 0; i < n; i++) {
		readers[i].job = j;
		if (pthread_create(&readers[i].thread, NULL, body,
			&readers[i]) != 0)
			die("threads");
	}
	for (size_t i = 0; i < n; i++)
		(void)pthread_join(readers[i].thread, NULL);
}

static void
read_files(size_t threads)
{
	struct reader readers[THREADS_MAX] = { 0 };
	struct job j = { 0 };

	load_paths(&j);
	run_threads(&j, readers, threads, files_main);
	(void)printf("{\"seconds\": %.6f, \"first\": %.6f, \"files\": %zu, "
		     "\"bytes\": %" PRIu64 "}\n",
	    seconds_since(j.begun), (double)j.first / 1e9, j.npaths, j.bytes);
	for (size_t i = 0; i < j.npaths; i++)
		free(j.paths[i]);
	free(j.paths);
}

/* ---- one large file ---- */

static int
open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(path);
	return fd;
}

static void
stream(const char *path)
{
	char *block = allocate(1, BLOCK);
	uint64_t begun = now_ns(), bytes;

	bytes = read_file(path, block);
	(void)printf("{\"seconds\": %.6f, \"bytes\": %" PRIu64 "}\n",
	    seconds_since(begun), bytes);
	free(block);
}

/* xorshift64: the same places in every run and on every file system. */
static uint64_t
random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x;
}

static void *
random_main(void *arg)
{
	struct reader *r = arg;
	struct job *j = r->job;
	char page[PAGE];

	for (uint64_t i = 0; i < j->count; i++) {
		uint64_t at = random_next(&r->seed) % j->pages * PAGE;
		uint64_t begun = now_ns();

		if (pread(j->fd, page, PAGE, (off_t)at) != PAGE)
			die("pread");
		r->took[i] = now_ns() - begun;
	}
	return NULL;
}

static int
compare_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
read_randomly(const char *path, size_t threads, uint64_t count, uint64_t seed)
{
	struct reader readers[THREADS_MAX] = { 0 };
	struct job j = { .fd = open_file(path), .count = count };
	uint64_t *took = allocate(threads * count, sizeof(*took));
	size_t n = threads * count, middle = n / 2, late = n * 99 / 100;
	double seconds;
	struct stat st;

	if (fstat(j.fd, &st) < 0 || st.st_size < PAGE)
		die(path);
	j.pages = (uint64_t)st.st_size / PAGE;
	for (size_t i = 0; i < threads; i++) {
		readers[i].seed = (seed + i + 1) * 0x9e3779b97f4a7c15;
		readers[i].took = took + i * count;
	}
	run_threads(&j, readers, threads, random_main);
	seconds = seconds_since(j.begun);
	qsort(took, n, sizeof(*took), compare_u64);
	(void)printf("{\"seconds\": %.6f, \"reads\": %zu, "
		     "\"median\": %.9f, \"p99\": %.9f}\n",
	    seconds, n, (double)took[middle] / 1e9, (double)took[late] / 1e9);
	free(took);
	(void)close(j.fd);
}

static void
drop(const char *path)
{
	int fd = open_file(path), rc;

	rc = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (rc != 0) {
		errno = rc;
		die(path);
	}
	(void)close(fd);
	(void)printf("{}\n");
}

static uint64_t
number(const char *text, uint64_t max)
{
	char *end = NULL;
	uint64_t n = strtoull(text, &end, 10);

	errno = EINVAL;
	if (*text < '0' || *text > '9' || *end != '\0' || n < 1 || n > max)
		die(text);
	return n;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (strcmp(what, "files") == 0 && argc == 3)
		read_files(number(argv[2], THREADS_MAX));
	else if (strcmp(what, "stream") == 0 && argc == 3)
		stream(argv[2]);
	else if (strcmp(what, "random") == 0 && argc == 6)
		read_randomly(argv[2], number(argv[3], THREADS_MAX),
		    number(argv[4], UINT32_MAX), number(argv[5], UINT32_MAX));
	else if (strcmp(what, "drop") == 0 && argc == 3)
		drop(argv[2]);
	else
		return 2;
	return 0;
}
