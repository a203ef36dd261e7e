/* fs/mount/worker: a worker, and a test that plays the kernel. */
#include "fs/mount/worker.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "fs/mount/fault.h"
#include "fs/mount/mount.h"
#include "fs/mount/shared.h"
#include "fs/mount/stand_in.h"
#include "tests/unit/scratch.h"

enum { ANSWER_MS = 10000, ANSWER_MAX = 8192 };

/* A connection, its memory, and the worker of the moment. */
struct fixture {
	struct shared *shared;
	struct mount_spec spec;
	struct dm_buf commit;
	int kernel, worker_end;
	pid_t pid;
	uint64_t unique; /* of the last request of answer_to() */
	union {
		struct fuse_out_header header;
		char bytes[ANSWER_MAX];
	} answer;
};

static struct fixture fixture;

static int
setup(void **state)
{
	struct commit c = { .level = 0, .time = 1500000000 };
	struct fixture *f = &fixture;
	struct dm_err err = { 0 };
	int fds[2];

	if (scratch_setup(state) != 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) != 0)
		return -1;
	memset(f, 0, sizeof(*f));
	f->kernel = fds[0];
	f->worker_end = fds[1];
	f->unique = 100;
	f->commit.max = 4096;
	c.tree = id_of(1);
	c.at_pack = id_of(2);
	c.at_dir_off = 100;
	c.at_dir_len = 100;
	if (commit_encode(&c, &f->commit, &err) < 0 ||
	    shared_new(&f->shared, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	(void)snprintf(f->spec.dir, sizeof(f->spec.dir), "%s", scratch);
	(void)snprintf(f->spec.cache_dir, sizeof(f->spec.cache_dir), "%s/cache",
	    scratch);
	(void)snprintf(f->spec.pin.repository[0],
	    sizeof(f->spec.pin.repository[0]), "%s/repo", scratch);
	f->spec.pin.nrepositories = 1;
	f->spec.commit = f->commit.data;
	f->spec.commit_size = f->commit.size;
	*state = f;
	return 0;
}

/* Start a worker and wait until it is ready. */
static void
start(struct fixture *f, bool sick)
{
	struct worker_start start = {
		.spec = &f->spec,
		.shared = f->shared,
		.fuse_fd = f->worker_end,
		.order_fd = -1,
		.gone_fd = -1,
		.supervisor = getpid(),
		.uid = 12,
		.gid = 34,
		.sick = sick,
	};
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	start.report_fd = fds[1];
	f->pid = fork();
	if (f->pid == 0)
		worker_main(&start);
	(void)close(fds[1]);
	if (f->shared->init_size != 0) {
		struct dm_err report = { .text = "no report" };

		assert_int_equal(read(fds[0], &report, sizeof(report)),
		    sizeof(report));
		if (report.code != DM_OK)
			fail_msg("%s", report.text);
	}
	(void)close(fds[0]);
}

static void
stop(struct fixture *f)
{
	(void)kill(f->pid, SIGKILL);
	assert_int_equal(waitpid(f->pid, NULL, 0), f->pid);
	f->pid = 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	if (f->pid > 0)
		stop(f);
	(void)close(f->kernel);
	(void)close(f->worker_end);
	dm_buf_release(&f->commit);
	shared_free(f->shared);
	return scratch_teardown(state);
}

/* Fill a request of that opcode and body into out; returns its size. */
static size_t
request(char *out, uint64_t unique, uint32_t opcode, uint64_t ino,
    const void *body, size_t size)
{
	struct fuse_in_header h = {
		.len = (uint32_t)(sizeof(h) + size),
		.opcode = opcode,
		.unique = unique,
		.nodeid = ino,
	};

	memcpy(out, &h, sizeof(h));
	if (size > 0)
		memcpy(out + sizeof(h), body, size);
	return sizeof(h) + size;
}

static void
ask(struct fixture *f, uint64_t unique, uint32_t opcode, uint64_t ino,
    const void *body, size_t size)
{
	char text[ANSWER_MAX];
	size_t n = request(text, unique, opcode, ino, body, size);

	assert_int_equal(send(f->kernel, text, n, 0), n);
}

/* Wait for an answer; returns its errno.  Others are dropped, as the kernel
 * drops what a new worker answers for the second time. */
static int
answer(struct fixture *f, uint64_t unique)
{
	struct pollfd p = { .fd = f->kernel, .events = POLLIN };

	do {
		if (poll(&p, 1, ANSWER_MS) != 1)
			fail_msg("no answer to %d", (int)unique);
		assert_true(recv(f->kernel, f->answer.bytes, sizeof(f->answer),
				0) >= (ssize_t)sizeof(f->answer.header));
	} while (f->answer.header.unique != unique);
	return -f->answer.header.error;
}

static int
answer_to(struct fixture *f, uint32_t opcode, uint64_t ino, const void *body,
    size_t size)
{
	f->unique += 2;
	ask(f, f->unique, opcode, ino, body, size);
	return answer(f, f->unique);
}

static void
init(struct fixture *f)
{
	struct fuse_init_in in = {
		.major = 7,
		.minor = 31,
		.max_readahead = 131072,
		.flags = FUSE_MAX_PAGES | FUSE_NO_OPEN_SUPPORT |
		    FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
		    FUSE_AUTO_INVAL_DATA | FUSE_ASYNC_READ,
	};

	ask(f, 2, FUSE_INIT, 0, &in, sizeof(in));
	assert_int_equal(answer(f, 2), 0);
}

/* Leave a request as a worker leaves it that is killed while it runs. */
static void
owe(struct fixture *f, unsigned slot, uint64_t unique, uint32_t opcode,
    uint32_t deaths)
{
	struct fuse_getattr_in in = { 0 };

	(void)request(f->shared->slots[slot], unique, opcode, FUSE_ROOT_ID, &in,
	    sizeof(in));
	f->shared->notes[slot].deaths = deaths;
	f->shared->notes[slot].started_ms = 1;
	if (f->shared->nslots <= slot)
		f->shared->nslots = slot + 1;
}

static void
test_init_asks_for_what_a_version_that_never_changes_allows(void **state)
{
	struct fixture *f = *state;
	struct fuse_init_out out;

	start(f, false);
	init(f);
	memcpy(&out, f->answer.bytes + sizeof(f->answer.header), sizeof(out));
	assert_int_equal(out.max_pages, 256);
	assert_int_equal(out.max_background, 1024);
	assert_int_equal(out.congestion_threshold, 768);
	assert_true((out.flags & FUSE_DO_READDIRPLUS) != 0);
	assert_false((out.flags & FUSE_READDIRPLUS_AUTO) != 0);
	assert_false((out.flags & FUSE_AUTO_INVAL_DATA) != 0);
}

static void
test_attributes_of_the_root_need_no_repository(void **state)
{
	struct fixture *f = *state;
	struct fuse_getattr_in in = { 0 };
	struct fuse_attr_out out;

	start(f, false);
	init(f);
	assert_int_equal(answer_to(f, FUSE_GETATTR, 1, &in, sizeof(in)), 0);
	memcpy(&out, f->answer.bytes + sizeof(f->answer.header), sizeof(out));
	assert_int_equal(out.attr.mode, S_IFDIR | 0555);
	assert_int_equal(out.attr.uid, 12);
	assert_int_equal(out.attr.gid, 34);
	assert_int_equal(out.attr.mtime, 1500000000);
	assert_true(out.attr_valid > 1000000000);
}

static void
test_requests_that_are_refused_say_why(void **state)
{
	struct fixture *f = *state;
	struct fuse_open_in open = { 0 };
	struct fuse_getxattr_in get = { .size = 0 };
	char body[600];

	start(f, false);
	init(f);
	assert_int_equal(answer_to(f, FUSE_OPEN, 1, &open, sizeof(open)),
	    ENOSYS);
	assert_int_equal(answer_to(f, FUSE_OPENDIR, 1, &open, sizeof(open)),
	    ENOSYS);
	memset(body, 'x', sizeof(body));
	assert_int_equal(answer_to(f, FUSE_WRITE, 1, body, sizeof(body)),
	    EROFS);
	assert_int_equal(answer_to(f, FUSE_UNLINK, 1, "a", 2), EROFS);
	assert_int_equal(answer_to(f, FUSE_LISTXATTR, 1, &get, sizeof(get)),
	    ENOSYS);
	body[256] = '\0';
	assert_int_equal(answer_to(f, FUSE_LOOKUP, 1, body, 257), ENAMETOOLONG);
	memcpy(body, &get, sizeof(get));
	memcpy(body + sizeof(get), "security.x", 11);
	assert_int_equal(answer_to(f, FUSE_GETXATTR, 1, body, sizeof(get) + 11),
	    EOPNOTSUPP);
	assert_int_equal(answer_to(f, 4000, 1, NULL, 0), ENOSYS);
}

static void
test_a_forgotten_inode_is_not_answered(void **state)
{
	struct fixture *f = *state;
	struct fuse_forget_in forget = { .nlookup = 1 };
	struct fuse_getattr_in in = { 0 };

	start(f, false);
	init(f);
	ask(f, 50, FUSE_FORGET, 5, &forget, sizeof(forget));
	assert_int_equal(answer_to(f, FUSE_GETATTR, 1, &in, sizeof(in)), 0);
}

static void
test_what_a_dead_worker_owed_the_next_one_answers(void **state)
{
	struct fixture *f = *state;
	struct fuse_getattr_in in = { 0 };

	start(f, false);
	init(f);
	stop(f);
	owe(f, 0, 60, FUSE_GETATTR, 0);
	owe(f, 7, 61, FUSE_GETATTR, 2);
	start(f, false);
	assert_int_equal(answer(f, 2), 0); /* the kernel would drop this */
	assert_int_equal(answer(f, 60), 0);
	assert_int_equal(answer(f, 61), 0);
	assert_int_equal(answer_to(f, FUSE_GETATTR, 1, &in, sizeof(in)), 0);
	assert_int_equal(shared_stat(f->shared, STAT_replayed), 2);
}

static void
test_an_interrupt_is_known_to_the_next_worker(void **state)
{
	struct fixture *f = *state;
	struct fuse_interrupt_in in = { .unique = 60 };
	struct fuse_getattr_in get = { 0 };

	assert_int_equal(mkdir("repo", 0755), 0);
	start(f, false);
	init(f);
	/* By now it looks for nothing that it owes. */
	assert_int_equal(answer_to(f, FUSE_GETATTR, 1, &get, sizeof(get)), 0);
	owe(f, 7, 60, FUSE_LOOKUP, 0);
	(void)request(f->shared->slots[7], 60, FUSE_LOOKUP, FUSE_ROOT_ID, "a",
	    2);
	ask(f, 61, FUSE_INTERRUPT, 0, &in, sizeof(in));
	/* Readers take turns: this comes when that was handled, or is owed. */
	assert_int_equal(answer_to(f, FUSE_GETATTR, 1, &get, sizeof(get)), 0);
	stop(f);
	start(f, false);
	assert_int_equal(answer(f, 2), 0);
	assert_int_equal(answer(f, 60), EINTR);
}

static void
test_a_request_that_three_workers_died_of_is_given_up(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	init(f);
	stop(f);
	owe(f, 3, 60, FUSE_GETATTR, SHARED_DEATHS_MAX);
	owe(f, 4, 61, FUSE_GETATTR, SHARED_DEATHS_MAX - 1);
	start(f, false);
	assert_int_equal(answer(f, 2), 0);
	assert_int_equal(answer(f, 60), EIO);
	assert_int_equal(answer(f, 61), 0);
	assert_int_equal(shared_stat(f->shared, STAT_poisoned), 1);
}

/* An open file, as a worker notes it before it answers. */
static void
note_open(struct fixture *f, unsigned entry, uint64_t unique)
{
	f->shared->opens[entry].ino = FUSE_ROOT_ID;
	f->shared->opens[entry].unique = unique;
	f->shared->nopens = entry + 1;
}

/* Owe an open to workers that die of it, or are ill; entry 0 is its own. */
static void
owe_open(struct fixture *f, uint32_t deaths)
{
	f->shared->io = SHARED_IO_PASSTHROUGH;
	start(f, false);
	init(f);
	stop(f);
	note_open(f, 0, 60);
	note_open(f, 1, 61);
	owe(f, 3, 60, FUSE_OPEN, deaths);
}

/* What is new is read when all that was owed is done with. */
static void
finish_replay(struct fixture *f)
{
	struct fuse_getattr_in in = { 0 };

	assert_int_equal(answer_to(f, FUSE_GETATTR, 1, &in, sizeof(in)), 0);
	stop(f);
}

static void
test_an_open_that_was_noted_never_fails(void **state)
{
	struct fixture *f = *state;

	owe_open(f, SHARED_DEATHS_MAX);
	for (int sick = 0; sick < 2; sick++) {
		owe(f, 3, 60, FUSE_OPEN, SHARED_DEATHS_MAX);
		start(f, sick != 0);
		assert_int_equal(answer(f, 2), 0);
		assert_int_equal(answer(f, 60), 0);
		finish_replay(f);
		assert_int_equal(f->shared->opens[0].unique, 60);
		assert_int_equal(f->shared->opens[1].unique, 61);
	}
}

static void
test_an_open_that_failed_fails_again_and_is_not_noted(void **state)
{
	struct fixture *f = *state;

	owe_open(f, 0);
	owe(f, 3, 62, FUSE_OPEN, 0);
	f->shared->notes[3].error = ENFILE;
	start(f, false);
	assert_int_equal(answer(f, 2), 0);
	assert_int_equal(answer(f, 62), ENFILE);
	finish_replay(f);
	assert_int_equal(f->shared->nopens, 2);
	assert_int_equal(f->shared->notes[3].error, 0);
}

static void
test_an_open_that_was_closed_already_is_not_noted_again(void **state)
{
	struct fuse_release_in in = { .fh = 0 };
	struct fixture *f = *state;

	owe_open(f, 0);
	f->shared->opens[0].slot = 3;
	f->shared->notes[3].opened = 60;
	(void)request(f->shared->slots[4], 64, FUSE_RELEASE, FUSE_ROOT_ID, &in,
	    sizeof(in));
	f->shared->nslots = 5;
	start(f, false);
	assert_int_equal(answer(f, 2), 0);
	assert_int_equal(answer(f, 64), 0);
	finish_replay(f);
	/* Begun, it would have failed: this version has no file. */
	assert_int_equal(shared_stat(f->shared, STAT_errors), 0);
	assert_int_equal(f->shared->opens[0].unique, 0);
	assert_int_equal(f->shared->opens[1].unique, 61);
	assert_int_equal(f->shared->nopens, 2);
}

static void
test_an_older_open_of_its_slot_does_not_hide_that_one_was_closed(void **state)
{
	struct fuse_release_in in = { .fh = 0 }, older = { .fh = 1 };
	struct fixture *f = *state;

	owe_open(f, 0);
	f->shared->opens[0].slot = f->shared->opens[1].slot = 3;
	f->shared->notes[3].opened = 60;
	(void)request(f->shared->slots[4], 64, FUSE_RELEASE, FUSE_ROOT_ID, &in,
	    sizeof(in));
	(void)request(f->shared->slots[5], 65, FUSE_RELEASE, FUSE_ROOT_ID,
	    &older, sizeof(older));
	f->shared->nslots = 6;
	start(f, false);
	assert_int_equal(answer(f, 2), 0);
	assert_int_equal(answer(f, 64), 0);
	assert_int_equal(answer(f, 65), 0);
	finish_replay(f);
	assert_int_equal(shared_stat(f->shared, STAT_errors), 0);
	assert_int_equal(f->shared->opens[0].unique, 0);
	assert_int_equal(f->shared->opens[1].unique, 0);
	assert_int_equal(f->shared->nopens, 2);
}

static void
test_an_open_that_was_noted_is_answered_whatever_is_missing_now(void **state)
{
	struct fixture *f = *state;
	struct fuse_open_out out;

	f->shared->io = SHARED_IO_PASSTHROUGH;
	start(f, false);
	init(f);
	stop(f);
	note_open(f, 0, 60);
	note_open(f, 1, 61);
	f->shared->opens[1].ino = 2; /* of which this version knows nothing */
	f->shared->opens[1].turn = 7;
	owe(f, 3, 61, FUSE_OPEN, 1);
	((struct fuse_in_header *)(void *)f->shared->slots[3])->nodeid = 2;
	start(f, false);
	assert_int_equal(answer(f, 2), 0);
	assert_int_equal(answer(f, 61), 0);
	memcpy(&out, f->answer.bytes + sizeof(f->answer.header), sizeof(out));
	assert_true(out.fh == ((uint64_t)7 << 32 | 1));
	stop(f);
	assert_int_equal(f->shared->opens[1].unique, 61);
}

static void
test_who_stands_in_refuses_what_is_owed_and_what_has_come(void **state)
{
	struct fixture *f = *state;
	struct fuse_forget_in forget = { .nlookup = 1 };
	struct pollfd p = { .fd = f->kernel, .events = POLLIN };

	owe(f, 3, 60, FUSE_GETATTR, 1);
	ask(f, 61, FUSE_LOOKUP, 1, "a", 2);
	ask(f, 62, FUSE_FORGET, 5, &forget, sizeof(forget));
	ask(f, 63, FUSE_LOOKUP, 1, "b", 2);
	assert_true(stand_in_refuse(f->shared, f->worker_end));
	assert_int_equal(answer(f, 60), EIO);
	assert_int_equal(answer(f, 61), EIO);
	assert_int_equal(answer(f, 63), EIO);
	assert_int_equal(poll(&p, 1, 0), 0);
	/* Nothing is left, and nobody is waited for. */
	assert_true(stand_in_refuse(f->shared, f->worker_end));
	start(f, false);
	init(f);
	assert_int_equal(shared_stat(f->shared, STAT_replayed), 0);
}

static void
test_who_stands_in_does_not_tell_an_open_two_ends(void **state)
{
	struct fixture *f = *state;
	struct fuse_release_in in = { .fh = 0 };
	struct pollfd p = { .fd = f->kernel, .events = POLLIN };

	note_open(f, 0, 60);
	owe(f, 0, 60, FUSE_OPEN, 0);
	owe(f, 1, 61, FUSE_OPEN, 0);
	f->shared->notes[1].closed = 61;
	(void)request(f->shared->slots[2], 62, FUSE_RELEASE, 1, &in,
	    sizeof(in));
	owe(f, 3, 63, FUSE_OPEN, 0);
	f->shared->notes[3].error = ENFILE;
	assert_true(stand_in_refuse(f->shared, f->worker_end));
	assert_int_equal(answer(f, 63), ENFILE);
	assert_int_equal(poll(&p, 1, 0), 0);
	for (unsigned i = 0; i < 4; i++) {
		struct fuse_in_header h;

		memcpy(&h, f->shared->slots[i], sizeof(h));
		assert_int_equal(h.unique, i < 3 ? 60 + i : 0);
	}
}

static void
test_who_stands_in_stops_where_all_slots_are_taken(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < SHARED_SLOTS; i++)
		owe(f, i, 100 + i, FUSE_RELEASE, 0);
	ask(f, 61, FUSE_LOOKUP, 1, "a", 2);
	assert_false(stand_in_refuse(f->shared, f->worker_end));
	owe(f, 7, 60, FUSE_GETATTR, 0);
	assert_true(stand_in_refuse(f->shared, f->worker_end));
	assert_int_equal(answer(f, 60), EIO);
	assert_int_equal(answer(f, 61), EIO);
}

static void
test_an_init_that_was_read_but_not_answered_is_answered(void **state)
{
	struct fixture *f = *state;
	struct fuse_init_in in = { .major = 7, .minor = 31 };

	(void)request(f->shared->slots[0], 2, FUSE_INIT, 0, &in, sizeof(in));
	f->shared->nslots = 1;
	start(f, false);
	assert_int_equal(answer(f, 2), 0);
}

static void
test_an_ill_worker_shows_the_root_and_fails_the_rest(void **state)
{
	struct fixture *f = *state;
	struct fuse_getattr_in in = { 0 };

	start(f, true);
	init(f);
	assert_int_equal(answer_to(f, FUSE_GETATTR, 1, &in, sizeof(in)), 0);
	assert_int_equal(answer_to(f, FUSE_GETATTR, 2, &in, sizeof(in)), EIO);
	assert_int_equal(answer_to(f, FUSE_LOOKUP, 1, "a", 2), EIO);
}

static void
test_an_ill_worker_ends_well(void **state)
{
	struct fixture *f = *state;
	struct fuse_getattr_in in = { 0 };
	int status = -1;

	start(f, true);
	init(f);
	assert_int_equal(answer_to(f, FUSE_GETATTR, 1, &in, sizeof(in)), 0);
	assert_int_equal(shutdown(f->kernel, SHUT_WR), 0);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	f->pid = 0;
	assert_int_equal(status, 0);
}

static void
test_a_failure_is_counted_and_told_in_an_attribute(void **state)
{
	static const char name[] = "user.datamount.error";
	struct fixture *f = *state;
	struct fuse_getxattr_in get = { .size = 1000 };
	char body[sizeof(get) + sizeof(name)], why[SHARED_FAULT_TEXT];
	int64_t time = 0;

	memcpy(body, &get, sizeof(get));
	memcpy(body + sizeof(get), name, sizeof(name));
	assert_int_equal(mkdir("repo", 0755), 0);
	start(f, false);
	init(f);
	assert_int_equal(answer_to(f, FUSE_GETXATTR, 1, body, sizeof(body)),
	    ENODATA);
	assert_false(fault_last(f->shared, why, sizeof(why), &time));
	assert_int_equal(answer_to(f, FUSE_LOOKUP, 1, "a", 2), EIO);
	assert_int_equal(shared_stat(f->shared, STAT_errors), 1);
	assert_true(fault_last(f->shared, why, sizeof(why), &time));
	assert_int_equal(strncmp(why, "lookup of /: ", 13), 0);
	assert_int_equal(answer_to(f, FUSE_GETXATTR, 1, body, sizeof(body)), 0);
	assert_memory_equal(f->answer.bytes + sizeof(f->answer.header), why,
	    strlen(why));
	/* The next worker still knows. */
	stop(f);
	start(f, false);
	assert_int_equal(answer(f, 2), 0);
	assert_int_equal(answer_to(f, FUSE_GETXATTR, 1, body, sizeof(body)), 0);
}

static void
test_a_worker_ends_well_when_the_connection_does(void **state)
{
	struct fixture *f = *state;
	int status = -1;

	start(f, false);
	init(f);
	assert_int_equal(shutdown(f->kernel, SHUT_RDWR), 0);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	f->pid = 0;
	assert_int_equal(status, 0);
}

static void
test_a_broken_commit_is_reported(void **state)
{
	struct fixture *f = *state;
	struct worker_start start = {
		.spec = &f->spec,
		.shared = f->shared,
		.fuse_fd = f->worker_end,
		.order_fd = -1,
		.gone_fd = -1,
		.supervisor = getpid(),
	};
	struct dm_err report = { 0 };
	int fds[2];

	f->spec.commit_size--;
	assert_int_equal(pipe(fds), 0);
	start.report_fd = fds[1];
	f->pid = fork();
	if (f->pid == 0)
		worker_main(&start);
	(void)close(fds[1]);
	assert_int_equal(read(fds[0], &report, sizeof(report)), sizeof(report));
	assert_int_equal(report.code, DM_CORRUPT);
	assert_non_null(strstr(report.text, "commit"));
	(void)close(fds[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(
		    test_init_asks_for_what_a_version_that_never_changes_allows),
		TEST(test_attributes_of_the_root_need_no_repository),
		TEST(test_requests_that_are_refused_say_why),
		TEST(test_a_forgotten_inode_is_not_answered),
		TEST(test_what_a_dead_worker_owed_the_next_one_answers),
		TEST(test_an_interrupt_is_known_to_the_next_worker),
		TEST(test_a_request_that_three_workers_died_of_is_given_up),
		TEST(test_an_open_that_was_noted_never_fails),
		TEST(test_an_open_that_failed_fails_again_and_is_not_noted),
		TEST(test_an_open_that_was_closed_already_is_not_noted_again),
		TEST(
		    test_an_older_open_of_its_slot_does_not_hide_that_one_was_closed),
		TEST(
		    test_an_open_that_was_noted_is_answered_whatever_is_missing_now),
		TEST(test_who_stands_in_refuses_what_is_owed_and_what_has_come),
		TEST(test_who_stands_in_does_not_tell_an_open_two_ends),
		TEST(test_who_stands_in_stops_where_all_slots_are_taken),
		TEST(test_an_init_that_was_read_but_not_answered_is_answered),
		TEST(test_an_ill_worker_shows_the_root_and_fails_the_rest),
		TEST(test_an_ill_worker_ends_well),
		TEST(test_a_failure_is_counted_and_told_in_an_attribute),
		TEST(test_a_worker_ends_well_when_the_connection_does),
		TEST(test_a_broken_commit_is_reported),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
