/*
 * Random operations on a mount, by several clients at once, each compared
 * with the same on a plain directory.  See the usage below, and model.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/model.h"
#include "tests/lib/result.h"

static const char usage[] =
    "usage: model [--seed N] [--sequences N] [--steps N] [--clients N]\n"
    "             [--supervisor PID] [--port PORT] [--timeout SECONDS]\n"
    "             PLAIN MOUNT\n"
    "Do sequences of random steps on MOUNT, which must show what PLAIN has.\n"
    "A sequence that fails is repeated alone, made as short as it can be, and\n"
    "printed; sequence K of seed N is sequence 0 of seed N + K.  Workers of\n"
    "the supervisor are killed; faults are made by the httpd at PORT.  With the\n"
    "mount's timeout, a call that outlives it by much is a failure, too.\n";

enum {
	CLIENTS_MAX = 16,
	STEPS_MAX = 1000,
	LARGEST = 12,
	ENDED_MS = 1000, /* more than it may take: it does not return */
	GONE_MS = 10000, /* a client that was killed */
};

/* What a client does and found; shared. */
struct found {
	struct model_watch watch;
	_Atomic bool any;
	uint64_t sequence;
	_Atomic unsigned at; /* the step */
	char why[MODEL_WHY];
};

struct run {
	struct model m;
	uint64_t seed, sequences;
	unsigned steps, clients;
	struct found *found; /* of each client, and of one that runs alone */
};

/* How often, of 10,000. */
static const unsigned often[MODEL_OPS] = {
	[MODEL_READ] = 1400,
	[MODEL_LSEEK] = 500,
	[MODEL_PREAD] = 1600,
	[MODEL_PREADV] = 500,
	[MODEL_DIRECT] = 1000,
	[MODEL_MMAP] = 900,
	[MODEL_SENDFILE] = 500,
	[MODEL_SPLICE] = 500,
	[MODEL_COPY] = 500,
	[MODEL_HOLE] = 200,
	[MODEL_LS] = 300,
	[MODEL_SEEKDIR] = 300,
	[MODEL_STAT] = 600,
	[MODEL_ABSENT] = 300,
	[MODEL_READLINK] = 300,
	[MODEL_XATTR] = 300,
	[MODEL_FORGET] = 900,
	[MODEL_DROP] = 15,
	[MODEL_EVICT] = 120,
	[MODEL_KILL] = 45,
	[MODEL_FAULT] = 30,
	[MODEL_HEAL] = 150,
};

/* ---- what there is ---- */

static struct model *walked; /* nftw has no argument for it */
static size_t walked_top;

static void
add(struct model_list *l, const char *path, uint64_t size)
{
	if (l->n % 64 == 0) {
		l->of = reallocarray(l->of, l->n + 64, sizeof(*l->of));
		if (l->of == NULL)
			model_die("memory");
	}
	l->of[l->n] =
	    (struct model_entry){ .path = strdup(path), .size = size };
	l->n++;
}

static void
digest_file(struct model_entry *e, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct digest d;
	void *map = NULL;

	if (fd < 0)
		model_die(path);
	if (e->size > 0)
		map = mmap(NULL, e->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		model_die(path);
	digest_of(&d, map != NULL ? map : "", e->size);
	digest_hex(&d, e->digest);
	if (map != NULL)
		(void)munmap(map, e->size);
	close(fd);
}

static int
visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *below = path + walked_top;

	(void)ftw;
	while (*below == '/')
		below++;
	if (type == FTW_D)
		add(&walked->dirs, *below != '\0' ? below : ".", 0);
	else if (type == FTW_SL)
		add(&walked->links, below, 0);
	else if (type == FTW_F) {
		add(&walked->files, below, (uint64_t)st->st_size);
		digest_file(&walked->files.of[walked->files.n - 1], path);
	}
	return 0;
}

/* Large ones first; and a seed means the same in each run. */
static int
by_size(const void *a, const void *b)
{
	const struct model_entry *x = a, *y = b;

	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return strcmp(x->path, y->path);
}

static void
sort(struct model_list *l)
{
	qsort(l->of, l->n, sizeof(*l->of), by_size);
}

static void
walk(struct model *m, const char *plain, const char *mount)
{
	walked = m;
	walked_top = strlen(plain);
	if (nftw(plain, visit, 16, FTW_PHYS) != 0)
		model_die(plain);
	sort(&m->files);
	sort(&m->dirs);
	sort(&m->links);
	m->plain = open(plain, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	m->mount = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->plain < 0 || m->mount < 0)
		model_die(mount);
	if (m->files.n == 0 || m->dirs.n == 0 || m->links.n == 0) {
		errno = ENOENT;
		model_die("a file, directory and link");
	}
}

/* ---- sequences ---- */

/* splitmix64 */
static uint64_t
next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static enum model_op
random_op(uint64_t *rnd)
{
	unsigned sum = 0, at;
	int op = 0;

	for (int i = 0; i < MODEL_OPS; i++)
		sum += often[i];
	for (at = (unsigned)(next(rnd) % sum); at >= often[op]; op++)
		at -= often[op];
	return (enum model_op)op;
}

/* Anywhere, and often beside a border, or behind the end. */
static uint64_t
random_offset(uint64_t *rnd, uint64_t size)
{
	static const uint64_t borders[] = { 4096, 65536, 131072, 1 << 20 };
	uint64_t at;

	switch (next(rnd) % 4) {
	case 0:
		at = size;
		break;
	case 1:
		at = borders[next(rnd) % 4];
		at *= next(rnd) % (size / at + 2);
		break;
	default:
		return next(rnd) % (size + 5000);
	}
	at += next(rnd) % 5;
	return at < 2 ? 0 : at - 2;
}

static uint64_t
random_length(uint64_t *rnd)
{
	static const uint64_t most[] = { 10, 300, 4096, 20000, 131072,
		MODEL_LENGTH };

	/* Long ones are rare: they cost time. */
	return 1 + next(rnd) % most[next(rnd) % (next(rnd) % 8 == 0 ? 6 : 4)];
}

/* There may be many small ones: three of four are among the largest. */
static unsigned
random_file(const struct model *m, uint64_t *rnd)
{
	size_t n = m->files.n;

	if (n > LARGEST && next(rnd) % 4 != 0)
		n = LARGEST;
	return (unsigned)(next(rnd) % n);
}

static struct model_step
random_step(const struct model *m, uint64_t *rnd, unsigned *recent)
{
	struct model_step s = { .op = random_op(rnd) };

	s.slot = (unsigned)(next(rnd) % MODEL_SLOTS);
	if (s.op == MODEL_LS || s.op == MODEL_SEEKDIR || s.op == MODEL_ABSENT) {
		s.entry = (unsigned)(next(rnd) % m->dirs.n);
		s.offset = next(rnd) >> 32;
		s.length = next(rnd) >> 32;
	} else if (s.op == MODEL_READLINK) {
		s.entry = (unsigned)(next(rnd) % m->links.n);
	} else {
		/* Most go on with what a descriptor is open on. */
		if (next(rnd) % 4 == 0)
			recent[s.slot] = random_file(m, rnd);
		s.entry = recent[s.slot];
		s.offset = random_offset(rnd, m->files.of[s.entry].size);
		s.length = random_length(rnd);
	}
	return s;
}

static void
sequence(const struct run *r, uint64_t number, struct model_step *steps)
{
	uint64_t rnd = r->seed + number;
	unsigned recent[MODEL_SLOTS];

	for (int i = 0; i < MODEL_SLOTS; i++)
		recent[i] = random_file(&r->m, &rnd);
	for (unsigned i = 0; i < r->steps; i++) {
		steps[i] = random_step(&r->m, &rnd, recent);
		/* What is in the cache needs no origin. */
		if (i > 0 && steps[i - 1].op == MODEL_FAULT)
			steps[i].op = MODEL_EVICT;
	}
}

/* Sets f->at: the step that failed, or n. */
static void
run_steps(const struct run *r, const struct model_step *steps, unsigned n,
    struct found *f)
{
	struct model_client c;
	bool faulty = false;

	model_client_init(&c, &r->m, &f->watch);
	for (f->at = 0; f->at < n && model_step_run(&c, &steps[f->at]) == 0;
	     f->at++) {
		r->m.shared->steps++;
		faulty = steps[f->at].op == MODEL_FAULT ||
		    (faulty && steps[f->at].op != MODEL_HEAL);
	}
	if (faulty)
		model_heal(&r->m);
	memcpy(f->why, c.why, MODEL_WHY);
	f->any = f->at < n;
	model_client_end(&c);
}

_Noreturn static void
client(const struct run *r, unsigned number)
{
	static struct model_step steps[STEPS_MAX];
	struct found *f = &r->found[number];

	for (f->sequence = number;
	     f->sequence < r->sequences && !r->m.shared->stop;
	     f->sequence += r->clients) {
		sequence(r, f->sequence, steps);
		run_steps(r, steps, r->steps, f);
		if (f->any) {
			r->m.shared->stop = true;
			_exit(1);
		}
	}
	_exit(0);
}

static void
tick(const struct run *r)
{
	static const struct timespec t = { .tv_nsec = MODEL_TICK_MS * 1000000 };

	(void)nanosleep(&t, NULL);
	r->m.shared->ticks++;
}

/* Does it wait in a call that should have ended long ago? */
static bool
is_stuck(const struct run *r, const struct found *f)
{
	uint64_t began = f->watch.began;

	return r->m.timeout_ms > 0 && began > 0 &&
	    r->m.shared->ticks - began >
	    f->watch.ticks + ENDED_MS / MODEL_TICK_MS;
}

/* Whoever waits for the mount can be killed. */
static void
kill_stuck(const struct run *r, pid_t pid, struct found *f)
{
	int status;

	(void)snprintf(f->why, sizeof(f->why),
	    "does not return; it may take %" PRIu64 " ms",
	    f->watch.ticks * MODEL_TICK_MS);
	(void)kill(pid, SIGKILL);
	for (int i = 0; waitpid(pid, &status, WNOHANG) == 0; i++) {
		if (i > GONE_MS / MODEL_TICK_MS) {
			printf("sequence %" PRIu64 " of seed %" PRIu64
			       ", step %u: %s, and cannot be killed\n",
			    f->sequence, r->seed, f->at, f->why);
			exit(1); /* NOLINT(concurrency-mt-unsafe) */
		}
		tick(r);
	}
	f->any = r->m.shared->stop = true;
}

/* Wait for n clients, which began in time and must go on. */
static void
watch(const struct run *r, pid_t *pids, struct found *found, unsigned n)
{
	unsigned left = n;
	int status;

	while (left > 0) {
		tick(r);
		for (unsigned i = 0; i < n; i++) {
			pid_t p = pids[i] == 0 ?
			    0 :
			    waitpid(pids[i], &status, WNOHANG);

			if (p < 0)
				model_die("wait");
			if (p == 0 && (pids[i] == 0 || !is_stuck(r, &found[i])))
				continue;
			if (p == 0)
				kill_stuck(r, pids[i], &found[i]);
			else if (status != 0 && !found[i].any) {
				(void)fprintf(stderr,
				    "model: client %u: status %d\n", i, status);
				exit(2); /* NOLINT(concurrency-mt-unsafe) */
			}
			pids[i] = 0;
			left--;
		}
	}
	/* one that was killed may have had it */
	if (sem_init(&r->m.shared->changing, 1, 1) < 0)
		model_die("semaphore");
	model_heal(&r->m);
}

static bool
run_all(const struct run *r)
{
	pid_t pids[CLIENTS_MAX];
	bool well = true;

	for (unsigned i = 0; i < r->clients; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			model_die("fork");
		if (pids[i] == 0)
			client(r, i);
	}
	watch(r, pids, r->found, r->clients);
	for (unsigned i = 0; i < r->clients; i++)
		well = well && !r->found[i].any;
	return well;
}

/* ---- a failure ---- */

/* Do they fail, alone?  Then n is what is needed of them at most. */
static bool
still_fails(const struct run *r, const struct model_step *steps, unsigned *n,
    char why[MODEL_WHY])
{
	struct found *f = &r->found[r->clients];
	pid_t pid;

	model_heal(&r->m);
	f->any = false;
	f->watch.began = 0;
	pid = fork();
	if (pid < 0)
		model_die("fork");
	if (pid == 0) {
		run_steps(r, steps, *n, f);
		_exit(f->any);
	}
	watch(r, &pid, f, 1);
	if (!f->any)
		return false;
	memcpy(why, f->why, MODEL_WHY);
	*n = f->at + 1;
	return true;
}

/* Leave out parts, smaller and smaller ones, while the rest still fails. */
static unsigned
shrink(const struct run *r, struct model_step *steps, unsigned n,
    char why[MODEL_WHY])
{
	static struct model_step fewer[STEPS_MAX];
	char text[MODEL_WHY];

	for (unsigned part = n; part > 0;) {
		bool any = false;

		for (unsigned at = 0; at + part <= n && part < n;) {
			unsigned m = n - part;

			memcpy(fewer, steps, at * sizeof(*steps));
			memcpy(fewer + at, steps + at + part,
			    (m - at) * sizeof(*steps));
			if (still_fails(r, fewer, &m, text)) {
				memcpy(steps, fewer, m * sizeof(*steps));
				memcpy(why, text, MODEL_WHY);
				n = m;
				any = true;
			} else {
				at += part;
			}
		}
		if (!any || part > n)
			part /= 2;
	}
	return n;
}

static void
report(const struct run *r, const struct found *f)
{
	static struct model_step steps[STEPS_MAX];
	char why[MODEL_WHY];
	unsigned n = f->at + 1;
	bool alone;

	printf("sequence %" PRIu64 " of seed %" PRIu64 ", step %u: %s\n",
	    f->sequence, r->seed, f->at, f->why);
	sequence(r, f->sequence, steps);
	alone = still_fails(r, steps, &n, why);
	if (alone) {
		n = shrink(r, steps, n, why);
		printf("fails alone, with %u of its steps: %s\n", n, why);
	} else {
		printf("does not fail alone; its steps:\n");
	}
	for (unsigned i = 0; i < n; i++)
		model_step_print(stdout, &r->m, &steps[i]);
}

/* ---- */

static uint64_t
number(const char *text, uint64_t most)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (*end != '\0' || end == text || n > most) {
		(void)fprintf(stderr, "model: %s: no such number\n", text);
		exit(2); /* NOLINT(concurrency-mt-unsafe): no thread runs */
	}
	return n;
}

static bool
read_options(struct run *r, int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "sequences", required_argument, NULL, 'n' },
		{ "steps", required_argument, NULL, 't' },
		{ "clients", required_argument, NULL, 'c' },
		{ "supervisor", required_argument, NULL, 'k' },
		{ "port", required_argument, NULL, 'p' },
		{ "timeout", required_argument, NULL, 'w' },
		{ 0 },
	};
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs */
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			r->seed = number(optarg, UINT64_MAX);
		else if (c == 'n')
			r->sequences = number(optarg, UINT32_MAX);
		else if (c == 't')
			r->steps = (unsigned)number(optarg, STEPS_MAX);
		else if (c == 'c')
			r->clients = (unsigned)number(optarg, CLIENTS_MAX);
		else if (c == 'k')
			r->m.supervisor = (pid_t)number(optarg, INT32_MAX);
		else if (c == 'p')
			r->m.port = (unsigned)number(optarg, UINT16_MAX);
		else if (c == 'w')
			r->m.timeout_ms = number(optarg, 3600) * 1000;
		else
			return false;
	}
	return optind + 2 == argc && r->clients > 0;
}

static void *
shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		model_die("memory");
	return p;
}

int
main(int argc, char **argv)
{
	static struct run r = {
		.seed = 1,
		.sequences = 100,
		.steps = 100,
		.clients = 4,
	};
	unsigned wrong = 0;

	if (!read_options(&r, argc, argv)) {
		(void)fputs(usage, stderr);
		return 2;
	}
	walk(&r.m, argv[optind], argv[optind + 1]);
	r.m.shared = shared(sizeof(*r.m.shared));
	r.m.shared->ticks = 1;
	r.found = shared((r.clients + 1) * sizeof(*r.found));
	if (sem_init(&r.m.shared->changing, 1, 1) < 0)
		model_die("semaphore");
	printf("seed %" PRIu64 "\n", r.seed);
	(void)fflush(stdout);
	if (!run_all(&r))
		for (unsigned i = 0; i < r.clients && wrong == 0; i++)
			if (r.found[i].any) {
				report(&r, &r.found[i]);
				wrong++;
			}
	printf("%" PRIu64 " steps, %" PRIu64 " workers killed, %" PRIu64
	       " answers that faults may give; a step took %" PRIu64
	       " thousandths of what it may at most\n",
	    r.m.shared->steps, r.m.shared->kills, r.m.shared->faulted,
	    r.m.shared->longest);
	result_add("random-operations", r.m.shared->steps, wrong, r.seed);
	return wrong == 0 ? 0 : 1;
}
